// SPDX-License-Identifier: BSD-2-Clause

//! Comma-separated values: a header row, a row a record, and notes in lines
//! that begin with `#`.
//!
//! An absent field is an empty cell.  No value holds a comma, a quote or a
//! line break, so nothing is ever quoted.

use crate::columns::{Columns, UnknownColumn};
use crate::note::Note;
use crate::read::{self, Expected, RowError, Wanted};
use crate::record::Record;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::{Text, longest};

/// The names of the two columns before the fields.
pub const TIME_COLUMNS: &str = "time,snapshot";

/// The most bytes that a row of any columns takes.
pub const ROW_MAX: usize = {
    let mut len = 20 + 1 + 9 + 1 + 20 + 1;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += 1 + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// The most bytes that a header row takes.
pub const HEADER_MAX: usize = {
    let mut len = TIME_COLUMNS.len() + 1;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += 1 + FIELDS[i].name.len();
        i += 1;
    }
    len
};

/// Writes the header row.
pub fn header(text: &mut Text<'_>, columns: &Columns) {
    text.str(TIME_COLUMNS);
    for field in columns.fields() {
        text.char(b',').str(field.name);
    }
    text.char(b'\n');
}

/// Writes a record's row.  `wall_ns` is the time of the snapshot's start in
/// nanoseconds since the UNIX epoch; the row's time is the record's own.
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    text.seconds9(wall_ns.saturating_add(record.at_ns)).char(b',').number(snapshot);
    for field in columns.fields() {
        text.char(b',').value(record, field);
    }
    text.char(b'\n');
}

/// Writes a note as `# name key=value …`.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    text.str("# ");
    note.write(text);
    text.char(b'\n');
}

/// Reads a header row, without its line break; none where the line is not one.
#[must_use]
pub fn read_header(line: &str) -> Option<Result<Columns, UnknownColumn<'_>>> {
    let names = line.strip_prefix(TIME_COLUMNS)?;
    Some(match names.strip_prefix(',') {
        Some(names) => Columns::named(names),
        None => Err(UnknownColumn { name: names, repeated: false }),
    })
}

/// Reads a row, without its line break, that stands under a header row of
/// those columns: sets the wanted fields of the record, and gives its time in
/// nanoseconds since the UNIX epoch and the snapshot's number.
///
/// # Errors
/// The first cell that is none of its column; cells that are not wanted are
/// counted only.
pub fn read_row(line: &[u8], columns: &Columns, wanted: &Wanted, record: &mut Record) -> Result<(u64, u64), RowError> {
    record.clear();
    let mut rest = Some(line);
    let mut cells = 0;
    let mut next = || {
        let bytes = rest?;
        let at = line.len() - bytes.len();
        cells += 1;
        let Some(end) = bytes.iter().position(|byte| *byte == b',') else {
            rest = None;
            return Some((at, bytes));
        };
        rest = bytes.get(end + 1..);
        bytes.get(..end).map(|cell| (at, cell))
    };
    let wrong = |at, expected| RowError { at, expected };
    let (at, cell) = next().unwrap_or_default();
    let time_ns = read::seconds(cell).ok_or(wrong(at, Expected::Time))?;
    let (at, cell) = next().unwrap_or_default();
    let snapshot = read::number(cell).ok_or(wrong(at, Expected::Snapshot))?;
    for field in columns.fields() {
        let Some((at, cell)) = next() else {
            break;
        };
        if !cell.is_empty() && wanted.has(field.index) {
            read::value(record, field, cell).ok_or(wrong(at, Expected::Value(field)))?;
        }
    }
    let expected = 2 + columns.len();
    if cells != expected || rest.is_some() {
        return Err(wrong(line.len(), Expected::Cells(expected)));
    }
    Ok((time_ns, snapshot))
}
