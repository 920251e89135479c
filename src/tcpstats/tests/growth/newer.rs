// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A program with the table of a later version, which has an additional field
//! in each part: reads the golden file of this version, and writes a file of
//! its own.
//!
//! Usage: `newer GOLDEN NEW`

use tcpstats::frame::{Frame, FrameKind, Header, header_bytes};
use tcpstats::{FIELDS, Filter, MODULE_BODY_LEN, RECORD_LEN, Record, State, key};

fn main() {
    let paths: Vec<_> = std::env::args().collect();
    let golden = std::fs::read(&paths[1]).unwrap();
    let frame = Frame::parse(&golden).unwrap();
    let full = frame.records().nth(2).unwrap();
    for field in &FIELDS {
        let is_new = field.name.starts_with("grown_");
        assert_eq!(full.has(field), !is_new, "{}", field.name);
        // Values in the golden file are derived from the bits of the fields.
        if field.kind == tcpstats::Kind::U64 && !is_new {
            assert_eq!(full.number(field), Some((field.bit as u64 * 1001) << 24), "{}", field.name);
        }
    }

    let mut record = Record::new();
    record.at_ns = 7;
    record.set(key::gencnt, 4711);
    record.set(key::state, State::ESTABLISHED);
    record.set(key::log_id, tcpstats::name(b"the last of this version"));
    record.set(key::grown_module, 1);
    record.set(key::received_bytes, 123_456);
    record.set(key::fastopen_client_fail, 3);
    record.set(key::grown_other, 2);
    let header = Header { sequence: 9, written: 1, ..Header::default() };
    let head = header_bytes(FrameKind::Snapshot, &header, u32::try_from(RECORD_LEN).unwrap(), RECORD_LEN as u64);
    std::fs::write(&paths[2], [&head[..], &record.to_bytes()].concat()).unwrap();

    // Fields keep their numbers in compiled filters too.
    let filter = Filter::parse("grown_other 2 and received_bytes = 123456").unwrap();
    assert!(filter.matches(&record));
    let old = Filter::parse("received_bytes = 123456").unwrap();
    std::fs::write(format!("{}.filter", paths[2]), old.to_bytes()).unwrap();
    println!("{MODULE_BODY_LEN}");
}
