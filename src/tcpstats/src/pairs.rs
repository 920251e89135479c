// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! One line of `key=value` pairs per record, for syslog.
//!
//! No value contains a space or a line break, so a line can be split at its
//! spaces.  An absent field has no key.  The line of a note starts with its
//! name; the line of a record has no name.

use crate::columns::Columns;
use crate::note::Note;
use crate::record::Record;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::{Text, longest};

/// Maximum length of a record's line in bytes.
pub const ROW_MAX: usize = {
    let mut len = "time= snapshot=\n".len() + 30 + 20;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += " =".len() + FIELDS[i].name.len() + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// Writes the line of a record.  The arguments are those of
/// [`csv::row`](crate::csv::row).
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    text.str("time=").seconds9(wall_ns.wrapping_add(record.at_ns)).str(" snapshot=").number(snapshot);
    for field in columns.fields().filter(|field| record.has(field)) {
        text.char(b' ').str(field.name).char(b'=').value(record, field);
    }
    text.char(b'\n');
}

/// Writes the line of a note.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    note.write(text);
    text.char(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, key};

    #[test]
    fn a_line_contains_the_fields_that_are_present() {
        let mut record = Record::new();
        record.at_ns = 7;
        record.set(key::lport, 443);
        record.set(key::state, State::ESTABLISHED);
        let columns = Columns::parse("lport,state,srtt").unwrap();
        let mut buffer = [0; ROW_MAX];
        let mut text = Text::new(&mut buffer);
        row(&mut text, &columns, 1_764_000_000_000_000_000, 3, &record);
        assert_eq!(text.finish(), Some("time=1764000000.000000007 snapshot=3 lport=443 state=ESTABLISHED\n"));
    }
}
