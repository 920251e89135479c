// SPDX-License-Identifier: BSD-2-Clause

//! The notes of a log in a Parquet file: between its row groups, where no
//! reader of the rows looks, and compressed.  See [`crate::log::parquet`].

use std::fmt::Write;
use std::io::Write as _;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;
use tcpstats::note::NoteText;

use super::super::Output;
use crate::log::parquet::{CHUNK, CHUNKS_KEY, MAGIC, NOTES_KEY, OMITTED_KEY};

/// The most bytes of notes that the metadata repeats in plain text.
const PLAIN_MAX: usize = 64 * 1024;

/// Notes that are not written yet, and where the written ones are.
#[derive(Default)]
pub struct Notes {
    text: String,
    /// `offset:length` of each chunk in the file, with spaces between.
    chunks: String,
    /// What queries look for, for programs that read the metadata only.
    plain: String,
    omitted: u64,
}

impl Notes {
    /// Adds a note that follows so many records.
    pub fn add(&mut self, records: u64, note: &str) {
        let start = self.text.len();
        // A string takes all that is written.
        let _ = writeln!(self.text, "{records} {note}");
        let name = NoteText::read(note).map_or("", |note| note.name);
        // There is one for every snapshot or connection.
        if matches!(name, "snapshot" | "open" | "close") {
            return;
        }
        let line = &self.text[start..];
        if self.omitted == 0 && self.plain.len() + line.len() <= PLAIN_MAX {
            self.plain.push_str(line);
        } else {
            self.omitted += 1;
        }
    }

    /// Whether as many wait as are compressed at once.
    pub fn is_full(&self) -> bool {
        self.text.len() >= CHUNK
    }

    /// Writes what waits.
    pub fn write(&mut self, file: &mut SerializedFileWriter<Output>) -> Result<(), ParquetError> {
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

    /// What the file's metadata has of them, once all are written.
    pub fn metadata(self) -> impl Iterator<Item = KeyValue> {
        let omitted = if self.omitted == 0 { String::new() } else { self.omitted.to_string() };
        let pairs = [(CHUNKS_KEY, self.chunks), (NOTES_KEY, self.plain), (OMITTED_KEY, omitted)];
        let present = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        present.map(|(key, value)| KeyValue::new(key.to_owned(), value))
    }
}
