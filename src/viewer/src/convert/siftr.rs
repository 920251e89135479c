// SPDX-License-Identifier: BSD-2-Clause

//! Logs as siftr(4) writes them.

use std::collections::BTreeSet;

use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats::text::Text;
use tcpstats::{Record, siftr};

use super::{Output, Writer};
use crate::log::{Item, LogColumns, said};

/// A log of siftr(4) while it is written.
pub struct Siftr {
    output: Output,
    flows: BTreeSet<siftr::Flow>,
    is_begun: bool,
    records: u64,
    lost_records: u64,
    end_ns: u64,
}

impl Siftr {
    /// Writes there.
    pub fn new(output: Output) -> Self {
        Self { output, flows: BTreeSet::new(), is_begun: false, records: 0, lost_records: 0, end_ns: 0 }
    }

    fn line(&mut self, write: impl FnOnce(&mut Text<'_>)) -> Result<(), String> {
        let mut buffer = [0; 1024];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        let line = text.finish().ok_or("a line is longer than its bound")?;
        self.output.write_all(line.as_bytes()).map_err(|error| said(&error))
    }

    /// Writes the line at the begin, once.
    fn begin(&mut self, time_ns: u64, system: &str, version: u64) -> Result<(), String> {
        if self.is_begun {
            return Ok(());
        }
        self.is_begun = true;
        self.line(|text| siftr::enable(text, time_ns, system, version))
    }

    fn record(&mut self, time_ns: u64, record: &Record) -> Result<(), String> {
        self.begin(time_ns, "unknown", 0)?;
        self.records += 1;
        self.end_ns = self.end_ns.max(time_ns);
        if self.flows.len() < siftr::FLOWS_MAX {
            self.flows.insert(siftr::flow_of(record));
        }
        self.line(|text| siftr::row(text, time_ns, record))
    }
}

impl Writer for Siftr {
    fn item(&mut self, item: &Item<'_>, _: &LogColumns) -> Result<(), String> {
        match item {
            Item::Record { time_ns, record, .. } if siftr::has(record) => self.record(*time_ns, record),
            Item::Record { .. } => Ok(()),
            Item::Snapshot(header) if header.flags & flag::CHANGED_ONLY != 0 => {
                Err("the log has changes only, and the format of siftr(4) cannot say that".into())
            }
            Item::Snapshot(header) => {
                self.end_ns = self.end_ns.max(header.wall_ns);
                Ok(())
            }
            Item::Note(text) => {
                let Some(note) = NoteText::read(text) else {
                    return Ok(());
                };
                let part = |key| note.number(key).unwrap_or_default();
                let ns = |secs, usecs| {
                    part(secs).saturating_mul(1_000_000_000).saturating_add(part(usecs).saturating_mul(1000))
                };
                match note.name {
                    "log" => {
                        let time_ns = note.seconds("time").unwrap_or_default();
                        self.begin(time_ns, note.text("system").unwrap_or("unknown"), 0)
                    }
                    "siftr_enable" => {
                        let time_ns = ns("enable_time_secs", "enable_time_usecs");
                        self.begin(time_ns, note.text("sysname").unwrap_or("unknown"), part("sysver"))
                    }
                    "siftr_disable" => {
                        self.end_ns = self.end_ns.max(ns("disable_time_secs", "disable_time_usecs"));
                        self.lost_records += part("total_skipped_tcp_pkts");
                        Ok(())
                    }
                    "gap" => {
                        self.lost_records += part("records");
                        Ok(())
                    }
                    _ => {
                        self.end_ns = self.end_ns.max(note.seconds("time").unwrap_or_default());
                        Ok(())
                    }
                }
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let (end_ns, records, lost) = (self.end_ns, self.records, self.lost_records);
        self.begin(end_ns, "unknown", 0)?;
        self.line(|text| siftr::disable(text, end_ns, records, lost))?;
        for flow in std::mem::take(&mut self.flows) {
            self.line(|text| siftr::flow(text, flow))?;
        }
        self.line(|text| _ = text.char(b'\n'))?;
        self.output.flush().map_err(|error| said(&error))
    }
}
