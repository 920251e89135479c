// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Comma-separated values: a header row, one row per record, and notes in lines
//! that start with `#`.
//!
//! An absent field is an empty cell.  No value contains a comma, a quote or a
//! line break, so values are never quoted.

use crate::columns::{Columns, UnknownColumn};
use crate::field::{Field, Kind};
use crate::mask::FieldSet;
use crate::note::Note;
use crate::read::{self, Expected, RowError};
use crate::record::{Record, is_scoped};
use crate::table::{FIELD_COUNT, FIELDS, key};
use crate::text::{Text, longest};

/// Names of the two columns before the fields.
pub const TIME_COLUMNS: &str = "time,snapshot";

/// Maximum length of a row in bytes, with any columns.
pub const ROW_MAX: usize = {
    let mut len = 20 + 1 + 9 + 1 + 20 + 1;
    let mut i = 0;
    while i < FIELD_COUNT {
        len += 1 + longest(FIELDS[i].kind);
        i += 1;
    }
    len
};

/// Maximum length of a header row in bytes.
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

/// Writes the row of a record.  `wall_ns` is the start of the snapshot in
/// nanoseconds since the Epoch; the time in the row is that of the record.
pub fn row(text: &mut Text<'_>, columns: &Columns, wall_ns: u64, snapshot: u64, record: &Record) {
    row_with(text, columns, wall_ns, snapshot, record, |_, _| {});
}

/// Writes the row of a record for display.
///
/// This is [`row`], but a scoped address is followed by `%` and the name of its
/// zone, or by the number of the zone if the name is empty.  The name ends at
/// its first zero.  Readers ignore the zone after an address, because the zone
/// is a field of its own.
pub fn row_with_zone(
    text: &mut Text<'_>,
    columns: &Columns,
    wall_ns: u64,
    snapshot: u64,
    record: &Record,
    zone_name: &[u8; 16],
) {
    let Some(zone) = record.get(key::zone) else {
        return row(text, columns, wall_ns, snapshot, record);
    };
    row_with(text, columns, wall_ns, snapshot, record, |text, field| {
        let address = (field.kind == Kind::Address).then(|| record.bytes(field)?.try_into().ok()).flatten();
        if address.is_some_and(is_scoped) {
            text.char(b'%');
            if zone_name[0] == 0 {
                text.number(zone.into())
            } else {
                text.name(zone_name)
            };
        }
    });
}

/// Writes a row and calls `after_value` after each value.
#[inline]
fn row_with(
    text: &mut Text<'_>,
    columns: &Columns,
    wall_ns: u64,
    snapshot: u64,
    record: &Record,
    after_value: impl Fn(&mut Text<'_>, &Field),
) {
    text.seconds9(wall_ns.wrapping_add(record.at_ns)).char(b',').number(snapshot);
    for field in columns.fields() {
        text.char(b',').value(record, field);
        after_value(text, field);
    }
    text.char(b'\n');
}

/// Writes a note as `# name key=value …`.
pub fn note(text: &mut Text<'_>, note: &Note<'_>) {
    text.str("# ");
    note.write(text);
    text.char(b'\n');
}

/// Reads a header row, without its line break, or returns `None` if the line is
/// not a header row.
#[must_use]
pub fn read_header(line: &str) -> Option<Result<Columns, UnknownColumn<'_>>> {
    let names = line.strip_prefix(TIME_COLUMNS)?;
    Some(match names.strip_prefix(',') {
        Some(names) => Columns::named(names),
        None => Err(UnknownColumn { name: names, repeated: false }),
    })
}

/// Reads a row, without its line break, of a file with the given columns.
///
/// Sets the wanted fields of the record, and returns its time in nanoseconds
/// since the Epoch and the number of its snapshot.
///
/// # Errors
/// Returns the position of the first cell that is not a valid value of its
/// column.  Cells that are not wanted are only counted.
pub fn read_row(
    line: &[u8],
    columns: &Columns,
    wanted: &FieldSet,
    record: &mut Record,
) -> Result<(u64, u64), RowError> {
    record.clear();
    let wrong = |rest: &[u8], expected| RowError { at: line.len() - rest.len(), expected };
    let expected = Expected::Cells(2 + columns.len());
    let (time_ns, rest) = time(line).ok_or(wrong(line, Expected::Time))?;
    let after_time = rest.unwrap_or_default();
    let (number, mut rest) = cell(after_time);
    let snapshot = read::number(number).ok_or(wrong(after_time, Expected::Snapshot))?;
    for field in columns.fields() {
        let bytes = rest.ok_or(wrong(&[], expected))?;
        // Most cells are numbers, which are parsed while searching for their end.
        let (digits, number) = if field.kind.is_text() { (0, 0) } else { leading_number(bytes) };
        match bytes.get(digits..) {
            Some([b',', after @ ..]) => rest = Some(after),
            Some([]) => rest = None,
            _ => {
                let (text, after) = cell(bytes);
                rest = after;
                if wanted.has(field) {
                    record.set_text(field, text).ok_or(wrong(bytes, Expected::Value(field)))?;
                }
                continue;
            }
        }
        if digits > 0 && wanted.has(field) {
            record.set_number(field, number).ok_or(wrong(bytes, Expected::Value(field)))?;
        }
    }
    match rest {
        None => Ok((time_ns, snapshot)),
        Some(rest) => Err(wrong(rest, expected)),
    }
}

/// Returns the first cell and the bytes after its comma.
#[inline]
fn cell(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == b',') {
        Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..)),
        None => (bytes, None),
    }
}

/// Returns the time in the first cell, in nanoseconds, and the bytes after its
/// comma.
#[inline]
fn time(line: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    // Fast path for a time with nine decimals, which is what we write.
    let (digits, seconds) = leading_number(line);
    if let Some([b'.', decimals @ ..]) = line.get(digits..)
        && let (9, ns) = leading_number(decimals)
        && let Some([b',', rest @ ..]) = decimals.get(9..)
        && digits > 0
    {
        return Some((seconds.checked_mul(1_000_000_000)?.checked_add(ns)?, Some(rest)));
    }
    let (time, rest) = cell(line);
    Some((read::seconds(time)?, rest))
}

/// Returns the number of leading digits whose number fits in 64 bits, and that
/// number.
#[inline]
fn leading_number(bytes: &[u8]) -> (usize, u64) {
    let (mut digits, mut number) = match bytes.first_chunk() {
        Some(eight) => leading_of_eight(*eight),
        None => (0, 0),
    };
    if bytes.len() >= 8 && digits < 8 {
        return (digits, number);
    }
    for byte in bytes.iter().take(19).skip(digits) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits += 1;
    }
    (digits, number)
}

/// Returns the number of leading digits in eight bytes, and the number that
/// they form.  All bytes are processed as one word, whose lowest byte comes
/// first.
#[inline]
const fn leading_of_eight(bytes: [u8; 8]) -> (usize, u64) {
    let values = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    // Sets the highest bit of each byte above 9.  A carry only affects the
    // bytes after such a byte, which do not matter.
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let digits = others.trailing_zeros() / 8;
    if digits == 0 {
        return (0, 0);
    }
    let ones = values << (64 - 8 * digits);
    let twos = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100).wrapping_add(twos >> 16)) & 0x0000_ffff_0000_ffff;
    (digits as usize, (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use proptest::prelude::*;
    use std::format;

    use super::*;

    proptest! {
        #[test]
        fn leading_digits_are_parsed_as_a_number(zeros in 0..3_usize, number in 0..10_u64.pow(16), shift in 0..16_u32, rest in any::<[u8; 9]>(), len in 0..9_usize) {
            let text = format!("{}{}", &"000"[..zeros], number / 10_u64.pow(shift));
            let mut bytes = std::vec::Vec::from(text.as_bytes());
            bytes.extend(&rest[..len]);
            let digits = bytes.iter().take(19).take_while(|byte| byte.is_ascii_digit()).count();
            let expected = bytes[..digits].iter().fold(0, |number, byte| 10 * number + u64::from(byte - b'0'));
            prop_assert_eq!(leading_number(&bytes), (digits, expected));
        }
    }
}
