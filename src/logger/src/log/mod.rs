// SPDX-License-Identifier: BSD-2-Clause

//! The log: snapshots and notes in one of the formats, in a file or in syslog.
//!
//! A write that fails for want of space, or because the disk fails, loses its
//! snapshot and nothing else: the log tells of the gap when it goes on.

mod batch;
mod changes;
mod continued;
mod file;

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tcpstats::frame::Frame;
use tcpstats::note::{self, Note, Pair};
use tcpstats::stream::seal;
use tcpstats::text::Text;
use tcpstats::{Columns, FIELDS, Record, csv, json, key, pairs, siftr};

use self::batch::Batch;
use self::changes::{Changes, Selected};
use self::file::{Found, LogFile};
use crate::Sentence;
use crate::gap::Gap;
use crate::options::{Format, Options, Output};
use crate::privileges::Identity;
use crate::sampler::{Taken, gap_of};
use crate::status::Counters;
use crate::syslog::Records;
use crate::system::{System, wall_ns};

/// More flows than this are not listed in siftr's closing line: the list is
/// kept in memory.
const FLOWS_MAX: usize = 1_000_000;

/// Where the bytes go.
enum Sink {
    File(LogFile),
    Syslog(Records),
}

/// An open log.
pub struct Log {
    sink: Sink,
    about: About,
    batch: Batch,
    changes: Option<Changes>,
    /// What was found in the file, while its first lines are still due.
    due: Option<Found>,
    /// Snapshots that could not be written.
    gap: Option<Gap>,
    /// Snapshots that the queue did not take.
    queue_gap: Option<Gap>,
    part: Part,
    missed_ticks: u64,
    unsynced_since: Option<Instant>,
    sync_every: Option<Duration>,
    sync_failed: bool,
    counters: Arc<Counters>,
}

/// What the first lines say.
struct About {
    format: Format,
    header_row: String,
    system: System,
    source: String,
    interval: Duration,
    columns: String,
    filter: String,
    keyframe_every: Option<Duration>,
    sandbox: String,
}

/// What the closing line of siftr(4) tells of the file.
#[derive(Default)]
struct Part {
    records: u64,
    lost_records: u64,
    flows: HashSet<Flow>,
}

/// Local address and port, foreign address and port.
type Flow = ([u8; 16], u16, [u8; 16], u16);

impl Log {
    /// Opens or continues the log that the options name; nothing is written
    /// yet.
    ///
    /// # Errors
    /// A sentence; a log that cannot be continued is left as it is.
    pub fn open(options: &Options, counters: Arc<Counters>) -> Result<Self, Sentence> {
        let header_row = header_row(&options.format);
        let (sink, found) = match &options.output {
            Output::Syslog(target) => (Sink::Syslog(Records::open(target)?), Found::default()),
            Output::File(path) => {
                let (file, found) = LogFile::open(path, options.mode, &options.format, &header_row)?;
                (Sink::File(file), found)
            }
        };
        Ok(Self {
            sink,
            batch: Batch::default(),
            changes: options.keyframe_every.map(|every| Changes::new(&options.format, every)),
            due: Some(found),
            gap: None,
            queue_gap: None,
            part: Part::default(),
            missed_ticks: 0,
            unsynced_since: None,
            sync_every: options.sync_every,
            sync_failed: false,
            counters,
            about: About {
                format: options.format.clone(),
                header_row,
                system: System::this(),
                source: options.source.clone(),
                interval: options.interval,
                columns: options.columns_text.clone(),
                filter: options.filter_text.clone(),
                keyframe_every: options.keyframe_every,
                sandbox: String::new(),
            },
        })
    }

    /// Gives a log that is still empty to the user that the logger becomes.
    ///
    /// # Errors
    /// A sentence with what the system said.
    pub fn give_to(&self, identity: &Identity) -> Result<(), Sentence> {
        match &self.sink {
            Sink::File(file) => file.give_to(identity.uid, identity.gid),
            Sink::Syslog(_) => Ok(()),
        }
    }

    /// The directory that the log is opened again in, if it is.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        match &self.sink {
            Sink::File(file) => file.directory(),
            Sink::Syslog(_) => None,
        }
    }

    /// Writes the first lines; `sandbox` is what the process is confined by.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn begin(&mut self, sandbox: &str) -> Result<(), Sentence> {
        sandbox.clone_into(&mut self.about.sandbox);
        self.compose();
        self.append().map_err(|error| self.said(&error))
    }

    /// Logs a snapshot.
    ///
    /// # Errors
    /// A sentence where nobody reads the log any more.
    pub fn snapshot(&mut self, taken: &mut Taken) -> Result<(), Sentence> {
        if let Some(gap) = taken.gap.take() {
            Gap::widen(&mut self.queue_gap, gap);
        }
        self.compose();
        if taken.missed_ticks > self.missed_ticks {
            let ticks = taken.missed_ticks - self.missed_ticks;
            let pairs = [("ticks", Pair::Number(ticks)), ("total", Pair::Number(taken.missed_ticks))];
            self.batch.note(&self.about.format, &Note { name: "missed", pairs: &pairs });
        }
        taken.snapshot.set_missed_ticks(taken.missed_ticks);
        let records = self.put_snapshot(taken).map_err(|error| format!("a snapshot cannot be read back: {error}"))?;
        if let Err(error) = self.append() {
            return self.lose(&error, taken);
        }
        self.missed_ticks = taken.missed_ticks;
        self.part.records += records;
        self.counters.snapshots.fetch_add(1, Relaxed);
        self.counters.records.fetch_add(records, Relaxed);
        Ok(())
    }

    /// Puts a snapshot into the batch; gives how many records of it.
    fn put_snapshot(&mut self, taken: &mut Taken) -> Result<u64, tcpstats::frame::FrameError> {
        let format = &self.about.format;
        let Some(changes) = &mut self.changes else {
            if *format == Format::Bin {
                seal(taken.snapshot.bytes_mut());
            }
            let frame = Frame::parse(taken.snapshot.bytes())?;
            return Ok(put_frame(&mut self.batch, format, &mut self.part, &frame));
        };
        let Selected { frame, opened, closed } = changes.select(&Frame::parse(taken.snapshot.bytes())?)?;
        for (name, records) in [("close", closed), ("open", opened)] {
            for record in records {
                put_event(&mut self.batch, format, name, &frame, record);
            }
        }
        Ok(put_frame(&mut self.batch, format, &mut self.part, &frame))
    }

    /// Counts a snapshot that could not be written.
    fn lose(&mut self, error: &io::Error, taken: &Taken) -> Result<(), Sentence> {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(format!("{}: nobody reads it any more", self.name()));
        }
        if let Some(changes) = &mut self.changes {
            changes.take_back();
        }
        if self.gap.is_none() {
            log::warn!("{}; snapshots are dropped meanwhile", self.said(error));
        }
        self.counters.dropped.fetch_add(1, Relaxed);
        Gap::widen(&mut self.gap, gap_of(&taken.snapshot, &error.to_string()));
        Ok(())
    }

    /// Says that the source fails.
    ///
    /// # Errors
    /// A sentence where nobody reads the log any more.
    pub fn source_lost(&mut self, why: &str, missed_ticks: u64) -> Result<(), Sentence> {
        let pairs = [
            ("time", Pair::Seconds(wall_ns())),
            ("missed_ticks", Pair::Number(missed_ticks)),
            ("why", Pair::Text(why)),
        ];
        self.compose();
        self.batch.note(&self.about.format, &Note { name: "source_lost", pairs: &pairs });
        self.append_or_wait()
    }

    /// Says what the queue did not take last.
    ///
    /// # Errors
    /// A sentence where nobody reads the log any more.
    pub fn dropped(&mut self, gap: Gap) -> Result<(), Sentence> {
        Gap::widen(&mut self.queue_gap, gap);
        self.compose();
        self.append_or_wait()
    }

    /// Goes on in the file that has the log's name now, or over a new
    /// connection to syslog.
    ///
    /// # Errors
    /// A sentence where nobody reads the log any more.
    pub fn reopen(&mut self) -> Result<(), Sentence> {
        let opened = match &mut self.sink {
            Sink::Syslog(records) => {
                records.reconnect();
                return Ok(());
            }
            Sink::File(file) => file.open_next(&self.about.format, &self.about.header_row),
        };
        let (next, found) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                log::info!("{}: there is no other file to go on in", self.name());
                return Ok(());
            }
            Err(sentence) => {
                log::warn!("{sentence}; it goes on in the file that it has");
                return Ok(());
            }
        };
        if self.due.is_none() {
            self.batch.clear();
            self.put_end("rotated");
            // A full disk takes no closing lines; the gap is told in the next file.
            if let Err(error) = self.append_batch() {
                log::warn!("{}; the old file has no closing lines", self.said(&error));
            }
        }
        self.sync();
        if let Sink::File(file) = &mut self.sink {
            drop(file.replace(next));
        }
        log::info!("{}: it goes on in a new file", self.name());
        self.due = Some(found);
        self.part = Part::default();
        if let Some(changes) = &mut self.changes {
            changes.keyframe();
        }
        self.compose();
        self.append_or_wait()
    }

    /// Says that and how the log ends.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn close(mut self) -> Result<(), Sentence> {
        self.compose();
        self.put_end("end");
        let written = self.append().map_err(|error| self.said(&error));
        self.sync();
        written
    }

    /// When what was written is to reach the disk.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since?.checked_add(self.sync_every?)
    }

    /// Has what was written reach the disk.
    pub fn sync(&mut self) {
        self.unsynced_since = None;
        let Sink::File(file) = &self.sink else {
            return;
        };
        match file.sync() {
            Ok(()) => self.sync_failed = false,
            Err(error) if self.sync_failed => log::info!("{}: it does not reach the disk: {error}", self.name()),
            Err(error) => {
                log::warn!("{}: it does not reach the disk: {error}", self.name());
                self.sync_failed = true;
            }
        }
    }

    /// Begins a batch with the first lines and the gaps, where they are due.
    fn compose(&mut self) {
        self.batch.clear();
        if let Some(found) = self.due {
            self.put_head(found);
        }
        for gap in [&self.gap, &self.queue_gap].into_iter().flatten() {
            gap.note(|note| self.batch.note(&self.about.format, note));
        }
    }

    fn put_head(&mut self, found: Found) {
        let about = &self.about;
        let format = &about.format;
        if *format == Format::Siftr {
            let max = 256 + about.system.name.len();
            self.batch.line(max, |text| siftr::enable(text, wall_ns(), &about.system.name, about.system.version));
        }
        if found.torn_bytes > 0 {
            let pairs = [("bytes", Pair::Number(found.torn_bytes))];
            self.batch.note(format, &Note { name: "torn", pairs: &pairs });
        }
        let mut pairs = vec![
            ("version", Pair::Text(env!("CARGO_PKG_VERSION"))),
            ("time", Pair::Seconds(wall_ns())),
            ("host", Pair::Text(&about.system.host)),
            ("system", Pair::Text(&about.system.name)),
            ("source", Pair::Text(&about.source)),
            ("interval_us", Pair::Number(u64::try_from(about.interval.as_micros()).unwrap_or(u64::MAX))),
            ("columns", Pair::Text(&about.columns)),
            ("filter", Pair::Text(&about.filter)),
            ("sandbox", Pair::Text(&about.sandbox)),
        ];
        if let Some(every) = about.keyframe_every {
            pairs.push(("keyframe_us", Pair::Number(u64::try_from(every.as_micros()).unwrap_or(u64::MAX))));
        }
        self.batch.note(format, &Note { name: "log", pairs: &pairs });
        if !found.continued {
            self.batch.bytes(about.header_row.as_bytes());
        }
    }

    /// Puts the closing lines into the batch: counts since the start, and in
    /// siftr(4)'s line those of this file.
    fn put_end(&mut self, name: &str) {
        let count = |counter: &std::sync::atomic::AtomicU64| Pair::Number(counter.load(Relaxed));
        let pairs = [
            ("time", Pair::Seconds(wall_ns())),
            ("snapshots", count(&self.counters.snapshots)),
            ("records", count(&self.counters.records)),
            ("missed_ticks", count(&self.counters.missed_ticks)),
            ("dropped", count(&self.counters.dropped)),
        ];
        self.batch.note(&self.about.format, &Note { name, pairs: &pairs });
        if self.about.format == Format::Siftr {
            let part = &self.part;
            self.batch.line(1024, |text| siftr::disable(text, wall_ns(), part.records, part.lost_records));
            for (laddr, lport, faddr, fport) in &part.flows {
                self.batch.line(128, |text| siftr::flow(text, *laddr, *lport, *faddr, *fport));
            }
            self.batch.bytes(b"\n");
        }
    }

    /// Writes the batch; what was due in it is done then.
    fn append(&mut self) -> io::Result<()> {
        self.append_batch()?;
        self.due = None;
        if let Some(gap) = self.gap.take() {
            log::warn!(
                "{}: it can be written again; {} snapshots with {} records were dropped",
                self.name(),
                gap.snapshots,
                gap.records
            );
            self.part.lost_records += gap.records;
        }
        if let Some(gap) = self.queue_gap.take() {
            self.part.lost_records += gap.records;
        }
        Ok(())
    }

    fn append_batch(&mut self) -> io::Result<()> {
        let bytes = self.batch.filled();
        match &mut self.sink {
            Sink::File(file) => file.append(bytes)?,
            Sink::Syslog(records) => records.append(bytes)?,
        }
        self.counters.bytes.fetch_add(bytes.len() as u64, Relaxed);
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Writes a batch without a snapshot; what cannot be written now is told
    /// with the next snapshot, or is only in the messages.
    fn append_or_wait(&mut self) -> Result<(), Sentence> {
        match self.append() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.said(&error)),
            Err(error) => {
                log::info!("{}", self.said(&error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn said(&self, error: &io::Error) -> Sentence {
        format!("{}: {error}", self.name())
    }

    fn name(&self) -> String {
        match &self.sink {
            Sink::File(file) => format!("log {}", file.name()),
            Sink::Syslog(_) => "syslog".into(),
        }
    }
}

/// Puts the records of a snapshot into the batch, and the line behind them;
/// gives how many.
fn put_frame(batch: &mut Batch, format: &Format, part: &mut Part, frame: &Frame<'_>) -> u64 {
    let (wall_ns, sequence) = (frame.header.wall_ns, frame.header.sequence);
    let mut records = frame.header.written;
    match format {
        Format::Bin => batch.bytes(frame.bytes()),
        Format::Siftr => {
            records = 0;
            for record in frame.records().filter(siftr::has) {
                batch.line(siftr::ROW_MAX, |text| siftr::row(text, wall_ns, &record));
                records += 1;
                if part.flows.len() < FLOWS_MAX {
                    part.flows.insert(flow(&record));
                }
            }
        }
        Format::Csv(columns) => {
            for record in frame.records() {
                batch.line(csv::ROW_MAX, |text| csv::row(text, columns, wall_ns, sequence, &record));
            }
        }
        Format::Json(columns) => {
            for record in frame.records() {
                batch.line(json::ROW_MAX, |text| json::row(text, columns, wall_ns, sequence, &record));
            }
        }
        Format::Pairs(columns) => {
            for record in frame.records() {
                batch.line(pairs::ROW_MAX, |text| pairs::row(text, columns, wall_ns, sequence, &record));
            }
        }
    }
    // A frame's header says the same.
    if *format != Format::Bin {
        note::snapshot(&frame.header, |note| batch.note(format, note));
    }
    records
}

/// Fields by which a connection is named where it opens and closes.
const EVENT_FIELDS: [&str; 8] = ["gencnt", "laddr", "lport", "faddr", "fport", "state", "uid", "jid"];

/// Puts the line of a connection that opened or closed into the batch.
fn put_event(batch: &mut Batch, format: &Format, name: &str, frame: &Frame<'_>, record: &Record) {
    let mut pairs =
        vec![("time", Pair::Seconds(frame.header.wall_ns)), ("snapshot", Pair::Number(frame.header.sequence))];
    let fields = FIELDS.iter().filter(|field| EVENT_FIELDS.contains(&field.name) && record.has(field.index));
    pairs.extend(fields.map(|field| (field.name, Pair::Value(record, field))));
    batch.note(format, &Note { name, pairs: &pairs });
}

fn flow(record: &Record) -> Flow {
    (
        record.get(key::laddr).unwrap_or_default(),
        record.get(key::lport).unwrap_or_default(),
        record.get(key::faddr).unwrap_or_default(),
        record.get(key::fport).unwrap_or_default(),
    )
}

/// The header row of a format, empty where it has none.
fn header_row(format: &Format) -> String {
    let header = |columns: &Columns| {
        let mut buffer = vec![0; csv::HEADER_MAX];
        let mut text = Text::new(&mut buffer);
        csv::header(&mut text, columns);
        text.finish().unwrap_or_default().to_owned()
    };
    match format {
        Format::Csv(columns) => header(columns),
        Format::Json(_) | Format::Siftr | Format::Bin | Format::Pairs(_) => String::new(),
    }
}
