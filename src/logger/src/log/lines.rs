// SPDX-License-Identifier: BSD-2-Clause

//! What stands in a log, in its format.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tcpstats::frame::Frame;
use tcpstats::note::{self, Note, Pair};
use tcpstats::text::Text;
use tcpstats::{Columns, FIELDS, Field, Record, csv, json, pairs, siftr};
use tcpstats_source::system::{System, wall_ns};

use super::batch::Batch;
use super::continued::Expected;
use super::file::Found;
use crate::options::{Format, Options};
use crate::status::Counters;

/// Fields by which a connection is named where it opens and closes.
const EVENT_FIELDS: [&str; 10] = ["gencnt", "laddr", "lport", "faddr", "fport", "state", "uid", "jid", "vnet", "zone"];

/// Lines or frames that are to be written, and what is needed to make them.
pub struct Lines {
    /// What is expected of a log that exists.
    pub expected: Expected,
    /// The format of the log, which may have columns of its own.
    pub format: Format,
    /// What the process is confined by.
    pub sandbox: String,
    batch: Batch,
    system: System,
    source: String,
    interval: Duration,
    /// The columns as `-O` has them, and those of the log if it has its own.
    columns: String,
    own_columns: Option<String>,
    filter: String,
    keyframe_every: Option<Duration>,
    part: Part,
}

/// What the closing line of siftr(4) tells of the file.
#[derive(Default)]
struct Part {
    records: u64,
    lost_records: u64,
    flows: HashSet<siftr::Flow>,
}

impl Lines {
    /// None yet; `is_live` says that the source is this system.
    pub fn new(options: &Options, is_live: bool) -> Self {
        let mut system = System::this();
        if !is_live {
            // Frames that were taken before may be of another boot.
            system.boot = None;
        }
        Self {
            expected: Expected {
                format: options.format.clone(),
                header_row: header_row(&options.format),
                takes_other_columns: !options.has_columns,
                sampled: None,
            },
            format: options.format.clone(),
            sandbox: String::new(),
            batch: Batch::default(),
            system,
            source: options.source.display().to_string(),
            interval: options.interval,
            columns: options.columns_text.clone(),
            own_columns: None,
            filter: options.filter_text.clone(),
            keyframe_every: options.keyframe_every,
            part: Part::default(),
        }
    }

    /// The bytes to write.
    pub fn bytes(&self) -> &[u8] {
        self.batch.filled()
    }

    /// Forgets what was to be written.
    pub fn clear(&mut self) {
        self.batch.clear();
    }

    /// Counts what came into the file.
    pub fn count(&mut self, records: u64) {
        self.part.records += records;
    }

    /// Counts what a gap cost.
    pub fn count_lost(&mut self, records: u64) {
        self.part.lost_records += records;
    }

    /// Counts anew: another file begins, or is continued with columns of its own.
    pub fn begin_file(&mut self, found: &Found) {
        self.part = Part::default();
        self.own_columns = found.columns.as_ref().map(names);
        self.format = found.columns.clone().map_or_else(|| self.expected.format.clone(), Format::Csv);
    }

    /// Whether the log shows that field.
    pub fn shows(&self, field: &Field) -> bool {
        self.format.shows(field)
    }

    /// A note.
    pub fn note(&mut self, note: &Note<'_>) {
        self.batch.note(&self.format, note);
    }

    /// The first lines of a run or a file.
    pub fn head(&mut self, found: &Found) {
        let format = &self.format;
        if *format == Format::Siftr {
            let (name, version) = (&self.system.name, self.system.version);
            self.batch.line(256 + name.len(), |text| siftr::enable(text, wall_ns(), name, version));
        }
        if found.torn_bytes > 0 {
            let pairs = [("bytes", Pair::Number(found.torn_bytes))];
            self.batch.note(format, &Note { name: "torn", pairs: &pairs });
        }
        let mut pairs = vec![
            ("version", Pair::Text(env!("CARGO_PKG_VERSION"))),
            ("time", Pair::Seconds(wall_ns())),
            ("host", Pair::Text(&self.system.host)),
            ("system", Pair::Text(&self.system.name)),
            ("source", Pair::Text(&self.source)),
            ("interval_us", Pair::Number(u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX))),
            ("columns", Pair::Text(self.own_columns.as_ref().unwrap_or(&self.columns))),
            ("filter", Pair::Text(&self.filter)),
            ("sandbox", Pair::Text(&self.sandbox)),
        ];
        if let Some(boot) = &self.system.boot {
            pairs.push(("boot", Pair::Text(boot)));
        }
        if let Some(every) = self.keyframe_every {
            pairs.push(("keyframe_us", Pair::Number(u64::try_from(every.as_micros()).unwrap_or(u64::MAX))));
        }
        self.batch.note(format, &Note { name: "log", pairs: &pairs });
        if !found.continued {
            self.batch.bytes(self.expected.header_row.as_bytes());
        }
    }

    /// The closing lines: counts since the start, and in siftr(4)'s line those
    /// of this file.
    pub fn end(&mut self, name: &str, counters: &Counters) {
        let count = |counter: &AtomicU64| Pair::Number(counter.load(Relaxed));
        let pairs = [
            ("time", Pair::Seconds(wall_ns())),
            ("snapshots", count(&counters.snapshots)),
            ("records", count(&counters.records)),
            ("missed_ticks", count(&counters.missed_ticks)),
            ("dropped", count(&counters.dropped)),
        ];
        self.batch.note(&self.format, &Note { name, pairs: &pairs });
        if self.format == Format::Siftr {
            let part = &self.part;
            self.batch.line(1024, |text| siftr::disable(text, wall_ns(), part.records, part.lost_records));
            for flow in &part.flows {
                self.batch.line(128, |text| siftr::flow(text, *flow));
            }
            self.batch.bytes(b"\n");
        }
    }

    /// The records of a snapshot, and the line behind them; gives how many.
    pub fn frame(&mut self, frame: &Frame<'_>) -> u64 {
        let (batch, format, part) = (&mut self.batch, &self.format, &mut self.part);
        let (wall_ns, sequence) = (frame.header.wall_ns, frame.header.sequence);
        let mut records = frame.header.written;
        match format {
            Format::Bin => batch.bytes(frame.bytes()),
            Format::Siftr => {
                records = 0;
                for record in frame.records().filter(siftr::has) {
                    batch.line(siftr::ROW_MAX, |text| siftr::row(text, wall_ns, &record));
                    records += 1;
                    if part.flows.len() < siftr::FLOWS_MAX {
                        part.flows.insert(siftr::flow_of(&record));
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

    /// The line of a connection that opened or closed.
    pub fn event(&mut self, name: &str, frame: &Frame<'_>, record: &Record) {
        let mut pairs =
            vec![("time", Pair::Seconds(frame.header.wall_ns)), ("snapshot", Pair::Number(frame.header.sequence))];
        let fields = FIELDS.iter().filter(|field| EVENT_FIELDS.contains(&field.name) && record.has(field));
        pairs.extend(fields.map(|field| (field.name, Pair::Value(record, field))));
        self.note(&Note { name, pairs: &pairs });
    }
}

/// The names of columns with commas between, which mean the same in every version.
fn names(columns: &Columns) -> String {
    columns.fields().map(|field| field.name).collect::<Vec<_>>().join(",")
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
