// SPDX-License-Identifier: BSD-2-Clause

//! Lines of text, in memory that is used again.

use std::io::{ErrorKind, Read};

use memchr::memchr;

use super::input::{Input, said};

/// What is read at once, at least.
const STEP: usize = 256 * 1024;

/// The longest line that is given whole.
const LINE_MAX: usize = 1024 * 1024;

/// The byte order mark of UTF-8, which some editors put before a text.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line of a text.
#[derive(Clone, Copy)]
pub enum Line<'a> {
    /// Without its line break, a byte order mark before it and blanks around
    /// it.
    Whole(&'a [u8]),
    /// The last line, without a line break: it may be truncated.
    Last(&'a [u8]),
    /// Longer than anything but siftr's list of flows; how it begins.
    Long(&'a [u8]),
}

/// A text while it is read.
pub struct Lines {
    input: Input,
    buffer: Vec<u8>,
    /// What of the buffer has not been given yet.
    start: usize,
    end: usize,
    number: u64,
    is_over: bool,
}

impl Lines {
    pub fn new(input: Input) -> Self {
        Self { input, buffer: Vec::new(), start: 0, end: 0, number: 0, is_over: false }
    }

    /// Which line was given last.
    pub fn place(&self) -> String {
        format!("line {}", self.number)
    }

    /// The next line, or none at the end.
    ///
    /// # Errors
    /// What the system said; the text is at its end then.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, String> {
        let mut searched = 0;
        let len = loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(len) = memchr(b'\n', &waiting[searched..]) {
                break searched + len;
            }
            searched = waiting.len();
            if searched >= LINE_MAX {
                return self.long().map(Some);
            }
            if self.is_over || !self.fill()? {
                return Ok(self.last());
            }
        };
        self.number += 1;
        let line = self.start..self.start + len;
        self.start = line.end + 1;
        Ok(Some(Line::Whole(trimmed(&self.buffer[line]))))
    }

    /// Reads more behind what waits; false at the end.
    fn fill(&mut self) -> Result<bool, String> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.end + STEP {
            self.buffer.resize(self.end + STEP, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(len) => {
                    self.end += len;
                    self.is_over = len == 0;
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => {
                    self.is_over = true;
                    self.start = self.end;
                    return Err(format!("behind line {}: it cannot be read on: {}", self.number, said(&error)));
                }
            }
        }
    }

    /// The last line, if it has no line break.
    fn last(&mut self) -> Option<Line<'_>> {
        let line = trimmed(&self.buffer[self.start..self.end]);
        self.start = self.end;
        if line.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Line::Last(line))
    }

    /// What is said of a line that has no end.
    pub fn cut_off(&self) -> String {
        format!("{}: the line is cut off; expected a line break", self.place())
    }

    /// Gives how a long line begins, and passes over the rest of it.
    fn long(&mut self) -> Result<Line<'_>, String> {
        self.number += 1;
        let kept = self.buffer[self.start..self.start + LINE_MAX].to_vec();
        self.start = self.end;
        loop {
            match memchr(b'\n', &self.buffer[self.start..self.end]) {
                Some(len) => {
                    self.start += len + 1;
                    break;
                }
                None => self.start = self.end,
            }
            if !self.fill()? {
                return Err(self.cut_off());
            }
        }
        // What follows it stays where it is; the begin goes behind it.
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(&kept);
        Ok(Line::Long(&self.buffer[self.end..]))
    }
}

/// A line without what editors and transfers add: a byte order mark, the
/// carriage return of another system's line end, blanks.
#[inline]
fn trimmed(line: &[u8]) -> &[u8] {
    let is_clean = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_clean(line.first()) && is_clean(line.last()) {
        return line;
    }
    line.strip_prefix(BOM).unwrap_or(line).trim_ascii()
}
