// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writing the items of one log as another log.

use std::io::{self, Write};

use tcpstats::Columns;

use crate::batch::Batch;
use crate::error::EncodeError;
use crate::format::{Encoder, EncoderOptions, Format};
use crate::item::{Item, LogColumns};
use crate::note::Note;

/// Number of bytes that are written at once.
const BATCH: usize = 64 * 1024;

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The format cannot represent the log.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The system cannot write.
    #[error("write error")]
    System(#[from] io::Error),
}

/// Writes a log.
pub struct LogWriter<W> {
    output: W,
    encoder: Box<dyn Encoder>,
    batch: Batch,
    heading: Heading,
    present: Option<Columns>,
}

impl<W: Write> LogWriter<W> {
    /// Writes a log in a format, with these columns or those of the log.
    pub fn new(output: W, format: &dyn Format, columns: Option<Columns>) -> Self {
        let encoder = format.encoder(EncoderOptions { columns: columns.clone(), ..EncoderOptions::default() });
        let heading = if encoder.has_header_row() { Heading::row(columns) } else { Heading::note(columns) };
        Self { output, encoder, batch: Batch::default(), heading, present: None }
    }

    /// Writes the next item of a log that has these columns at this position.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent the item, or the system
    /// cannot write.
    pub fn item(&mut self, item: &Item<'_>, columns: &LogColumns) -> Result<(), WriteError> {
        let (encoder, batch) = (&mut self.encoder, &mut self.batch);
        if columns.present != self.present {
            self.present.clone_from(&columns.present);
            encoder.present(self.present.as_ref());
        }
        if let Some(due) = self.heading.due(item, columns) {
            encoder.header(batch, &due)?;
        }
        match item {
            Item::Record { time_ns, snapshot, record } => encoder.record(batch, *time_ns, *snapshot, record)?,
            Item::Snapshot(header) => encoder.snapshot(batch, header)?,
            Item::Note(note) => encoder.logged_note(batch, note)?,
        }
        if batch.filled().len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Writes what is missing at the end of the log.
    ///
    /// # Errors
    /// Returns an error as [`LogWriter::item`] does.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if let Some(due) = self.heading.settle() {
            self.encoder.header(&mut self.batch, &due)?;
        }
        self.encoder.end(&mut self.batch)?;
        self.flush()?;
        Ok(self.output.flush()?)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.output.write_all(self.batch.filled())?;
        self.batch.clear();
        self.encoder.settle(true);
        Ok(())
    }
}

/// Where a header row, or the note that replaces it, is missing from a log.
struct Heading {
    /// The columns that were requested.
    chosen: Option<Columns>,
    /// The columns that the log has at this position.
    current: Option<Columns>,
    /// The columns that a reader of the written log assumes.
    assumed: Option<Columns>,
    /// Whether the logger's own note names the columns too.
    is_note: bool,
    is_settled: bool,
}

impl Heading {
    /// A header row; of the basic columns if the columns are unknown.
    fn row(chosen: Option<Columns>) -> Self {
        Self { chosen, current: Some(Columns::basic()), assumed: None, is_note: false, is_settled: false }
    }

    /// A note, if the columns differ from those in the log's own note.
    fn note(chosen: Option<Columns>) -> Self {
        Self { chosen, current: None, assumed: None, is_note: true, is_settled: false }
    }

    /// Returns the columns that must be written before the item, if any.
    fn due(&mut self, item: &Item<'_>, columns: &LogColumns) -> Option<Columns> {
        let before_header = match item {
            Item::Note(note) if note.note.is_before_header() => Some(&note.note),
            _ if self.is_settled => return None,
            _ => None,
        };
        if columns.text.is_some() {
            self.current.clone_from(&columns.text);
        }
        let Some(note) = before_header else {
            return self.settle();
        };
        self.is_settled = false;
        if let (true, Note::Log(log)) = (self.is_note, note)
            && let Some(columns) = log.columns
        {
            self.assumed = Columns::parse(columns).ok();
        }
        None
    }

    /// Returns the columns that must be written now, if any.
    fn settle(&mut self) -> Option<Columns> {
        self.is_settled = true;
        let columns = self.chosen.as_ref().or(self.current.as_ref())?;
        if self.assumed.as_ref() == Some(columns) {
            return None;
        }
        self.assumed = Some(columns.clone());
        self.assumed.clone()
    }
}
