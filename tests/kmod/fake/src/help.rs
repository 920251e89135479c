// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Helpers that many scenarios use.

use tcpstats::frame::{Frame, flag};
use tcpstats::{Filter, Header, Record, State, ioctl, key};

use crate::kernel::{self, Ends, File, Pcb};

/// Every ioctl of the device.
pub const COMMANDS: [u64; 9] = [
    ioctl::SET_FORMAT,
    ioctl::SET_FILTER,
    ioctl::CLEAR_FILTER,
    ioctl::SET_ALL_VNETS,
    ioctl::SET_COLUMNS,
    ioctl::GET_INFO,
    ioctl::GET_FIELD,
    ioctl::SET_LEDGER,
    ioctl::SET_CHANGES,
];

/// Runs `body` with the module loaded, and unloads it.  Unloading fails if anything
/// remains.
pub fn loaded<T>(body: impl FnOnce() -> T) -> T {
    kernel::load().expect("the module loads");
    let result = body();
    kernel::unload().expect("the module unloads");
    assert_eq!(kernel::memory(), 0);
    result
}

/// Opens the device.
pub fn open() -> File {
    File::open().expect("the device can be opened")
}

/// Opens the device and selects frames.
pub fn open_binary() -> File {
    let file = open();
    set_binary(&file, true);
    file
}

pub fn set_binary(file: &File, binary: bool) {
    let format = if binary { ioctl::BINARY } else { ioctl::TEXT };
    file.ioctl(ioctl::SET_FORMAT, &mut format.to_ne_bytes()).expect("the format is valid");
}

/// Turns the ledger on or off.
pub fn set_ledger(file: &File, on: bool) {
    file.ioctl(ioctl::SET_LEDGER, &mut u32::from(on).to_ne_bytes()).expect("the ledger can be changed");
}

/// Opens the device, and selects frames and changes.
pub fn open_changes() -> File {
    let file = open_binary();
    set_changes(&file, true);
    file
}

/// Selects changes, or all connections.
pub fn set_changes(file: &File, on: bool) {
    file.ioctl(ioctl::SET_CHANGES, &mut u32::from(on).to_ne_bytes()).expect("changes can be selected");
}

/// Opens the device, selects frames and turns the ledger on.
pub fn open_ledger() -> File {
    let file = open_binary();
    set_ledger(&file, true);
    file
}

pub fn set_filter(file: &File, text: &str) {
    let filter = Filter::parse(text).expect("the filter is valid");
    file.ioctl(ioctl::SET_FILTER, &mut filter.to_bytes()).expect("the module accepts the filter");
}

/// Returns a list of columns as the argument of the ioctl.
pub fn list(text: &[u8]) -> [u8; ioctl::COLUMNS_LEN] {
    let mut bytes = [0; ioctl::COLUMNS_LEN];
    bytes[..text.len()].copy_from_slice(text);
    bytes
}

pub fn set_columns(file: &File, text: &str) {
    file.ioctl(ioctl::SET_COLUMNS, &mut list(text.as_bytes())).expect("the columns are valid");
}

/// Reads to the end of the snapshot, `size` bytes at a time.
pub fn read_to_end(file: &File, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; size];
    let mut all = Vec::new();
    loop {
        match file.read(&mut buffer).expect("a read succeeds") {
            0 => return all,
            got => all.extend_from_slice(&buffer[..got]),
        }
    }
}

/// Returns header and records of the next snapshot, in frames.
pub fn snapshot(file: &File) -> (Header, Vec<Record>) {
    frame(&read_to_end(file, 1 << 20))
}

/// Returns header and records of the only frame in the bytes.  The header must be
/// consistent with the records.
pub fn frame(bytes: &[u8]) -> (Header, Vec<Record>) {
    let frame = Frame::parse(bytes).expect("the bytes are a frame");
    assert_eq!(frame.bytes().len(), bytes.len(), "only one frame");
    let records: Vec<_> = frame.records().collect();
    let header = frame.header;
    assert_eq!(header.written, records.len() as u64);
    assert_eq!(header.matched, header.written - header.ended + header.missed);
    let is_final = |record: &Record| record.get(key::state) == Some(State::ENDED);
    assert_eq!(header.ended, records.iter().filter(|record| is_final(record)).count() as u64);
    assert!(header.flags & flag::LEDGER != 0 || header.ended + header.ended_lost == 0);
    assert!(header.seen >= header.matched);
    assert_eq!(header.flags & flag::TRUNCATED != 0, header.missed > 0);
    // A final record is from before the walk.
    assert!(records.iter().all(|record| if is_final(record) {
        record.at_ns.cast_signed() <= 0
    } else {
        record.at_ns <= header.walk_ns
    }));
    (header, records)
}

/// Opens the device and returns the records of one snapshot.
pub fn records() -> Vec<Record> {
    snapshot(&open_binary()).1
}

/// Returns the only record.
pub fn only(records: Vec<Record>) -> Record {
    let [record] = <[Record; 1]>::try_from(records).expect("one record");
    record
}

/// Returns the local ports of records in order.
pub fn ports(records: &[Record]) -> Vec<u16> {
    records.iter().map(|record| record.get(key::lport).expect("each record has a port")).collect()
}

/// Returns ends in 192.0.2.0/24, which differ in the local port.
pub fn ends(lport: u16) -> Ends {
    Ends { laddr: tcpstats::ipv4([192, 0, 2, 1]), lport, faddr: tcpstats::ipv4([192, 0, 2, 2]), fport: 443 }
}

/// Creates a connection of root with this local port.
pub fn connection(lport: u16) -> Pcb {
    Pcb::new().ends(&["INP_IPV4"], ends(lport))
}

/// Creates connections with local ports from 1.  A walk visits the last first.
pub fn connections(count: u16) -> Vec<Pcb> {
    (1..=count).map(connection).collect()
}

/// Returns the local ports of `count` connections in the order of a walk.
pub fn walk_order(count: u16) -> Vec<u16> {
    (1..=count).rev().collect()
}
