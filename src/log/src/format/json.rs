// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! JSON Lines.

use std::fs::File;
use std::io;

use tcpstats::note::NoteText;
use tcpstats::read::{Expected as ExpectedText, RowError};
use tcpstats::text::Text;
use tcpstats::{Columns, Header, Record, json};

use super::api::{Encoder, EncoderOptions, Format};
use super::continuation::{self, Content, Expected};
use super::text::{LineFormat, TextReader};
use crate::batch::Batch;
use crate::columns::{is_damaged, is_unknown};
use crate::error::{EncodeError, Problem};
use crate::input::Source;
use crate::input::lines::Line;
use crate::item::{Current, Found, LoggedNote, Reader};
use crate::note::Note;

/// The format of `-F json`.
pub struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn about(&self) -> &'static str {
        "JSON Lines"
    }

    fn described(&self) -> &'static str {
        "JSON Lines"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["json", "jsonl", "ndjson"]
    }

    fn starts_like(&self, first: &[u8]) -> bool {
        first.first() == Some(&b'{')
    }

    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
        Ok(Box::new(TextReader::new(source.input, JsonLines)))
    }

    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder> {
        // An absent field has no key, so selecting all columns costs nothing.
        Box::new(JsonEncoder { columns: options.columns.unwrap_or_else(Columns::all) })
    }

    fn has_columns(&self) -> bool {
        true
    }

    fn inspect(&self, file: &File, len: u64, _: &Expected) -> io::Result<Content> {
        let inner: [&[u8]; 2] = [b"\n{\"note\":", b"\n{\"time\":"];
        continuation::lines(file, len, &inner.map(|line| &line[1..]), &inner)
    }
}

struct JsonLines;

impl LineFormat for JsonLines {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, Problem> {
        let Line::Whole(line) = line else {
            return Err(Problem::LongLine);
        };
        if !json::is_note(line) {
            let unknown = &mut current.unknown;
            let skip = |at, key: &[u8]| {
                let key = str::from_utf8(key).ok().filter(|key| is_unknown(key));
                let Some(key) = key.filter(|key| unknown.is_newer() || !is_damaged(key)) else {
                    return Err(RowError { at, expected: ExpectedText::Key });
                };
                unknown.add(key);
                Ok(())
            };
            let (time_ns, snapshot) = json::read_known(line, &current.wanted, &mut current.record, skip)?;
            return Ok(Some(Found::Record { time_ns, snapshot }));
        }
        let line = str::from_utf8(line).map_err(|_| Problem::Expected("text in UTF-8"))?;
        let mut buffer = vec![0; line.len()];
        let mut text = Text::new(&mut buffer);
        json::read_note(line, &mut text)?;
        text.finish().unwrap_or_default().clone_into(&mut current.note);
        current.take_note()
    }

    /// A complete record ends in a brace too, but what should follow it is missing.
    fn is_complete(line: &[u8]) -> bool {
        let mut buffer = vec![0; line.len()];
        let mut text = Text::new(&mut buffer);
        let is_note = str::from_utf8(line).is_ok_and(|line| json::read_note(line, &mut text).is_ok());
        let note = text.finish().filter(|_| is_note).and_then(|text| Note::read(text).ok());
        matches!(note, Some(Note::End(_) | Note::Rotated(_)))
    }
}

struct JsonEncoder {
    columns: Columns,
}

impl Encoder for JsonEncoder {
    fn header(&mut self, batch: &mut Batch, columns: &Columns) -> Result<(), EncodeError> {
        Note::of_columns(columns, |note| self.note(batch, note))
    }

    #[inline]
    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError> {
        batch.line(json::ROW_MAX, |text| json::row(text, &self.columns, wall_ns, snapshot, record));
        Ok(())
    }

    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        self.note(batch, &Note::Snapshot(*header))
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        note.lend(|note| batch.note(note, json::note));
        Ok(())
    }

    fn logged_note(&mut self, batch: &mut Batch, note: &LoggedNote<'_>) -> Result<(), EncodeError> {
        if let Some(text) = NoteText::read(note.text) {
            // JSON mainly adds quotes.
            batch.line(64 + 4 * note.text.len(), |to| json::note_text(to, &text));
        }
        Ok(())
    }
}
