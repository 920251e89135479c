// SPDX-License-Identifier: BSD-2-Clause

//! Records of layout version 1, which had one part: 65 rows that FreeBSD could
//! fill, then those of Linux, and a presence mask of three words.

use crate::field::{Field, Part};
use crate::record::{Record, Value};
use crate::table::key;

/// Bytes before the fields.
pub(crate) const PREAMBLE_LEN: usize = 32;

/// Rows that FreeBSD could fill; they begin today's module part.
const MODULE_FIELDS: usize = 65;

/// Rows that only Linux could fill.
const LINUX_FIELDS: usize = 53;

/// The rows in the order of version 1.  `pacing_rate` is in the module's part
/// now.
fn fields() -> impl Iterator<Item = &'static Field> {
    let linux = Part::Linux.fields();
    let (first, rest) = linux.split_at(2.min(linux.len()));
    let moved = [key::pacing_rate.field()];
    Part::Module.fields().iter().take(MODULE_FIELDS).chain(first).chain(moved).chain(rest.iter().take(LINUX_FIELDS - 3))
}

/// Reads a record; what lies beyond `bytes` is absent.
pub(crate) fn record(bytes: &[u8], swapped: bool) -> Record {
    let mut record = Record::new();
    let word = |at: usize| {
        let word = u64::take(bytes.get(8 * at..).unwrap_or_default());
        if swapped { word.swap_bytes() } else { word }
    };
    record.at_ns = word(0);
    let mut at = PREAMBLE_LEN;
    for (row, field) in fields().enumerate() {
        let place = at..at + field.kind.size();
        at = place.end;
        let is_present = word(1 + row / 64) >> (row % 64) & 1 == 1;
        if let (true, Some(from), Some(to)) =
            (is_present, bytes.get(place), record.body.get_mut(field.offset..field.end()))
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
    fn the_rows_are_those_of_version_1() {
        let at = |row: usize| fields().nth(row).map(|field| field.name);
        assert_eq!(fields().count(), 118);
        assert_eq!([at(0), at(64), at(65)], [Some("gencnt"), Some("tt_delack"), Some("received_bytes")]);
        assert_eq!([at(66), at(67), at(68)], [Some("delivery_rate"), Some("pacing_rate"), Some("max_pacing_rate")]);
        assert_eq!(at(117), Some("fastopen_client_fail"));
    }
}
