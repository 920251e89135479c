// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Parsing rows of text without allocation: the code that the readers of
//! [`csv`](crate::csv), [`json`](crate::json) and [`siftr`](crate::siftr)
//! share.

use core::net::Ipv6Addr;

use crate::field::{Field, Kind};
use crate::mask::FieldSet;
use crate::record::{Record, ipv4, is_scoped, name};
use crate::state::{State, option};
use crate::table::FIELDS;
use crate::text::{is_plain, longest};

/// Where a row is wrong, and what was expected there.
#[derive(Clone, Copy, Debug)]
pub struct RowError {
    /// Offset of the error in the line, in bytes.
    pub at: usize,
    /// What was expected.
    pub expected: Expected,
}

/// What a reader of rows expected.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// Seconds since the Epoch.
    Time,
    /// A snapshot number.
    Snapshot,
    /// A value of the field.
    Value(&'static Field),
    /// A decimal number for the field.
    Number(&'static Field),
    /// A row with this number of cells.
    Cells(usize),
    /// The name of a field.
    Key,
    /// The element that the text describes.
    Text(&'static str),
}

impl core::fmt::Display for RowError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at byte {}: expected {}", self.at + 1, self.expected)
    }
}

impl core::error::Error for RowError {}

impl core::fmt::Display for Expected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Time => f.write_str("a time in seconds"),
            Self::Snapshot => f.write_str("a snapshot number"),
            Self::Value(field) => {
                write!(f, "{}, ", field.name)?;
                match field.kind {
                    Kind::U8 => f.write_str("an 8-bit number"),
                    Kind::U16 => f.write_str("a 16-bit number"),
                    Kind::U32 => f.write_str("a 32-bit number"),
                    Kind::U64 => f.write_str("a 64-bit number"),
                    Kind::Hex32 => f.write_str("0x and up to eight hexadecimal digits"),
                    Kind::Address => f.write_str("an IPv4 or IPv6 address"),
                    Kind::State => f.write_str("a state, such as ESTABLISHED"),
                    Kind::Options => f.write_str("options separated by |, such as ts|sack"),
                    Kind::Name16 | Kind::Name32 | Kind::Name64 => {
                        write!(f, "a name of at most {} ASCII characters", longest(field.kind))
                    }
                }
            }
            Self::Number(field) => write!(f, "{}, a number", field.name),
            Self::Cells(count) => write!(f, "{count} cells in the row"),
            Self::Key => f.write_str("the name of a field from tcpstats(5)"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Parses a decimal number that fits in 64 bits.
#[inline]
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let digit = |byte: u8| Some(u64::from(byte.wrapping_sub(b'0'))).filter(|digit| *digit < 10);
    if text.is_empty() {
        return None;
    }
    if text.len() < 20 {
        return text.iter().try_fold(0, |number: u64, byte| Some(number.wrapping_mul(10).wrapping_add(digit(*byte)?)));
    }
    text.iter().try_fold(0, |number: u64, byte| number.checked_mul(10)?.checked_add(digit(*byte)?))
}

/// Parses seconds with up to nine decimals, and returns nanoseconds.
#[inline]
#[must_use]
pub fn seconds(text: &[u8]) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let whole = number(text.get(..point)?)?.checked_mul(1_000_000_000)?;
    let decimals = text.get(point..)?;
    let Some(decimals) = decimals.get(1..) else {
        return Some(whole);
    };
    let missing = 9_usize.checked_sub(decimals.len())?;
    let scale = 10_u64.checked_pow(u32::try_from(missing).ok()?)?;
    whole.checked_add(number(decimals)?.checked_mul(scale)?)
}

/// Parses `0x` and up to eight hexadecimal digits.
fn hex32(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"0x").filter(|digits| (1..=8).contains(&digits.len()))?;
    digits.iter().try_fold(0, |number: u32, byte| Some(number << 4 | char::from(*byte).to_digit(16)?))
}

/// Parses an address in dotted decimal or in IPv6 form.  A scoped address may
/// be followed by `%` and a zone, which is ignored because it has a field of
/// its own.
#[inline]
fn address(text: &[u8]) -> Option<[u8; 16]> {
    dotted(text).map(ipv4).or_else(|| {
        let (text, zone) = match text.iter().position(|byte| *byte == b'%') {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        let address: Ipv6Addr = core::str::from_utf8(text).ok()?.parse().ok()?;
        let address = address.octets();
        let is_zone = |zone: &[u8]| (1..=16).contains(&zone.len()) && is_name(zone) && is_scoped(address);
        zone.is_none_or(is_zone).then_some(address)
    })
}

fn dotted(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() <= 3)?;
        *octet = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

fn state(text: &[u8]) -> Option<State> {
    match State::named(text) {
        Some(state) => Some(state),
        None => number(text).and_then(|number| u8::try_from(number).ok()).map(State),
    }
}

fn options(text: &[u8]) -> Option<u16> {
    if text == b"none" {
        return Some(0);
    }
    text.split(|byte| *byte == b'|').try_fold(0, |bits, word| {
        let bit = match option::NAMES.iter().position(|name| name.as_bytes() == word) {
            Some(bit) => bit,
            None => usize::try_from(number(word.strip_prefix(b"bit")?)?).ok()?,
        };
        Some(bits | 1_u16.checked_shl(u32::try_from(bit).ok()?)?)
    })
}

/// Returns whether [`Text::name`](crate::text::Text::name) writes the text
/// unchanged.
fn is_name(text: &[u8]) -> bool {
    text.iter().all(|byte| is_plain(*byte))
}

impl Record {
    /// Sets a field from text, or returns `None` if the text is not a valid
    /// value of the field.
    #[inline]
    #[must_use]
    pub fn set_text(&mut self, field: &Field, text: &[u8]) -> Option<()> {
        match field.kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => return self.set_number(field, number(text)?),
            Kind::Hex32 => self.put(field, hex32(text)?),
            Kind::Address => self.put(field, address(text)?),
            Kind::State => self.put(field, state(text)?),
            Kind::Options => self.put(field, options(text)?),
            Kind::Name16 if text.len() <= 16 && is_name(text) => self.put(field, name::<16>(text)),
            Kind::Name32 if text.len() <= 32 && is_name(text) => self.put(field, name::<32>(text)),
            Kind::Name64 if text.len() <= 64 && is_name(text) => self.put(field, name::<64>(text)),
            Kind::Name16 | Kind::Name32 | Kind::Name64 => return None,
        }
        Some(())
    }

    /// Makes every field absent that is not in `wanted`.
    pub fn keep(&mut self, wanted: &FieldSet) {
        for field in FIELDS.iter().filter(|field| !wanted.has(field)) {
            self.remove(field);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::{vec, vec::Vec};

    use super::*;
    use crate::columns::Columns;
    use crate::frame::flag;
    use crate::note::{Note, NoteText, Pair};
    use crate::record::RECORD_LEN;
    use crate::text::Text;
    use crate::{csv, json, key, note, siftr};

    const WALL_NS: u64 = 1_764_000_000_123_456_789;

    /// Records with any subset of the fields and any bytes in them, except that
    /// names contain only bytes that a text format preserves.
    fn any_record() -> impl Strategy<Value = Record> {
        let numbers = prop::collection::vec(any::<u8>(), RECORD_LEN);
        (numbers, "[!#-+\\--\\[\\]-~]{1,16}", "[!#-+\\--\\[\\]-~]{1,32}").prop_map(|(bytes, short, long)| {
            let mut record = Record::from_bytes(&bytes, false);
            record.at_ns &= 0xffff_ffff;
            for field in &FIELDS {
                match field.kind {
                    _ if !record.has(field) => (),
                    Kind::Name16 => record.put(field, name::<16>(short.as_bytes())),
                    Kind::Name32 => record.put(field, name::<32>(long.as_bytes())),
                    Kind::Name64 => record.put(field, name::<64>(long.as_bytes())),
                    _ => (),
                }
            }
            record
        })
    }

    /// Any columns in any order.
    fn any_columns() -> impl Strategy<Value = Columns> {
        let names: Vec<_> = FIELDS.iter().map(|field| field.name).collect();
        prop::sample::subsequence(names, 1..=FIELDS.len())
            .prop_shuffle()
            .prop_map(|names| Columns::named(&names.join(",")).unwrap())
    }

    fn line(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut buffer = vec![0; json::ROW_MAX];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        text.finish().unwrap().strip_suffix('\n').unwrap().to_string()
    }

    /// Returns a record with only the fields of the columns.
    fn select(record: &Record, columns: &Columns, at_ns: u64) -> Record {
        let mut selected = Record::new();
        selected.at_ns = at_ns;
        for field in columns.fields() {
            if let Some(number) = record.number(field) {
                selected.set_number(field, number).unwrap();
            } else if let Some(bytes) = record.bytes(field) {
                match field.kind {
                    Kind::Name64 => selected.put(field, name::<64>(bytes)),
                    Kind::Name32 => selected.put(field, name::<32>(bytes)),
                    Kind::Name16 => selected.put(field, name::<16>(bytes)),
                    _ => selected.put(field, <[u8; 16]>::try_from(bytes).unwrap()),
                }
            }
        }
        selected
    }

    proptest! {
        #[test]
        fn a_csv_row_reads_back_as_written(record in any_record(), columns in any_columns(), snapshot: u64) {
            let row = line(|text| csv::row(text, &columns, WALL_NS, snapshot, &record));
            let mut read = Record::new();
            let found = csv::read_row(row.as_bytes(), &columns, &FieldSet::ALL, &mut read).unwrap();
            prop_assert_eq!(found, (WALL_NS + record.at_ns, snapshot));
            prop_assert_eq!(read, select(&record, &columns, 0));
        }

        #[test]
        fn a_json_line_reads_back_as_written(record in any_record(), columns in any_columns(), snapshot: u64) {
            let row = line(|text| json::row(text, &columns, WALL_NS, snapshot, &record));
            let mut read = Record::new();
            let found = json::read_row(row.as_bytes(), &FieldSet::ALL, &mut read).unwrap();
            prop_assert_eq!(found, (WALL_NS + record.at_ns, snapshot));
            prop_assert_eq!(read, select(&record, &columns, 0));
        }

        #[test]
        fn a_siftr_line_that_was_read_is_written_identically(record in any_record()) {
            let row = line(|text| siftr::row(text, WALL_NS, &record));
            let mut read = Record::new();
            let time_ns = siftr::read_row(row.as_bytes(), &mut read).unwrap();
            prop_assert_eq!(time_ns / 1000, (WALL_NS + record.at_ns) / 1000);
            prop_assert_eq!(line(|text| siftr::row(text, time_ns, &read)), row);
        }

        #[test]
        fn only_wanted_fields_are_read(record in any_record(), columns in any_columns(), wanted in any_columns()) {
            let both: Vec<_> = columns.fields().filter(|field| wanted.fields().any(|other| other.index == field.index))
                .map(|field| field.name).collect();
            let row = line(|text| csv::row(text, &columns, WALL_NS, 1, &record));
            let mut read = Record::new();
            csv::read_row(row.as_bytes(), &columns, &FieldSet::of(&wanted), &mut read).unwrap();
            if let Ok(both) = Columns::named(&both.join(",")) {
                prop_assert_eq!(&read, &select(&record, &both, 0));
            }
            let row = line(|text| json::row(text, &columns, WALL_NS, 1, &record));
            let mut again = record;
            json::read_row(row.as_bytes(), &FieldSet::of(&wanted), &mut again).unwrap();
            prop_assert_eq!(read, again);
        }

        #[test]
        fn names_of_any_bytes_are_written_identically_after_reading(bytes: [u8; 32]) {
            let columns = Columns::parse("stack,cc").unwrap();
            let mut record = Record::new();
            record.set(key::stack, bytes);
            record.set(key::cc, name(&bytes));
            let (mut read, mut again) = (Record::new(), Record::new());
            let row = line(|text| csv::row(text, &columns, WALL_NS, 1, &record));
            csv::read_row(row.as_bytes(), &columns, &FieldSet::ALL, &mut read).unwrap();
            prop_assert_eq!(line(|text| csv::row(text, &columns, WALL_NS, 1, &read)), row);
            let row = line(|text| json::row(text, &columns, WALL_NS, 1, &record));
            json::read_row(row.as_bytes(), &FieldSet::ALL, &mut again).unwrap();
            prop_assert_eq!(line(|text| json::row(text, &columns, WALL_NS, 1, &again)), row);
        }

        #[test]
        fn errors_in_truncated_or_damaged_rows_have_a_position_in_the_row(
            record in any_record(), cut: prop::sample::Index, byte: u8, replace: bool,
        ) {
            let all = Columns::all();
            let mut read = Record::new();
            let rows = [
                line(|text| csv::row(text, &all, WALL_NS, 1, &record)).into_bytes(),
                line(|text| json::row(text, &all, WALL_NS, 1, &record)).into_bytes(),
                line(|text| siftr::row(text, WALL_NS, &record)).into_bytes(),
            ];
            for mut row in rows {
                let at = cut.index(row.len());
                if replace {
                    row[at] = byte;
                } else {
                    row.truncate(at);
                }
                let errors = [
                    csv::read_row(&row, &all, &FieldSet::ALL, &mut read).err(),
                    json::read_row(&row, &FieldSet::ALL, &mut read).err(),
                    siftr::read_row(&row, &mut read).err(),
                ];
                for error in errors.into_iter().flatten() {
                    prop_assert!(error.at <= row.len());
                }
            }
        }

        #[test]
        fn readers_do_not_panic_on_any_bytes(bytes: Vec<u8>, text: String, columns in any_columns()) {
            let mut read = Record::new();
            let _ = csv::read_row(&bytes, &columns, &FieldSet::ALL, &mut read);
            let _ = json::read_row(&bytes, &FieldSet::ALL, &mut read);
            let _ = siftr::read_row(&bytes, &mut read);
            let _ = csv::read_header(&text);
            let _ = NoteText::read(&text).map(|note| (note.pairs().count(), note.snapshot()));
            let mut buffer = vec![0; text.len()];
            let _ = json::read_note(&text, &mut Text::new(&mut buffer));
        }

        #[test]
        fn times_and_numbers_read_back_as_written(n: u64) {
            let mut buffer = [0; 32];
            let mut text = Text::new(&mut buffer);
            text.seconds9(n);
            prop_assert_eq!(seconds(text.finish().unwrap().as_bytes()), Some(n));
            prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
        }

        #[test]
        fn a_note_survives_the_conversion_between_csv_and_json(
            numbers: [u64; 2], written: String, record in any_record(), field in prop::sample::select(&FIELDS[..]),
        ) {
            let mut pairs = vec![
                ("count", Pair::Number(numbers[0])),
                ("why", Pair::Text(&written)),
                ("time", Pair::Seconds(numbers[1])),
            ];
            if record.has(&field) {
                pairs.push((field.name, Pair::Value(&record, &field)));
            }
            let note = Note { name: "gap", pairs: &pairs };
            let (mut buffer, mut again) = (vec![0; 1024 + 6 * written.len()], vec![0; 1024 + 6 * written.len()]);
            let mut csv = Text::new(&mut buffer);
            note.write(&mut csv);
            let csv = csv.finish().unwrap();
            let read = NoteText::read(csv).unwrap();
            prop_assert_eq!(read.pairs().count(), pairs.len());
            prop_assert_eq!(read.number("count"), Some(numbers[0]));
            prop_assert_eq!(read.seconds("time"), Some(numbers[1]));

            let mut json = Text::new(&mut again);
            json::note(&mut json, &note);
            let json = json.finish().unwrap().to_string();
            let mut buffer = vec![0; json.len()];
            let mut text = Text::new(&mut buffer);
            json::note_text(&mut text, &read);
            prop_assert_eq!(text.finish(), Some(&json[..]));
            let mut text = Text::new(&mut again);
            json::read_note(json.trim_end(), &mut text).unwrap();
            prop_assert_eq!(text.finish(), Some(csv));
        }
    }

    #[test]
    fn invalid_numbers_and_times_are_rejected() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for wrong in [&b"18446744073709551616"[..], b"", b"-1", b"1 ", b"0x1", b"99999999999999999999999"] {
            assert_eq!(number(wrong), None);
        }
        for wrong in [&b"1."[..], b".5", b"1.0123456789", b"1.2.3", b"18446744074", b""] {
            assert_eq!(seconds(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
        assert_eq!(seconds(b"1.5"), Some(1_500_000_000));
        assert_eq!(seconds(b"7"), Some(7_000_000_000));
    }

    #[test]
    fn invalid_addresses_are_rejected() {
        for wrong in ["1.2.3", "1.2.3.4.5", "1.2.3.256", "1..2.3", "0001.2.3.4", ":::", "g::", ""] {
            assert_eq!(address(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in ["fe80::1%", "fe80::1%a,b", "fe80::1%abcdefghijklmnopq", "2001:db8::1%em0", "1.2.3.4%em0", "%em0"]
        {
            assert_eq!(address(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn row_with_zone_appends_the_zone_to_scoped_addresses_only() {
        let columns = Columns::parse("laddr,faddr,zone").unwrap();
        let mut record = Record::new();
        let link_local = "fe80::1".parse::<Ipv6Addr>().unwrap().octets();
        record.set(key::laddr, link_local);
        record.set(key::faddr, "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        record.set(key::zone, 4_u32);
        let row = |zone: &[u8]| line(|text| csv::row_with_zone(text, &columns, 0, 1, &record, &name(zone)));
        assert_eq!(row(b"em0"), "0.000000000,1,fe80::1%em0,2001:db8::1,4");
        assert_eq!(row(b""), "0.000000000,1,fe80::1%4,2001:db8::1,4");
        let mut read = Record::new();
        csv::read_row(row(b"em0").as_bytes(), &columns, &FieldSet::ALL, &mut read).unwrap();
        assert_eq!((read.get(key::laddr), read.get(key::zone)), (Some(link_local), Some(4)));
    }

    #[test]
    fn an_error_reports_the_position_and_what_was_expected() {
        let columns = Columns::parse("lport,cc").unwrap();
        let error = |row: &str| {
            csv::read_row(row.as_bytes(), &columns, &FieldSet::ALL, &mut Record::new()).unwrap_err().to_string()
        };
        assert_eq!(error("1.0,1,65536,cubic"), "at byte 7: expected lport, a 16-bit number");
        assert_eq!(error("1.0,1,1,abcdefghijklmnopq"), "at byte 9: expected cc, a name of at most 16 ASCII characters");
        assert_eq!(error("1.0,x,1,c"), "at byte 5: expected a snapshot number");
        assert_eq!(error("1.0,1,1"), "at byte 8: expected 4 cells in the row");
        assert_eq!(error("1.0,1,1,c,"), "at byte 11: expected 4 cells in the row");
        assert_eq!(error("1.0"), "at byte 4: expected a snapshot number");
        assert_eq!(error(""), "at byte 1: expected a time in seconds");
    }

    #[test]
    fn the_header_of_a_snapshot_survives_its_note() {
        let header = crate::Header {
            sequence: 42,
            wall_ns: WALL_NS,
            mono_ns: 987_654_321,
            walk_ns: 1_500_000,
            seen: 3,
            matched: 2,
            written: 1,
            missed: 1,
            missed_ticks: 7,
            flags: 17,
            ..crate::Header::default()
        };
        let ledger = crate::Header { flags: 0x11 | flag::LEDGER, ended: 1, ended_lost: 2, ..header };
        // Also if the monotonic clock is unknown.
        for header in [header, ledger, crate::Header { mono_ns: 0, ..header }] {
            let mut buffer = [0; 256];
            let mut text = Text::new(&mut buffer);
            note::snapshot(&header, |note| note.write(&mut text));
            let text = text.finish().unwrap();
            assert_eq!(text.contains(" mono="), header.mono_ns > 0);
            assert_eq!(text.contains(" ended="), header.flags & flag::LEDGER != 0);
            assert_eq!(NoteText::read(text).unwrap().snapshot(), Some(header));
        }
    }
}
