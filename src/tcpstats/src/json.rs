// SPDX-License-Identifier: BSD-2-Clause

//! JSON Lines: one object a record, one object a note.
//!
//! Addresses, states, names and flags are strings, everything else a number.
//! An absent field has no key.  A note is an object whose key `note` is its
//! name; a record never has that key.

use crate::columns::Columns;
use crate::field::Field;
use crate::note::{Note, Pair};
use crate::record::Record;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::{Text, longest};

/// The most bytes that a record's line takes.
pub const ROW_MAX: usize = {
    let mut len = "{\"time\":,\"snapshot\":}\n".len() + 30 + 20;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += ",\"\":\"\"".len() + FIELDS[i].name.len() + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// Writes a record's line; the arguments are those of [`csv::row`](crate::csv::row).
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    text.str("{\"time\":").seconds9(wall_ns.saturating_add(record.at_ns));
    text.str(",\"snapshot\":").number(snapshot);
    for field in columns.fields().filter(|field| record.has(field.index)) {
        member(text, record, field);
    }
    text.str("}\n");
}

fn member(text: &mut Text<'_>, record: &Record, field: &Field) {
    json_value(text.str(",\"").str(field.name).str("\":"), record, field);
}

fn json_value<'a, 'b>(text: &'a mut Text<'b>, record: &Record, field: &Field) -> &'a mut Text<'b> {
    if field.kind.is_text() { text.char(b'"').value(record, field).char(b'"') } else { text.value(record, field) }
}

/// Writes a note's line.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    text.str("{\"note\":\"").str(note.name).char(b'"');
    for (key, value) in note.pairs {
        text.str(",\"").str(key).str("\":");
        match value {
            Pair::Number(number) => text.number(*number),
            Pair::Seconds(ns) => text.seconds9(*ns),
            Pair::Text(value) => text.quoted(value),
            Pair::Value(record, field) => json_value(text, record, field),
        };
    }
    text.str("}\n");
}
