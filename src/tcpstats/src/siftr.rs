// SPDX-License-Identifier: BSD-2-Clause

//! The log format of siftr(4) 1.3.0, as FreeBSD 14 writes it.
//!
//! siftr(4) logs a line a packet; here a line is a record of a snapshot, with
//! direction `o`.  siftr(4) never logs a connection before ESTABLISHED, so
//! [`has`] leaves those out.  The format has no way to say that a field is
//! absent: it is 0 there.

use crate::key;
use crate::record::Record;
use crate::state::{State, option};
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

/// Writes a record's line of 27 fields.
pub fn row(text: &mut Text<'_>, wall_ns: u64, record: &Record) {
    text.str("o,").seconds6(wall_ns.saturating_add(record.at_ns));
    text.char(b',').address(record.get(key::laddr).unwrap_or_default());
    text.char(b',').number(record.get(key::lport).unwrap_or_default().into());
    text.char(b',').address(record.get(key::faddr).unwrap_or_default());
    text.char(b',').number(record.get(key::fport).unwrap_or_default().into());
    let mut numbers = |numbers: &[u32]| {
        for number in numbers {
            text.char(b',').number((*number).into());
        }
    };
    let or_zero = |key| record.get(key).unwrap_or_default();
    numbers(&[
        or_zero(key::snd_ssthresh),
        or_zero(key::snd_cwnd),
        or_zero(key::t_flags2),
        or_zero(key::snd_wnd),
        or_zero(key::rcv_wnd),
        record.get(key::snd_scale).unwrap_or_default().into(),
        record.get(key::rcv_scale).unwrap_or_default().into(),
        record.get(key::state).map_or(0, |state| state.0.into()),
        or_zero(key::maxseg),
        or_zero(key::srtt),
        u32::from(record.get(key::options).unwrap_or_default() & option::SACK != 0),
        or_zero(key::t_flags),
        or_zero(key::rto),
        or_zero(key::snd_hiwat),
        or_zero(key::snd_cc),
        or_zero(key::rcv_hiwat),
        or_zero(key::rcv_cc),
        or_zero(key::inflight),
        or_zero(key::segq_len),
        or_zero(key::flowid),
        or_zero(key::flowtype),
    ]);
    text.char(b'\n');
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

/// Writes a flow's entry of the flow list.
pub fn flow(text: &mut Text<'_>, laddr: [u8; 16], lport: u16, faddr: [u8; 16], fport: u16) {
    text.address(laddr).char(b';').number(lport.into()).char(b'-');
    text.address(faddr).char(b';').number(fport.into()).char(b',');
}
