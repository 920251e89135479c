// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! JSON Lines: one object per record, one object per note.
//!
//! Addresses, states, names and flags are strings; everything else is a number.
//! An absent field has no key.  A note is an object with the key `note`, whose
//! value is the name of the note; a record never has this key.

use crate::columns::Columns;
use crate::field::Field;
use crate::mask::FieldSet;
use crate::note::{self, Note, NoteText, Pair};
use crate::read::{self, Expected, RowError};
use crate::record::Record;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::{Text, longest};

/// Maximum length of a record's line in bytes.
pub const ROW_MAX: usize = {
    let mut len = "{\"time\":,\"snapshot\":}\n".len() + 30 + 20;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += ",\"\":\"\"".len() + FIELDS[i].name.len() + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// Writes the line of a record.  The arguments are those of
/// [`csv::row`](crate::csv::row).
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    text.str("{\"time\":").seconds9(wall_ns.wrapping_add(record.at_ns));
    text.str(",\"snapshot\":").number(snapshot);
    for field in columns.fields().filter(|field| record.has(field)) {
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

/// Writes the line of a note.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    text.str("{\"note\":\"").str(note.name).char(b'"');
    for (key, value) in note.pairs {
        text.str(",\"").str(key).str("\":");
        match value {
            Pair::Number(number) => text.number(*number),
            Pair::Seconds(ns) => text.seconds9(*ns),
            Pair::Text(value) => text.quoted(value),
            Pair::Value(record, field) => json_value(text, record, field),
            Pair::Written(value) => written(text, key, value),
        };
    }
    text.str("}\n");
}

/// Returns whether the line, without its line break, is a note.
#[must_use]
pub fn is_note(line: &[u8]) -> bool {
    let mut object = Object::new(line);
    object.begin().is_ok() && object.string().is_ok_and(|(_, key)| key == b"note")
}

/// Reads the line of a record, without its line break.
///
/// Sets the wanted fields of the record, and returns its time in nanoseconds
/// since the Epoch and the number of its snapshot.
///
/// # Errors
/// Returns the first position at which the line is not a valid record.  A key
/// that is not the name of a field is an error.
pub fn read_row(line: &[u8], wanted: &FieldSet, record: &mut Record) -> Result<(u64, u64), RowError> {
    read_known(line, wanted, record, |at, _| Err(RowError { at, expected: Expected::Key }))
}

/// Reads the line of a record like [`read_row`], but calls `unknown` with the
/// position and the key for every key that is not the name of a field.  If
/// `unknown` returns `Ok`, the key and its value are skipped.
///
/// # Errors
/// Returns the errors of [`read_row`] and of `unknown`.
pub fn read_known(
    line: &[u8],
    wanted: &FieldSet,
    record: &mut Record,
    mut unknown: impl FnMut(usize, &[u8]) -> Result<(), RowError>,
) -> Result<(u64, u64), RowError> {
    record.clear();
    let mut object = Object::new(line);
    object.begin()?;
    let (mut time_ns, mut snapshot) = (None, None);
    // Keys are usually in the order of the table, so the search starts after the previous field.
    let mut next_field = 0;
    loop {
        let (at, key) = object.string()?;
        object.colon()?;
        if key == b"time" {
            let (at, text) = object.value(false)?;
            time_ns = Some(read::seconds(text).ok_or(RowError { at, expected: Expected::Time })?);
        } else if key == b"snapshot" {
            let (at, text) = object.value(false)?;
            snapshot = Some(read::number(text).ok_or(RowError { at, expected: Expected::Snapshot })?);
        } else if let Some(field) = field_from(next_field, key) {
            next_field = field.index + 1;
            let (at, text) = object.value(field.kind.is_text())?;
            if wanted.has(field) {
                record.set_text(field, text).ok_or(RowError { at, expected: Expected::Value(field) })?;
            }
        } else {
            unknown(at, key)?;
            object.skip()?;
        }
        if !object.next_member()? {
            break;
        }
    }
    let missing = |expected| RowError { at: line.len(), expected };
    let time_ns = time_ns.ok_or(missing(Expected::Text("the key \"time\"")))?;
    Ok((time_ns, snapshot.ok_or(missing(Expected::Text("the key \"snapshot\"")))?))
}

/// Returns the field with this name.  The search starts at `index`.
fn field_from(index: usize, name: &[u8]) -> Option<&'static Field> {
    let is_it = |field: &&Field| field.name.as_bytes() == name;
    FIELDS.get(index..).and_then(|fields| fields.iter().find(is_it)).or_else(|| FIELDS.iter().find(is_it))
}

/// Converts the line of a note to its text, `name key=value …`, which is
/// shorter than the line.
///
/// # Errors
/// Returns the first position at which the line is not a valid note.
pub fn read_note(line: &str, text: &mut Text<'_>) -> Result<(), RowError> {
    let mut object = Object::new(line.as_bytes());
    object.begin()?;
    let part = |(at, bytes): (usize, &[u8])| (at, line.get(at..at + bytes.len()).unwrap_or_default());
    let check =
        |at, is_right, what| if is_right { Ok(()) } else { Err(RowError { at, expected: Expected::Text(what) }) };
    let word = "a lower-case word";
    let (at, key) = part(object.string()?);
    check(at, key == "note", "the key \"note\"")?;
    object.colon()?;
    let (at, name) = part(object.string()?);
    check(at, note::is_word(name), word)?;
    text.str(name);
    while object.next_member()? {
        let (at, key) = part(object.string()?);
        check(at, note::is_word(key), word)?;
        text.char(b' ').str(key).char(b'=');
        object.colon()?;
        if object.peek() != Some(b'"') {
            let (_, value) = part(object.value(false)?);
            text.str(value);
            continue;
        }
        let (at, value) = part(object.string()?);
        if is_bare(key) {
            check(at, note::is_bare(value), "a value without spaces")?;
            text.str(value);
        } else {
            text.char(b'"').str(value).char(b'"');
        }
    }
    Ok(())
}

/// Returns whether the value of a note's key is the text of a field, which is
/// quoted only in JSON.
fn is_bare(key: &str) -> bool {
    Field::by_name(key).is_some_and(|field| field.kind.is_text())
}

/// Writes the line of a note from its text.
pub fn note_text(text: &mut Text<'_>, note: &NoteText<'_>) {
    text.str("{\"note\":\"").str(note.name).char(b'"');
    for (key, value) in note.pairs() {
        text.str(",\"").str(key).str("\":");
        written(text, key, value);
    }
    text.str("}\n");
}

/// Writes the value of a key that has the form of a note's text.
fn written<'t, 'b>(text: &'t mut Text<'b>, key: &str, value: &str) -> &'t mut Text<'b> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_json = value.starts_with('"') || is_number && !is_bare(key);
    if is_json { text.str(value) } else { text.char(b'"').str(value).char(b'"') }
}

/// A cursor over an object of strings and numbers.
struct Object<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Object<'a> {
    fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, RowError> {
        Err(RowError { at: self.at, expected: Expected::Text(what) })
    }

    fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// Returns the next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.line.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    #[inline]
    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), RowError> {
        if self.peek() != Some(byte) {
            return self.wrong(what);
        }
        self.at += 1;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), RowError> {
        self.take(b'{', "an object, {")
    }

    fn colon(&mut self) -> Result<(), RowError> {
        self.take(b':', "a colon")
    }

    /// Takes a string, and returns its position and its text between the quotes
    /// with the escapes unchanged.
    #[inline]
    fn string(&mut self) -> Result<(usize, &'a [u8]), RowError> {
        self.take(b'"', "a quoted string")?;
        let start = self.at;
        let mut escaped = false;
        let end = self.rest().iter().position(|byte| {
            let is_end = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            is_end
        });
        let Some(string) = end.and_then(|len| self.rest().get(..len)) else {
            self.at = self.line.len();
            return self.wrong("a closing quote");
        };
        self.at += string.len() + 1;
        Ok((start, string))
    }

    /// Takes a number, or a string if `is_text`, and returns its position and
    /// its text.
    #[inline]
    fn value(&mut self, is_text: bool) -> Result<(usize, &'a [u8]), RowError> {
        if is_text {
            return self.string();
        }
        let what = "a number";
        if self.peek().is_none_or(|byte| !byte.is_ascii_digit()) {
            return self.wrong(what);
        }
        let start = self.at;
        let rest = self.rest();
        let is_end = |byte: &u8| !byte.is_ascii_digit() && *byte != b'.';
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        self.at += len;
        Ok((start, rest.get(..len).unwrap_or_default()))
    }

    /// Skips a value of any type.
    fn skip(&mut self) -> Result<(), RowError> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => _ = self.string()?,
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']' | b',' | b':') if depth > 0 => {
                    let closes = matches!(self.peek(), Some(b'}' | b']'));
                    depth -= usize::from(closes);
                    self.at += 1;
                    if depth > 0 {
                        continue;
                    }
                }
                // A number, true, false or null.
                Some(byte) if byte.is_ascii_alphanumeric() || byte == b'-' => {
                    let is_end = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'));
                    self.at += self.rest().iter().position(is_end).unwrap_or(self.rest().len());
                }
                _ => return self.wrong("a value"),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Takes the separator after a member, and returns whether another member
    /// follows.  After the last member the line must end.
    #[inline]
    fn next_member(&mut self) -> Result<bool, RowError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                if self.peek().is_some() { self.wrong("the end of the line") } else { Ok(false) }
            }
            _ => self.wrong("a comma or }"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    #[test]
    fn unknown_keys_are_skipped_with_any_value() {
        let known = |line: &[u8]| {
            let mut record = Record::new();
            let mut count = 0;
            let unknown = |_, key: &[u8]| {
                assert!(key.starts_with(b"new"));
                count += 1;
                Ok(())
            };
            let read = read_known(line, &FieldSet::ALL, &mut record, unknown).ok()?;
            Some((read, record.get(key::srtt), count))
        };
        let line =
            br#"{"time":1.5,"new":-1.5e+3,"snapshot":7,"new2":{"a":[1,{"b":"}"}]},"srtt":9,"new3":null,"new4":"\""}"#;
        assert_eq!(known(line), Some(((1_500_000_000, 7), Some(9), 4)));
        assert_eq!(known(br#"{"time":1.5,"snapshot":7,"new":}"#), None);
        assert_eq!(known(br#"{"time":1.5,"snapshot":7,"new":[1,}"#), None);
        assert!(read_row(br#"{"time":1.5,"snapshot":7,"new":1}"#, &FieldSet::ALL, &mut Record::new()).is_err());
    }
}
