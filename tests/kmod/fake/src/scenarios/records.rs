// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of every field are those of the kernel's structures.

use std::collections::BTreeMap;

use tcpstats::{FIELDS, Field, Kind, Part, State, key, option};

use crate::help::{connection, connections, loaded, only, open_binary, records, snapshot};
use crate::kernel;

/// Fields that are the unchanged value of a member.
const PLAIN: [(&str, &str); 45] = [
    ("gencnt", "inp_gencnt"),
    ("fib", "inp_inc.inc_fibnum"),
    ("flowid", "inp_flowid"),
    ("flowtype", "inp_flowtype"),
    ("state", "t_state"),
    ("t_flags", "t_flags"),
    ("t_flags2", "t_flags2"),
    ("snd_scale", "snd_scale"),
    ("rcv_scale", "rcv_scale"),
    ("snd_cwnd", "snd_cwnd"),
    ("snd_ssthresh", "snd_ssthresh"),
    ("snd_wnd", "snd_wnd"),
    ("rcv_wnd", "rcv_wnd"),
    ("maxseg", "t_maxseg"),
    ("snd_una", "snd_una"),
    ("snd_nxt", "snd_nxt"),
    ("snd_max", "snd_max"),
    ("rcv_nxt", "rcv_nxt"),
    ("rcv_adv", "rcv_adv"),
    ("segq_len", "t_segqlen"),
    ("iss", "iss"),
    ("irs", "irs"),
    ("max_sndwnd", "max_sndwnd"),
    ("pacing_rate", "t_pacing_rate"),
    ("softerror", "t_softerror"),
    ("tos", "inp_ip_tos"),
    ("encaps_port", "t_port"),
    ("tlp_bytes", "t_sndtlpbyte"),
    ("tlp_packs", "t_sndtlppack"),
    ("rexmit_packs", "t_sndrexmitpack"),
    ("ooo_packs", "t_rcvoopack"),
    ("zerowin", "t_sndzerowin"),
    ("dupacks", "t_dupacks"),
    ("sack_blocks", "rcv_numsacks"),
    ("dsack_bytes", "t_dsack_bytes"),
    ("dsack_packs", "t_dsack_pack"),
    ("rxtshift", "t_rxtshift"),
    ("snd_cc", "so_snd.sb_ccc"),
    ("snd_hiwat", "so_snd.sb_hiwat"),
    ("rcv_cc", "so_rcv.sb_ccc"),
    ("rcv_hiwat", "so_rcv.sb_hiwat"),
    // For a stack that uses microseconds.
    ("srtt", "t_srtt"),
    ("rttvar", "t_rttvar"),
    ("rttmin", "t_rttlow"),
    ("rto", "t_rxtcur"),
];

/// Fields that are computed from several members, and are tested separately.
const MADE: [&str; 33] = [
    "duration",
    "ending",
    "laddr",
    "lport",
    "faddr",
    "fport",
    "ipver",
    "uid",
    "jid",
    "cc",
    "stack",
    "options",
    "age",
    "idle_snd",
    "idle_rcv",
    "inflight",
    "pipe",
    "sent_bytes",
    "acked_bytes",
    "rexmit_bytes",
    "delivered_ce",
    "received_ce",
    "vnet",
    "zone",
    "log_id",
    "qlen",
    "incqlen",
    "qlimit",
    "tt_rexmt",
    "tt_persist",
    "tt_keep",
    "tt_2msl",
    "tt_delack",
];

/// Returns a different number for each field, with the highest bit set if the
/// member is as large as the field.
fn number(field: &Field) -> u64 {
    let index = field.index as u64;
    match (field.name, field.kind) {
        ("maxseg", _) => 0x80_0000 + index,
        ("state", _) => 7,
        (_, Kind::U8 | Kind::State) => 0x80 + index,
        (_, Kind::U16 | Kind::Options) => 0x8000 + index,
        (_, Kind::U32 | Kind::Hex32) => 0x8000_0000 + index * 0x0001_0001,
        _ => 0x8000_0000_0000_0000 + index * 0x0100_0001,
    }
}

/// Returns the number without the flags on which other fields depend.
fn planted(field: &Field) -> u64 {
    match field.name {
        "t_flags" => 0x8000_0000,
        "t_flags2" => 0x0800_0000,
        // It has 32 bits in the kernel.
        "dsack_bytes" => 0x8000_0007,
        // Negative rates mean unlimited.
        "pacing_rate" => i64::MAX.cast_unsigned() - 1,
        _ => number(field),
    }
}

/// Converts microseconds to the kernel's `sbintime_t`.
fn sbt(microseconds: u64) -> u64 {
    ((microseconds / 1_000_000) << 32) + ((microseconds % 1_000_000) << 32).div_ceil(1_000_000)
}

scenarios! {
    fn every_field_that_is_a_member_has_the_value_of_the_member() {
        let by_name: BTreeMap<_, _> = PLAIN.into_iter().collect();
        for field in FIELDS.iter().filter(|field| field.part == Part::Module) {
            let tested = by_name.contains_key(field.name) || MADE.contains(&field.name);
            assert!(tested, "{} is not tested", field.name);
        }
        let pcb = connection(80).set("t_tmr_granularity", kernel::constant("TCP_TMR_GRANULARITY_USEC"));
        for (name, member) in PLAIN {
            pcb.set(member, planted(Field::by_name(name).unwrap()));
        }
        loaded(|| {
            let record = only(records());
            for (name, member) in PLAIN {
                let field = Field::by_name(name).unwrap();
                assert_eq!(record.number(field), Some(planted(field)), "{name} is {member}");
            }
        });
    }

    fn times_of_the_base_stack_are_converted_from_ticks() {
        for (hz, srtt, rttvar, rttlow, rto) in [
            // 3 ticks, 2.5 ticks, 4 ticks, 23 ticks.
            (100, 30_000, 25_000, 40_000, 230_000),
            (1000, 3_000, 2_500, 4_000, 23_000),
            (128, 23_437, 19_531, 31_250, 179_687),
        ] {
            kernel::clock(hz, 5000);
            let pcb = connection(80).set("t_srtt", 3 << 5).set("t_rttvar", 40).set("t_rttlow", 4).set("t_rxtcur", 23);
            loaded(|| {
                let record = only(records());
                assert_eq!(record.get(key::srtt), Some(srtt));
                assert_eq!(record.get(key::rttvar), Some(rttvar));
                assert_eq!(record.get(key::rttmin), Some(rttlow));
                assert_eq!(record.get(key::rto), Some(rto));
                assert_eq!(snapshot(&open_binary()).0.hz, u32::try_from(hz).unwrap());
                // With timestamps, the smallest round-trip time is in milliseconds.
                pcb.set("t_flags", kernel::constant("TF_RCVD_TSTMP"));
                assert_eq!(only(records()).get(key::rttmin), Some(4000));
            });
            assert!(pcb.free());
        }
    }

    fn times_of_a_stack_that_uses_microseconds_are_reported_unchanged() {
        for hz in [100, 1000] {
            kernel::clock(hz, 5000);
            let pcb = connection(80)
                .stack("rack", "newreno")
                .set("t_tmr_granularity", kernel::constant("TCP_TMR_GRANULARITY_USEC"))
                .set("t_srtt", 12_345)
                .set("t_rttvar", 678)
                .set("t_rttlow", 9)
                .set("t_rxtcur", 230_000)
                .set("t_sndtime", 7);
            loaded(|| {
                let record = only(records());
                assert_eq!(record.get(key::srtt), Some(12_345));
                assert_eq!(record.get(key::rttvar), Some(678));
                assert_eq!(record.get(key::rttmin), Some(9));
                assert_eq!(record.get(key::rto), Some(230_000));
                assert_eq!(record.get(key::idle_snd), None, "only the base stack writes t_sndtime");
                assert_eq!(record.get(key::stack), Some(tcpstats::name(b"rack")));
                assert_eq!(record.get(key::cc), Some(tcpstats::name(b"newreno")));
            });
            assert!(pcb.free());
        }
    }

    fn a_round_trip_time_from_the_host_cache_does_not_count_as_measured() {
        let pcb = connection(80).set("t_srtt", 3 << 5).set("t_rttvar", 40).set("t_rxtcur", 23);
        loaded(|| {
            assert!(only(records()).get(key::srtt).is_some());
            pcb.set("t_rttupdated", 0);
            let record = only(records());
            assert_eq!((record.get(key::srtt), record.get(key::rttvar), record.get(key::rto)), (None, None, None));
        });
    }

    fn values_that_have_not_been_measured_are_absent() {
        connection(80);
        loaded(|| {
            let record = only(records());
            for key in [key::age, key::idle_snd, key::idle_rcv, key::tt_rexmt, key::tt_persist, key::tt_keep] {
                assert_eq!(record.get(key), None);
            }
            for key in [key::srtt, key::rttvar, key::rttmin, key::rto] {
                assert_eq!(record.get(key), None);
            }
            assert_eq!(record.get(key::pacing_rate), None);
            assert_eq!(record.get(key::qlen), None, "not a listener");
        });
    }

    fn ages_and_idle_times_span_the_wrap_of_ticks() {
        let pcb = connection(80)
            .set("t_starttime", 0xffff_ff00)
            .set("t_rcvtime", 0xffff_fff0)
            .set("t_sndtime", 50)
            .set("t_sndbytes", 1);
        for (hz, tick_us) in [(1000, 1000), (100, 10_000)] {
            kernel::clock(hz, 100);
            loaded(|| {
                let record = only(records());
                assert_eq!(record.get(key::age), Some(356 * tick_us));
                assert_eq!(record.get(key::idle_rcv), Some(116 * tick_us));
                assert_eq!(record.get(key::idle_snd), Some(50 * tick_us));
            });
        }
        // Twenty days are more than 32 bits of microseconds.
        pcb.set("t_rcvtime", 1);
        kernel::clock(1000, 20 * 86_400_000 + 1);
        loaded(|| assert_eq!(only(records()).get(key::idle_rcv), Some(20 * 86_400_000_000)));
    }

    fn timers_have_their_remaining_time() {
        kernel::clock_step(0);
        let now = kernel::now() / 1000;
        connection(80)
            .set("t_timers[TT_REXMT]", sbt(now + 230_000))
            .set("t_timers[TT_PERSIST]", sbt(now + 5_000_000))
            .set("t_timers[TT_KEEP]", sbt(now + 7_200_000_000))
            .set("t_timers[TT_2MSL]", sbt(now - 1))
            .set("t_timers[TT_DELACK]", sbt(now + 40_000));
        loaded(|| {
            let record = only(records());
            assert_eq!(record.get(key::tt_rexmt), Some(230_000));
            assert_eq!(record.get(key::tt_persist), Some(5_000_000));
            assert_eq!(record.get(key::tt_keep), Some(7_200_000_000));
            assert_eq!(record.get(key::tt_2msl), Some(0), "the timer is about to fire");
            assert_eq!(record.get(key::tt_delack), Some(40_000));
        });
    }

    fn a_closed_connection_has_no_timers() {
        const CLOSED: u64 = 0;
        kernel::clock_step(0);
        let end = sbt(kernel::now() / 1000 + 7_200_000_000);
        let timers = ["TT_REXMT", "TT_PERSIST", "TT_KEEP", "TT_2MSL", "TT_DELACK"];
        timers.iter().fold(connection(80).set("t_state", CLOSED), |pcb, timer| pcb.set(&format!("t_timers[{timer}]"), end));
        loaded(|| {
            let record = only(records());
            for key in [key::tt_rexmt, key::tt_persist, key::tt_keep, key::tt_2msl, key::tt_delack] {
                assert_eq!(record.get(key), None, "{}", key.field().name);
            }
        });
    }

    fn a_connection_that_has_sent_no_data_has_no_time_since_then() {
        let pcb = connection(80).set("t_sndtime", 50).set("t_sndbytes", 0);
        loaded(|| assert_eq!(only(records()).get(key::idle_snd), None));
        pcb.set("t_sndbytes", 1);
        loaded(|| assert!(only(records()).get(key::idle_snd).is_some()));
    }

    fn bytes_in_flight_are_counted_across_a_wrap_of_sequence_numbers() {
        connection(80)
            .set("iss", u64::from(0xfff_u32.wrapping_sub(1_000_000)))
            .set("snd_una", 0xffff_f000)
            .set("snd_max", 0x1000)
            .set("t_sndbytes", 1_000_000)
            .set("sackhint.sacked_bytes", 3000)
            .set("sackhint.sack_bytes_rexmit", 500);
        loaded(|| {
            let record = only(records());
            assert_eq!(record.get(key::inflight), Some(0x2000));
            assert_eq!(record.get(key::pipe), Some(0x2000 - 3000 + 500));
            assert_eq!(record.get(key::acked_bytes), Some(1_000_000 - 0x2000));
        });
    }

    fn bytes_in_the_network_are_the_estimate_of_the_stack_or_absent() {
        let pcb = connection(80).set("iss", 99).set("snd_una", 100).set("snd_max", 1100);
        let pipe = || only(records()).get(key::pipe);
        loaded(|| {
            assert_eq!(pipe(), Some(1000));
            pcb.set("sackhint.sacked_bytes", 1001);
            assert_eq!(pipe(), None, "a negative estimate is absent");
            pcb.set("sackhint.sacked_bytes", 0).stack("rack", "cubic").set("t_fb_ptr", 777);
            assert_eq!(pipe(), Some(777), "RACK has its own estimate");
            pcb.set("t_fb_ptr", u64::from(u32::MAX));
            assert_eq!(pipe(), None);
            let asked = kernel::calls("tcp_compute_pipe");
            pcb.stack("bbr", "cubic");
            assert_eq!(pipe(), None, "BBR has none and keeps no scoreboard of the base stack");
            assert_eq!(kernel::calls("tcp_compute_pipe"), asked);
        });
    }

    fn options_are_those_that_both_ends_have_agreed_on() {
        let cases: [(&[&str], &[&str], u16); 9] = [
            (&[], &[], 0),
            (&["TF_REQ_TSTMP"], &[], 0),
            (&["TF_REQ_TSTMP", "TF_RCVD_TSTMP"], &[], option::TIMESTAMPS),
            (&["TF_REQ_SCALE"], &[], 0),
            (&["TF_REQ_SCALE", "TF_RCVD_SCALE"], &[], option::WINDOW_SCALE),
            (&["TF_SACK_PERMIT"], &[], option::SACK),
            (&["TF_FASTOPEN", "TF_TOE"], &[], option::FAST_OPEN | option::OFFLOAD),
            (&[], &["TF2_ECN_PERMIT"], option::ECN),
            (&[], &["TF2_ECN_PERMIT", "TF2_ACE_PERMIT"], option::ACCECN),
        ];
        let pcb = connection(80);
        let bits = |names: &[&str]| names.iter().fold(0, |bits, name| bits | kernel::constant(name));
        loaded(|| {
            for (flags, flags2, expected) in cases {
                pcb.set("t_flags", bits(flags)).set("t_flags2", bits(flags2));
                assert_eq!(only(records()).get(key::options), Some(expected), "{flags:?} {flags2:?}");
            }
        });
    }

    fn ce_marks_are_counted_only_with_accecn_and_starting_from_five() {
        const SYN_RCVD: u64 = 3;
        const ESTABLISHED: u64 = 4;
        let (ecn, ace) = (kernel::constant("TF2_ECN_PERMIT"), kernel::constant("TF2_ACE_PERMIT"));
        let pcb = connection(80);
        loaded(|| {
            for (what, state, flags2, scep, rcep, delivered, received) in [
                ("AccECN", ESTABLISHED, ecn | ace, 12, 6, Some(7), Some(1)),
                ("AccECN, no mark yet", ESTABLISHED, ecn | ace, 5, 5, Some(0), Some(0)),
                ("AccECN, a mark on the SYN", ESTABLISHED, ecn | ace, 6, 6, Some(1), Some(1)),
                ("AccECN, all that the counters hold", ESTABLISHED, ecn | ace, u32::MAX, u32::MAX, Some(u32::MAX - 5), Some(u32::MAX - 5)),
                // Until then t_rcep contains the flags for the last segment of the handshake.
                ("AccECN, a handshake from here", 2, ace, 5, 0b110, None, None),
                ("AccECN, a handshake from the peer", SYN_RCVD, ace, 5, 5, None, None),
                ("AccECN, both sides agreed", SYN_RCVD, ecn | ace, 5, 5, Some(0), Some(0)),
                ("AccECN, a counter below its start", ESTABLISHED, ecn | ace, 0, 4, None, None),
                ("RFC 3168: t_scep counts ECE", ESTABLISHED, ecn, 7, 0, None, None),
                ("RFC 3168, no mark yet", ESTABLISHED, ecn, 0, 0, None, None),
                ("no ECN", ESTABLISHED, 0, 0, 0, None, None),
            ] {
                pcb.set("t_state", state).set("t_flags2", flags2).set("t_scep", scep.into()).set("t_rcep", rcep.into());
                let record = only(records());
                assert_eq!((record.get(key::delivered_ce), record.get(key::received_ce)), (delivered, received), "{what}");
            }
        });
    }

    fn a_listener_has_its_queue_and_no_buffers() {
        connection(80)
            .set("t_state", 1)
            .set("so_options", kernel::constant("SO_ACCEPTCONN"))
            .set("sol_qlen", 3)
            .set("sol_incqlen", 2)
            .set("sol_qlimit", 128);
        loaded(|| {
            let record = only(records());
            assert_eq!(record.get(key::state), Some(State::LISTEN));
            let queue = [key::qlen, key::incqlen, key::qlimit].map(|key| record.get(key));
            assert_eq!(queue, [Some(3), Some(2), Some(128)]);
            assert_eq!((record.get(key::snd_hiwat), record.get(key::rcv_cc)), (None, None));
        });
    }

    fn a_connection_without_a_socket_has_no_buffers() {
        connection(80).set("t_state", 10).detached();
        loaded(|| {
            let record = only(records());
            assert_eq!(record.get(key::state), Some(State::TIME_WAIT));
            assert_eq!(record.get(key::uid), Some(0), "the owner is that of the credential");
            assert_eq!((record.get(key::snd_cc), record.get(key::qlen)), (None, None));
        });
    }

    fn a_dropped_connection_is_reported_without_the_fields_of_its_stack() {
        connection(80).set("iss", 8).set("snd_max", 20).set("irs", 3).set("rcv_nxt", 9).dropped().set("snd_cwnd", 1448);
        connection(81).dropped().detached();
        loaded(|| {
            let records = records();
            assert_eq!(records.len(), 2);
            for record in &records {
                assert_eq!((record.get(key::cc), record.get(key::stack)), (None, None));
                assert_eq!(record.get(key::pipe), None);
            }
            assert_eq!(records[1].get(key::snd_cwnd), Some(1448));
        });
        assert_eq!(kernel::calls("tcp_compute_pipe"), 0);
    }

    fn every_state_is_reported() {
        let pcbs = connections(11);
        for (state, pcb) in (0..).zip(&pcbs) {
            pcb.set("t_state", state);
        }
        loaded(|| {
            let states: Vec<_> = records().iter().rev().map(|record| record.get(key::state).unwrap().0).collect();
            assert_eq!(states, (0..11).collect::<Vec<_>>());
        });
    }
}
