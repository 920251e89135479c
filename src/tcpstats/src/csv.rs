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
    let wrong = |rest: &[u8], expected| RowError { at: line.len() - rest.len(), expected };
    let expected = Expected::Cells(2 + columns.len());
    let (time, rest) = cell(line);
    let time_ns = read::seconds(time).ok_or(wrong(line, Expected::Time))?;
    let snapshot_begins = rest.unwrap_or_default();
    let (number, mut rest) = cell(snapshot_begins);
    let snapshot = read::number(number).ok_or(wrong(snapshot_begins, Expected::Snapshot))?;
    for field in columns.fields() {
        let bytes = rest.ok_or(wrong(&[], expected))?;
        // Most cells are numbers, which are read while their end is looked for.
        let (digits, number) = if field.kind.is_text() { (0, 0) } else { leading_number(bytes) };
        match bytes.get(digits..) {
            Some([b',', after @ ..]) => rest = Some(after),
            Some([]) => rest = None,
            _ => {
                let (text, after) = cell(bytes);
                rest = after;
                if wanted.has(field.index) {
                    record.set_text(field, text).ok_or(wrong(bytes, Expected::Value(field)))?;
                }
                continue;
            }
        }
        if digits > 0 && wanted.has(field.index) {
            record.set_number(field, number).ok_or(wrong(bytes, Expected::Value(field)))?;
        }
    }
    match rest {
        None => Ok((time_ns, snapshot)),
        Some(rest) => Err(wrong(rest, expected)),
    }
}

/// The first cell, and what follows its comma.
#[inline]
fn cell(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == b',') {
        Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..)),
        None => (bytes, None),
    }
}

/// How many digits there are first, as long as their number fits, and the
/// number.
#[inline]
fn leading_number(bytes: &[u8]) -> (usize, u64) {
    let (mut digits, mut number) = (0, 0_u64);
    for byte in bytes.iter().take(19) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits += 1;
    }
    (digits, number)
}
