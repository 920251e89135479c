// SPDX-License-Identifier: BSD-2-Clause

//! A record from a connection.

use tcpstats::{State, key, option};

use crate::kpi::{Endpoints, KernelRecord, NetworkStack, Pcb, Socket, Syncache, network_stack, raw, system};
use crate::units::{Tick, left_us, lifted, rto_us, rttlow_us, rttvar_us, sbt_ns, since_us};

/// What the records of a walk have in common: its clock, as it was when it was
/// last read, and the network stack that it is in.
pub struct Clock {
    tick: Tick,
    start_sbt: i64,
    now_sbt: i64,
    stack: Option<NetworkStack>,
    /// Since the start of the walk.
    pub at_ns: u64,
}

impl Clock {
    /// The clock of a walk that starts now.
    pub fn start(hz: u32) -> Self {
        let now_sbt = system::uptime_sbt();
        Self { tick: Tick::of(hz), start_sbt: now_sbt, now_sbt, stack: None, at_ns: 0 }
    }

    /// Reads the clock.
    pub fn look(&mut self) {
        self.now_sbt = system::uptime_sbt();
        self.at_ns = sbt_ns(self.now_sbt.saturating_sub(self.start_sbt));
    }

    /// The walk is in the current network stack from now on.
    pub fn enter_stack(&mut self) {
        self.stack = network_stack(self.tick.wrap_ns());
    }

    fn vnet(&self) -> Option<u64> {
        self.stack.as_ref().map(|stack| stack.id)
    }
}

/// How far a connection has come, which decides what can be known of it.
#[allow(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
#[derive(Clone, Copy)]
struct Phase {
    /// It has chosen an initial sequence number.
    started: bool,
    /// It has received the peer's.
    synchronized: bool,
    /// The round-trip time was measured at least once.
    measured: bool,
    /// Its times in ticks have not wrapped.
    recent: bool,
    /// It belongs to the base stack.
    is_base: bool,
}

impl Phase {
    fn of(pcb: &Pcb<'_>, clock: &Clock) -> Self {
        let state = pcb.state();
        // An adapter that has taken the connection over does not keep the numbers of the tcpcb up to date.
        let is_offloaded = pcb.t_flags() & raw::TF_TOE != 0;
        // In CLOSED are sockets that were never connected, and connections that have ended.
        let started = !is_offloaded && (state >= State::SYN_SENT.0 || pcb.snd_max() != pcb.iss());
        let synchronized = started && (state >= State::SYN_RCVD.0 || pcb.rcv_nxt() != pcb.irs());
        Self {
            started,
            synchronized,
            // Before the first measurement t_srtt may be what the host cache has of other connections.
            measured: synchronized && pcb.t_srtt() != 0 && pcb.t_rttupdated() != 0,
            recent: clock.stack.as_ref().is_some_and(|stack| pcb.gencnt() > stack.recent_gencnt),
            is_base: pcb.has_base_stack(),
        }
    }
}

/// Which connection it is: all fields of the group identity, in a record that
/// may have had others.
pub fn identity(record: &mut KernelRecord, pcb: &Pcb<'_>, clock: &Clock) {
    // The longest field of all, and hardly ever there: its bytes are cleared only where it was.
    let had_log_id = record.get(key::log_id).is_some();
    record.forget();
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

/// A connection that is only in the SYN cache: there is no more to be known.
pub fn half_open(record: &mut KernelRecord, entry: &Syncache<'_>, clock: &Clock) {
    record.clear();
    endpoints(record, &entry.endpoints());
    record.set_if(key::vnet, clock.vnet());
    record.set(key::state, State::SYN_RCVD);
}

fn endpoints(record: &mut KernelRecord, ends: &Endpoints) {
    record.set(key::laddr, ends.laddr);
    record.set(key::lport, ends.lport);
    record.set(key::faddr, ends.faddr);
    record.set(key::fport, ends.fport);
    record.set(key::ipver, ends.ipver);
    record.set_if(key::zone, ends.zone);
    record.set(key::fib, ends.fib);
}

/// Sets fields where they are known, and else makes them absent: one look at
/// the condition for all of them.
macro_rules! fields {
    ($record:ident if $known:expr => $($field:ident: $value:expr,)*) => {
        if $known {
            $($record.set(key::$field, $value);)*
        } else {
            $($record.set_if(key::$field, None);)*
        }
    };
}

/// All that is not identity.  Every field is set, if only to none: the record
/// may have had it before.
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

fn flags(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    record.set(key::t_flags, pcb.t_flags());
    record.set(key::t_flags2, pcb.t_flags2());
    record.set(key::tos, pcb.tos());
    // What an offloading adapter negotiated is in the flags too.
    let negotiated = phase.synchronized || pcb.t_flags() & raw::TF_TOE != 0;
    record.set_if(key::options, negotiated.then(|| options(pcb)));
}

fn windows(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    /// `TCP_MAXWIN << TCP_MAX_WINSHIFT`: a congestion window that was not set yet.
    const NO_WINDOW: u32 = 65535 << 14;
    let has_cwnd = phase.synchronized && (pcb.state() >= State::ESTABLISHED.0 || pcb.snd_cwnd() != NO_WINDOW);
    fields!(record if has_cwnd =>
        snd_cwnd: pcb.snd_cwnd(),
        snd_ssthresh: pcb.snd_ssthresh(),
    );
    // -1 is no limit, and so is 0.
    let pacing = u64::try_from(pcb.t_pacing_rate()).ok().filter(|rate| *rate > 0 && phase.started);
    record.set_if(key::pacing_rate, pacing);
}

fn times(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase, clock: &Clock) {
    let Phase { measured, recent, .. } = phase;
    let (granularity, tick, now) = (pcb.granularity(), clock.tick, system::ticks());
    let timestamps = pcb.t_flags() & raw::TF_RCVD_TSTMP != 0;
    fields!(record if measured =>
        srtt: pcb.srtt_us(),
        rttvar: rttvar_us(pcb.t_rttvar(), granularity, tick),
        rto: rto_us(pcb.t_rxtcur(), granularity, tick),
    );
    let lowest = if measured { rttlow_us(pcb.t_rttlow(), granularity, timestamps, tick) } else { None };
    record.set_if(key::rttmin, lowest);
    let since = |then, known: bool| if known { since_us(now, then, tick) } else { None };
    record.set_if(key::age, since(pcb.t_starttime(), phase.started && recent));
    // With keepalives no connection is idle for as long as ticks last.
    let keeps_alive = pcb.t_timers().get(raw::TT_KEEP as usize).is_some_and(|deadline| *deadline != i64::MAX);
    record.set_if(key::idle_rcv, since(pcb.t_rcvtime(), phase.synchronized && (recent || keeps_alive)));
    // Of the stacks only the base writes t_sndtime, and it does so for SYN and FIN too.
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
    // Of the stacks only the base counts them.
    let dupacks = phase.synchronized && phase.is_base;
    record.set_if(key::dupacks, dupacks.then(|| pcb.t_dupacks()));
    record.set_if(key::pipe, if phase.synchronized { pcb.pipe(phase.is_base) } else { None });
}

/// Payload sent and not acknowledged: SYN and FIN have sequence numbers and are
/// no data.
fn outstanding(pcb: &Pcb<'_>) -> u32 {
    let in_flight = pcb.snd_max().wrapping_sub(pcb.snd_una());
    let syn = u32::from(pcb.snd_una() == pcb.iss() && pcb.state() <= State::SYN_RCVD.0);
    let fin = u32::from(pcb.t_flags() & raw::TF_SENTFIN != 0);
    in_flight.saturating_sub(syn + fin)
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

/// Bytes of payload that a connection sent.
#[derive(Clone, Copy, Default)]
struct Bytes {
    sent: u64,
    acked: u64,
    retransmitted: u64,
    outstanding: u32,
}

impl Bytes {
    /// The kernel's two counters together have all bytes that were sent, but the
    /// base stack counts what SACK made it retransmit as new
    /// (`tcp_account_for_send()` of `netinet/tcp_subr.c`, and its caller in
    /// `tcp_output()`).  Sequence numbers say how many bytes are new, in 32 bits;
    /// the counter of retransmitted segments says well enough in which round of
    /// them.
    fn of(pcb: &Pcb<'_>) -> Self {
        let all = pcb.t_sndbytes().saturating_add(pcb.t_snd_rxt_bytes());
        let segments = u64::from(pcb.t_sndrexmitpack()).saturating_mul(pcb.maxseg().into());
        let estimate = all.saturating_sub(segments.max(pcb.t_snd_rxt_bytes()));
        let syn_and_fin = 1 + u32::from(pcb.t_flags() & raw::TF_SENTFIN != 0);
        let sequence = pcb.snd_max().wrapping_sub(pcb.iss()).wrapping_sub(syn_and_fin);
        let sent = lifted(sequence, estimate);
        let outstanding = outstanding(pcb);
        let acked = sent.saturating_sub(outstanding.into());
        Self { sent, acked, retransmitted: all.saturating_sub(sent), outstanding }
    }
}

/// Counters of congestion marks: only with `AccECN` are both counted, and then
/// they start at 5 (RFC 9768, 3.2.1).  Without it `t_scep` counts segments with
/// ECE, which is something else, and `t_rcep` is not counted.
fn congestion_marks(record: &mut KernelRecord, pcb: &Pcb<'_>, phase: Phase) {
    const START: u32 = 5;
    let both = raw::TF2_ECN_PERMIT | raw::TF2_ACE_PERMIT;
    let is_accurate = phase.synchronized && pcb.t_flags2() & both == both;
    // Until the handshake is over t_rcep is what the last segment of it will say.
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
    // What ends a connection leaves in t_timers when they would have fired: `tcp_timer_stop()`.
    let runs = pcb.state() != State::CLOSED.0;
    let timers = pcb.t_timers();
    let left =
        |which: u32| timers.get(which as usize).filter(|_| runs).and_then(|deadline| left_us(*deadline, clock.now_sbt));
    record.set_if(key::tt_rexmt, left(raw::TT_REXMT));
    record.set_if(key::tt_persist, left(raw::TT_PERSIST));
    record.set_if(key::tt_keep, left(raw::TT_KEEP));
    record.set_if(key::tt_2msl, left(raw::TT_2MSL));
    record.set_if(key::tt_delack, left(raw::TT_DELACK));
}
