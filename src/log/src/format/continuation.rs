// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Whether a file can be continued as a log, and how much of it is complete.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom};

use tcpstats::{Columns, FieldSet, csv};

/// What is expected of a file that is going to be continued.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The columns.
    pub columns: Columns,
    /// Whether a csv log with other columns is continued with its own, because
    /// no columns were requested.
    pub takes_other_columns: bool,
    /// The fields that the source provides, once they are known.
    pub sampled: Option<FieldSet>,
}

impl Expected {
    /// Returns the columns of a header row, if a log can be continued with them.
    fn other_columns(&self, row: &str) -> Option<Columns> {
        let columns = csv::read_header(row)?.ok().filter(|_| self.takes_other_columns)?;
        let is_sampled = self.sampled.is_none_or(|sampled| columns.fields().all(|field| sampled.has(field)));
        is_sampled.then_some(columns)
    }
}

/// The contents of a file that is going to be continued.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// A log in the format.
    Log {
        /// Length up to the end of its last complete line or frame.
        complete: u64,
        /// Whether that includes its header row, if the format has one.
        continued: bool,
        /// The columns with which it is continued, if they are not the expected
        /// ones.
        columns: Option<Columns>,
    },
    /// A log in the format that is damaged at this offset, so that nothing
    /// appended to it could be read.
    Damaged(u64),
    /// Something else, or a log with another header row.
    Other,
}

/// Returns whether a log starts with `start`, or with a part of it if the log
/// ends there.
pub fn begins(first: &[u8], start: &[u8]) -> bool {
    first.starts_with(start) || start.starts_with(first)
}

/// Returns whether the file starts with zeros, as after a power failure, and
/// contains one of these byte strings after them, or contains only zeros.
pub fn starts_zeroed(mut file: &File, lines: &[&[u8]]) -> Result<bool> {
    /// More than the length of a line.
    const STEP: u64 = 64 * 1024;
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        file.take(STEP).read_to_end(&mut bytes)?;
        match bytes.iter().position(|byte| *byte != 0) {
            None if bytes.len() as u64 == STEP => (),
            None => return Ok(file.stream_position()? > 0),
            // Neither text nor a frame starts with a zero.
            Some(0) if file.stream_position()? == bytes.len() as u64 => return Ok(false),
            Some(_) => break,
        }
    }
    file.take(STEP).read_to_end(&mut bytes)?;
    Ok(lines.iter().any(|line| bytes.windows(line.len()).any(|part| part == *line)))
}

/// Returns the length of the file up to the end of its last complete line.
fn complete_lines(mut file: &File, len: u64) -> Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end - start).read_to_end(&mut bytes)?;
        if let Some(offset) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + offset as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Inspects a text log.  In its format, a log starts with one of `starts`, and
/// lines after the first start with one of `inner`.
pub fn lines(mut file: &File, len: u64, starts: &[&[u8]], inner: &[&[u8]]) -> Result<Content> {
    if starts_zeroed(file, inner)? {
        return Ok(Content::Damaged(0));
    }
    let complete = complete_lines(file, len)?;
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64 * 1024).read_to_end(&mut first)?;
    // A run that was interrupted may have written less than a start.
    if !starts.iter().any(|start| begins(&first, start)) {
        return Ok(Content::Other);
    }
    Ok(Content::Log { complete, continued: complete > 0, columns: None })
}

/// Compares the header row of a csv log with the expected columns.
pub fn header_row(mut file: &File, complete: u64, expected: &Expected) -> Result<Content> {
    file.seek(SeekFrom::Start(0))?;
    let mut rows = BufReader::new(file.take(complete))
        .split(b'\n')
        .filter(|line| !matches!(line, Ok(line) if line.starts_with(b"# ")));
    let Some(row) = rows.next().transpose()? else {
        return Ok(Content::Log { complete, continued: false, columns: None });
    };
    let row = str::from_utf8(&row).unwrap_or_default();
    if csv::read_header(row).is_some_and(|columns| columns.as_ref() == Ok(&expected.columns)) {
        return Ok(Content::Log { complete, continued: true, columns: None });
    }
    Ok(match expected.other_columns(row) {
        Some(columns) => Content::Log { complete, continued: true, columns: Some(columns) },
        None => Content::Other,
    })
}
