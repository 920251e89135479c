// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Comma-separated values.

use std::fs::File;
use std::io;

use tcpstats::{Columns, Header, Record, csv};

use super::api::{Encoder, EncoderOptions, Format};
use super::continuation::{self, Content, Expected, begins};
use super::text::{LineFormat, TextReader};
use crate::batch::Batch;
use crate::columns::HeaderRow;
use crate::error::{EncodeError, Problem};
use crate::input::Source;
use crate::input::lines::Line;
use crate::item::{Current, Found, LoggedNote, Reader};
use crate::note::{LOG, Note, SNAPSHOT, TORN};

/// The format of `-F csv`.
pub struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "A header row, then one row for each record"
    }

    fn described(&self) -> &'static str {
        "CSV with the requested columns"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["csv"]
    }

    fn starts_like(&self, first: &[u8]) -> bool {
        matches!(first.first(), None | Some(b'#')) || begins(first, csv::TIME_COLUMNS.as_bytes())
    }

    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
        Ok(Box::new(TextReader::new(source.input, CsvLines { header: None })))
    }

    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder> {
        Box::new(CsvEncoder { columns: options.columns.unwrap_or_else(Columns::basic) })
    }

    fn has_columns(&self) -> bool {
        true
    }

    fn inspect(&self, file: &File, len: u64, expected: &Expected) -> io::Result<Content> {
        let (log, torn) = (format!("\n# {LOG} version="), format!("\n# {TORN} bytes="));
        let snapshot = format!("\n# {SNAPSHOT} snapshot=");
        let starts = [&log.as_bytes()[1..], &torn.as_bytes()[1..], csv::TIME_COLUMNS.as_bytes()];
        match continuation::lines(file, len, &starts, &[snapshot.as_bytes(), log.as_bytes()])? {
            Content::Log { complete, .. } => continuation::header_row(file, complete, expected),
            content => Ok(content),
        }
    }
}

/// Reads lines under the last header row.
struct CsvLines {
    header: Option<HeaderRow>,
}

impl LineFormat for CsvLines {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, Problem> {
        let Line::Whole(line) = line else {
            return Err(Problem::LongLine);
        };
        if line.first().is_some_and(u8::is_ascii_digit) {
            let header = self.header.as_mut().ok_or(Problem::Expected("a header row before the first record"))?;
            let (cells, known) = header.known_cells(line)?;
            let (time_ns, snapshot) = csv::read_row(cells, known, &current.wanted, &mut current.record)?;
            return Ok(Some(Found::Record { time_ns, snapshot }));
        }
        let line = str::from_utf8(line).map_err(|_| Problem::Expected("text in UTF-8"))?;
        if let Some(text) = line.strip_prefix("# ") {
            text.clone_into(&mut current.note);
            return current.take_note();
        }
        let header = HeaderRow::read(line, |name| current.unknown.add(name));
        let header = header.ok_or(Problem::Expected("a record, a note or a header row"))??;
        current.columns.text = Some(header.known().clone());
        current.columns.present = Some(header.known().clone());
        self.header = Some(header);
        Ok(None)
    }

    /// A record may lack digits of its last cell, so only a closing note is known
    /// to be complete.
    fn is_complete(line: &[u8]) -> bool {
        let text = str::from_utf8(line).ok().and_then(|line| line.strip_prefix("# "));
        let note = text.and_then(|text| Note::read(text).ok());
        matches!(note, Some(Note::End(totals) | Note::Rotated(totals)) if totals.dropped.is_some())
    }
}

struct CsvEncoder {
    columns: Columns,
}

impl Encoder for CsvEncoder {
    fn header(&mut self, batch: &mut Batch, columns: &Columns) -> Result<(), EncodeError> {
        self.columns = columns.clone();
        batch.line(csv::HEADER_MAX, |text| csv::header(text, columns));
        Ok(())
    }

    fn has_header_row(&self) -> bool {
        true
    }

    #[inline]
    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError> {
        batch.line(csv::ROW_MAX, |text| csv::row(text, &self.columns, wall_ns, snapshot, record));
        Ok(())
    }

    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        self.note(batch, &Note::Snapshot(*header))
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        note.lend(|note| batch.note(note, csv::note));
        Ok(())
    }

    fn logged_note(&mut self, batch: &mut Batch, note: &LoggedNote<'_>) -> Result<(), EncodeError> {
        batch.line(note.text.len() + 3, |text| _ = text.str("# ").str(note.text).char(b'\n'));
        Ok(())
    }
}
