// SPDX-License-Identifier: BSD-2-Clause

//! The log format of siftr(4) 1.3.0, as FreeBSD 14 writes it.
//!
//! siftr(4) logs a line a packet; here a line is a record of a snapshot, with
//! direction `o`.  siftr(4) never logs a connection before ESTABLISHED, so
//! [`has`] leaves those out.  The format has no way to say that a field is
//! absent: it is 0 there.

use crate::field::{Field, Kind};
use crate::key;
use crate::read::{self, Expected, RowError};
use crate::record::{Record, Value};
use crate::state::{State, option};
use crate::table::FIELDS;
use crate::text::Text;

/// The version of siftr(4) whose format this is.
pub const VERSION: &str = "1.3.0";

/// The most bytes that a record's line takes.
pub const ROW_MAX: usize = 512;

/// Whether siftr(4) would log the record.
#[must_use]
pub fn has(record: &Record) -> bool {
    record.get(key::state).is_some_and(|state| state.0 >= State::ESTABLISHED.0)
}

/// Writes the line that siftr(4) writes when it is enabled.  `system` is the
/// name that uname(1) gives, `version` a number for the system's version.
pub fn enable(text: &mut Text<'_>, wall_ns: u64, system: &str, version: u64) {
    text.str("enable_time_secs=").number(wall_ns / 1_000_000_000);
    text.str("\tenable_time_usecs=").microseconds6(wall_ns);
    text.str("\tsiftrver=").str(VERSION).str("\tsysname=").str(system);
    text.str("\tsysver=").number(version).str("\tipmode=6\n");
}

/// The fields of a record's line, behind its direction and time.  Of the
/// options it has only whether SACK is in use.
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

/// The cells of a line.
const CELLS: usize = 2 + FIELDS_OF_LINE.len();

fn fields_of_line() -> impl Iterator<Item = &'static Field> {
    FIELDS_OF_LINE.iter().filter_map(|index| FIELDS.get(*index))
}

/// Writes a record's line of 27 fields.
pub fn row(text: &mut Text<'_>, wall_ns: u64, record: &Record) {
    text.str("o,").seconds6(wall_ns.saturating_add(record.at_ns));
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

/// Reads a record's line, without its line break, and gives its time in
/// nanoseconds since the UNIX epoch.  Every field of the line is present then,
/// also where its 0 was written for an absent one; but `options` is only where
/// SACK is in use, as nothing is known of the others.
///
/// # Errors
/// The first cell that is none of its column.
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

/// Writes the line that siftr(4) writes when it is disabled, up to and with
/// `flow_list=`; [`flow`] entries and a line break follow.  Every record
/// counts as an outbound packet, as its direction says.
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

/// More flows than this are not listed in the closing line: whoever writes it
/// keeps the list in memory.
pub const FLOWS_MAX: usize = 1_000_000;

/// Local address and port, foreign address and port.
pub type Flow = ([u8; 16], u16, [u8; 16], u16);

/// The flow that a record is of.
#[must_use]
pub fn flow_of(record: &Record) -> Flow {
    (
        record.get(key::laddr).unwrap_or_default(),
        record.get(key::lport).unwrap_or_default(),
        record.get(key::faddr).unwrap_or_default(),
        record.get(key::fport).unwrap_or_default(),
    )
}

/// Writes a flow's entry of the flow list.
pub fn flow(text: &mut Text<'_>, (laddr, lport, faddr, fport): Flow) {
    text.address(laddr).char(b';').number(lport.into()).char(b'-');
    text.address(faddr).char(b';').number(fport.into()).char(b',');
}
