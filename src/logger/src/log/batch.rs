// SPDX-License-Identifier: BSD-2-Clause

//! What the next write writes.

use tcpstats::note::{Note, Pair};
use tcpstats::stream::note_frame;
use tcpstats::text::Text;
use tcpstats::{csv, json, pairs};

use crate::options::Format;

/// Bytes to write, in memory that is used again.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    filled: usize,
}

impl Batch {
    /// What is to be written.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Forgets what was to be written.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Appends text of at most `max` bytes.
    pub fn line(&mut self, max: usize, write: impl FnOnce(&mut Text<'_>)) {
        self.reserve(max);
        let mut text = Text::new(&mut self.bytes[self.filled..]);
        write(&mut text);
        self.filled += text.len();
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn reserve(&mut self, max: usize) {
        if self.bytes.len() < self.filled + max {
            self.bytes.resize((self.filled + max).next_power_of_two(), 0);
        }
    }

    /// Appends a note in the format's way; siftr(4) has none.
    pub fn note(&mut self, format: &Format, note: &Note<'_>) {
        // Escaping makes a character at most six bytes.
        let texts: usize =
            note.pairs.iter().map(|(_, value)| if let Pair::Text(text) = value { text.len() } else { 0 }).sum();
        let max = 1024 + 6 * texts;
        match format {
            Format::Csv(_) => self.line(max, |text| csv::note(text, note)),
            Format::Json(_) => self.line(max, |text| json::note(text, note)),
            Format::Pairs(_) => self.line(max, |text| pairs::note(text, note)),
            Format::Bin => self.bytes(&note_frame(note)),
            Format::Siftr => (),
        }
    }
}
