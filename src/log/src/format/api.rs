// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What a format of logs consists of.

use std::fs::File;
use std::io;

use tcpstats::frame::Frame;
use tcpstats::{Columns, Compared, FIELDS, FieldSet, Header, Record};

use super::continuation::{Content, Expected};
use crate::batch::Batch;
use crate::error::{EncodeError, Problem};
use crate::input::Source;
use crate::item::{LoggedNote, Reader};
use crate::note::Note;

/// A format of logs.
pub trait Format: Sync {
    /// Returns the name, as `-F` takes it.
    fn name(&self) -> &'static str;

    /// Returns a description in one line.
    fn about(&self) -> &'static str;

    /// Returns a name for messages about a file in this format.
    fn described(&self) -> &'static str;

    /// Returns the extensions of files in this format, the usual one first.
    fn extensions(&self) -> &'static [&'static str];

    /// Returns whether a log in this format starts with these bytes, which contain
    /// only a part of its start if the log ends there.
    fn starts_like(&self, first: &[u8]) -> bool;

    /// Returns a reader of a log.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read at all.
    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem>;

    /// Returns a writer of a log.
    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder>;

    /// Returns whether the logger can write a log in this format and continue it.
    fn is_appendable(&self) -> bool {
        true
    }

    /// Returns whether the columns of the log can be selected.
    fn has_columns(&self) -> bool {
        false
    }

    /// Returns whether a log can record that a connection opened or closed.
    fn has_connection_notes(&self) -> bool {
        true
    }

    /// Returns whether frames are written unchanged.
    fn is_frames(&self) -> bool {
        false
    }

    /// Returns whether a log is not text, and so not suitable for a terminal.
    fn is_binary(&self) -> bool {
        false
    }

    /// Returns the fields that a log of these columns contains, other than those
    /// that every source provides anyway.
    fn fields(&self, columns: &Columns) -> FieldSet {
        FieldSet::of(columns)
    }

    /// Inspects a file of this length that is going to be continued.
    ///
    /// # Errors
    /// Returns the error of the system.
    fn inspect(&self, file: &File, len: u64, expected: &Expected) -> io::Result<Content> {
        let _ = (file, len, expected);
        Ok(Content::Other)
    }
}

/// What an encoder needs to know in advance.
#[derive(Clone, Debug, Default)]
pub struct EncoderOptions {
    /// The columns; `None` for those of the log that is converted.
    pub columns: Option<Columns>,
    /// The version of the operating system as a number, 0 if unknown.
    pub system_version: u64,
}

/// Writes a log in one format, into batches that the caller writes to the file.
///
/// The time of a record is `wall_ns` plus the record's `at_ns`.
pub trait Encoder: Send {
    /// Appends the header row, or the note that replaces it in a format without
    /// header rows.  The columns apply to the following rows.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn header(&mut self, batch: &mut Batch, columns: &Columns) -> Result<(), EncodeError>;

    /// Returns whether the format has header rows.
    fn has_header_row(&self) -> bool {
        false
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError>;

    /// Appends the end of a snapshot.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError>;

    /// Appends a note.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError>;

    /// Appends a note of another log, byte for byte.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn logged_note(&mut self, batch: &mut Batch, note: &LoggedNote<'_>) -> Result<(), EncodeError> {
        self.note(batch, &note.note)
    }

    /// Appends a complete snapshot, and returns the number of records that are
    /// logged.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn frame(&mut self, batch: &mut Batch, frame: &Frame<'_>) -> Result<u64, EncodeError> {
        encode_rows(self, batch, frame)?;
        Ok(frame.header.written)
    }

    /// Appends what is missing at the end of a log.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    fn end(&mut self, batch: &mut Batch) -> Result<(), EncodeError> {
        let _ = batch;
        Ok(())
    }

    /// Informs the encoder whether the last batch was written: a batch that was not
    /// written does not count.
    fn settle(&mut self, is_written: bool) {
        let _ = is_written;
    }

    /// Sets the fields that the following records may have.
    fn present(&mut self, columns: Option<&Columns>) {
        let _ = columns;
    }
}

/// Appends the records of a complete snapshot, and its end.
///
/// # Errors
/// Returns an error if the format cannot represent it.
pub(super) fn encode_rows<E: Encoder + ?Sized>(
    encoder: &mut E,
    batch: &mut Batch,
    frame: &Frame<'_>,
) -> Result<(), EncodeError> {
    // A loop would copy each record once more.
    let (wall_ns, sequence) = (frame.header.wall_ns, frame.header.sequence);
    frame.records().try_for_each(|record| encoder.record(batch, wall_ns, sequence, &record))?;
    encoder.snapshot(batch, &frame.header)
}

/// Returns a comparison of these fields.
#[must_use]
pub fn compared(fields: &FieldSet) -> Compared {
    Compared::by(FIELDS.iter().filter(|field| fields.has(field)))
}
