// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Lines of text, in memory that is reused.

use std::io::{ErrorKind, Read};

use memchr::memchr;

use super::source::Input;
use crate::error::{Position, Problem};

/// Minimum number of bytes to read at once.
const STEP: usize = 256 * 1024;

/// The longest line that is returned completely.
const LINE_MAX: usize = 1024 * 1024;

/// The byte order mark of UTF-8, which some editors write before a text.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line of a text.
#[derive(Clone, Copy)]
pub enum Line<'a> {
    /// A line without its line break, a byte order mark before it and blanks
    /// around it.
    Whole(&'a [u8]),
    /// The last line, without a line break: it may be truncated.
    Last(&'a [u8]),
    /// The start of a line that is longer than any but siftr's list of flows.
    Long(&'a [u8]),
}

/// Reads a text line by line.
pub struct LineReader {
    input: Input,
    buffer: Vec<u8>,
    /// The range of the buffer that has not been returned yet.
    start: usize,
    end: usize,
    number: u64,
    is_over: bool,
}

impl LineReader {
    /// Reads from an input.
    pub fn new(input: Input) -> Self {
        Self { input, buffer: Vec::new(), start: 0, end: 0, number: 0, is_over: false }
    }

    /// Returns the position of the last line.
    pub fn position(&self) -> Position {
        Position::Line(self.number)
    }

    /// Reads the next line, or returns `None` at the end.
    ///
    /// # Errors
    /// Returns the error of the system, after which the text is at its end.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, Problem> {
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

    /// Reads more bytes into the buffer; returns `false` at the end.
    fn fill(&mut self) -> Result<bool, Problem> {
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
                    return Err(Position::AfterLine(self.number).with(Problem::Read(error)));
                }
            }
        }
    }

    /// Returns the last line, if it has no line break.
    fn last(&mut self) -> Option<Line<'_>> {
        let line = trimmed(&self.buffer[self.start..self.end]);
        self.start = self.end;
        if line.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Line::Last(line))
    }

    /// Returns the problem of a last line that has no line break.
    pub fn truncated(&self) -> Problem {
        self.position().with(Problem::TruncatedLine)
    }

    /// Returns the start of a long line, and skips the rest of it.
    fn long(&mut self) -> Result<Line<'_>, Problem> {
        self.number += 1;
        let first = self.buffer[self.start..self.start + LINE_MAX].to_vec();
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
                return Err(self.truncated());
            }
        }
        // The bytes that follow the line remain in place; its start is appended to them.
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(&first);
        Ok(Line::Long(&self.buffer[self.end..]))
    }
}

/// Returns a line without what editors and transfers add: a byte order mark, the
/// carriage return of another system's line end, blanks.
#[inline]
fn trimmed(line: &[u8]) -> &[u8] {
    let is_clean = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if is_clean(line.first()) && is_clean(line.last()) {
        return line;
    }
    line.strip_prefix(BOM).unwrap_or(line).trim_ascii()
}
