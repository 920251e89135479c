// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading of the notes in a Parquet file, which are outside of its rows.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::vec::IntoIter;

use parquet::file::metadata::FileMetaData;

use super::layout::{CHUNK_MAX, CHUNKS_KEY, CREATED_BY, MAGIC};
use crate::error::Problem;

/// The position of a chunk of notes in the file.
#[derive(Clone, Copy)]
struct Chunk {
    offset: u64,
    len: usize,
}

/// The notes of a file, of which one chunk at a time is in memory.
pub struct Notes {
    file: File,
    chunks: IntoIter<Chunk>,
    /// The text of the current chunk, and the offset of the next note in it.
    text: String,
    at: usize,
}

impl Notes {
    /// Finds the notes through the metadata of the file.  A program that copies the
    /// metadata to another file does not copy the notes.
    pub fn of(file: File, metadata: &FileMetaData) -> Result<Self, Problem> {
        let is_ours = metadata.created_by().is_some_and(|created_by| created_by.starts_with(CREATED_BY));
        let pairs = metadata.key_value_metadata().filter(|_| is_ours).into_iter().flatten();
        let index = pairs.filter(|pair| pair.key == CHUNKS_KEY).find_map(|pair| pair.value.as_deref());
        let chunks: Option<Vec<_>> = index.unwrap_or_default().split_ascii_whitespace().map(Chunk::read).collect();
        let chunks = chunks.ok_or(Problem::MetadataKey(CHUNKS_KEY))?;
        Ok(Self { file, chunks: chunks.into_iter(), text: String::new(), at: 0 })
    }

    /// Returns whether the file has no notes.
    pub fn are_missing(&self) -> bool {
        self.chunks.len() == 0
    }

    /// Returns the next note, if it follows this many records.
    ///
    /// # Errors
    /// Returns what is wrong with a chunk.  The next call continues after it.
    pub fn after(&mut self, records: u64) -> Result<Option<&str>, Problem> {
        while self.at == self.text.len() {
            let Some(chunk) = self.chunks.next() else {
                return Ok(None);
            };
            (self.text, self.at) = (String::new(), 0);
            self.text = chunk.text(&self.file).map_err(|problem| Problem::Notes(Box::new(problem)))?;
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
                Err(Problem::Notes(Box::new(Problem::Expected("the number of a record and a note"))))
            }
        }
    }
}

impl Chunk {
    /// Parses `offset:length`.
    fn read(text: &str) -> Option<Self> {
        let (offset, len) = text.split_once(':')?;
        let len = len.parse().ok().filter(|len| *len <= CHUNK_MAX)?;
        Some(Self { offset: offset.parse().ok()?, len })
    }

    /// Returns its lines, including the line break of the last one.
    fn text(self, file: &File) -> Result<String, Problem> {
        let mut bytes = vec![0; self.len];
        file.read_exact_at(&mut bytes, self.offset).map_err(Problem::Read)?;
        let packed = bytes.strip_prefix(MAGIC).ok_or(Problem::Damaged)?;
        let decoder = zstd::Decoder::new(Cursor::new(packed)).map_err(Problem::Read)?;
        let mut text = String::new();
        decoder.take(CHUNK_MAX as u64).read_to_string(&mut text).map_err(Problem::Read)?;
        if text.ends_with('\n') { Ok(text) } else { Err(Problem::Damaged) }
    }
}
