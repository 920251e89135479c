// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A stream of frames from a device, a pipe or a file.
//!
//! Frames follow one another without gaps, and a snapshot that is written again
//! has the same records.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::frame::{Frame, FrameKind, flag};
use tcpstats::stream::{FrameReader, SnapshotBuffer, is_intact, seal};
use tcpstats::{Header, Record};

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut frames = FrameReader::new(input);
    while let Ok(Some(frame)) = frames.next_frame() {
        rest = rest.strip_prefix(frame.bytes()).expect("a frame starts where the previous one ends");
        match frame.kind {
            FrameKind::Note => assert_eq!(frame.note(), str::from_utf8(frame.payload()).ok()),
            FrameKind::Snapshot => check_rewritten(&frame),
        }
    }
});

fn check_rewritten(frame: &Frame<'_>) {
    let records: Vec<Record> = frame.records().collect();
    assert_eq!(records.len() as u64, frame.header.written);
    let mut snapshot = SnapshotBuffer::new();
    for record in &records {
        snapshot.push(record);
    }
    snapshot.finish(&frame.header);
    seal(snapshot.bytes_mut());
    let again = Frame::parse(snapshot.bytes()).expect("a written snapshot is a frame");
    assert!(is_intact(&again));
    assert_eq!(again.header, Header { flags: frame.header.flags | flag::CRC, ..frame.header });
    assert!(again.records().eq(records));
}
