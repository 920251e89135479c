// SPDX-License-Identifier: BSD-2-Clause

//! `struct tcp_info` of linux/tcp.h, of any length.

use tcpstats::{Record, State, key, name, option};

use super::inet_diag::flags_unacknowledged;
use super::netlink::Bytes;

/// What FreeBSD shows while no loss has set the slow start threshold:
/// `TCP_MAXWIN << TCP_MAX_WINSHIFT`.
const SSTHRESH_INFINITE: u32 = 65535 << 14;

/// Bytes of `struct tcp_info` of linux/tcp.h as far as they are read.
pub const INFO_LEN: usize = 280;

/// Fills the record from a `tcp_info` of any length of a connection that is in
/// that state and whose `idiag_wqueue` is that.
#[allow(clippy::inline_always, reason = "it is to be compiled for whole ones and for others")]
#[inline(always)]
pub fn fill(record: &mut Record, info: Bytes<'_>, state: State, wqueue: u32) {
    let is_synchronized = state.0 >= State::ESTABLISHED.0;
    let Some(mss) = info.u32(16) else {
        return;
    };
    record.set(key::maxseg, mss);
    let segments = |count: u32| count.saturating_mul(mss);
    record.set_if(key::snd_cwnd, info.u32(80).map(segments));
    record.set_if(
        key::snd_ssthresh,
        info.u32(76).map(|count| {
            if count >= i32::MAX as u32 { SSTHRESH_INFINITE } else { segments(count).min(SSTHRESH_INFINITE) }
        }),
    );
    // Before the first segment of the peer its window is not known.
    record.set_if(key::snd_wnd, info.u32(228).filter(|_| state != State::SYN_SENT));
    record.set_if(key::rcv_wnd, info.u32(232));
    if is_synchronized {
        fill_options(record, info);
        // Until there was data, the time is that since the handshake.
        let had_data = |segments: Option<u32>| segments != Some(0);
        record.set_if(key::idle_snd, info.ms(44).filter(|_| had_data(info.u32(156))));
        record.set_if(key::idle_rcv, info.ms(52).filter(|_| had_data(info.u32(152))));
        record.set_if(key::idle_ack, info.ms(56));
    }
    fill_times(record, info, is_synchronized);
    fill_queue(record, info, state, wqueue);
    if let (Some(unacked), Some(sacked), Some(lost), Some(retrans)) =
        (info.u32(24), info.u32(28), info.u32(32), info.u32(36))
    {
        record.set(key::unacked, unacked);
        record.set(key::sacked, sacked);
        record.set(key::lost, lost);
        record.set(key::retrans, retrans);
        let left_out = sacked.saturating_add(lost);
        let pipe = segments(unacked.saturating_sub(left_out).saturating_add(retrans));
        // A SYN or a FIN alone is a segment without data.
        record.set(key::pipe, if record.get(key::inflight) == Some(0) { 0 } else { pipe });
    }
    if let (Some(sent), Some(again)) = (info.u64(200), info.u64(208)) {
        record.set(key::sent_bytes, sent.saturating_sub(again));
        record.set(key::rexmit_bytes, again);
    }
    record.set_if(key::total_rto_time, info.ms(244));
    record.set_if(key::total_rto, info.u16(240).map(u32::from));
    record.set_if(key::total_rto_recoveries, info.u16(242).map(u32::from));
    fill_members(record, info);
    for (key, offset) in [(key::pacing_rate, 104), (key::max_pacing_rate, 112)] {
        // All ones: no limit.
        record.set_if(key, info.u64(offset).filter(|rate| *rate != u64::MAX));
    }
    fill_ecn(record, info);
    fill_bits(record, info);
}

/// Times that are measured.  Before the first sample the kernel sends a round
/// trip of 0, its initial guess of the variation and a smallest one of all ones.
#[inline]
fn fill_times(record: &mut Record, info: Bytes<'_>, is_synchronized: bool) {
    let srtt = info.u32(68);
    let rttmin = info.u32(148).filter(|rtt| *rtt != u32::MAX);
    // Less than a microsecond is sent as 0 too.
    let is_measured = srtt.is_some_and(|srtt| srtt != 0) || (is_synchronized && rttmin.is_some());
    record.set_if(key::srtt, srtt.filter(|_| is_measured));
    record.set_if(key::rttvar, info.u32(72).filter(|_| is_measured));
    record.set_if(key::rttmin, rttmin.filter(|_| is_measured));
    record.set_if(key::rto, info.u32(8).filter(|_| is_measured));
    record.set_if(key::rxtshift, info.u8(4).map(u32::from));
    for (key, offset) in [(key::ato, 12), (key::rcv_rtt, 92), (key::rcv_space, 96)] {
        record.set_if(key, info.u32(offset).filter(|value| *value != 0));
    }
}

/// What is in the send queue, without the sequence number of a SYN or a FIN: a
/// SYN is always sent, and a FIN is what is sent last.
#[inline]
fn fill_queue(record: &mut Record, info: Bytes<'_>, state: State, wqueue: u32) {
    let Some(unsent) = info.u32(144) else {
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

/// What the peer reports of CE marks.  With RFC 3168 it does not report how many
/// there were, and `tcpi_delivered_ce` counts all that is acknowledged until it
/// takes notice of the answer; DCTCP and `AccECN` report each.
#[inline]
fn fill_ecn(record: &mut Record, info: Bytes<'_>) {
    /// `tcpi_ecn_mode` of Linux 7.0.  Earlier kernels negotiate no `AccECN`, and what they have there is zero.
    const ECN_MODE_ACCECN: u32 = 2;
    let mode = |bits: u32| if cfg!(target_endian = "big") { bits >> 30 } else { bits & 3 };
    let is_accurate = info.u32(276).is_some_and(|bits| mode(bits) == ECN_MODE_ACCECN);
    if is_accurate && let Some(options) = record.get(key::options) {
        record.set(key::options, options & !option::ECN | option::ACCECN);
    }
    let has_ecn = record.get(key::options).is_some_and(|options| options & option::ECN != 0);
    let is_dctcp = has_ecn && record.get(key::cc) == Some(name(b"dctcp"));
    record.set_if(key::delivered_ce, info.u32(196).filter(|_| is_accurate || is_dctcp));
    for (key, offset) in
        [(key::delivered_e1_bytes, 252), (key::delivered_e0_bytes, 256), (key::delivered_ce_bytes, 260)]
    {
        record.set_if(key, info.u32(offset).filter(|_| is_accurate));
    }
}

#[inline]
fn fill_options(record: &mut Record, info: Bytes<'_>) {
    let (Some(linux), Some(scales)) = (info.u8(5), info.u8(6)) else {
        return;
    };
    // TCPI_OPT_* of linux/tcp.h; 16 says that a CE mark was seen.
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

/// Bit fields; a kernel that sends what came with them knows them.
#[inline]
fn fill_bits(record: &mut Record, info: Bytes<'_>) {
    let Some(bits) = info.u8(7) else {
        return;
    };
    let bits = if cfg!(target_endian = "big") { bits.reverse_bits() } else { bits };
    // delivery_rate, Linux 4.9, and snd_wnd, Linux 5.4, stand at the end of the structs that have the bits.
    let rate = info.u64(160).filter(|rate| *rate != 0);
    record.set_if(key::delivery_rate, rate);
    record.set_if(key::app_limited, rate.map(|_| bits & 1));
    record.set_if(key::fastopen_client_fail, info.u32(228).map(|_| bits >> 1 & 3));
}

/// Members of `tcp_info` that are taken as they are, and where they begin.
#[inline]
fn fill_members(record: &mut Record, info: Bytes<'_>) {
    // Not a loop over a table: it would cost more than all the rest.
    macro_rules! members {
        ($($read:ident { $($key:ident $offset:literal;)* })*) => {
            $($(record.set_if(key::$key, info.$read($offset));)*)*
        };
    }
    members! {
        u8 {
            ca_state 1;
            retransmits 2;
            probes 3;
        }
        u32 {
            rcv_mss 20;
            pmtu 60;
            rcv_ssthresh 64;
            advmss 84;
            reordering 88;
            rexmit_packs 100;
            segs_out 136;
            segs_in 140;
            data_segs_in 152;
            data_segs_out 156;
            delivered 192;
            dsack_packs 216;
            reord_seen 220;
            ooo_packs 224;
            rehash 236;
            received_ce 248;
            received_e1_bytes 264;
            received_e0_bytes 268;
            received_ce_bytes 272;
        }
        u64 {
            acked_bytes 120;
            received_bytes 128;
            busy_time 168;
            rwnd_limited 176;
            sndbuf_limited 184;
        }
    }
}
