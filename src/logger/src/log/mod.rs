// SPDX-License-Identifier: BSD-2-Clause

//! The log: snapshots and notes in one of the formats, in a file or in syslog.
//!
//! A write to a file that fails for want of space, or because the disk fails,
//! loses its snapshot and nothing else: the log tells of the gap when it goes
//! on.  What a pipe, a terminal or a device has taken cannot be taken back, so
//! that there the first error is the end.

mod batch;
mod changes;
mod continued;
mod file;
mod lines;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tcpstats::frame::Frame;
use tcpstats::note::{Note, Pair};
use tcpstats::stream::seal;
use tcpstats::{Field, FieldSet};
use tcpstats_source::system::wall_ns;
use tcpstats_source::{AnchoredPath, InUse, Sentence, report, system_error};

use self::changes::{Changes, Selected};
use self::file::{Found, LogFile};
use self::lines::Lines;
use crate::gap::Gap;
use crate::options::{Format, Options, Output};
use crate::privileges::Identity;
use crate::sampler::{Taken, gap_of};
use crate::status::Counters;
use crate::syslog::Records;

/// Where the bytes go.
enum Sink {
    File(LogFile),
    Syslog(Records),
}

impl Sink {
    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Syslog(_) => Ok(()),
        }
    }
}

/// An open log.
pub struct Log {
    sink: Sink,
    lines: Lines,
    changes: Option<Changes>,
    /// What was found in the file, while its first lines are still due.
    due: Option<Found>,
    /// Snapshots that could not be written.
    gap: Option<Gap>,
    /// Snapshots that the queue did not take.
    queue_gap: Option<Gap>,
    missed_ticks: u64,
    unsynced_since: Option<Instant>,
    sync_every: Option<Duration>,
    sync_failed: bool,
    reader_left: bool,
    counters: Arc<Counters>,
}

impl Log {
    /// Opens or continues the log that the options name; nothing is written
    /// yet.  `is_live` says that the source is this system.
    ///
    /// # Errors
    /// A sentence; a log that cannot be continued is left as it is.
    pub fn open(
        options: &Options,
        is_live: bool,
        in_use: Vec<InUse>,
        counters: Arc<Counters>,
    ) -> Result<Self, Sentence> {
        let mut lines = Lines::new(options, is_live);
        let (sink, found) = match &options.output {
            Output::Syslog(target) => {
                (Sink::Syslog(Records::open(target).map_err(|error| report(error.as_ref()))?), Found::default())
            }
            Output::File(path) => {
                let (file, found) = LogFile::open(path, options.mode, &lines.expected, in_use)?;
                (Sink::File(file), found)
            }
        };
        lines.begin_file(&found);
        Ok(Self {
            sink,
            changes: options.keyframe_every.map(|every| Changes::new(&lines.format, every)),
            lines,
            due: Some(found),
            gap: None,
            queue_gap: None,
            missed_ticks: 0,
            unsynced_since: None,
            sync_every: options.sync_every,
            sync_failed: false,
            reader_left: false,
            counters,
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

    /// Where the log is opened again, if it is.
    pub fn place(&self) -> Option<&AnchoredPath> {
        match &self.sink {
            Sink::File(file) => file.place(),
            Sink::Syslog(_) => None,
        }
    }

    /// Returns whether the log shows that field, also if nobody has asked for it.
    pub fn shows(&self, field: &Field) -> bool {
        self.lines.shows(field)
    }

    /// From now on the source gives those fields: a log that shows others is not
    /// continued.
    pub fn sampled(&mut self, fields: FieldSet) {
        self.lines.expected.sampled = Some(fields);
    }

    /// From now on a sandbox lets the log be opened in its directories alone.
    pub fn confined(&mut self) {
        if let Sink::File(file) = &mut self.sink {
            file.confined();
        }
    }

    /// Writes the first lines; `sandbox` is what the process is confined by.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn begin(&mut self, sandbox: &str) -> Result<(), Sentence> {
        sandbox.clone_into(&mut self.lines.sandbox);
        self.compose();
        self.append(&[]).map_err(|error| self.said(&error))
    }

    /// Logs a snapshot.
    ///
    /// # Errors
    /// A sentence where the log cannot go on.
    pub fn snapshot(&mut self, taken: &mut Taken) -> Result<(), Sentence> {
        if let Some(gap) = taken.gap.take() {
            Gap::widen(&mut self.queue_gap, gap);
        }
        self.compose();
        if taken.missed_ticks > self.missed_ticks {
            let ticks = taken.missed_ticks - self.missed_ticks;
            let pairs = [("ticks", Pair::Number(ticks)), ("total", Pair::Number(taken.missed_ticks))];
            self.lines.note(&Note { name: "missed", pairs: &pairs });
        }
        taken.snapshot.set_missed_ticks(taken.missed_ticks);
        let records = self.put_snapshot(taken).map_err(|error| format!("cannot read back a snapshot: {error}"))?;
        // A frame is written from where it is.
        let frame = if self.writes_frames_as_they_come() { taken.snapshot.bytes() } else { &[] };
        if let Err(error) = self.append(frame) {
            return self.lose(&error, taken);
        }
        self.missed_ticks = taken.missed_ticks;
        self.lines.count(records);
        self.counters.snapshots.fetch_add(1, Relaxed);
        self.counters.records.fetch_add(records, Relaxed);
        Ok(())
    }

    /// Whether the frames of the source are those of the log.
    fn writes_frames_as_they_come(&self) -> bool {
        self.lines.format == Format::Bin && self.changes.is_none()
    }

    /// Makes of a snapshot what is written of it; gives how many records that is.
    fn put_snapshot(&mut self, taken: &mut Taken) -> Result<u64, tcpstats::frame::FrameError> {
        if self.writes_frames_as_they_come() {
            seal(taken.snapshot.bytes_mut());
            return Ok(taken.snapshot.written());
        }
        let lines = &mut self.lines;
        let Some(changes) = &mut self.changes else {
            return Ok(lines.frame(&Frame::parse(taken.snapshot.bytes())?));
        };
        let Selected { frame, opened, closed } = changes.select(&Frame::parse(taken.snapshot.bytes())?)?;
        for (name, records) in [("close", closed), ("open", opened)] {
            for record in records {
                lines.event(name, &frame, record);
            }
        }
        Ok(lines.frame(&frame))
    }

    /// Counts a snapshot that could not be written.
    fn lose(&mut self, error: &io::Error, taken: &Taken) -> Result<(), Sentence> {
        if self.is_final() {
            return Err(self.said(error));
        }
        if let Some(changes) = &mut self.changes {
            changes.take_back();
        }
        if self.gap.is_none() {
            log::warn!("{}; dropping snapshots until the log can be written", self.said(error));
        }
        self.counters.dropped.fetch_add(1, Relaxed);
        Gap::widen(&mut self.gap, gap_of(&taken.snapshot, &system_error(error)));
        Ok(())
    }

    /// Says that the source fails.
    ///
    /// # Errors
    /// A sentence where the log cannot go on.
    pub fn source_lost(&mut self, why: &str, missed_ticks: u64) -> Result<(), Sentence> {
        let pairs = [
            ("time", Pair::Seconds(wall_ns())),
            ("missed_ticks", Pair::Number(missed_ticks)),
            ("why", Pair::Text(why)),
        ];
        self.compose();
        self.lines.note(&Note { name: "source_lost", pairs: &pairs });
        self.append_or_wait()
    }

    /// Says what the queue did not take last.
    ///
    /// # Errors
    /// A sentence where the log cannot go on.
    pub fn dropped(&mut self, gap: Gap) -> Result<(), Sentence> {
        Gap::widen(&mut self.queue_gap, gap);
        self.compose();
        self.append_or_wait()
    }

    /// Goes on in the file that has the log's name now, or over a new
    /// connection to syslog.
    ///
    /// # Errors
    /// A sentence where the log cannot go on.
    pub fn reopen(&mut self) -> Result<(), Sentence> {
        let opened = match &mut self.sink {
            Sink::Syslog(records) => {
                records.reconnect();
                return Ok(());
            }
            Sink::File(file) => file.open_next(&self.lines.expected),
        };
        let next = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                log::info!("{}: not rotated; keeping the file", self.name());
                return Ok(());
            }
            Err(sentence) => {
                log::warn!("{sentence}; keeping the old file");
                return Ok(());
            }
        };
        if self.due.is_none() {
            self.lines.clear();
            self.lines.end("rotated", &self.counters);
            // A full disk takes no closing lines; the gap is told in the next file.
            if let Err(error) = self.append_batch(&[]) {
                log::warn!("{}; the old file has no closing line", self.said(&error));
            }
        }
        self.sync();
        self.lines.begin_file(&next.found);
        self.due = Some(next.found.clone());
        if let Sink::File(file) = &mut self.sink {
            drop(file.replace(next));
        }
        log::info!("{}: reopened", self.name());
        if let Some(changes) = &mut self.changes {
            changes.keyframe(&self.lines.format);
        }
        self.compose();
        self.append_or_wait()
    }

    /// Says that and how the log ends.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn close(&mut self) -> Result<(), Sentence> {
        self.compose();
        self.lines.end("end", &self.counters);
        let written = self.append(&[]).map_err(|error| self.said(&error));
        // What the disk does not have may be lost: as grave as what was not written.
        let synced = self.sink.sync().map_err(|error| self.not_synced(&error));
        written.and(synced)
    }

    /// When what was written is to reach the disk.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since?.checked_add(self.sync_every?)
    }

    /// Has what was written reach the disk.
    pub fn sync(&mut self) {
        self.unsynced_since = None;
        match self.sink.sync() {
            Ok(()) => self.sync_failed = false,
            Err(error) if self.sync_failed => log::info!("{}", self.not_synced(&error)),
            Err(error) => {
                log::warn!("{}", self.not_synced(&error));
                self.sync_failed = true;
            }
        }
    }

    /// Begins a batch with the first lines and the gaps, where they are due.
    fn compose(&mut self) {
        self.lines.clear();
        if let Some(found) = &self.due {
            self.lines.head(found);
        }
        for gap in [&self.gap, &self.queue_gap].into_iter().flatten() {
            gap.note(|note| self.lines.note(note));
        }
    }

    /// Writes the batch and a frame; what was due in the batch is done then.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.append_batch(frame)?;
        self.due = None;
        if let Some(gap) = self.gap.take() {
            log::warn!(
                "{}: can be written again; {} snapshots with {} records were dropped",
                self.name(),
                gap.snapshots,
                gap.records
            );
            self.lines.count_lost(gap.records);
        }
        if let Some(gap) = self.queue_gap.take() {
            self.lines.count_lost(gap.records);
        }
        Ok(())
    }

    fn append_batch(&mut self, frame: &[u8]) -> io::Result<()> {
        let bytes = self.lines.bytes();
        match &mut self.sink {
            Sink::File(file) => {
                let appended = file.append([bytes, frame]);
                let is_unread = appended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
                self.reader_left |= is_unread && file.is_standard_output();
                appended?;
            }
            // There are no frames in syslog.
            Sink::Syslog(records) => records.append(bytes)?,
        }
        self.counters.bytes.fetch_add((bytes.len() + frame.len()) as u64, Relaxed);
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Writes a batch without a snapshot; what cannot be written now is told
    /// with the next snapshot, or is only in the messages.
    fn append_or_wait(&mut self) -> Result<(), Sentence> {
        match self.append(&[]) {
            Err(error) if self.is_final() => Err(self.said(&error)),
            Err(error) => {
                log::info!("{}", self.said(&error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Returns whether the reader of standard output has gone: it has seen
    /// enough, and the errors of later writes are none.
    pub fn reader_left(&self) -> bool {
        self.reader_left
    }

    /// Whether an error of a write is the end.
    fn is_final(&self) -> bool {
        matches!(&self.sink, Sink::File(file) if !file.can_be_cut())
    }

    fn said(&self, error: &io::Error) -> Sentence {
        match error.kind() {
            io::ErrorKind::BrokenPipe => format!("{}: closed by the reader", self.name()),
            _ => format!("{}: {}", self.name(), system_error(error)),
        }
    }

    fn not_synced(&self, error: &io::Error) -> Sentence {
        format!("{}: cannot sync to disk: {}", self.name(), system_error(error))
    }

    fn name(&self) -> String {
        match &self.sink {
            Sink::File(file) => format!("log {}", file.name()),
            Sink::Syslog(records) => format!("syslog {}", records.name()),
        }
    }
}
