// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The format of siftr(4).

use std::collections::HashSet;
use std::fs::File;
use std::io;

use memchr::memmem;
use tcpstats::frame::{Frame, flag};
use tcpstats::{Columns, FieldSet, Header, Record, siftr};

use super::api::{Encoder, EncoderOptions, Format, encode_rows};
use super::continuation::{self, Content, Expected, begins};
use super::text::{LineFormat, TextReader};
use crate::batch::Batch;
use crate::error::{EncodeError, Problem};
use crate::input::Source;
use crate::input::lines::Line;
use crate::item::{Current, Found, Reader};
use crate::note::{Note, SIFTR_DISABLE, SIFTR_ENABLE};

/// The start of the first line.
const ENABLE: &[u8] = b"enable_time_secs=";
/// The start of the last line.
const DISABLE: &[u8] = b"disable_time_secs=";

/// The format of `-F siftr`.
pub struct Siftr;

impl Format for Siftr {
    fn name(&self) -> &'static str {
        "siftr"
    }

    fn about(&self) -> &'static str {
        "The format of siftr(4) 1.3.0"
    }

    fn described(&self) -> &'static str {
        "a siftr log"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["siftr"]
    }

    fn starts_like(&self, first: &[u8]) -> bool {
        [ENABLE, b"o,", b"i,"].into_iter().any(|start| begins(first, start))
    }

    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
        Ok(Box::new(TextReader::new(source.input, SiftrLines)))
    }

    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder> {
        Box::new(SiftrEncoder {
            system_version: options.system_version,
            written: Part::default(),
            part: Part::default(),
            flows: HashSet::new(),
        })
    }

    fn has_connection_notes(&self) -> bool {
        false
    }

    fn fields(&self, _: &Columns) -> FieldSet {
        FieldSet::EMPTY
    }

    fn inspect(&self, file: &File, len: u64, _: &Expected) -> io::Result<Content> {
        continuation::lines(file, len, &[ENABLE], &[b"\no,1", b"\nenable_time_secs="])
    }
}

struct SiftrLines;

impl LineFormat for SiftrLines {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, Problem> {
        let (bytes, is_long) = match line {
            Line::Whole(line) | Line::Last(line) => (line, false),
            Line::Long(line) => (line, true),
        };
        let name = match () {
            () if bytes.starts_with(ENABLE) && !is_long => SIFTR_ENABLE,
            () if bytes.starts_with(DISABLE) => SIFTR_DISABLE,
            () if is_long => return Err(Problem::LongLine),
            () => {
                let time_ns = siftr::read_row(bytes, &mut current.record)?;
                return Ok(Some(Found::Record { time_ns, snapshot: 0 }));
            }
        };
        // The list of flows only repeats what the records contain.
        let pairs = bytes.split(|byte| *byte == b'\t').filter(|pair| !pair.starts_with(b"flow_list="));
        name.clone_into(&mut current.note);
        for pair in pairs {
            let pair = str::from_utf8(pair).ok().and_then(|pair| pair.split_once('='));
            let (key, value) = pair.ok_or(Problem::Expected("key=value pairs, separated by tabs"))?;
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let quote = if is_number { "" } else { "\"" };
            current.note.extend([" ", key, "=", quote, value, quote]);
        }
        current.take_note()
    }

    /// A record may lack digits; the last line ends with the list of flows.
    fn is_complete(line: &[u8]) -> bool {
        line.starts_with(DISABLE) && memmem::find(line, b"\tflow_list=").is_some()
    }
}

/// What the last line says about the log.
#[derive(Clone, Copy, Default)]
struct Part {
    has_first_line: bool,
    records: u64,
    lost_records: u64,
    end_ns: u64,
}

struct SiftrEncoder {
    system_version: u64,
    /// As of the last batch that was written, and including the current batch.
    written: Part,
    part: Part,
    flows: HashSet<siftr::Flow>,
}

impl SiftrEncoder {
    /// Appends the first line, once.
    fn begin(&mut self, batch: &mut Batch, time_ns: u64, system: Option<&str>, version: u64) {
        if !self.part.has_first_line {
            self.part.has_first_line = true;
            let system = system.unwrap_or("unknown");
            batch.line(256 + system.len(), |text| siftr::enable(text, time_ns, system, version));
        }
    }
}

impl Encoder for SiftrEncoder {
    fn header(&mut self, _: &mut Batch, _: &Columns) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline]
    fn record(&mut self, batch: &mut Batch, wall_ns: u64, _: u64, record: &Record) -> Result<(), EncodeError> {
        if !siftr::has(record) {
            return Ok(());
        }
        let time_ns = wall_ns.wrapping_add(record.at_ns);
        self.begin(batch, time_ns, None, 0);
        self.part.records += 1;
        self.part.end_ns = self.part.end_ns.max(time_ns);
        if self.flows.len() < siftr::FLOWS_MAX {
            self.flows.insert(siftr::flow_of(record));
        }
        batch.line(siftr::ROW_MAX, |text| siftr::row(text, wall_ns, record));
        Ok(())
    }

    fn snapshot(&mut self, _: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        if header.flags & flag::CHANGED_ONLY != 0 {
            return Err(EncodeError::ChangesOnly);
        }
        self.part.end_ns = self.part.end_ns.max(header.wall_ns);
        Ok(())
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        match note {
            Note::Log(log) => {
                let version = self.system_version;
                self.begin(batch, log.time_ns.unwrap_or_default(), log.system, version);
            }
            Note::SiftrEnable(enable) => {
                let version = enable.version.unwrap_or_default();
                self.begin(batch, enable.time_ns.unwrap_or_default(), enable.system, version);
            }
            Note::SiftrDisable(disable) => self.part.lost_records += disable.skipped,
            Note::Gap(gap) => self.part.lost_records += gap.records.unwrap_or(0),
            _ => (),
        }
        if !matches!(note, Note::Log(_) | Note::SiftrEnable(_)) {
            self.part.end_ns = self.part.end_ns.max(note.time_ns().unwrap_or_default());
        }
        Ok(())
    }

    fn frame(&mut self, batch: &mut Batch, frame: &Frame<'_>) -> Result<u64, EncodeError> {
        let before = self.part.records;
        encode_rows(self, batch, frame)?;
        Ok(self.part.records - before)
    }

    fn end(&mut self, batch: &mut Batch) -> Result<(), EncodeError> {
        let end_ns = self.part.end_ns;
        self.begin(batch, end_ns, None, 0);
        let Part { records, lost_records, .. } = self.part;
        batch.line(1024, |text| siftr::disable(text, end_ns, records, lost_records));
        let mut flows: Vec<_> = self.flows.iter().copied().collect();
        flows.sort_unstable();
        for flow in flows {
            batch.line(128, |text| siftr::flow(text, flow));
        }
        batch.bytes(b"\n");
        Ok(())
    }

    fn settle(&mut self, is_written: bool) {
        if is_written {
            self.written = self.part;
        } else {
            self.part = self.written;
        }
    }
}
