// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Prints the layout of everything that the device returns and accepts:
//! structure, member, offset and length in bytes; and every named number.
//!
//! If this crate has no structure for something, its offsets are found by
//! searching for a marker value, so they show what the crate does.

use tcpstats::filter::{FILTER_LEN, MAX_OPS};
use tcpstats::frame::{CRC_OFFSET, FrameKind, HEADER_LEN, MAGIC, VERSION, flag, header_bytes};
use tcpstats::ioctl;
use tcpstats::{FIELDS, Field, Filter, Header, MODULE_BODY_LEN, MODULE_RECORD_LEN, PREAMBLE_LEN, Part, State};

/// Returns the only position of the value.
fn find(value: &[u8], bytes: &[u8]) -> usize {
    let positions: Vec<_> = (0..=bytes.len() - value.len()).filter(|at| bytes[*at..].starts_with(value)).collect();
    assert_eq!(positions.len(), 1, "{value:?} does not occur exactly once");
    positions[0]
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("it fits").to_ne_bytes()
}

fn member(of: &str, name: &str, offset: usize, len: usize) {
    println!("member {of} {name} {offset} {len}");
}

fn header() {
    println!("size header {HEADER_LEN}");
    let mark = 0x1122_3344_5566_7788_u64;
    let small = 0x99aa_bbcc_u32;
    let none = Header::default();
    let bytes = |header: &Header| header_bytes(FrameKind::Snapshot, header, 0, 0);
    for (name, header) in [
        ("sequence", Header { sequence: mark, ..none }),
        ("wall_ns", Header { wall_ns: mark, ..none }),
        ("mono_ns", Header { mono_ns: mark, ..none }),
        ("walk_ns", Header { walk_ns: mark, ..none }),
        ("seen", Header { seen: mark, ..none }),
        ("matched", Header { matched: mark, ..none }),
        ("written", Header { written: mark, ..none }),
        ("missed", Header { missed: mark, ..none }),
        ("missed_ticks", Header { missed_ticks: mark, ..none }),
        ("ended", Header { ended: mark, ..none }),
        ("ended_lost", Header { ended_lost: mark, ..none }),
    ] {
        member("header", name, find(&mark.to_ne_bytes(), &bytes(&header)), 8);
    }
    member("header", "flags", find(&small.to_ne_bytes(), &bytes(&Header { flags: small, ..none })), 4);
    let version = bytes(&Header { osversion: small, ..none });
    member("header", "osversion", find(&small.to_ne_bytes(), &version), 4);
    let of_records = header_bytes(FrameKind::Snapshot, &none, small, 0);
    member("header", "module_len", find(&word(MODULE_BODY_LEN), &of_records), 4);
    member("header", "hz", find(&small.to_ne_bytes(), &bytes(&Header { hz: small, ..none })), 4);
    member("header", "crc", CRC_OFFSET, 4);
    let bytes = header_bytes(FrameKind::Note, &none, small, mark);
    member("header", "magic", find(&MAGIC.to_ne_bytes(), &bytes), 4);
    // The version and the kind of a note are both 2.
    let both = find(&[VERSION.to_ne_bytes(), 2_u16.to_ne_bytes()].concat(), &bytes);
    member("header", "version", both, 2);
    member("header", "kind", both + 2, 2);
    member("header", "header_len", find(&word(HEADER_LEN), &bytes), 4);
    member("header", "record_len", find(&small.to_ne_bytes(), &bytes), 4);
    member("header", "payload_len", find(&mark.to_ne_bytes(), &bytes), 8);
}

fn record() {
    println!("size record {MODULE_RECORD_LEN}");
    let mut record = tcpstats::Record::new();
    record.at_ns = 0x1122_3344_5566_7788;
    record.set(tcpstats::key::gencnt, 0x99aa_bbcc_ddee_ff01);
    let bytes = record.to_bytes();
    member("record", "at_ns", find(&record.at_ns.to_ne_bytes(), &bytes), 8);
    // gencnt is the first row, so its bit is 0.
    member("record", "present", find(&1_u64.to_ne_bytes(), &bytes), PREAMBLE_LEN - 8);
    for field in FIELDS.iter().filter(|field| field.part == Part::Module) {
        member("record", field.name, PREAMBLE_LEN + field.offset, field.kind.size());
    }
}

fn filter() {
    println!("size filter {FILTER_LEN}");
    let filter = Filter::parse("lport 7 or fport 7 or lport 8").expect("a filter");
    let bytes = filter.to_bytes();
    member("filter", "version", find(&1_u16.to_ne_bytes(), &bytes[..8]), 2);
    member("filter", "count", find(&5_u16.to_ne_bytes(), &bytes[..8]), 2);
    let one = Filter::parse("lport 7").expect("a filter").to_bytes();
    let first = &one[8..48];
    member("filter", "ops", find(first, &bytes), FILTER_LEN - 8);
    let second = &Filter::parse("fport 7").expect("a filter").to_bytes()[8..48];
    println!("size filter.ops[0] {}", find(second, &bytes) - find(first, &bytes));
}

fn answers() {
    println!("size columns {}", ioctl::COLUMNS_LEN);
    member("columns", "list", 0, ioctl::COLUMNS_LEN);
    println!("size info {}", ioctl::INFO_LEN);
    let bytes = ioctl::info("version");
    for (name, number) in [
        ("version", VERSION.into()),
        ("header_len", HEADER_LEN),
        ("record_len", MODULE_RECORD_LEN),
        ("filter_len", FILTER_LEN),
        ("fields", FIELDS.len()),
        ("filter_ops", MAX_OPS),
    ] {
        member("info", name, find(&word(number), &bytes), 4);
    }
    member("info", "module", find(b"version", &bytes), 32);
    println!("size field {}", ioctl::FIELD_LEN);
    let field = Field::by_name("stack").expect("a field");
    let index = word(field.index);
    let bytes = ioctl::field(&index).expect("a row");
    // The bit of a field in the module's part is its row.
    let both = find(&[index, index].concat(), &bytes);
    member("field", "index", both, 4);
    member("field", "bit", both + 4, 4);
    member("field", "offset", find(&word(PREAMBLE_LEN + field.offset), &bytes), 4);
    member("field", "len", find(&word(field.kind.size()), &bytes), 4);
    let kind = find(&[ioctl::kind_code(field.kind), ioctl::unit_code(field.unit), 1, 1], &bytes);
    for (name, at) in ["kind", "unit", "basic", "filled"].into_iter().zip(kind..) {
        member("field", name, at, 1);
    }
    member("field", "name", find(b"stack\0", &bytes), ioctl::NAME_LEN);
    member("field", "meaning", find(field.meaning.as_bytes(), &bytes), ioctl::MEANING_LEN);
}

fn numbers() {
    for (name, number) in [
        ("MAGIC", u64::from(MAGIC)),
        ("VERSION", VERSION.into()),
        ("TRUNCATED", flag::TRUNCATED.into()),
        ("CHANGES", flag::CHANGED_ONLY.into()),
        ("LEDGER", flag::LEDGER.into()),
        ("ENDED", State::ENDED.0.into()),
        ("ALL_VNETS", flag::ALL_VNETS.into()),
        ("TEXT", ioctl::TEXT.into()),
        ("BINARY", ioctl::BINARY.into()),
        ("SET_FORMAT", ioctl::SET_FORMAT),
        ("SET_FILTER", ioctl::SET_FILTER),
        ("CLEAR_FILTER", ioctl::CLEAR_FILTER),
        ("SET_ALL_VNETS", ioctl::SET_ALL_VNETS),
        ("SET_COLUMNS", ioctl::SET_COLUMNS),
        ("SET_LEDGER", ioctl::SET_LEDGER),
        ("SET_CHANGES", ioctl::SET_CHANGES),
        ("GET_INFO", ioctl::GET_INFO),
        ("GET_FIELD", ioctl::GET_FIELD),
    ] {
        println!("number {name} {number}");
    }
    for field in &FIELDS {
        println!("number HAS_{} {}", field.name.to_uppercase(), field.bit);
    }
}

fn main() {
    header();
    record();
    filter();
    answers();
    numbers();
}
