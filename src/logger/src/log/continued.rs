// SPDX-License-Identifier: BSD-2-Clause

//! What stands in a log that is to be continued.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom};

use tcpstats::frame::{Frame, FrameError, HEADER_LEN, MAGIC};
use tcpstats::stream::is_intact;

use crate::options::Format;

/// What a log of the right format holds.
pub struct Content {
    /// Length up to its last whole line or frame.
    pub whole: u64,
    /// Whether its header row, where the format has one, is among that.
    pub continued: bool,
}

/// Looks at a file of that length; none where it is not of the format, or has
/// another header row.
pub fn content(file: &File, len: u64, format: &Format, header: &str) -> Result<Option<Content>> {
    match format {
        Format::Bin => frames(file, len),
        Format::Csv(_) | Format::Json(_) | Format::Siftr | Format::Pairs(_) => lines(file, len, format, header),
    }
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

/// Looks at text; none where it is not of the format, or has other columns.
fn lines(mut file: &File, len: u64, format: &Format, header: &str) -> Result<Option<Content>> {
    let whole = whole_lines(file, len)?;
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64 * 1024).read_to_end(&mut first)?;
    let starts: &[&str] = match format {
        Format::Csv(_) => &["# log version=", "# torn bytes=", header],
        Format::Json(_) => &["{\"note\":", "{\"time\":"],
        Format::Siftr => &["enable_time_secs="],
        Format::Pairs(_) | Format::Bin => &[],
    };
    // A run that was cut short may have left less than a start.
    let begins = |start: &&str| first.starts_with(start.as_bytes()) || start.as_bytes().starts_with(&first);
    if !starts.iter().any(begins) {
        return Ok(None);
    }
    if !matches!(format, Format::Csv(_)) {
        return Ok(Some(Content { whole, continued: whole > 0 }));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut rows = BufReader::new(file.take(whole))
        .split(b'\n')
        .filter(|line| !matches!(line, Ok(line) if line.starts_with(b"# ")));
    Ok(match rows.next().transpose()? {
        None => Some(Content { whole, continued: false }),
        Some(row) if row == header.trim_end().as_bytes() => Some(Content { whole, continued: true }),
        Some(_) => None,
    })
}

/// Looks at frames; none where something else stands among them and whole
/// frames may follow it.  Of the CRCs only the last one is checked: what a
/// crash damages is the end.
fn frames(mut file: &File, len: u64) -> Result<Option<Content>> {
    let (mut whole, mut last) = (0, 0);
    while whole < len {
        file.seek(SeekFrom::Start(whole))?;
        let mut head = Vec::new();
        file.take(HEADER_LEN as u64).read_to_end(&mut head)?;
        let frame_len = match Frame::parse(&head) {
            Ok(frame) => frame.bytes().len() as u64,
            Err(FrameError::Short { need }) if head.len() >= 4 => need as u64,
            Err(FrameError::Short { .. }) if MAGIC.to_ne_bytes().starts_with(&head) => break,
            Err(_) if whole > 0 && !has_magic(file, whole + 1, len)? => break,
            Err(_) => return Ok(None),
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
    Ok(Some(Content { whole, continued: whole > 0 }))
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
