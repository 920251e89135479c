// SPDX-License-Identifier: BSD-2-Clause

//! What many scenarios do.

use tcpstats::frame::Frame;
use tcpstats::{Filter, Header, Record, ioctl, key};

use crate::kernel::{self, Ends, File, Pcb};

/// Every ioctl of the device.
pub const COMMANDS: [u64; 7] = [
    ioctl::SET_FORMAT,
    ioctl::SET_FILTER,
    ioctl::CLEAR_FILTER,
    ioctl::SET_ALL_VNETS,
    ioctl::SET_COLUMNS,
    ioctl::GET_INFO,
    ioctl::GET_FIELD,
];

/// Runs with the module loaded, and unloads it: what is left then fails.
pub fn loaded<T>(body: impl FnOnce() -> T) -> T {
    kernel::load().expect("it loads");
    let result = body();
    kernel::unload().expect("it unloads");
    assert_eq!(kernel::memory(), 0);
    result
}

/// An open descriptor.
pub fn open() -> File {
    File::open().expect("it opens")
}

/// An open descriptor that gives frames.
pub fn open_binary() -> File {
    let file = open();
    set_binary(&file, true);
    file
}

pub fn set_binary(file: &File, binary: bool) {
    let format = if binary { ioctl::BINARY } else { ioctl::TEXT };
    file.ioctl(ioctl::SET_FORMAT, &mut format.to_ne_bytes()).expect("the format is known");
}

pub fn set_filter(file: &File, text: &str) {
    let filter = Filter::parse(text).expect("it is a filter");
    file.ioctl(ioctl::SET_FILTER, &mut filter.to_bytes()).expect("the module takes it");
}

/// A list of columns as the ioctl takes it.
pub fn list(text: &[u8]) -> [u8; ioctl::COLUMNS_LEN] {
    let mut bytes = [0; ioctl::COLUMNS_LEN];
    bytes[..text.len()].copy_from_slice(text);
    bytes
}

pub fn set_columns(file: &File, text: &str) {
    file.ioctl(ioctl::SET_COLUMNS, &mut list(text.as_bytes())).expect("the columns are known");
}

/// Reads up to the end of the snapshot, so many bytes at a time.
pub fn read_to_end(file: &File, size: usize) -> Vec<u8> {
    let mut buffer = vec![0; size];
    let mut all = Vec::new();
    loop {
        match file.read(&mut buffer).expect("it can be read") {
            0 => return all,
            got => all.extend_from_slice(&buffer[..got]),
        }
    }
}

/// Header and records of the next snapshot of a descriptor that gives frames.
pub fn snapshot(file: &File) -> (Header, Vec<Record>) {
    frame(&read_to_end(file, 1 << 20))
}

/// Header and records of a frame that is all of the bytes; what the header says
/// of itself must agree.
pub fn frame(bytes: &[u8]) -> (Header, Vec<Record>) {
    let frame = Frame::parse(bytes).expect("it is a frame");
    assert_eq!(frame.bytes().len(), bytes.len(), "one frame, and nothing after it");
    let records: Vec<_> = frame.records().collect();
    let header = frame.header;
    assert_eq!(header.written, records.len() as u64);
    assert_eq!(header.matched, header.written + header.missed);
    assert!(header.seen >= header.matched);
    assert_eq!(header.flags & tcpstats::frame::flag::TRUNCATED != 0, header.missed > 0);
    assert!(records.iter().all(|record| record.at_ns <= header.walk_ns));
    (header, records)
}

/// The records of one snapshot of a new descriptor.
pub fn records() -> Vec<Record> {
    snapshot(&open_binary()).1
}

/// The one record that there is.
pub fn only(records: Vec<Record>) -> Record {
    let [record] = <[Record; 1]>::try_from(records).expect("one record");
    record
}

/// Local ports of records, in their order.
pub fn ports(records: &[Record]) -> Vec<u16> {
    records.iter().map(|record| record.get(key::lport).expect("each has a port")).collect()
}

/// Ends in 192.0.2.0/24, told apart by the local port.
pub fn ends(lport: u16) -> Ends {
    Ends { laddr: tcpstats::ipv4([192, 0, 2, 1]), lport, faddr: tcpstats::ipv4([192, 0, 2, 2]), fport: 443 }
}

/// A connection of root's with that local port.
pub fn connection(lport: u16) -> Pcb {
    Pcb::new().ends(&["INP_IPV4"], ends(lport))
}

/// So many connections, with local ports from 1; a walk gives the last first.
pub fn connections(count: u16) -> Vec<Pcb> {
    (1..=count).map(connection).collect()
}

/// The local ports of so many connections as a walk gives them.
pub fn walk_order(count: u16) -> Vec<u16> {
    (1..=count).rev().collect()
}
