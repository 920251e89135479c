// SPDX-License-Identifier: BSD-2-Clause

//! Opening a log, new or to be continued.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;

use tcpstats::frame::{Frame, FrameError, HEADER_LEN, MAGIC};

use crate::Sentence;
use crate::options::Format;

/// A log ready to be written to at its end.
pub struct Opened {
    /// The file.
    pub file: File,
    /// Whether whole lines or frames stand in it already.
    pub continued: bool,
    /// Bytes of a torn line or frame that an earlier run left at its end, and
    /// that were removed.
    pub torn_bytes: u64,
}

/// Opens the log; one that holds something must be of that format and, in
/// CSV, have that header row.
///
/// # Errors
/// A sentence; the file is as it was.
pub fn open(path: &Path, format: &Format, header: &str) -> Result<Opened, Sentence> {
    let said = |error: std::io::Error| format!("log {}: {error}", path.display());
    if path == Path::new("-") {
        let file = File::from(std::io::stdout().as_fd().try_clone_to_owned().map_err(said)?);
        return Ok(Opened { file, continued: false, torn_bytes: 0 });
    }
    // A FIFO or a device cannot be read back, and has nothing to continue.
    let regular = path.metadata().map_or(true, |metadata| metadata.is_file());
    let file = OpenOptions::new().append(true).create(true).read(regular).open(path).map_err(said)?;
    let len = if regular { file.metadata().map_err(said)?.len() } else { 0 };
    if len == 0 {
        return Ok(Opened { file, continued: false, torn_bytes: 0 });
    }
    let content = match format {
        Format::Bin => frames(&file, len),
        Format::Csv(_) | Format::Json(_) | Format::Siftr => lines(&file, len, format, header),
    }
    .map_err(said)?;
    let Some(Content { whole, continued }) = content else {
        return Err(format!(
            "log {}: it holds something other than the {} asked for, which would not fit behind it; \
             name another file, or move this one away",
            path.display(),
            match format {
                Format::Csv(_) => "CSV with the columns",
                Format::Json(_) => "JSON Lines",
                Format::Siftr => "siftr log",
                Format::Bin => "binary frames",
            }
        ));
    };
    if whole < len {
        file.set_len(whole).map_err(said)?;
    }
    Ok(Opened { file, continued, torn_bytes: len - whole })
}

/// What a log of the right format holds.
struct Content {
    /// Length up to its last whole line or frame.
    whole: u64,
    /// Whether its header row, where the format has one, is among that.
    continued: bool,
}

/// Length of the file up to its last whole line.
fn whole_lines(mut file: &File, len: u64) -> std::io::Result<u64> {
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
fn lines(mut file: &File, len: u64, format: &Format, header: &str) -> std::io::Result<Option<Content>> {
    let whole = whole_lines(file, len)?;
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(64 * 1024).read_to_end(&mut first)?;
    let starts: &[&str] = match format {
        Format::Csv(_) => &["# log version=", "# torn bytes=", header],
        Format::Json(_) => &["{\"note\":", "{\"time\":"],
        Format::Siftr | Format::Bin => &["enable_time_secs="],
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

/// Looks at frames; none where something else stands among them, because
/// whole frames may follow it.
fn frames(mut file: &File, len: u64) -> std::io::Result<Option<Content>> {
    let mut whole = 0;
    while whole < len {
        file.seek(SeekFrom::Start(whole))?;
        let mut head = Vec::new();
        file.take(HEADER_LEN as u64).read_to_end(&mut head)?;
        let frame_len = match Frame::parse(&head) {
            Ok(frame) => frame.bytes().len() as u64,
            Err(FrameError::Short { need }) if head.len() >= 4 => need as u64,
            Err(FrameError::Short { .. }) if MAGIC.to_ne_bytes().starts_with(&head) => break,
            Err(_) => return Ok(None),
        };
        if whole + frame_len > len {
            break;
        }
        whole += frame_len;
    }
    Ok(Some(Content { whole, continued: whole > 0 }))
}
