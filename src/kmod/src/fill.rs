// SPDX-License-Identifier: BSD-2-Clause

//! A record from a connection.

use tcpstats::{State, key, option};

use crate::kpi::{Endpoints, KernelRecord, Pcb, Socket, Syncache, raw, system};
use crate::units::{Tick, left_us, rto_us, rttlow_us, rttvar_us, sbt_ns, since_us};

/// The clock of a walk, as it was when it was last looked at.
pub struct Clock {
    tick: Tick,
    start_sbt: i64,
    now_sbt: i64,
    /// Since the start of the walk.
    pub at_ns: u64,
}

impl Clock {
    /// The clock of a walk that starts now.
    pub fn start(hz: u32) -> Self {
        let now_sbt = system::uptime_sbt();
        Self { tick: Tick::of(hz), start_sbt: now_sbt, now_sbt, at_ns: 0 }
    }

    /// Looks at it.
    pub fn look(&mut self) {
        self.now_sbt = system::uptime_sbt();
        self.at_ns = sbt_ns(self.now_sbt.saturating_sub(self.start_sbt));
    }
}

/// Which connection it is: all fields of the group identity, in a record that
/// may have had others.
pub fn identity(record: &mut KernelRecord, pcb: &Pcb<'_>) {
    record.forget();
    let (uid, jid) = pcb.owner();
    let (flowid, flowtype) = pcb.flow();
    endpoints(record, &pcb.endpoints());
    record.set(key::gencnt, pcb.gencnt());
    record.set(key::state, State(pcb.state()));
    record.set(key::uid, uid);
    record.set(key::jid, jid);
    record.set(key::flowid, flowid);
    record.set(key::flowtype, flowtype);
    let stack = pcb.stack();
    record.set_if(key::cc, stack.map(|stack| stack.cc));
    record.set_if(key::stack, stack.map(|stack| stack.name));
}

/// A connection that is only in the SYN cache: there is no more to be known.
pub fn half_open(record: &mut KernelRecord, entry: &Syncache<'_>) {
    record.clear();
    endpoints(record, &entry.endpoints());
    record.set(key::state, State::SYN_RCVD);
}

fn endpoints(record: &mut KernelRecord, ends: &Endpoints) {
    record.set(key::laddr, ends.laddr);
    record.set(key::lport, ends.lport);
    record.set(key::faddr, ends.faddr);
    record.set(key::fport, ends.fport);
    record.set(key::ipver, ends.ipver);
    record.set(key::fib, ends.fib);
}

/// All that is not identity.  Every field is set, if only to none: the record
/// may have had it before.
pub fn statistics(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    windows(record, pcb);
    times(record, pcb, clock);
    totals(record, pcb);
    buffers(record, pcb);
    timers(record, pcb, clock);
}

fn windows(record: &mut KernelRecord, pcb: &Pcb<'_>) {
    record.set(key::t_flags, pcb.t_flags());
    record.set(key::t_flags2, pcb.t_flags2());
    record.set(key::options, options(pcb));
    record.set(key::snd_scale, pcb.snd_scale());
    record.set(key::rcv_scale, pcb.rcv_scale());
    record.set(key::snd_cwnd, pcb.snd_cwnd());
    record.set(key::snd_ssthresh, pcb.snd_ssthresh());
    record.set(key::snd_wnd, pcb.snd_wnd());
    record.set(key::rcv_wnd, pcb.rcv_wnd());
    record.set(key::maxseg, pcb.maxseg());
    record.set(key::snd_una, pcb.snd_una());
    record.set(key::snd_nxt, pcb.snd_nxt());
    record.set(key::snd_max, pcb.snd_max());
    record.set(key::rcv_nxt, pcb.rcv_nxt());
    record.set(key::rcv_adv, pcb.rcv_adv());
    record.set(key::inflight, in_flight(pcb));
    record.set_if(key::pipe, pcb.pipe());
    record.set(key::segq_len, pcb.t_segqlen());
}

/// Sent and not acknowledged, in sequence numbers.
fn in_flight(pcb: &Pcb<'_>) -> u32 {
    pcb.snd_max().wrapping_sub(pcb.snd_una())
}

/// As `tcp_fill_info()` of `netinet/tcp_usrreq.c` tells them.
fn options(pcb: &Pcb<'_>) -> u16 {
    let (flags, flags2) = (pcb.t_flags(), pcb.t_flags2());
    let both = |one, other| flags & one != 0 && flags & other != 0;
    let ecn = flags2 & raw::TF2_ECN_PERMIT != 0;
    let accurate = flags2 & raw::TF2_ACE_PERMIT != 0;
    [
        (both(raw::TF_REQ_TSTMP, raw::TF_RCVD_TSTMP), option::TIMESTAMPS),
        (flags & raw::TF_SACK_PERMIT != 0, option::SACK),
        (both(raw::TF_REQ_SCALE, raw::TF_RCVD_SCALE), option::WINDOW_SCALE),
        (ecn && !accurate, option::ECN),
        (accurate, option::ACCECN),
        (flags & raw::TF_FASTOPEN != 0, option::FAST_OPEN),
        (flags & raw::TF_TOE != 0, option::OFFLOAD),
    ]
    .into_iter()
    .fold(0, |bits, (holds, bit)| if holds { bits | bit } else { bits })
}

fn times(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    let (granularity, tick, now) = (pcb.granularity(), clock.tick, system::ticks());
    let timestamps = pcb.t_flags() & raw::TF_RCVD_TSTMP != 0;
    record.set(key::srtt, pcb.srtt_us());
    record.set(key::rttvar, rttvar_us(pcb.t_rttvar(), granularity, tick));
    record.set_if(key::rttmin, rttlow_us(pcb.t_rttlow(), granularity, timestamps, tick));
    record.set(key::rto, rto_us(pcb.t_rxtcur(), granularity, tick));
    record.set_if(key::age, since_us(now, pcb.t_starttime(), tick));
    record.set_if(key::idle_rcv, since_us(now, pcb.t_rcvtime(), tick));
    // Of the stacks only the base writes t_sndtime.
    let is_base = record.get(key::stack).is_some_and(|name| name.starts_with(b"freebsd\0"));
    record.set_if(key::idle_snd, since_us(now, pcb.t_sndtime(), tick).filter(|_| is_base));
}

fn totals(record: &mut KernelRecord, pcb: &Pcb<'_>) {
    // A FIN has a sequence number and is no data.
    let fin = u32::from(pcb.t_flags() & raw::TF_SENTFIN != 0);
    let outstanding = in_flight(pcb).saturating_sub(fin);
    record.set(key::sent_bytes, pcb.t_sndbytes());
    record.set(key::acked_bytes, pcb.t_sndbytes().saturating_sub(outstanding.into()));
    record.set(key::rexmit_bytes, pcb.t_snd_rxt_bytes());
    record.set(key::tlp_bytes, pcb.t_sndtlpbyte());
    record.set(key::tlp_packs, pcb.t_sndtlppack());
    record.set(key::rexmit_packs, pcb.t_sndrexmitpack());
    record.set(key::ooo_packs, pcb.t_rcvoopack());
    record.set(key::zerowin, pcb.t_sndzerowin());
    record.set(key::dupacks, pcb.t_dupacks());
    record.set(key::sack_blocks, pcb.rcv_numsacks());
    record.set(key::dsack_bytes, pcb.t_dsack_bytes().into());
    record.set(key::dsack_packs, pcb.t_dsack_pack());
    // With AccECN the counter starts at 5: RFC 9768, 3.2.1.
    let both = raw::TF2_ECN_PERMIT | raw::TF2_ACE_PERMIT;
    let start = if pcb.t_flags2() & both == both { 5 } else { 0 };
    record.set(key::delivered_ce, pcb.t_scep().wrapping_sub(start));
    record.set(key::received_ce, pcb.t_rcep());
    record.set(key::rxtshift, pcb.t_rxtshift());
}

fn buffers(record: &mut KernelRecord, pcb: &Pcb<'_>) {
    let (buffers, queue) = match pcb.socket() {
        Some(Socket::Connection(buffers)) => (Some(buffers), None),
        Some(Socket::Listener(queue)) => (None, Some(queue)),
        None => (None, None),
    };
    record.set_if(key::snd_cc, buffers.map(|buffers| buffers.snd_cc));
    record.set_if(key::snd_hiwat, buffers.map(|buffers| buffers.snd_hiwat));
    record.set_if(key::rcv_cc, buffers.map(|buffers| buffers.rcv_cc));
    record.set_if(key::rcv_hiwat, buffers.map(|buffers| buffers.rcv_hiwat));
    record.set_if(key::qlen, queue.map(|queue| queue.qlen));
    record.set_if(key::qlimit, queue.map(|queue| queue.qlimit));
}

fn timers(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    let timers = pcb.t_timers();
    let left = |which: u32| timers.get(which as usize).and_then(|deadline| left_us(*deadline, clock.now_sbt));
    record.set_if(key::tt_rexmt, left(raw::TT_REXMT));
    record.set_if(key::tt_persist, left(raw::TT_PERSIST));
    record.set_if(key::tt_keep, left(raw::TT_KEEP));
    record.set_if(key::tt_2msl, left(raw::TT_2MSL));
    record.set_if(key::tt_delack, left(raw::TT_DELACK));
}
