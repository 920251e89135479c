// SPDX-License-Identifier: BSD-2-Clause

//! What a congestion control says of itself: `union tcp_cc_info` of
//! `linux/inet_diag.h`, of which a socket has at most one member.

use tcpstats::{Record, key};

use super::netlink::Bytes;

/// How the names of these fields begin.
pub const PREFIXES: [&str; 3] = ["bbr_", "dctcp_", "vegas_"];

/// A time that was not measured yet: all ones or, of Vegas, as many as an int has.
fn is_measured(time: u32) -> bool {
    time != 0 && time < i32::MAX as u32
}

/// Fills the record from a `tcp_bbr_info`.
pub fn fill_bbr(record: &mut Record, info: Bytes<'_>) {
    let (Some(low), Some(high)) = (info.u32(0), info.u32(4)) else {
        return;
    };
    let bandwidth = u64::from(high) << 32 | u64::from(low);
    record.set_if(key::bbr_bw, Some(bandwidth).filter(|bandwidth| *bandwidth != 0));
    // Until the first acknowledgement the model is zeros.
    record.set_if(key::bbr_min_rtt, info.u32(8).filter(|time| is_measured(*time)));
    record.set_if(key::bbr_pacing_gain, info.u32(12).filter(|gain| *gain != 0));
    record.set_if(key::bbr_cwnd_gain, info.u32(16).filter(|gain| *gain != 0));
}

/// Fills the record from a `tcp_dctcp_info`, which is zeros after a fall back to
/// Reno.
pub fn fill_dctcp(record: &mut Record, info: Bytes<'_>) {
    let Some(enabled) = info.u16(0).map(|enabled| u8::from(enabled != 0)) else {
        return;
    };
    record.set(key::dctcp_enabled, enabled);
    if enabled == 1 {
        record.set_if(key::dctcp_ce_state, info.u16(2).map(|state| u8::from(state != 0)));
        record.set_if(key::dctcp_alpha, info.u32(4));
        record.set_if(key::dctcp_ab_ecn, info.u32(8));
        record.set_if(key::dctcp_ab_tot, info.u32(12));
    }
}

/// Fills the record from a `tcpvegas_info`.
pub fn fill_vegas(record: &mut Record, info: Bytes<'_>) {
    record.set_if(key::vegas_enabled, info.u32(0).map(|enabled| u8::from(enabled != 0)));
    record.set_if(key::vegas_rttcnt, info.u32(4));
    let time = |offset| info.u32(offset).filter(|time| is_measured(*time));
    record.set_if(key::vegas_rtt, time(8));
    record.set_if(key::vegas_minrtt, time(12));
}

#[cfg(test)]
mod tests {
    use tcpstats::FIELDS;

    use super::*;

    fn filled(fill: fn(&mut Record, Bytes<'_>), words: &[u32]) -> Vec<(&'static str, u64)> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut record = Record::new();
        fill(&mut record, Bytes(&bytes));
        FIELDS.iter().filter_map(|field| Some((field.name, record.number(field)?))).collect()
    }

    #[test]
    fn bbr_says_its_bandwidth_in_64_bits_and_nothing_before_it_has_a_model() {
        let all = [("bbr_bw", 0x2_0000_0001), ("bbr_min_rtt", 30), ("bbr_pacing_gain", 739), ("bbr_cwnd_gain", 512)];
        assert_eq!(filled(fill_bbr, &[1, 2, 30, 739, 512]), all);
        assert_eq!(filled(fill_bbr, &[0; 5]), []);
        assert_eq!(filled(fill_bbr, &[0, 0, u32::MAX, 739, 512]), all[2..]);
        assert_eq!(filled(fill_bbr, &[1, 2, 30]), all[..2], "of an older kernel");
        assert_eq!(filled(fill_bbr, &[1]), []);
    }

    #[test]
    fn dctcp_that_is_not_in_use_says_only_that() {
        let halves = |enabled: u16, state: u16| {
            u32::from_ne_bytes([enabled.to_ne_bytes(), state.to_ne_bytes()].concat().try_into().unwrap())
        };
        let all = [
            ("dctcp_enabled", 1),
            ("dctcp_ce_state", 1),
            ("dctcp_alpha", 512),
            ("dctcp_ab_ecn", 0),
            ("dctcp_ab_tot", 9),
        ];
        assert_eq!(filled(fill_dctcp, &[halves(1, 1), 512, 0, 9]), all);
        assert_eq!(filled(fill_dctcp, &[0, 0, 0, 0]), [("dctcp_enabled", 0)]);
    }

    #[test]
    fn a_round_trip_that_vegas_did_not_measure_is_absent() {
        let all = [("vegas_enabled", 1), ("vegas_rttcnt", 3), ("vegas_rtt", 2000), ("vegas_minrtt", 1000)];
        assert_eq!(filled(fill_vegas, &[1, 3, 2000, 1000]), all);
        assert_eq!(filled(fill_vegas, &[1, 0, i32::MAX as u32, 0]), [("vegas_enabled", 1), ("vegas_rttcnt", 0)]);
    }
}
