// SPDX-License-Identifier: BSD-2-Clause

//! Logs in lines of text.

use std::fmt::Write;

use tcpstats::note::NoteText;
use tcpstats::text::Text;
use tcpstats::{Columns, csv, json, siftr};

use super::input::Input;
use super::lines::{Line, Lines};
use super::{Current, Found, Reader};

/// A line is too long to be of a log.
const TOO_LONG: &str = "the line is longer than any of a log";

/// A log of comma-separated values.
pub struct Csv {
    lines: Lines,
    columns: Option<Columns>,
}

/// A log of JSON Lines.
pub struct Json {
    lines: Lines,
}

/// A log as siftr(4) writes it.
pub struct Siftr {
    lines: Lines,
}

impl Csv {
    pub fn new(input: Input) -> Self {
        Self { lines: Lines::new(input), columns: None }
    }
}

impl Json {
    pub fn new(input: Input) -> Self {
        Self { lines: Lines::new(input) }
    }
}

impl Siftr {
    pub fn new(input: Input) -> Self {
        Self { lines: Lines::new(input) }
    }
}

/// What a note is, once its text stands in `current`.
pub fn note(current: &mut Current) -> Result<Found, String> {
    let Some(note) = NoteText::read(&current.note) else {
        return Err("expected a note, its name and key=value with spaces between".into());
    };
    if note.name == "snapshot" {
        let header = note.snapshot().ok_or("expected the numbers that the note of a snapshot has")?;
        return Ok(Found::Snapshot(header));
    }
    if let ("log", Some(columns)) = (note.name, note.text("columns")) {
        let columns = Columns::parse(columns).map_err(|error| error.to_string())?;
        current.columns = Some(columns);
    }
    Ok(Found::Note)
}

impl Reader for Csv {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        loop {
            let line = match self.lines.next()? {
                None => return Ok(None),
                Some(Line::Long(_)) => return Err(self.lines.said(TOO_LONG)),
                Some(Line::Whole(line)) => line,
            };
            let found = if let Some(text) = line.strip_prefix(b"# ") {
                current.note.clear();
                str::from_utf8(text).map_err(|_| "expected a note in UTF-8".into()).and_then(|text| {
                    current.note.push_str(text);
                    note(current)
                })
            } else if line.first().is_some_and(u8::is_ascii_digit) {
                match &self.columns {
                    Some(columns) => csv::read_row(line, columns, &current.wanted, &mut current.record)
                        .map(|(time_ns, snapshot)| Found::Record { time_ns, snapshot })
                        .map_err(|error| error.to_string()),
                    None => Err("expected a header row before the first record".into()),
                }
            } else {
                match str::from_utf8(line).ok().and_then(csv::read_header) {
                    Some(Ok(columns)) => {
                        current.columns = Some(columns.clone());
                        self.columns = Some(columns);
                        continue;
                    }
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err("expected a record, a note or a header row".into()),
                }
            };
            return found.map(Some).map_err(|what| self.lines.said(what));
        }
    }

    fn place(&self) -> String {
        self.lines.place()
    }
}

impl Reader for Json {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        let line = match self.lines.next()? {
            None => return Ok(None),
            Some(Line::Long(_)) => return Err(self.lines.said(TOO_LONG)),
            Some(Line::Whole(line)) => line,
        };
        let found = if json::is_note(line) {
            json_note(line, current)
        } else {
            json::read_row(line, &current.wanted, &mut current.record)
                .map(|(time_ns, snapshot)| Found::Record { time_ns, snapshot })
                .map_err(|error| error.to_string())
        };
        found.map(Some).map_err(|what| self.lines.said(what))
    }

    fn place(&self) -> String {
        self.lines.place()
    }
}

fn json_note(line: &[u8], current: &mut Current) -> Result<Found, String> {
    let line = str::from_utf8(line).map_err(|_| "expected a note in UTF-8")?;
    let mut buffer = vec![0; line.len()];
    let mut text = Text::new(&mut buffer);
    json::read_note(line, &mut text).map_err(|error| error.to_string())?;
    text.finish().unwrap_or_default().clone_into(&mut current.note);
    note(current)
}

impl Reader for Siftr {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        let (line, is_long) = match self.lines.next()? {
            None => return Ok(None),
            Some(Line::Long(line)) => (line, true),
            Some(Line::Whole(line)) => (line, false),
        };
        let found = if line.starts_with(b"enable_time_secs=") && !is_long {
            siftr_note("siftr_enable", line, current)
        } else if line.starts_with(b"disable_time_secs=") {
            siftr_note("siftr_disable", line, current)
        } else if is_long {
            Err(TOO_LONG.into())
        } else {
            siftr::read_row(line, &mut current.record)
                .map(|time_ns| Found::Record { time_ns, snapshot: 0 })
                .map_err(|error| error.to_string())
        };
        found.map(Some).map_err(|what| self.lines.said(what))
    }

    fn place(&self) -> String {
        self.lines.place()
    }
}

/// The line as a note, without the list of flows, which the records tell too.
fn siftr_note(name: &str, line: &[u8], current: &mut Current) -> Result<Found, String> {
    let wrong = "expected key=value with tabs between";
    let pairs = line.split(|byte| *byte == b'\t').filter(|pair| !pair.starts_with(b"flow_list="));
    name.clone_into(&mut current.note);
    for pair in pairs {
        let (key, value) = str::from_utf8(pair).ok().and_then(|pair| pair.split_once('=')).ok_or(wrong)?;
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty();
        let quote = if is_number { "" } else { "\"" };
        write!(current.note, " {key}={quote}{}{quote}", value.escape_debug()).map_err(|_| wrong)?;
    }
    note(current)
}
