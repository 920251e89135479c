// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A record of any bytes, in either byte order and of any length.
//!
//! The binary format preserves the record, and every text format writes it in
//! one line with one cell per column.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::text::Text;
use tcpstats::{Columns, FIELD_COUNT, Record, csv, json, siftr};

fuzz_target!(|input: (bool, u64, u64, &[u8])| {
    let (swapped, wall_ns, snapshot, bytes) = input;
    let record = Record::from_bytes(bytes, swapped);
    assert_eq!(Record::from_bytes(&record.to_bytes(), false), record);

    let all = Columns::all();
    line(
        csv::ROW_MAX,
        |text| csv::row(text, &all, wall_ns, snapshot, &record),
        |line| {
            assert_eq!(line.split(',').count(), 2 + FIELD_COUNT);
        },
    );
    line(
        json::ROW_MAX,
        |text| json::row(text, &all, wall_ns, snapshot, &record),
        |line| {
            assert!(line.starts_with("{\"time\":") && line.ends_with('}'));
            assert_eq!(line.matches('"').count() % 2, 0);
            assert!(!line.contains('\\'));
        },
    );
    line(
        siftr::ROW_MAX,
        |text| siftr::row(text, wall_ns, &record),
        |line| {
            assert_eq!(line.split(',').count(), 27);
        },
    );
});

/// Writes one line into a buffer of `max` bytes, and checks it.
fn line(max: usize, write: impl FnOnce(&mut Text<'_>), check: impl FnOnce(&str)) {
    let mut buffer = vec![0; max];
    let mut text = Text::new(&mut buffer);
    write(&mut text);
    let line = text.finish().expect("a row fits in its maximum length");
    let line = line.strip_suffix('\n').expect("a row ends with a line break");
    // Names can contain spaces.
    assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    check(line);
}
