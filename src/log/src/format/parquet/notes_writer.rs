// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writing of the notes into a Parquet file: compressed, between its row groups.

use std::fmt::Write;
use std::io::Write as _;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::layout::{CHUNK, CHUNKS_KEY, MAGIC, NOTES_KEY, OMITTED_KEY};
use crate::note::Note;

/// Maximum length of the notes that the metadata repeats in plain text.
const PLAIN_MAX: usize = 64 * 1024;

/// Notes that have not been written yet, and the positions of the others.
#[derive(Default)]
pub struct Notes {
    text: String,
    /// `offset:length` of each chunk in the file, separated by spaces.
    chunks: String,
    /// The notes for programs that read only the metadata.
    plain: String,
    omitted: u64,
}

impl Notes {
    /// Adds a note that follows this many records.
    pub fn add(&mut self, records: u64, note: &Note<'_>, text: &str) {
        let start = self.text.len();
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{records} {text}");
        // There is one for each snapshot or connection.
        if matches!(note, Note::Snapshot(_) | Note::Open(_) | Note::Close(_)) {
            return;
        }
        let line = &self.text[start..];
        if self.omitted == 0 && self.plain.len() + line.len() <= PLAIN_MAX {
            self.plain.push_str(line);
        } else {
            self.omitted += 1;
        }
    }

    /// Returns whether a chunk is full.
    pub fn is_full(&self) -> bool {
        self.text.len() >= CHUNK
    }

    /// Writes the notes that have not been written yet.
    pub fn write<W: std::io::Write + Send>(&mut self, file: &mut SerializedFileWriter<W>) -> Result<(), ParquetError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let mut chunk = MAGIC.to_vec();
        let mut encoder = zstd::Encoder::new(&mut chunk, 1)?;
        encoder.include_checksum(true)?;
        encoder.write_all(self.text.as_bytes())?;
        encoder.finish()?;
        self.text.clear();
        let space = if self.chunks.is_empty() { "" } else { " " };
        let _ = write!(self.chunks, "{space}{}:{}", file.bytes_written(), chunk.len());
        Ok(file.write_all(&chunk)?)
    }

    /// Returns the metadata about the notes, once all are written.
    pub fn metadata(self) -> impl Iterator<Item = KeyValue> {
        let omitted = if self.omitted == 0 { String::new() } else { self.omitted.to_string() };
        let pairs = [(CHUNKS_KEY, self.chunks), (NOTES_KEY, self.plain), (OMITTED_KEY, omitted)];
        let present = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        present.map(|(key, value)| KeyValue::new(key.to_owned(), value))
    }
}
