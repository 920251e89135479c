// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Makes a record from a connection.

use tcpstats::{Ending, State, key, name, option};

use crate::address::{Address, mapped, without_zones};
use crate::kpi::{self, Endpoints, Pcb, Socket, Syncache, Vnet, VnetIdentity, tcp};
use crate::record::KernelRecord;
use crate::units::{
    Granularity, RTTVAR_SHIFT, Tick, left_us, lifetime_us, lifted, rto_us, rttlow_us, rttvar_us, sbt_ns, since_us,
};

const _: () = assert!(tcp::TCP_RTTVAR_SHIFT == RTTVAR_SHIFT);

/// The state of a walk that its records share: the clock when it was last read, and
/// the network stack.
pub struct Clock {
    tick: Tick,
    start_sbt: i64,
    now_sbt: i64,
    vnet: Option<VnetIdentity>,
    /// The time since the start of the walk.
    pub at_ns: u64,
}

impl Clock {
    /// Creates the clock of a walk that starts now.
    pub fn start(hz: u32) -> Self {
        let now_sbt = kpi::clock::uptime_sbt();
        Self { tick: Tick::of(hz), start_sbt: now_sbt, now_sbt, vnet: None, at_ns: 0 }
    }

    /// Reads the clock.
    pub fn update(&mut self) {
        self.now_sbt = kpi::clock::uptime_sbt();
        self.at_ns = sbt_ns(self.now_sbt.saturating_sub(self.start_sbt));
    }

    /// Starts the walk over a network stack.
    pub fn enter(&mut self, vnet: &Vnet) {
        self.vnet = vnet.identity(self.tick.wrap_ns());
    }

    /// Returns the time since boot when the walk started.
    pub fn start_ns(&self) -> u64 {
        sbt_ns(self.start_sbt)
    }

    /// Returns the identity of the network stack.
    pub fn vnet(&self) -> Option<u64> {
        self.vnet.as_ref().map(|vnet| vnet.id)
    }
}

/// The progress of a connection, which decides which fields are known.
#[allow(clippy::struct_excessive_bools, reason = "each is used on its own")]
#[derive(Clone, Copy)]
struct Phase {
    /// The connection has chosen an initial sequence number.
    started: bool,
    /// The connection has received the peer's initial sequence number.
    synchronized: bool,
    /// The round-trip time was measured at least once.
    measured: bool,
    /// Times in ticks cannot have wrapped.
    recent: bool,
    /// The connection belongs to the base stack.
    is_base: bool,
}

impl Phase {
    fn of(pcb: &Pcb<'_>, clock: &Clock) -> Self {
        let state = pcb.state();
        // An offloading adapter does not update the members of the tcpcb.
        let is_offloaded = pcb.t_flags() & tcp::TF_TOE != 0;
        // The state is CLOSED before connect(2) and after the end of a connection.
        let started = !is_offloaded && (state >= State::SYN_SENT.0 || pcb.snd_max() != pcb.iss());
        let synchronized = started && (state >= State::SYN_RCVD.0 || pcb.rcv_nxt() != pcb.irs());
        Self {
            started,
            synchronized,
            // Before the first measurement t_srtt may come from the host cache.
            measured: synchronized && pcb.t_srtt() != 0 && pcb.t_rttupdated() != 0,
            recent: clock.vnet.as_ref().is_some_and(|vnet| pcb.gencnt() > vnet.recent_gencnt),
            is_base: pcb.has_base_stack(),
        }
    }
}

/// Sets all fields of the group identity, in a record that may contain those of
/// another connection.
#[allow(clippy::inline_always, reason = "walks must not pay for a second caller")]
#[inline(always)]
pub fn identity(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    // The longest field, and a rare one: its bytes are cleared only if they were set.
    let had_log_id = record.get(key::log_id).is_some();
    // A final record that was not kept may be in the same place, which is also rare.
    let was_final = record.get(key::ending).is_some();
    record.forget();
    if was_final {
        record.set_if(key::duration, None);
        record.set_if(key::ending, None);
    }
    let (uid, jid) = pcb.owner();
    let (flowid, flowtype) = pcb.flow();
    endpoints(record, &pcb.endpoints());
    record.set_if(key::vnet, clock.vnet());
    record.set(key::gencnt, pcb.gencnt());
    record.set(key::state, State(pcb.state()));
    record.set(key::uid, uid);
    record.set(key::jid, jid);
    record.set(key::flowid, flowid);
    record.set(key::flowtype, flowtype);
    record.set(key::encaps_port, pcb.encapsulation_port());
    let log_id = pcb.log_id();
    if had_log_id || log_id.is_some() {
        record.set_if(key::log_id, log_id);
    }
    let stack = pcb.stack();
    record.set_if(key::cc, stack.map(|stack| stack.cc));
    record.set_if(key::stack, stack.map(|stack| stack.name));
}

/// Sets the fields that an entry of the SYN cache has.
pub fn half_open(record: &mut KernelRecord, entry: &Syncache<'_>, clock: &Clock) {
    record.clear();
    endpoints(record, &entry.endpoints());
    record.set_if(key::vnet, clock.vnet());
    record.set(key::state, State::SYN_RCVD);
}

/// Returns the local and the foreign address, and the zone.
#[inline]
pub fn addresses(ends: &Endpoints) -> (Address, Address, Option<u32>) {
    if ends.is_ipv6 { without_zones(ends.laddr, ends.faddr) } else { (mapped(ends.laddr), mapped(ends.faddr), None) }
}

fn endpoints(record: &mut KernelRecord, ends: &Endpoints) {
    let (laddr, faddr, zone) = addresses(ends);
    record.set(key::laddr, laddr);
    record.set(key::lport, ends.lport);
    record.set(key::faddr, faddr);
    record.set(key::fport, ends.fport);
    record.set(key::ipver, if ends.is_ipv6 { 6 } else { 4 });
    record.set_if(key::zone, zone);
    record.set(key::fib, ends.fib);
}

/// Sets fields if they are known, and makes them absent otherwise.  Checks the
/// condition once for all of them.
macro_rules! fields {
    ($record:ident if $known:expr => $($field:ident: $value:expr,)*) => {
        if $known {
            $($record.set(key::$field, $value);)*
        } else {
            $($record.set_if(key::$field, None);)*
        }
    };
}

/// Sets all other fields, or makes them absent: the record may contain those of
/// another connection.
pub fn statistics(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    let phase = Phase::of(pcb, clock);
    flags(record, pcb, phase);
    windows(record, pcb, phase);
    times(record, pcb, phase, clock);
    since_started(record, pcb, phase);
    since_synchronized(record, pcb, phase);
    congestion_marks(record, pcb, phase);
    buffers(record, pcb);
    timers(record, pcb, clock);
}

/// Turns the record of a connection that is ending into its final record.
pub fn end(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock, ending: Ending) {
    let phase = Phase::of(pcb, clock);
    record.at_ns = clock.start_ns();
    record.set(key::state, State::ENDED);
    record.set(key::ending, name(ending.name().as_bytes()));
    // Only the base stack sets t_sndtime; it does so for the SYN, too.
    let sent = if phase.is_base { pcb.t_sndtime() } else { 0 };
    let duration = lifetime_us(pcb.t_starttime(), pcb.t_rcvtime(), sent, clock.tick);
    record.set_if(key::duration, duration.filter(|_| phase.recent));
}

fn flags(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    record.set(key::t_flags, pcb.t_flags());
    record.set(key::t_flags2, pcb.t_flags2());
    record.set(key::tos, pcb.tos());
    // The flags include options that an offloading adapter negotiated.
    let negotiated = phase.synchronized || pcb.t_flags() & tcp::TF_TOE != 0;
    record.set_if(key::options, negotiated.then(|| options(pcb)));
}

/// Returns the unit of the times that the stack keeps.
fn granularity(pcb: &Pcb<'_>) -> Granularity {
    match pcb.granularity() {
        tcp::TCP_TMR_GRANULARITY_USEC => Granularity::Microseconds,
        _ => Granularity::Ticks,
    }
}

fn windows(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    /// A congestion window that is not set yet.
    const NO_WINDOW: u32 = tcp::TCP_MAXWIN << tcp::TCP_MAX_WINSHIFT;
    let has_cwnd = phase.synchronized && (pcb.state() >= State::ESTABLISHED.0 || pcb.snd_cwnd() != NO_WINDOW);
    fields!(record if has_cwnd =>
        snd_cwnd: pcb.snd_cwnd(),
        snd_ssthresh: pcb.snd_ssthresh(),
    );
    // -1 and 0 mean that there is no limit.
    let pacing = u64::try_from(pcb.t_pacing_rate()).ok().filter(|rate| *rate > 0 && phase.started);
    record.set_if(key::pacing_rate, pacing);
}

fn times(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase, clock: &Clock) {
    let Phase { measured, recent, .. } = phase;
    let (granularity, tick, now) = (granularity(pcb), clock.tick, kpi::clock::ticks());
    let timestamps = pcb.t_flags() & tcp::TF_RCVD_TSTMP != 0;
    fields!(record if measured =>
        srtt: pcb.srtt_us(),
        rttvar: rttvar_us(pcb.t_rttvar(), granularity, tick),
        rto: rto_us(pcb.t_rxtcur(), granularity, tick),
    );
    let lowest = if measured { rttlow_us(pcb.t_rttlow(), granularity, timestamps, tick) } else { None };
    record.set_if(key::rttmin, lowest);
    let since = |then, known: bool| if known { since_us(now, then, tick) } else { None };
    record.set_if(key::age, since(pcb.t_starttime(), phase.started && recent));
    // A connection with keepalives is not idle long enough for ticks to wrap.
    let keeps_alive = pcb.t_timers().get(tcp::TT_KEEP as usize).is_some_and(|deadline| *deadline != i64::MAX);
    record.set_if(key::idle_rcv, since(pcb.t_rcvtime(), phase.synchronized && (recent || keeps_alive)));
    // Only the base stack sets t_sndtime; it does so for SYN and FIN, too.
    let has_sent = phase.started && phase.is_base && pcb.t_sndbytes() != 0;
    record.set_if(key::idle_snd, since(pcb.t_sndtime(), has_sent && recent));
}

fn since_started(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    fields!(record if phase.started =>
        softerror: pcb.t_softerror(),
        iss: pcb.iss(),
        snd_una: pcb.snd_una(),
        snd_nxt: pcb.snd_nxt(),
        snd_max: pcb.snd_max(),
        tlp_bytes: pcb.t_sndtlpbyte(),
        tlp_packs: pcb.t_sndtlppack(),
        rexmit_packs: pcb.t_sndrexmitpack(),
        rxtshift: pcb.t_rxtshift(),
    );
    let bytes = if phase.started { Bytes::of(pcb) } else { Bytes::default() };
    fields!(record if phase.started =>
        inflight: bytes.outstanding,
        sent_bytes: bytes.sent,
        acked_bytes: bytes.acked,
        rexmit_bytes: bytes.retransmitted,
    );
}

fn since_synchronized(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    fields!(record if phase.synchronized =>
        snd_scale: pcb.snd_scale(),
        rcv_scale: pcb.rcv_scale(),
        snd_wnd: pcb.snd_wnd(),
        max_sndwnd: pcb.max_sndwnd(),
        rcv_wnd: pcb.rcv_wnd(),
        maxseg: pcb.maxseg(),
        irs: pcb.irs(),
        rcv_nxt: pcb.rcv_nxt(),
        rcv_adv: pcb.rcv_adv(),
        segq_len: pcb.t_segqlen(),
        ooo_packs: pcb.t_rcvoopack(),
        zerowin: pcb.t_sndzerowin(),
        sack_blocks: pcb.rcv_numsacks(),
        dsack_bytes: pcb.t_dsack_bytes().into(),
        dsack_packs: pcb.t_dsack_pack(),
    );
    // Only the base stack counts them.
    let dupacks = phase.synchronized && phase.is_base;
    record.set_if(key::dupacks, dupacks.then(|| pcb.t_dupacks()));
    record.set_if(key::pipe, if phase.synchronized { pcb.pipe(phase.is_base) } else { None });
}

/// Returns the number of bytes sent and not acknowledged.  SYN and FIN have sequence
/// numbers but are not data.
fn outstanding(pcb: &Pcb<'_>) -> u32 {
    let in_flight = pcb.snd_max().wrapping_sub(pcb.snd_una());
    let syn = u32::from(pcb.snd_una() == pcb.iss() && pcb.state() <= State::SYN_RCVD.0);
    let fin = u32::from(pcb.t_flags() & tcp::TF_SENTFIN != 0);
    in_flight.saturating_sub(syn + fin)
}

/// Returns the negotiated options, as `tcp_fill_info()` of `netinet/tcp_usrreq.c` does.
fn options(pcb: &Pcb<'_>) -> u16 {
    let (flags, flags2) = (pcb.t_flags(), pcb.t_flags2());
    let both = |one, other| flags & one != 0 && flags & other != 0;
    let ecn = flags2 & tcp::TF2_ECN_PERMIT != 0;
    let accurate = flags2 & tcp::TF2_ACE_PERMIT != 0;
    [
        (both(tcp::TF_REQ_TSTMP, tcp::TF_RCVD_TSTMP), option::TIMESTAMPS),
        (flags & tcp::TF_SACK_PERMIT != 0, option::SACK),
        (both(tcp::TF_REQ_SCALE, tcp::TF_RCVD_SCALE), option::WINDOW_SCALE),
        (ecn && !accurate, option::ECN),
        (accurate, option::ACCECN),
        (flags & tcp::TF_FASTOPEN != 0, option::FAST_OPEN),
        (flags & tcp::TF_TOE != 0, option::OFFLOAD),
    ]
    .into_iter()
    .fold(0, |bits, (holds, bit)| if holds { bits | bit } else { bits })
}

/// The number of payload bytes that a connection sent.
#[derive(Clone, Copy, Default)]
struct Bytes {
    sent: u64,
    acked: u64,
    retransmitted: u64,
    outstanding: u32,
}

impl Bytes {
    /// The sum of the kernel's two counters is the number of bytes sent, but the base
    /// stack counts SACK retransmissions as new (`tcp_account_for_send()` of
    /// `netinet/tcp_subr.c`, and its caller in `tcp_output()`).  Sequence numbers
    /// give the lower 32 bits of the number of new bytes; the counter of
    /// retransmitted segments is precise enough for the upper bits.
    fn of(pcb: &Pcb<'_>) -> Self {
        let all = pcb.t_sndbytes().saturating_add(pcb.t_snd_rxt_bytes());
        let segments = u64::from(pcb.t_sndrexmitpack()).saturating_mul(pcb.maxseg().into());
        let estimate = all.saturating_sub(segments.max(pcb.t_snd_rxt_bytes()));
        let syn_and_fin = 1 + u32::from(pcb.t_flags() & tcp::TF_SENTFIN != 0);
        let sequence = pcb.snd_max().wrapping_sub(pcb.iss()).wrapping_sub(syn_and_fin);
        let sent = lifted(sequence, estimate);
        let outstanding = outstanding(pcb);
        let acked = sent.saturating_sub(outstanding.into());
        Self { sent, acked, retransmitted: all.saturating_sub(sent), outstanding }
    }
}

/// Sets the counters of congestion marks.  Both are counted with `AccECN` only, and
/// start at 5 (RFC 9768, 3.2.1).  Otherwise `t_scep` counts segments with ECE and
/// `t_rcep` is not used.
fn congestion_marks(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    const START: u32 = 5;
    let both = tcp::TF2_ECN_PERMIT | tcp::TF2_ACE_PERMIT;
    let is_accurate = phase.synchronized && pcb.t_flags2() & both == both;
    // During the handshake t_rcep is the value to send in its last segment.
    record.set_if(key::delivered_ce, pcb.t_scep().checked_sub(START).filter(|_| is_accurate));
    record.set_if(key::received_ce, pcb.t_rcep().checked_sub(START).filter(|_| is_accurate));
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
    record.set_if(key::incqlen, queue.map(|queue| queue.incqlen));
    record.set_if(key::qlimit, queue.map(|queue| queue.qlimit));
}

fn timers(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    // Stopped timers keep their deadlines at the end of a connection: `tcp_timer_stop()`.
    let runs = pcb.state() != State::CLOSED.0;
    let timers = pcb.t_timers();
    let left =
        |which: u32| timers.get(which as usize).filter(|_| runs).and_then(|deadline| left_us(*deadline, clock.now_sbt));
    record.set_if(key::tt_rexmt, left(tcp::TT_REXMT));
    record.set_if(key::tt_persist, left(tcp::TT_PERSIST));
    record.set_if(key::tt_keep, left(tcp::TT_KEEP));
    record.set_if(key::tt_2msl, left(tcp::TT_2MSL));
    record.set_if(key::tt_delack, left(tcp::TT_DELACK));
}
