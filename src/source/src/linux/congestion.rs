// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Statistics of congestion control algorithms: `union tcp_cc_info` in
//! `linux/inet_diag.h`, of which a socket has at most one member.

use tcpstats::{Record, key};

use super::layout::{Bytes, c_struct};

/// Prefixes of the names of these fields.
pub const PREFIXES: [&str; 3] = ["bbr_", "dctcp_", "vegas_"];

c_struct! {
    /// `struct tcp_bbr_info` of `linux/inet_diag.h`.
    BbrInfo {
        bw_lo: u32,
        bw_hi: u32,
        min_rtt: u32,
        pacing_gain: u32,
        cwnd_gain: u32,
    }
}

c_struct! {
    /// `struct tcp_dctcp_info` of `linux/inet_diag.h`.
    DctcpInfo {
        enabled: u16,
        ce_state: u16,
        alpha: u32,
        ab_ecn: u32,
        ab_tot: u32,
    }
}

c_struct! {
    /// `struct tcpvegas_info` of `linux/inet_diag.h`.
    VegasInfo {
        enabled: u32,
        rttcnt: u32,
        rtt: u32,
        minrtt: u32,
    }
}

/// Returns whether a time has been measured.  Otherwise it is `u32::MAX` or,
/// for Vegas, `i32::MAX`.
fn is_measured(time: u32) -> bool {
    time != 0 && time < i32::MAX as u32
}

/// Fills the record from a `tcp_bbr_info`.
pub fn fill_bbr(record: &mut Record, info: Bytes<'_>) {
    let (Some(low), Some(high)) = (info.get(BbrInfo::bw_lo), info.get(BbrInfo::bw_hi)) else {
        return;
    };
    let bandwidth = u64::from(high) << 32 | u64::from(low);
    record.set_if(key::bbr_bw, Some(bandwidth).filter(|bandwidth| *bandwidth != 0));
    // The model is zero until the first acknowledgement.
    record.set_if(key::bbr_min_rtt, info.get(BbrInfo::min_rtt).filter(|time| is_measured(*time)));
    record.set_if(key::bbr_pacing_gain, info.get(BbrInfo::pacing_gain).filter(|gain| *gain != 0));
    record.set_if(key::bbr_cwnd_gain, info.get(BbrInfo::cwnd_gain).filter(|gain| *gain != 0));
}

/// Fills the record from a `tcp_dctcp_info`, which is zero after a fallback to
/// Reno.
pub fn fill_dctcp(record: &mut Record, info: Bytes<'_>) {
    let Some(enabled) = info.get(DctcpInfo::enabled).map(|enabled| u8::from(enabled != 0)) else {
        return;
    };
    record.set(key::dctcp_enabled, enabled);
    if enabled == 1 {
        record.set_if(key::dctcp_ce_state, info.get(DctcpInfo::ce_state).map(|state| u8::from(state != 0)));
        record.set_if(key::dctcp_alpha, info.get(DctcpInfo::alpha));
        record.set_if(key::dctcp_ab_ecn, info.get(DctcpInfo::ab_ecn));
        record.set_if(key::dctcp_ab_tot, info.get(DctcpInfo::ab_tot));
    }
}

/// Fills the record from a `tcpvegas_info`.
pub fn fill_vegas(record: &mut Record, info: Bytes<'_>) {
    record.set_if(key::vegas_enabled, info.get(VegasInfo::enabled).map(|enabled| u8::from(enabled != 0)));
    record.set_if(key::vegas_rttcnt, info.get(VegasInfo::rttcnt));
    let time = |at| info.get(at).filter(|time| is_measured(*time));
    record.set_if(key::vegas_rtt, time(VegasInfo::rtt));
    record.set_if(key::vegas_minrtt, time(VegasInfo::minrtt));
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
    fn bbr_has_a_64_bit_bandwidth_and_no_values_before_it_has_a_model() {
        let all = [("bbr_bw", 0x2_0000_0001), ("bbr_min_rtt", 30), ("bbr_pacing_gain", 739), ("bbr_cwnd_gain", 512)];
        assert_eq!(filled(fill_bbr, &[1, 2, 30, 739, 512]), all);
        assert_eq!(filled(fill_bbr, &[0; 5]), []);
        assert_eq!(filled(fill_bbr, &[0, 0, u32::MAX, 739, 512]), all[2..]);
        assert_eq!(filled(fill_bbr, &[1, 2, 30]), all[..2], "from an older kernel");
        assert_eq!(filled(fill_bbr, &[1]), []);
    }

    #[test]
    fn dctcp_that_is_disabled_has_no_other_values() {
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
