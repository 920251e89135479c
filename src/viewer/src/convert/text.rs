// SPDX-License-Identifier: BSD-2-Clause

//! Logs in csv and json, by the writers that the logger has.

use tcpstats::note::{self, Note, NoteText};
use tcpstats::text::Text;
use tcpstats::{Columns, csv, json};

use super::{Heading, Output, Writer, header_note};
use crate::log::{Item, LogColumns, said};

/// A log of lines while it is written.
pub struct Lines {
    output: Output,
    buffer: Vec<u8>,
    format: Format,
    heading: Heading,
    /// What the rows show.
    columns: Columns,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

impl Lines {
    /// Writes csv there.
    pub fn csv(output: Output, chosen: Option<Columns>) -> Self {
        let columns = Columns::basic();
        let heading = Heading::row(chosen, columns.clone());
        Self { output, buffer: Vec::new(), format: Format::Csv, heading, columns }
    }

    /// Writes json there.
    pub fn json(output: Output, chosen: Option<Columns>) -> Self {
        let columns = chosen.clone().unwrap_or_else(Columns::all);
        Self { output, buffer: Vec::new(), format: Format::Json, heading: Heading::note(chosen), columns }
    }

    /// Writes a line of at most `max` bytes.
    fn line(&mut self, max: usize, write: impl FnOnce(&mut Text<'_>, &Columns)) -> Result<(), String> {
        if self.buffer.len() < max {
            self.buffer.resize(max, 0);
        }
        let mut text = Text::new(&mut self.buffer);
        write(&mut text, &self.columns);
        let line = text.finish().ok_or("a line is longer than its bound")?;
        self.output.write_all(line.as_bytes()).map_err(|error| said(&error))
    }

    fn header(&mut self, columns: Columns) -> Result<(), String> {
        let max = csv::HEADER_MAX + 64;
        match self.format {
            Format::Csv => {
                self.columns = columns;
                self.line(max, csv::header)
            }
            Format::Json => header_note(&columns, |note| self.note(note)),
        }
    }

    fn note(&mut self, note: &Note<'_>) -> Result<(), String> {
        let format = self.format;
        self.line(csv::HEADER_MAX + 1024, |text, _| match format {
            Format::Csv => csv::note(text, note),
            Format::Json => json::note(text, note),
        })
    }
}

impl Writer for Lines {
    fn item(&mut self, item: &Item<'_>, columns: &LogColumns) -> Result<(), String> {
        if let Some(due) = self.heading.due(item, columns) {
            self.header(due)?;
        }
        let format = self.format;
        match item {
            Item::Record { time_ns, snapshot, record } => match format {
                Format::Csv => {
                    self.line(csv::ROW_MAX, |text, columns| csv::row(text, columns, *time_ns, *snapshot, record))
                }
                Format::Json => {
                    self.line(json::ROW_MAX, |text, columns| json::row(text, columns, *time_ns, *snapshot, record))
                }
            },
            Item::Snapshot(header) => note::snapshot(header, |note| self.note(note)),
            // The quotes of JSON take most.
            Item::Note(note) => self.line(64 + 4 * note.len(), |text, _| match format {
                Format::Csv => _ = text.str("# ").str(note).char(b'\n'),
                Format::Json => {
                    if let Some(note) = NoteText::read(note) {
                        json::note_text(text, &note);
                    }
                }
            }),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        if let Some(due) = self.heading.settle() {
            self.header(due)?;
        }
        self.output.flush().map_err(|error| said(&error))
    }
}
