// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The log format of siftr(4) 1.3.0, as in FreeBSD 14.
//!
//! siftr(4) logs one line per packet.  Here a line is one record of a snapshot,
//! with direction `o`.  siftr(4) never logs a connection before ESTABLISHED, so
//! [`has`] excludes those.  The format cannot express that a field is absent:
//! absent fields are 0.

use crate::field::{Field, Kind};
use crate::key;
use crate::read::{self, Expected, RowError};
use crate::record::{Record, Value};
use crate::state::{State, option};
use crate::table::FIELDS;
use crate::text::Text;

/// The version of siftr(4) whose format this is.
pub const VERSION: &str = "1.3.0";

/// Maximum length of a record's line in bytes.
pub const ROW_MAX: usize = 512;

/// Returns whether siftr(4) would log the record.
#[must_use]
pub fn has(record: &Record) -> bool {
    record.get(key::state).is_some_and(|state| state.0 >= State::ESTABLISHED.0)
}

/// Writes the line that siftr(4) writes when it is enabled.  `system` is the
/// name that uname(1) prints, `version` is the version of the system as a
/// number.
pub fn enable(text: &mut Text<'_>, wall_ns: u64, system: &str, version: u64) {
    text.str("enable_time_secs=").number(wall_ns / 1_000_000_000);
    text.str("\tenable_time_usecs=").microseconds6(wall_ns);
    text.str("\tsiftrver=").str(VERSION).str("\tsysname=").str(system);
    text.str("\tsysver=").number(version).str("\tipmode=6\n");
}

/// The fields of a line, after its direction and time.  A line contains only one
/// of the `options`: whether SACK is in use.
const FIELDS_OF_LINE: [usize; 25] = [
    key::laddr.index,
    key::lport.index,
    key::faddr.index,
    key::fport.index,
    key::snd_ssthresh.index,
    key::snd_cwnd.index,
    key::t_flags2.index,
    key::snd_wnd.index,
    key::rcv_wnd.index,
    key::snd_scale.index,
    key::rcv_scale.index,
    key::state.index,
    key::maxseg.index,
    key::srtt.index,
    key::options.index,
    key::t_flags.index,
    key::rto.index,
    key::snd_hiwat.index,
    key::snd_cc.index,
    key::rcv_hiwat.index,
    key::rcv_cc.index,
    key::inflight.index,
    key::segq_len.index,
    key::flowid.index,
    key::flowtype.index,
];

/// Number of cells in a line.
const CELLS: usize = 2 + FIELDS_OF_LINE.len();

fn fields_of_line() -> impl Iterator<Item = &'static Field> {
    FIELDS_OF_LINE.iter().filter_map(|index| FIELDS.get(*index))
}

/// Writes the line of a record, which has 27 fields.
pub fn row(text: &mut Text<'_>, wall_ns: u64, record: &Record) {
    text.str("o,").seconds6(wall_ns.wrapping_add(record.at_ns));
    for field in fields_of_line() {
        text.char(b',');
        match field.kind {
            Kind::Address => text.address(record.bytes(field).map(Value::take).unwrap_or_default()),
            Kind::Options => {
                let sack = record.get(key::options).is_some_and(|bits| bits & option::SACK != 0);
                text.number(sack.into())
            }
            _ => text.number(record.number(field).unwrap_or_default()),
        };
    }
    text.char(b'\n');
}

/// Reads the line of a record, without its line break, and returns its time in
/// nanoseconds since the Epoch.
///
/// Every field of the line becomes present, including those whose 0 was written
/// for an absent field.  `options` is the exception: it is present only if SACK
/// is in use, because the other options are unknown.
///
/// # Errors
/// Returns the position of the first cell that is not a valid value of its
/// column.
pub fn read_row(line: &[u8], record: &mut Record) -> Result<u64, RowError> {
    record.clear();
    let mut start = 0;
    let mut cells = line.split(|byte| *byte == b',').map(|cell| {
        let at = start;
        start += cell.len() + 1;
        (at, cell)
    });
    let mut next = || cells.next().ok_or(RowError { at: line.len(), expected: Expected::Cells(CELLS) });
    let (at, direction) = next()?;
    if !matches!(direction, b"o" | b"i") {
        return Err(RowError { at, expected: Expected::Text("the direction, o or i") });
    }
    let (at, time) = next()?;
    let time_ns = read::seconds(time).ok_or(RowError { at, expected: Expected::Time })?;
    for field in fields_of_line() {
        let (at, cell) = next()?;
        let done = match field.kind {
            Kind::Address => record.set_text(field, cell),
            Kind::Options if cell == b"0" => Some(()),
            Kind::Options if cell == b"1" => record.set_number(field, option::SACK.into()),
            Kind::Options => None,
            _ => read::number(cell).and_then(|number| record.set_number(field, number)),
        };
        done.ok_or(RowError { at, expected: Expected::Number(field) })?;
    }
    match cells.next() {
        Some((at, _)) => Err(RowError { at, expected: Expected::Cells(CELLS) }),
        None => Ok(time_ns),
    }
}

/// Writes the line that siftr(4) writes when it is disabled, up to and
/// including `flow_list=`.  Entries from [`flow`] and a line break follow.
/// Every record counts as an outbound packet, because its direction is `o`.
pub fn disable(text: &mut Text<'_>, wall_ns: u64, records: u64, skipped: u64) {
    text.str("disable_time_secs=").number(wall_ns / 1_000_000_000);
    text.str("\tdisable_time_usecs=").microseconds6(wall_ns);
    text.str("\tnum_inbound_tcp_pkts=0\tnum_outbound_tcp_pkts=").number(records);
    text.str("\ttotal_tcp_pkts=").number(records);
    text.str("\tnum_inbound_skipped_pkts_malloc=0\tnum_outbound_skipped_pkts_malloc=").number(skipped);
    text.str("\tnum_inbound_skipped_pkts_tcpcb=0\tnum_outbound_skipped_pkts_tcpcb=0");
    text.str("\tnum_inbound_skipped_pkts_inpcb=0\tnum_outbound_skipped_pkts_inpcb=0");
    text.str("\ttotal_skipped_tcp_pkts=").number(skipped).str("\tflow_list=");
}

/// Maximum number of flows in the closing line.  It is limited because the
/// writer keeps the list in memory.
pub const FLOWS_MAX: usize = 1_000_000;

/// Local address and port, foreign address and port.
pub type Flow = ([u8; 16], u16, [u8; 16], u16);

/// Returns the flow to which a record belongs.
#[must_use]
pub fn flow_of(record: &Record) -> Flow {
    (
        record.get(key::laddr).unwrap_or_default(),
        record.get(key::lport).unwrap_or_default(),
        record.get(key::faddr).unwrap_or_default(),
        record.get(key::fport).unwrap_or_default(),
    )
}

/// Writes the entry of a flow in the flow list.
pub fn flow(text: &mut Text<'_>, (laddr, lport, faddr, fport): Flow) {
    text.address(laddr).char(b';').number(lport.into()).char(b'-');
    text.address(faddr).char(b';').number(fport.into()).char(b',');
}
