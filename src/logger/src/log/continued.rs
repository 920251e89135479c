// SPDX-License-Identifier: BSD-2-Clause

//! What stands in a log that is to be continued.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom};

use tcpstats::frame::{Frame, FrameError, HEADER_LEN, MAGIC};
use tcpstats::stream::is_intact;
use tcpstats::{Columns, FieldSet, csv};

use crate::options::Format;

/// What a log is to have, if it exists.
pub struct Expected {
    /// Its format.
    pub format: Format,
    /// Its header row, empty where the format has none.
    pub header_row: String,
    /// Whether a csv log of other columns is continued with its own, because
    /// nobody has asked for any.
    pub takes_other_columns: bool,
    /// The fields that the source gives, once that is settled.
    pub sampled: Option<FieldSet>,
}

impl Expected {
    /// The columns of a csv log with that header row, if it is continued with
    /// them.
    fn other_columns(&self, row: &[u8]) -> Option<Columns> {
        let names = str::from_utf8(row).ok()?.strip_prefix(csv::TIME_COLUMNS)?.strip_prefix(',')?;
        let columns = Columns::named(names).ok().filter(|_| self.takes_other_columns)?;
        let is_sampled = self.sampled.is_none_or(|sampled| columns.fields().all(|field| sampled.has(field)));
        is_sampled.then_some(columns)
    }
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// A log of the format.
    Log {
        /// Length up to its last complete line or frame.
        whole: u64,
        /// Whether its header row, where the format has one, is among that.
        continued: bool,
        /// The columns that it is continued with, if they are others than expected.
        columns: Option<Columns>,
    },
    /// A log of the format that is damaged there, so that nothing appended to
    /// it could be read.
    Damaged(u64),
    /// Something else, or a log with another header row.
    Other,
}

/// Inspects a file of that length.
pub fn content(file: &File, len: u64, expected: &Expected) -> Result<Content> {
    let format = &expected.format;
    let starts: &[&[u8]] = match format {
        Format::Csv(_) => &[b"# log version=", b"# torn bytes=", csv::TIME_COLUMNS.as_bytes()],
        Format::Json(_) => &[b"{\"note\":", b"{\"time\":"],
        Format::Siftr => &[b"enable_time_secs="],
        Format::Bin => &[&MAGIC.to_ne_bytes()],
        Format::Pairs(_) => &[],
    };
    let inner: &[&[u8]] = match format {
        Format::Csv(_) => &[b"\n# snapshot snapshot=", b"\n# log version="],
        Format::Json(_) => &[b"\n{\"note\":", b"\n{\"time\":"],
        Format::Siftr => &[b"\no,1", b"\nenable_time_secs="],
        Format::Bin | Format::Pairs(_) => starts,
    };
    if starts_zeroed(file, inner)? {
        return Ok(Content::Damaged(0));
    }
    match format {
        Format::Bin => frames(file, len),
        Format::Csv(_) | Format::Json(_) | Format::Siftr | Format::Pairs(_) => lines(file, len, expected, starts),
    }
}

/// Whether the file begins with zeros, as a power cut leaves them, and one of
/// those starts of a line or frame follows, or is zeros alone.
fn starts_zeroed(mut file: &File, lines: &[&[u8]]) -> Result<bool> {
    /// More than a line has.
    const STEP: u64 = 64 * 1024;
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        file.take(STEP).read_to_end(&mut bytes)?;
        match bytes.iter().position(|byte| *byte != 0) {
            None if bytes.len() as u64 == STEP => (),
            None => return Ok(file.stream_position()? > 0),
            // Neither text nor a frame begins with a zero.
            Some(0) if file.stream_position()? == bytes.len() as u64 => return Ok(false),
            Some(_) => break,
        }
    }
    file.take(STEP).read_to_end(&mut bytes)?;
    Ok(lines.iter().any(|line| bytes.windows(line.len()).any(|part| part == *line)))
}

/// Length of the file up to its last whole line.
fn whole_lines(mut file: &File, len: u64) -> Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end - start).read_to_end(&mut bytes)?;
        if let Some(place) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Inspects text.
fn lines(mut file: &File, len: u64, expected: &Expected, starts: &[&[u8]]) -> Result<Content> {
    let whole = whole_lines(file, len)?;
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64 * 1024).read_to_end(&mut first)?;
    // A run that was cut short may have left less than a start.
    let begins = |start: &&[u8]| first.starts_with(start) || start.starts_with(&first);
    if !starts.iter().any(begins) {
        return Ok(Content::Other);
    }
    if !matches!(expected.format, Format::Csv(_)) {
        return Ok(Content::Log { whole, continued: whole > 0, columns: None });
    }
    file.seek(SeekFrom::Start(0))?;
    let mut rows = BufReader::new(file.take(whole))
        .split(b'\n')
        .filter(|line| !matches!(line, Ok(line) if line.starts_with(b"# ")));
    Ok(match rows.next().transpose()? {
        None => Content::Log { whole, continued: false, columns: None },
        Some(row) if row == expected.header_row.trim_end().as_bytes() => {
            Content::Log { whole, continued: true, columns: None }
        }
        Some(row) => match expected.other_columns(&row) {
            Some(columns) => Content::Log { whole, continued: true, columns: Some(columns) },
            None => Content::Other,
        },
    })
}

/// Inspects frames.  Damage after which complete frames may follow is more
/// than a truncated end.  Of the CRCs only the last one is checked: what a
/// crash damages is the end.
fn frames(mut file: &File, len: u64) -> Result<Content> {
    let (mut whole, mut last) = (0, 0);
    while whole < len {
        file.seek(SeekFrom::Start(whole))?;
        let mut head = Vec::new();
        file.take(HEADER_LEN as u64).read_to_end(&mut head)?;
        let frame_len = match Frame::parse(&head) {
            Ok(frame) => frame.bytes().len() as u64,
            Err(FrameError::Short { need }) if head.len() >= 4 => need as u64,
            Err(FrameError::Short { .. }) if MAGIC.to_ne_bytes().starts_with(&head) => break,
            Err(_) if whole == 0 => return Ok(Content::Other),
            Err(_) if has_magic(file, whole + 1, len)? => return Ok(Content::Damaged(whole)),
            Err(_) => break,
        };
        if whole + frame_len > len {
            break;
        }
        (last, whole) = (whole, whole + frame_len);
    }
    file.seek(SeekFrom::Start(last))?;
    let mut bytes = Vec::new();
    file.take(whole - last).read_to_end(&mut bytes)?;
    if !Frame::parse(&bytes).is_ok_and(|frame| is_intact(&frame)) {
        whole = last;
    }
    Ok(Content::Log { whole, continued: whole > 0, columns: None })
}

/// Whether a frame may begin somewhere in that part of the file; a part too
/// long to be one snapshot may have anything in it.
fn has_magic(mut file: &File, start: u64, end: u64) -> Result<bool> {
    const SNAPSHOT_MAX: u64 = 256 * 1024 * 1024;
    if end - start > SNAPSHOT_MAX {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes.windows(4).any(|four| four == MAGIC.to_ne_bytes()))
}
