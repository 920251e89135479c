// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `struct tcp_info` of linux/tcp.h, of any length.

use tcpstats::{Record, SSTHRESH_INFINITE, State, key, name, option};

use super::layout::{Bytes, c_struct};
use super::state::flags_unacknowledged;

c_struct! {
    /// `struct tcp_info` of linux/tcp.h, up to Linux 7.0, without the prefix
    /// `tcpi_` of its members.
    TcpInfo {
        state: u8,
        ca_state: u8,
        retransmits: u8,
        probes: u8,
        backoff: u8,
        options: u8,
        // Two bit-fields: snd_wscale, rcv_wscale.
        wscale: u8,
        // Bit-fields: delivery_rate_app_limited, fastopen_client_fail.
        bits: u8,
        rto: u32,
        ato: u32,
        snd_mss: u32,
        rcv_mss: u32,
        unacked: u32,
        sacked: u32,
        lost: u32,
        retrans: u32,
        fackets: u32,
        last_data_sent: u32,
        last_ack_sent: u32,
        last_data_recv: u32,
        last_ack_recv: u32,
        pmtu: u32,
        rcv_ssthresh: u32,
        rtt: u32,
        rttvar: u32,
        snd_ssthresh: u32,
        snd_cwnd: u32,
        advmss: u32,
        reordering: u32,
        rcv_rtt: u32,
        rcv_space: u32,
        total_retrans: u32,
        pacing_rate: u64,
        max_pacing_rate: u64,
        bytes_acked: u64,
        bytes_received: u64,
        segs_out: u32,
        segs_in: u32,
        notsent_bytes: u32,
        min_rtt: u32,
        data_segs_in: u32,
        data_segs_out: u32,
        delivery_rate: u64,
        busy_time: u64,
        rwnd_limited: u64,
        sndbuf_limited: u64,
        delivered: u32,
        delivered_ce: u32,
        bytes_sent: u64,
        bytes_retrans: u64,
        dsack_dups: u32,
        reord_seen: u32,
        rcv_ooopack: u32,
        snd_wnd: u32,
        rcv_wnd: u32,
        rehash: u32,
        total_rto: u16,
        total_rto_recoveries: u16,
        total_rto_time: u32,
        received_ce: u32,
        delivered_e1_bytes: u32,
        delivered_e0_bytes: u32,
        delivered_ce_bytes: u32,
        received_e1_bytes: u32,
        received_e0_bytes: u32,
        received_ce_bytes: u32,
        // Bit-fields, the first of which is ecn_mode.
        accecn_bits: u32,
    }
}

const _: () = assert!(TcpInfo::LEN == 280);

/// Fills the record from a `tcp_info` of any length.  `state` and `wqueue` are
/// the state and `idiag_wqueue` of the connection.
#[allow(clippy::inline_always, reason = "it is compiled for complete structs and for others")]
#[inline(always)]
pub fn fill(record: &mut Record, info: Bytes<'_>, state: State, wqueue: u32) {
    let is_synchronized = state.0 >= State::ESTABLISHED.0;
    let Some(mss) = info.get(TcpInfo::snd_mss) else {
        return;
    };
    record.set(key::maxseg, mss);
    let segments = |count: u32| count.saturating_mul(mss);
    record.set_if(key::snd_cwnd, info.get(TcpInfo::snd_cwnd).map(segments));
    record.set_if(
        key::snd_ssthresh,
        info.get(TcpInfo::snd_ssthresh).map(|count| {
            if count >= i32::MAX as u32 { SSTHRESH_INFINITE } else { segments(count).min(SSTHRESH_INFINITE) }
        }),
    );
    // The window of the peer is unknown before its first segment.
    record.set_if(key::snd_wnd, info.get(TcpInfo::snd_wnd).filter(|_| state != State::SYN_SENT));
    record.set_if(key::rcv_wnd, info.get(TcpInfo::rcv_wnd));
    if is_synchronized {
        fill_options(record, info);
        // Before the first data the kernel sends the time since the handshake.
        let had_data = |segments: Option<u32>| segments != Some(0);
        record.set_if(
            key::idle_snd,
            info.ms(TcpInfo::last_data_sent).filter(|_| had_data(info.get(TcpInfo::data_segs_out))),
        );
        record.set_if(
            key::idle_rcv,
            info.ms(TcpInfo::last_data_recv).filter(|_| had_data(info.get(TcpInfo::data_segs_in))),
        );
        record.set_if(key::idle_ack, info.ms(TcpInfo::last_ack_recv));
    }
    fill_times(record, info, is_synchronized);
    fill_queue(record, info, state, wqueue);
    if let (Some(unacked), Some(sacked), Some(lost), Some(retrans)) =
        (info.get(TcpInfo::unacked), info.get(TcpInfo::sacked), info.get(TcpInfo::lost), info.get(TcpInfo::retrans))
    {
        record.set(key::unacked, unacked);
        record.set(key::sacked, sacked);
        record.set(key::lost, lost);
        record.set(key::retrans, retrans);
        let left_out = sacked.saturating_add(lost);
        let pipe = segments(unacked.saturating_sub(left_out).saturating_add(retrans));
        // A lone SYN or FIN is a segment without data.
        record.set(key::pipe, if record.get(key::inflight) == Some(0) { 0 } else { pipe });
    }
    if let (Some(sent), Some(again)) = (info.get(TcpInfo::bytes_sent), info.get(TcpInfo::bytes_retrans)) {
        record.set(key::sent_bytes, sent.saturating_sub(again));
        record.set(key::rexmit_bytes, again);
    }
    record.set_if(key::total_rto_time, info.ms(TcpInfo::total_rto_time));
    record.set_if(key::total_rto, info.get(TcpInfo::total_rto).map(u32::from));
    record.set_if(key::total_rto_recoveries, info.get(TcpInfo::total_rto_recoveries).map(u32::from));
    fill_members(record, info);
    for (key, at) in [(key::pacing_rate, TcpInfo::pacing_rate), (key::max_pacing_rate, TcpInfo::max_pacing_rate)] {
        // All bits set means no limit.
        record.set_if(key, info.get(at).filter(|rate| *rate != u64::MAX));
    }
    fill_ecn(record, info);
    fill_bits(record, info);
}

/// Returns whether the handshake of the connection was completed.
pub fn was_established(info: Bytes<'_>) -> bool {
    match info.get(TcpInfo::delivered) {
        // Counts the SYN or the SYN-ACK, too.
        Some(delivered) => delivered > 0,
        // Before Linux 4.18.
        None => info.get(TcpInfo::rtt).is_some_and(|rtt| rtt > 0),
    }
}

/// Returns whether the peer has ever sent a window, which `tcp_disconnect()` leaves in
/// a socket whose statistics it clears.
pub fn had_window(info: Bytes<'_>) -> bool {
    info.get(TcpInfo::snd_wnd).is_some_and(|window| window > 0)
}

/// Returns the time since the handshake in microseconds, if it is known: until there
/// is data, the kernel sends it instead of the time since the last data.
pub fn since_handshake(info: Bytes<'_>) -> Option<u64> {
    let without_data = |segments| info.get(segments) == Some(0);
    let sent = info.ms(TcpInfo::last_data_sent).filter(|_| without_data(TcpInfo::data_segs_out));
    sent.or_else(|| info.ms(TcpInfo::last_data_recv).filter(|_| without_data(TcpInfo::data_segs_in)))
}

/// Fills the measured times.
///
/// Before the first sample the kernel sends a round-trip time of 0, an initial
/// variation and a minimum with all bits set.
#[inline]
fn fill_times(record: &mut Record, info: Bytes<'_>, is_synchronized: bool) {
    let srtt = info.get(TcpInfo::rtt);
    let rttmin = info.get(TcpInfo::min_rtt).filter(|rtt| *rtt != u32::MAX);
    // The kernel also sends 0 for less than a microsecond.
    let is_measured = srtt.is_some_and(|srtt| srtt != 0) || (is_synchronized && rttmin.is_some());
    record.set_if(key::srtt, srtt.filter(|_| is_measured));
    record.set_if(key::rttvar, info.get(TcpInfo::rttvar).filter(|_| is_measured));
    record.set_if(key::rttmin, rttmin.filter(|_| is_measured));
    record.set_if(key::rto, info.get(TcpInfo::rto).filter(|_| is_measured));
    record.set_if(key::rxtshift, info.get(TcpInfo::backoff).map(u32::from));
    for (key, at) in [(key::ato, TcpInfo::ato), (key::rcv_rtt, TcpInfo::rcv_rtt), (key::rcv_space, TcpInfo::rcv_space)]
    {
        record.set_if(key, info.get(at).filter(|value| *value != 0));
    }
}

/// Fills the contents of the send queue, without the sequence number of a SYN
/// or FIN.  A SYN has always been sent; a FIN is sent last.
#[inline]
fn fill_queue(record: &mut Record, info: Bytes<'_>, state: State, wqueue: u32) {
    let Some(unsent) = info.get(TcpInfo::notsent_bytes) else {
        return;
    };
    let flags = flags_unacknowledged(state);
    let unsent_flags = if unsent > 0 && state != State::SYN_SENT { flags } else { 0 };
    record.set(key::notsent_bytes, unsent - unsent_flags.min(unsent));
    if record.get(key::snd_cc).is_some() {
        let inflight = wqueue.saturating_sub(unsent).saturating_sub(flags - unsent_flags);
        record.set(key::inflight, inflight);
    }
}

/// Fills the CE marks that the peer reports.
///
/// With RFC 3168 the peer does not report their number, and `tcpi_delivered_ce`
/// counts everything acknowledged until the peer receives CWR.  With DCTCP and
/// `AccECN` the peer reports each mark.
#[inline]
fn fill_ecn(record: &mut Record, info: Bytes<'_>) {
    /// `tcpi_ecn_mode` in Linux 7.0.  Earlier kernels do not support `AccECN`
    /// and send zero here.
    const ECN_MODE_ACCECN: u32 = 2;
    let mode = |bits: u32| if cfg!(target_endian = "big") { bits >> 30 } else { bits & 3 };
    let is_accurate = info.get(TcpInfo::accecn_bits).is_some_and(|bits| mode(bits) == ECN_MODE_ACCECN);
    if is_accurate && let Some(options) = record.get(key::options) {
        record.set(key::options, options & !option::ECN | option::ACCECN);
    }
    let has_ecn = record.get(key::options).is_some_and(|options| options & option::ECN != 0);
    let is_dctcp = has_ecn && record.get(key::cc) == Some(name(b"dctcp"));
    record.set_if(key::delivered_ce, info.get(TcpInfo::delivered_ce).filter(|_| is_accurate || is_dctcp));
    for (key, at) in [
        (key::delivered_e1_bytes, TcpInfo::delivered_e1_bytes),
        (key::delivered_e0_bytes, TcpInfo::delivered_e0_bytes),
        (key::delivered_ce_bytes, TcpInfo::delivered_ce_bytes),
    ] {
        record.set_if(key, info.get(at).filter(|_| is_accurate));
    }
}

#[inline]
fn fill_options(record: &mut Record, info: Bytes<'_>) {
    let (Some(linux), Some(scales)) = (info.get(TcpInfo::options), info.get(TcpInfo::wscale)) else {
        return;
    };
    // TCPI_OPT_* in linux/tcp.h; 16 means that a CE mark was received.
    let options = [
        (1, option::TIMESTAMPS),
        (2, option::SACK),
        (4, option::WINDOW_SCALE),
        (8, option::ECN),
        (32, option::FAST_OPEN),
        (128, option::FAST_OPEN),
    ];
    let bits = options.into_iter().filter(|(from, _)| linux & from != 0).fold(0, |bits, (_, to)| bits | to);
    record.set(key::options, bits);
    let (first, second) = (scales & 15, scales >> 4);
    let (send, receive) = if cfg!(target_endian = "big") { (second, first) } else { (first, second) };
    record.set(key::snd_scale, send);
    record.set(key::rcv_scale, receive);
}

/// Fills the fields that are stored in bit-fields.  A kernel supports a
/// bit-field if it sends the member that was added with it.
#[inline]
fn fill_bits(record: &mut Record, info: Bytes<'_>) {
    let Some(bits) = info.get(TcpInfo::bits) else {
        return;
    };
    let bits = if cfg!(target_endian = "big") { bits.reverse_bits() } else { bits };
    // delivery_rate (Linux 4.9) and snd_wnd (Linux 5.4) are at the end of the
    // structs that have the bit-fields.
    let rate = info.get(TcpInfo::delivery_rate).filter(|rate| *rate != 0);
    record.set_if(key::delivery_rate, rate);
    record.set_if(key::app_limited, rate.map(|_| bits & 1));
    record.set_if(key::fastopen_client_fail, info.get(TcpInfo::snd_wnd).map(|_| bits >> 1 & 3));
}

/// Fills the fields that are copied from members of `tcp_info`.
#[inline]
fn fill_members(record: &mut Record, info: Bytes<'_>) {
    // Not a loop over a table, which would cost more than the rest of this file.
    macro_rules! members {
        ($($key:ident $member:ident;)*) => {
            $(record.set_if(key::$key, info.get(TcpInfo::$member));)*
        };
    }
    members! {
        ca_state ca_state;
        retransmits retransmits;
        probes probes;
        rcv_mss rcv_mss;
        pmtu pmtu;
        rcv_ssthresh rcv_ssthresh;
        advmss advmss;
        reordering reordering;
        rexmit_packs total_retrans;
        segs_out segs_out;
        segs_in segs_in;
        data_segs_in data_segs_in;
        data_segs_out data_segs_out;
        delivered delivered;
        dsack_packs dsack_dups;
        reord_seen reord_seen;
        ooo_packs rcv_ooopack;
        rehash rehash;
        received_ce received_ce;
        received_e1_bytes received_e1_bytes;
        received_e0_bytes received_e0_bytes;
        received_ce_bytes received_ce_bytes;
        acked_bytes bytes_acked;
        received_bytes bytes_received;
        busy_time busy_time;
        rwnd_limited rwnd_limited;
        sndbuf_limited sndbuf_limited;
    }
}
