// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The fields of a connection in each state and with each stack.

use std::collections::BTreeSet;

use tcpstats::{FIELDS, Record, key};

use crate::help::{ends, loaded, records};
use crate::kernel::{self, Cred, Pcb, Vnet};

const ISS: u64 = 0x1234_5678;
const IRS: u64 = 0x9abc_def0;

/// `TCP_MAXWIN << TCP_MAX_WINSHIFT`, the initial value in a tcpcb.
const NO_WINDOW: u64 = 65535 << 14;

/// Fields of every record, including those of the SYN cache.
const ENDS: &str = "laddr lport faddr fport ipver fib state vnet";

/// Fields of every record with a tcpcb.
const TCPCB: &str = "gencnt uid jid flowid flowtype encaps_port t_flags t_flags2 tos";

/// Groups of fields that are known at the same time.
const GROUPS: [(&str, &str); 13] = [
    ("stack", "cc stack"),
    ("options", "options"),
    (
        "sender",
        "softerror iss snd_una snd_nxt snd_max inflight sent_bytes acked_bytes rexmit_bytes rexmit_packs tlp_bytes \
         tlp_packs rxtshift",
    ),
    (
        "peer",
        "snd_scale rcv_scale snd_wnd max_sndwnd rcv_wnd maxseg irs rcv_nxt rcv_adv segq_len ooo_packs zerowin \
         sack_blocks dsack_bytes dsack_packs idle_rcv",
    ),
    ("cwnd", "snd_cwnd snd_ssthresh"),
    ("rtt", "srtt rttvar rttmin rto"),
    ("pipe", "pipe"),
    ("dupacks", "dupacks"),
    ("age", "age"),
    ("idle_snd", "idle_snd"),
    ("buffers", "snd_cc snd_hiwat rcv_cc rcv_hiwat"),
    ("queue", "qlen incqlen qlimit"),
    ("marks", "delivered_ce received_ce"),
];

/// Returns a connection in the state after `tcp_newtcpcb()`.
fn closed() -> Pcb {
    Pcb::new()
        .ends(&["INP_IPV4"], ends(80))
        .set("t_state", 0)
        .set("t_maxseg", 536)
        .set("snd_cwnd", NO_WINDOW)
        .set("snd_ssthresh", NO_WINDOW)
        .set("t_rttvar", 12_000)
        .set("t_rxtcur", 1000)
        .set("t_rcvtime", 90_000)
        .set("t_pacing_rate", u64::MAX)
        .set("so_snd.sb_hiwat", 32_768)
}

fn listening() -> Pcb {
    closed().set("t_state", 1).set("so_options", kernel::constant("SO_ACCEPTCONN")).set("sol_qlimit", 128)
}

fn syn_sent() -> Pcb {
    closed().set("t_state", 2).set("iss", ISS).set("snd_una", ISS).set("snd_nxt", ISS + 1).set("snd_max", ISS + 1)
}

fn syn_received() -> Pcb {
    syn_sent()
        .set("t_state", 3)
        .set("irs", IRS)
        .set("rcv_nxt", IRS + 1)
        .set("rcv_adv", IRS + 65536)
        .set("snd_wnd", 65535)
        .set("t_maxseg", 1448)
}

fn established() -> Pcb {
    syn_received().set("t_state", 4).set("snd_una", ISS + 1).set("snd_cwnd", 14_480).set("t_starttime", 91_000)
}

/// Returns a connection that has sent data, which was acknowledged.
fn measured(state: u64) -> Pcb {
    established()
        .set("t_state", state)
        .set("snd_una", ISS + 1001)
        .set("snd_nxt", ISS + 1001)
        .set("snd_max", ISS + 1001)
        .set("t_sndbytes", 1000)
        .set("t_sndtime", 92_000)
        .set("t_srtt", 40 << 5)
        .set("t_rttlow", 38)
}

fn with_flags(pcb: Pcb, member: &str, flags: &[&str]) -> Pcb {
    pcb.set(member, flags.iter().fold(0, |bits, name| bits | kernel::constant(name)))
}

fn fields(record: &Record) -> BTreeSet<&'static str> {
    FIELDS.iter().filter(|field| record.has(field)).map(|field| field.name).collect()
}

fn fields_of(groups: &str) -> BTreeSet<&'static str> {
    let of = |group: &str| GROUPS.into_iter().find(|(name, _)| *name == group).expect("the group exists").1;
    let groups = groups.split_whitespace().map(of);
    groups.chain([ENDS, TCPCB]).flat_map(str::split_whitespace).collect()
}

scenarios! {
    fn a_record_has_exactly_the_fields_that_are_known_in_its_state() {
        let table = [
            ("CLOSED, never connected",   closed(),                           "stack buffers"),
            ("CLOSED, the SYN got RST",   syn_sent().dropped(),               "sender buffers"),
            ("CLOSED, dropped",           measured(4).dropped(),              "options sender peer cwnd rtt age buffers"),
            ("CLOSED, dropped, no socket", measured(4).dropped().detached(),  "options sender peer cwnd rtt age"),
            ("LISTEN",                    listening(),                        "stack queue"),
            ("SYN_SENT",                  syn_sent(),                         "stack sender buffers"),
            ("SYN_RCVD",                  syn_received(),                     "stack options sender peer pipe dupacks buffers"),
            ("ESTABLISHED, not measured", established(),                      "stack options sender peer cwnd pipe dupacks age buffers"),
            ("ESTABLISHED",               measured(4),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("CLOSE_WAIT",                measured(5),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("FIN_WAIT_1",                measured(6),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("CLOSING",                   measured(7),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("LAST_ACK",                  measured(8),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("FIN_WAIT_2",                measured(9),                        "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("TIME_WAIT",                 measured(10),                       "stack options sender peer cwnd rtt pipe dupacks age idle_snd buffers"),
            ("TIME_WAIT, no socket",      measured(10).detached(),            "stack options sender peer cwnd rtt pipe dupacks age idle_snd"),
            ("ESTABLISHED, RACK",         measured(4).stack("rack", "cubic"), "stack options sender peer cwnd rtt pipe age buffers"),
            ("ESTABLISHED, BBR",          measured(4).stack("bbr", "cubic"),  "stack options sender peer cwnd rtt age buffers"),
            ("ESTABLISHED, a similar name",   measured(4).stack("freebsd2", "cubic"), "stack options sender peer cwnd rtt age buffers"),
            ("LISTEN, RACK",              listening().stack("rack", "cubic"), "stack queue"),
            ("ESTABLISHED, TOE",          with_flags(measured(4), "t_flags", &["TF_TOE"]), "stack options buffers"),
            ("LISTEN, TOE",               with_flags(listening(), "t_flags", &["TF_TOE"]), "stack options queue"),
            (
                "ESTABLISHED, AccECN",
                with_flags(measured(4), "t_flags2", &["TF2_ECN_PERMIT", "TF2_ACE_PERMIT"]).set("t_scep", 5).set("t_rcep", 5),
                "stack options sender peer cwnd rtt pipe dupacks age idle_snd marks buffers",
            ),
        ];
        loaded(|| {
            // In the second walk each record is in the memory of another.
            for _ in 0..2 {
                for (record, (what, _, groups)) in records().iter().rev().zip(&table) {
                    let (found, expected) = (fields(record), fields_of(groups));
                    let more: Vec<_> = found.difference(&expected).collect();
                    let missing: Vec<_> = expected.difference(&found).collect();
                    assert!(more.is_empty() && missing.is_empty(), "{what}: unexpected {more:?}, missing {missing:?}");
                }
                assert_eq!(records().len(), table.len());
            }
        });
    }

    fn an_entry_of_the_syn_cache_has_only_its_ends_and_its_state() {
        kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(9));
        loaded(|| {
            let records = records();
            assert_eq!(fields(&records[0]), ENDS.split_whitespace().collect());
            assert_eq!(records.len(), 1);
        });
    }

    fn fields_that_do_not_depend_on_the_state_are_present_if_they_are_set() {
        let pcb = measured(4);
        loaded(|| {
            let plain = fields(&records()[0]);
            let also = |field: &'static str, pcb: Pcb| {
                let found = fields(&records()[0]);
                assert_eq!(found.difference(&plain).copied().collect::<Vec<_>>(), [field]);
                pcb
            };
            let never = i64::MAX.cast_unsigned();
            for (timer, field) in [
                ("t_timers[TT_REXMT]", "tt_rexmt"),
                ("t_timers[TT_PERSIST]", "tt_persist"),
                ("t_timers[TT_KEEP]", "tt_keep"),
                ("t_timers[TT_2MSL]", "tt_2msl"),
                ("t_timers[TT_DELACK]", "tt_delack"),
            ] {
                also(field, pcb.set(timer, 1 << 50)).set(timer, never);
            }
            also("pacing_rate", pcb.set("t_pacing_rate", 125_000));
            assert_eq!(records()[0].get(key::pacing_rate), Some(125_000));
            for unlimited in [0, u64::MAX] {
                pcb.set("t_pacing_rate", unlimited);
                assert_eq!(fields(&records()[0]), plain);
            }
        });
    }
}
