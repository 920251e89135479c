// SPDX-License-Identifier: BSD-2-Clause

//! The notes of a log, which are in a Parquet file but not in its rows.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::vec::IntoIter;

use parquet::file::metadata::FileMetaData;

use super::{CHUNK_MAX, CHUNKS_KEY, CREATED_BY, MAGIC};
use crate::log::said;

/// Where a chunk of notes is in the file.
#[derive(Clone, Copy)]
struct Chunk {
    offset: u64,
    len: usize,
}

/// The notes of a file, a chunk at a time.
pub struct Notes {
    file: File,
    chunks: IntoIter<Chunk>,
    /// The chunk that is being read, and what of it is left.
    text: String,
    at: usize,
}

impl Notes {
    /// Those that the file's metadata names.  A program that copies the metadata
    /// of a file to another one does not copy the notes: in what it has written
    /// there are none.
    pub fn of(file: File, metadata: &FileMetaData) -> Result<Self, String> {
        let is_ours = metadata.created_by().is_some_and(|created_by| created_by.starts_with(CREATED_BY));
        let pairs = metadata.key_value_metadata().filter(|_| is_ours).into_iter().flatten();
        let index = pairs.filter(|pair| pair.key == CHUNKS_KEY).find_map(|pair| pair.value.as_deref());
        let chunks: Option<Vec<_>> = index.unwrap_or_default().split_ascii_whitespace().map(Chunk::read).collect();
        let chunks = chunks.ok_or_else(|| format!("{CHUNKS_KEY} in its metadata is damaged"))?;
        Ok(Self { file, chunks: chunks.into_iter(), text: String::new(), at: 0 })
    }

    /// Whether the file has none.
    pub fn are_missing(&self) -> bool {
        self.chunks.len() == 0
    }

    /// The next note, if it follows so many records.
    ///
    /// # Errors
    /// What is wrong with the notes there; the next call continues after them.
    pub fn after(&mut self, records: u64) -> Result<Option<&str>, String> {
        while self.at == self.text.len() {
            let Some(chunk) = self.chunks.next() else {
                return Ok(None);
            };
            (self.text, self.at) = (String::new(), 0);
            self.text = chunk.text(&self.file).map_err(|what| format!("the notes cannot be read: {what}"))?;
        }
        let line = self.text[self.at..].split('\n').next().unwrap_or_default();
        let note = line.split_once(' ').and_then(|(number, note)| Some((number.parse::<u64>().ok()?, note)));
        match note {
            Some((number, _)) if number > records => Ok(None),
            Some((_, note)) => {
                self.at += line.len() + 1;
                Ok(Some(note))
            }
            None => {
                self.at = self.text.len();
                Err("the notes cannot be read: expected the number of a record and a note".into())
            }
        }
    }
}

impl Chunk {
    /// Reads `offset:length`.
    fn read(text: &str) -> Option<Self> {
        let (offset, len) = text.split_once(':')?;
        let len = len.parse().ok().filter(|len| *len <= CHUNK_MAX)?;
        Some(Self { offset: offset.parse().ok()?, len })
    }

    /// Its lines, the last one with its line break too.
    fn text(self, file: &File) -> Result<String, String> {
        let mut bytes = vec![0; self.len];
        file.read_exact_at(&mut bytes, self.offset).map_err(|error| said(&error))?;
        let packed = bytes.strip_prefix(MAGIC).ok_or("they are damaged")?;
        let decoder = zstd::Decoder::new(Cursor::new(packed)).map_err(|error| said(&error))?;
        let mut text = String::new();
        decoder.take(CHUNK_MAX as u64).read_to_string(&mut text).map_err(|error| said(&error))?;
        if text.ends_with('\n') { Ok(text) } else { Err("they are damaged".into()) }
    }
}
