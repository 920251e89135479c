// SPDX-License-Identifier: BSD-2-Clause

//! Logs in lines of text.

use memchr::memmem;
use tcpstats::note::NoteText;
use tcpstats::read::{Expected, RowError};
use tcpstats::text::Text;
use tcpstats::{csv, json, siftr};

use super::columns::{CsvColumns, is_damaged, is_unknown, known};
use super::input::Input;
use super::lines::{Line, Lines};
use super::{Current, Found, Reader};

/// The note that stands for a header row where a format has none.
pub const HEADER_NOTE: &str = "header";

/// What is said of a line that no log has.
const TOO_LONG: &str = "the line is longer than any of a log";

/// A format of lines.
pub trait LineFormat {
    /// Reads a line; none where there is no item in it.
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, String>;

    /// Whether a line that has no line break can be seen to be complete.
    fn is_complete(line: &[u8]) -> bool;
}

/// A log of lines while it is read.
pub struct TextLog<F> {
    lines: Lines,
    format: F,
}

impl<F: LineFormat> TextLog<F> {
    /// Reads from there.
    pub fn new(input: Input, format: F) -> Self {
        Self { lines: Lines::new(input), format }
    }
}

impl<F: LineFormat> Reader for TextLog<F> {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        while let Some(line) = self.lines.next()? {
            let line = match line {
                Line::Whole([]) => continue,
                Line::Last(last) if F::is_complete(last) => Line::Whole(last),
                Line::Last(_) => return Err(self.lines.cut_off()),
                line => line,
            };
            match self.format.read(line, current) {
                Ok(None) => (),
                found => return found.map_err(|what| format!("{}: {what}", self.lines.place())),
            }
        }
        Ok(None)
    }

    fn place(&self) -> String {
        self.lines.place()
    }
}

/// Comma-separated values, under the header row that was read last.
#[derive(Default)]
pub struct Csv {
    columns: Option<CsvColumns>,
}

impl LineFormat for Csv {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, String> {
        let Line::Whole(line) = line else {
            return Err(TOO_LONG.into());
        };
        if line.first().is_some_and(u8::is_ascii_digit) {
            let columns = self.columns.as_mut().ok_or("expected a header row before the first record")?;
            let (cells, known) = columns.known_cells(line)?;
            let (time_ns, snapshot) =
                csv::read_row(cells, known, &current.wanted, &mut current.record).map_err(|error| error.to_string())?;
            return Ok(Some(Found::Record { time_ns, snapshot }));
        }
        let line = str::from_utf8(line).map_err(|_| "expected text in UTF-8")?;
        if let Some(text) = line.strip_prefix("# ") {
            text.clone_into(&mut current.note);
            return note(current);
        }
        let columns = CsvColumns::read(line, |name| current.unknown.add(name));
        let columns = columns.ok_or("expected a record, a note or a header row")??;
        current.columns.text = Some(columns.known().clone());
        current.columns.present = Some(columns.known().clone());
        self.columns = Some(columns);
        Ok(None)
    }

    /// A record may have lost digits of its last cell.
    fn is_complete(line: &[u8]) -> bool {
        let note = str::from_utf8(line).ok().and_then(|line| NoteText::read(line.strip_prefix("# ")?));
        note.is_some_and(|note| matches!(note.name, "end" | "rotated") && note.number("dropped").is_some())
    }
}

/// JSON Lines.
pub struct Json;

impl LineFormat for Json {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, String> {
        let Line::Whole(line) = line else {
            return Err(TOO_LONG.into());
        };
        if !json::is_note(line) {
            let unknown = &mut current.unknown;
            let skip = |at, key: &[u8]| {
                let key = str::from_utf8(key).ok().filter(|key| is_unknown(key));
                let Some(key) = key.filter(|key| unknown.is_newer() || !is_damaged(key)) else {
                    return Err(RowError { at, expected: Expected::Key });
                };
                unknown.add(key);
                Ok(())
            };
            let (time_ns, snapshot) = json::read_known(line, &current.wanted, &mut current.record, skip)
                .map_err(|error| error.to_string())?;
            return Ok(Some(Found::Record { time_ns, snapshot }));
        }
        let line = str::from_utf8(line).map_err(|_| "expected text in UTF-8")?;
        let mut buffer = vec![0; line.len()];
        let mut text = Text::new(&mut buffer);
        json::read_note(line, &mut text).map_err(|error| error.to_string())?;
        text.finish().unwrap_or_default().clone_into(&mut current.note);
        note(current)
    }

    /// Of a record it could be said, too, but what follows is missing.
    fn is_complete(line: &[u8]) -> bool {
        let is_closing =
            [&b"{\"note\":\"end\""[..], b"{\"note\":\"rotated\""].iter().any(|start| line.starts_with(start));
        is_closing && line.ends_with(b"}")
    }
}

/// What siftr(4) writes.
pub struct Siftr;

impl LineFormat for Siftr {
    fn read(&mut self, line: Line<'_>, current: &mut Current) -> Result<Option<Found>, String> {
        let (bytes, is_long) = match line {
            Line::Whole(line) | Line::Last(line) => (line, false),
            Line::Long(line) => (line, true),
        };
        let name = match bytes.split(|byte| *byte == b'=').next() {
            Some(b"enable_time_secs") if !is_long => "siftr_enable",
            Some(b"disable_time_secs") => "siftr_disable",
            _ if is_long => return Err(TOO_LONG.into()),
            _ => {
                let time_ns = siftr::read_row(bytes, &mut current.record).map_err(|error| error.to_string())?;
                return Ok(Some(Found::Record { time_ns, snapshot: 0 }));
            }
        };
        // The list of flows says what the records say too.
        let pairs = bytes.split(|byte| *byte == b'\t').filter(|pair| !pair.starts_with(b"flow_list="));
        name.clone_into(&mut current.note);
        for pair in pairs {
            let pair = str::from_utf8(pair).ok().and_then(|pair| pair.split_once('='));
            let (key, value) = pair.ok_or("expected key=value with tabs between")?;
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let quote = if is_number { "" } else { "\"" };
            current.note.extend([" ", key, "=", quote, value, quote]);
        }
        note(current)
    }

    /// A record may have lost digits; the closing line ends in the list of flows.
    fn is_complete(line: &[u8]) -> bool {
        line.starts_with(b"disable_time_secs=") && memmem::find(line, b"\tflow_list=").is_some()
    }
}

/// What a note is, once its text stands in `current`; none for one that only
/// tells the columns.
pub fn note(current: &mut Current) -> Result<Option<Found>, String> {
    let Some(note) = NoteText::read(&current.note) else {
        return Err("expected a note, its name and key=value with spaces between".into());
    };
    if note.name == "snapshot" {
        let header = note.snapshot().ok_or("expected the numbers that the note of a snapshot has")?;
        return Ok(Some(Found::Snapshot(header)));
    }
    if let ("log" | HEADER_NOTE, Some(columns)) = (note.name, note.text("columns")) {
        let unknown = &mut current.unknown;
        if let Some(version) = note.text("version") {
            version.clone_into(&mut unknown.version);
        }
        current.columns.text = Some(known(columns, |name| unknown.add(name))?);
    }
    Ok((note.name != HEADER_NOTE).then_some(Found::Note))
}
