// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Bytes that are going to be written together.

use tcpstats::note::{Note, Pair};
use tcpstats::text::Text;

/// Bytes to write, in memory that is reused.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    filled: usize,
}

impl Batch {
    /// Returns the bytes to write.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Removes all bytes.  The memory is kept, unless they used less than a quarter of it.
    pub fn clear(&mut self) {
        const SMALL: usize = 1 << 16;
        if self.bytes.len() > SMALL.max(4 * self.filled) {
            self.bytes.truncate(2 * self.filled);
            self.bytes.shrink_to_fit();
        }
        self.filled = 0;
    }

    /// Appends text of at most `max` bytes.
    pub fn line(&mut self, max: usize, write: impl FnOnce(&mut Text<'_>)) {
        self.reserve(max);
        let mut text = Text::new(&mut self.bytes[self.filled..]);
        write(&mut text);
        self.filled += text.len();
    }

    /// Appends the text of a note.
    pub fn note(&mut self, note: &Note<'_>, write: impl FnOnce(&mut Text<'_>, &Note<'_>)) {
        // Escaping expands a character to at most six bytes, and JSON quotes the values.
        let len = |pair: &Pair<'_>| match pair {
            Pair::Text(text) => 6 * text.len(),
            Pair::Written(text) => text.len(),
            Pair::Number(_) | Pair::Seconds(_) | Pair::Value(..) => 80,
        };
        let pairs: usize = note.pairs.iter().map(|(key, value)| key.len() + len(value) + 8).sum();
        self.line(1024 + pairs, |text| write(text, note));
    }

    /// Appends bytes, and returns them so that they can be changed.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut [u8] {
        self.reserve(bytes.len());
        let appended = &mut self.bytes[self.filled..self.filled + bytes.len()];
        appended.copy_from_slice(bytes);
        self.filled += bytes.len();
        appended
    }

    fn reserve(&mut self, max: usize) {
        if self.bytes.len() < self.filled + max {
            self.bytes.resize((self.filled + max).next_power_of_two(), 0);
        }
    }
}
