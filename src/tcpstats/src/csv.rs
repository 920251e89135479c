// SPDX-License-Identifier: BSD-2-Clause

//! Comma-separated values: a header row, a row a record, and notes in lines
//! that begin with `#`.
//!
//! An absent field is an empty cell.  No value holds a comma, a quote or a
//! line break, so nothing is ever quoted.

use crate::columns::Columns;
use crate::note::Note;
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
