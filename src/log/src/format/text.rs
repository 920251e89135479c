// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading of formats that consist of lines of text.

use crate::error::{Position, Problem};
use crate::input::Input;
use crate::input::lines::{Line, LineReader};
use crate::item::{Current, Found, Reader};

/// Reads the lines of one format.
pub trait LineFormat {
    /// Reads a line; returns `None` if it contains no item.
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, Problem>;

    /// Returns whether a line without a line break is known to be complete.
    fn is_complete(line: &[u8]) -> bool;
}

/// Reads a log of lines.
pub struct TextReader<F> {
    lines: LineReader,
    format: F,
}

impl<F: LineFormat> TextReader<F> {
    /// Reads from an input.
    pub fn new(input: Input, format: F) -> Self {
        Self { lines: LineReader::new(input), format }
    }
}

impl<F: LineFormat> Reader for TextReader<F> {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, Problem> {
        while let Some(line) = self.lines.next()? {
            let line = match line {
                Line::Whole([]) => continue,
                Line::Last(last) if F::is_complete(last) => Line::Whole(last),
                Line::Last(_) => return Err(self.lines.truncated()),
                line => line,
            };
            match self.format.read(line, current) {
                Ok(None) => (),
                found => return found.map_err(|problem| self.lines.position().with(problem)),
            }
        }
        Ok(None)
    }

    fn position(&self) -> Position {
        self.lines.position()
    }
}
