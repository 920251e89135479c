// SPDX-License-Identifier: BSD-2-Clause

//! The log: snapshots and notes in one of the four formats.

mod file;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;

use tcpstats::frame::Frame;
use tcpstats::note::{self, Note, Pair};
use tcpstats::stream::{SnapshotBuffer, note_frame, seal};
use tcpstats::text::Text;
use tcpstats::{Columns, Record, csv, json, key, siftr};

use crate::Sentence;
use crate::options::{Format, Options};
use crate::system::{System, wall_ns};

/// More flows than this are not listed in siftr's closing line: the list is
/// kept in memory.
const FLOWS_MAX: usize = 1_000_000;

/// An open log.
pub struct Log {
    name: String,
    file: File,
    format: Format,
    batch: Batch,
    flows: HashSet<Flow>,
    snapshots: u64,
    records: u64,
    missed_ticks: u64,
}

/// Local address and port, foreign address and port.
type Flow = ([u8; 16], u16, [u8; 16], u16);

impl Log {
    /// Opens or continues the log that the options name, and says in it what
    /// follows.
    ///
    /// # Errors
    /// A sentence; a log that cannot be continued is left as it is.
    pub fn open(options: &Options) -> Result<Self, Sentence> {
        let header = header_row(&options.format);
        let opened = file::open(&options.output, &options.format, &header)?;
        let mut log = Self {
            name: options.output.display().to_string(),
            file: opened.file,
            format: options.format.clone(),
            batch: Batch::default(),
            flows: HashSet::new(),
            snapshots: 0,
            records: 0,
            missed_ticks: 0,
        };
        let system = System::this();
        if log.format == Format::Siftr {
            log.batch
                .line(256 + system.name.len(), |text| siftr::enable(text, wall_ns(), &system.name, system.version));
        }
        if opened.torn_bytes > 0 {
            log.note(&Note { name: "torn", pairs: &[("bytes", Pair::Number(opened.torn_bytes))] });
        }
        log.note(&Note {
            name: "log",
            pairs: &[
                ("version", Pair::Text(env!("CARGO_PKG_VERSION"))),
                ("time", Pair::Seconds(wall_ns())),
                ("host", Pair::Text(&system.host)),
                ("system", Pair::Text(&system.name)),
                ("source", Pair::Text(&options.source)),
                ("interval_us", Pair::Number(u64::try_from(options.interval.as_micros()).unwrap_or(u64::MAX))),
                ("columns", Pair::Text(&options.columns_text)),
                ("filter", Pair::Text(&options.filter_text)),
            ],
        });
        if !opened.continued {
            log.batch.bytes(header.as_bytes());
        }
        log.write()?;
        Ok(log)
    }

    /// Snapshots logged so far.
    pub fn snapshots(&self) -> u64 {
        self.snapshots
    }

    /// Logs a snapshot; `missed_ticks` counts from the log's begin.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn snapshot(&mut self, snapshot: &mut SnapshotBuffer, missed_ticks: u64) -> Result<(), Sentence> {
        if missed_ticks > self.missed_ticks {
            let pairs =
                [("ticks", Pair::Number(missed_ticks - self.missed_ticks)), ("total", Pair::Number(missed_ticks))];
            self.note(&Note { name: "missed", pairs: &pairs });
            self.missed_ticks = missed_ticks;
        }
        snapshot.set_missed_ticks(missed_ticks);
        let damaged = |error| format!("a snapshot cannot be read back: {error}");
        if self.format == Format::Bin {
            seal(snapshot.bytes_mut());
        }
        let frame = Frame::parse(snapshot.bytes()).map_err(damaged)?;
        self.snapshots += 1;
        let mut records = frame.header.written;
        let (wall_ns, sequence) = (frame.header.wall_ns, frame.header.sequence);
        match &self.format {
            Format::Bin => self.batch.bytes(frame.bytes()),
            Format::Siftr => {
                records = 0;
                for record in frame.records().filter(siftr::has) {
                    self.batch.line(siftr::ROW_MAX, |text| siftr::row(text, wall_ns, &record));
                    records += 1;
                    if self.flows.len() < FLOWS_MAX {
                        self.flows.insert(flow(&record));
                    }
                }
            }
            Format::Csv(columns) => {
                for record in frame.records() {
                    self.batch.line(csv::ROW_MAX, |text| csv::row(text, columns, wall_ns, sequence, &record));
                }
            }
            Format::Json(columns) => {
                for record in frame.records() {
                    self.batch.line(json::ROW_MAX, |text| json::row(text, columns, wall_ns, sequence, &record));
                }
            }
        }
        self.records += records;
        // A frame's header says the same.
        if self.format != Format::Bin {
            note::snapshot(&frame.header, |note| self.batch.note(&self.format, note));
        }
        self.write()
    }

    /// Says that and how the log ends.
    ///
    /// # Errors
    /// A sentence with what the system said of the write.
    pub fn close(mut self, missed_ticks: u64) -> Result<(), Sentence> {
        let pairs = [
            ("time", Pair::Seconds(wall_ns())),
            ("snapshots", Pair::Number(self.snapshots)),
            ("records", Pair::Number(self.records)),
            ("missed_ticks", Pair::Number(missed_ticks)),
        ];
        self.note(&Note { name: "end", pairs: &pairs });
        if self.format == Format::Siftr {
            self.batch.line(1024, |text| siftr::disable(text, wall_ns(), self.records, 0));
            for (laddr, lport, faddr, fport) in &self.flows {
                self.batch.line(128, |text| siftr::flow(text, *laddr, *lport, *faddr, *fport));
            }
            self.batch.bytes(b"\n");
        }
        self.write()
    }

    fn note(&mut self, note: &Note<'_>) {
        self.batch.note(&self.format, note);
    }

    fn write(&mut self) -> Result<(), Sentence> {
        let written = self.file.write_all(self.batch.filled());
        self.batch.clear();
        written.map_err(|error| format!("log {}: {error}", self.name))
    }
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
        let mut batch = Batch::default();
        batch.line(csv::HEADER_MAX, |text| csv::header(text, columns));
        String::from_utf8_lossy(batch.filled()).into_owned()
    };
    match format {
        Format::Csv(columns) => header(columns),
        Format::Json(_) | Format::Siftr | Format::Bin => String::new(),
    }
}

/// What the next write writes, in memory that is used again.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    filled: usize,
}

impl Batch {
    fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn clear(&mut self) {
        self.filled = 0;
    }

    /// Appends text of at most `max` bytes.
    fn line(&mut self, max: usize, write: impl FnOnce(&mut Text<'_>)) {
        self.reserve(max);
        let mut text = Text::new(&mut self.bytes[self.filled..]);
        write(&mut text);
        self.filled += text.len();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn reserve(&mut self, max: usize) {
        if self.bytes.len() < self.filled + max {
            self.bytes.resize((self.filled + max).next_power_of_two(), 0);
        }
    }

    /// Appends a note in the format's way; siftr(4) has none.
    fn note(&mut self, format: &Format, note: &Note<'_>) {
        // Escaping makes a character at most six bytes.
        let texts: usize =
            note.pairs.iter().map(|(_, value)| if let Pair::Text(text) = value { text.len() } else { 0 }).sum();
        let max = 1024 + 6 * texts;
        match format {
            Format::Csv(_) => self.line(max, |text| csv::note(text, note)),
            Format::Json(_) => self.line(max, |text| json::note(text, note)),
            Format::Bin => self.bytes(&note_frame(note)),
            Format::Siftr => (),
        }
    }
}
