// SPDX-License-Identifier: BSD-2-Clause

//! One line of `key=value` a record, for syslog.
//!
//! No value holds a space or a line break, so a line splits at its spaces.  An
//! absent field has no key.  A note is its name before its own pairs; a record
//! has no name.

use crate::columns::Columns;
use crate::note::Note;
use crate::record::Record;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::{Text, longest};

/// The most bytes that a record's line takes.
pub const ROW_MAX: usize = {
    let mut len = "time= snapshot=\n".len() + 30 + 20;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += " =".len() + FIELDS[i].name.len() + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// Writes a record's line; the arguments are those of [`csv::row`](crate::csv::row).
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    text.str("time=").seconds9(wall_ns.saturating_add(record.at_ns)).str(" snapshot=").number(snapshot);
    for field in columns.fields().filter(|field| record.has(field)) {
        text.char(b' ').str(field.name).char(b'=').value(record, field);
    }
    text.char(b'\n');
}

/// Writes a note's line.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    note.write(text);
    text.char(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, key};

    #[test]
    fn a_line_has_what_the_record_has() {
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
