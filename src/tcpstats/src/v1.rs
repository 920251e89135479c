// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Records of layout version 1, which have a single part: 65 rows that FreeBSD
//! can fill, then those of Linux, and a presence mask of three words.

use crate::field::{Field, Part};
use crate::record::{Record, Value};
use crate::table::key;

/// Length in bytes of a record before its fields.
pub(crate) const PREAMBLE_LEN: usize = 32;

/// Rows that FreeBSD can fill.  They are the first rows of today's module part.
const MODULE_FIELDS: usize = 65;

/// Rows that only Linux can fill.
const LINUX_FIELDS: usize = 53;

/// Returns the rows in the order of version 1.  `pacing_rate` is now in the
/// module's part.
fn fields() -> impl Iterator<Item = &'static Field> {
    let linux = Part::Other.fields();
    let (first, rest) = linux.split_at(2.min(linux.len()));
    let moved = [key::pacing_rate.field()];
    Part::Module.fields().iter().take(MODULE_FIELDS).chain(first).chain(moved).chain(rest.iter().take(LINUX_FIELDS - 3))
}

/// Reads a record.  Fields beyond the end of `bytes` are absent.
pub(crate) fn record(bytes: &[u8], swapped: bool) -> Record {
    let mut record = Record::new();
    let word = |at: usize| {
        let word = u64::take(bytes.get(8 * at..).unwrap_or_default());
        if swapped { word.swap_bytes() } else { word }
    };
    record.at_ns = word(0);
    let mut at = PREAMBLE_LEN;
    for (row, field) in fields().enumerate() {
        let range = at..at + field.kind.size();
        at = range.end;
        let is_present = word(1 + row / 64) >> (row % 64) & 1 == 1;
        if let (true, Some(from), Some(to)) =
            (is_present, bytes.get(range), record.body.get_mut(field.offset..field.end()))
        {
            to.copy_from_slice(from);
            record.present.insert(field);
        }
    }
    if swapped {
        record.swap_fields();
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_version_1() {
        let at = |row: usize| fields().nth(row).map(|field| field.name);
        assert_eq!(fields().count(), 118);
        assert_eq!([at(0), at(64), at(65)], [Some("gencnt"), Some("tt_delack"), Some("received_bytes")]);
        assert_eq!([at(66), at(67), at(68)], [Some("delivery_rate"), Some("pacing_rate"), Some("max_pacing_rate")]);
        assert_eq!(at(117), Some("fastopen_client_fail"));
    }
}
