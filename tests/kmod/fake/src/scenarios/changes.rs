// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots that contain only connections that may have changed.

use tcpstats::frame::flag;
use tcpstats::{State, ioctl, key};

use crate::help::{
    connection, connections, ends, loaded, open, open_binary, open_changes, ports, set_changes, set_filter, set_ledger,
    snapshot, walk_order,
};
use crate::kernel::{self, At, Cred, File, Pcb, Vnet, fails_with};

const NOW: u32 = 100_000;

/// Creates connections that have been idle for a long time, with ports from 1.
fn idle(count: u16) -> Vec<Pcb> {
    kernel::clock(100, NOW);
    let pcbs = connections(count);
    for pcb in &pcbs {
        pcb.set("t_rcvtime", 1000).set("snd_wnd", 65535).set("t_maxseg", 1448);
    }
    pcbs
}

/// Takes a snapshot at this time in ticks; returns its ports and whether it leaves out
/// connections.
fn changed_at(file: &File, ticks: u32) -> (Vec<u16>, bool) {
    kernel::clock(100, ticks);
    let (header, records) = snapshot(file);
    (ports(&records), header.flags & flag::CHANGED_ONLY != 0)
}

/// The ways in which an unlocked connection shows that it may have changed: members with
/// their values.
const WAYS: [(&str, &[(&str, u64)]); 10] = [
    ("a segment was received", &[("t_rcvtime", NOW as u64 + 5)]),
    ("a segment was received in the tick of the last snapshot", &[("t_rcvtime", NOW as u64)]),
    ("a segment is outstanding", &[("snd_max", 1448)]),
    ("the peer's window is too small for a segment", &[("snd_wnd", 100)]),
    ("small segments are held back", &[("t_flags", 0x1000)]),
    ("an acknowledgement is due", &[("t_flags", 0x1)]),
    ("an acknowledgement is delayed", &[("t_flags", 0x2)]),
    ("the timer of an acknowledgement runs", &[("t_timers[TT_DELACK]", 1 << 50)]),
    ("the connection is offloaded", &[("t_flags", 0x200_0000)]),
    ("the connection is not established", &[("t_state", 2)]),
];

scenarios! {
    fn quiet_connections_are_only_in_the_first_snapshot() {
        idle(10);
        loaded(|| {
            let file = open_changes();
            assert_eq!(changed_at(&file, NOW), (walk_order(10), false));
            assert_eq!(changed_at(&file, NOW + 10), (vec![], true));
            assert_eq!(kernel::calls("inp_next"), 10, "quiet connections are not locked");
            set_changes(&file, false);
            assert_eq!(changed_at(&file, NOW + 20), (walk_order(10), false));
            set_changes(&file, true);
            assert_eq!(changed_at(&file, NOW + 30), (walk_order(10), false));
        });
    }

    fn every_way_of_changing_is_seen() {
        for (what, members) in WAYS {
            let pcbs = idle(5);
            loaded(|| {
                let file = open_changes();
                assert_eq!(changed_at(&file, NOW).0, walk_order(5));
                for (name, value) in members {
                    pcbs[2].set(name, *value);
                }
                assert_eq!(changed_at(&file, NOW + 10), (vec![3], true), "{what}");
            });
            for pcb in &pcbs {
                assert!(pcb.free());
            }
        }
    }

    fn the_constants_of_the_ways_are_those_of_the_kernel() {
        for (value, name) in [(0x1000, "TF_NOPUSH"), (1, "TF_ACKNOW"), (2, "TF_DELACK"), (0x200_0000, "TF_TOE")] {
            assert_eq!(kernel::constant(name), value, "{name}");
        }
        assert_eq!(State::SYN_SENT.0, 2);
    }

    fn a_connection_with_data_in_a_buffer_is_visited_until_the_buffer_is_empty() {
        let pcbs = idle(5);
        loaded(|| {
            let file = open_changes();
            for buffer in ["so_rcv.sb_ccc", "so_snd.sb_ccc"] {
                set_changes(&file, true);
                pcbs[1].set(buffer, 100);
                assert_eq!(changed_at(&file, NOW).0, walk_order(5));
                assert_eq!(changed_at(&file, NOW + 10).0, [2], "the application may read or write");
                pcbs[1].set(buffer, 0);
                assert_eq!(changed_at(&file, NOW + 20).0, [2], "the buffer is empty now");
                assert_eq!(changed_at(&file, NOW + 30).0, [] as [u16; 0]);
            }
        });
    }

    fn a_delayed_acknowledgement_that_was_sent_is_seen() {
        let pcbs = idle(3);
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            for (member, value, none) in [("t_flags", 2, 0), ("t_timers[TT_DELACK]", 1 << 50, i64::MAX as u64)] {
                set_changes(&file, true);
                changed_at(&file, NOW);
                pcbs[0].set(member, value);
                assert_eq!(changed_at(&file, NOW + 10).0, [1]);
                pcbs[0].set(member, none);
                assert_eq!(changed_at(&file, NOW + 20).0, [1], "{member}");
                assert_eq!(changed_at(&file, NOW + 30).0, [] as [u16; 0]);
            }
        });
    }

    fn a_half_closed_connection_is_visited_until_the_application_closes_it() {
        let pcbs = idle(3);
        pcbs[0].set("t_state", State::FIN_WAIT_2.0.into());
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            assert_eq!(changed_at(&file, NOW + 10).0, [1]);
            pcbs[0].set("t_flags", kernel::constant("TF_CLOSED"));
            assert_eq!(changed_at(&file, NOW + 20).0, [1]);
            assert_eq!(changed_at(&file, NOW + 30).0, [] as [u16; 0]);
        });
    }

    fn a_listener_is_always_visited() {
        let pcbs = idle(3);
        pcbs[1].set("t_state", 1).set("so_options", kernel::constant("SO_ACCEPTCONN"));
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            assert_eq!(changed_at(&file, NOW + 10).0, [2]);
            assert_eq!(changed_at(&file, NOW + 20).0, [2]);
        });
    }

    fn a_connection_that_is_locked_is_visited() {
        let pcbs = idle(3);
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            // The stack is about to store the time of a segment.
            pcbs[1].busy(false);
            assert_eq!(changed_at(&file, NOW + 10).0, [2]);
        });
    }

    fn a_change_after_the_walk_has_passed_is_in_the_next_snapshot() {
        let pcbs = idle(5);
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            pcbs[0].set("t_rcvtime", u64::from(NOW) + 5);
            let change = || _ = pcbs[4].set("t_rcvtime", u64::from(NOW) + 10);
            let found = kernel::with_hook(At::Walk, change, || changed_at(&file, NOW + 10));
            assert_eq!(found.0, [1], "the walk had skipped it");
            assert_eq!(changed_at(&file, NOW + 20).0, [5]);
            assert_eq!(changed_at(&file, NOW + 30).0, [] as [u16; 0]);
        });
    }

    fn new_connections_and_ended_ones_are_reported() {
        let pcbs = idle(5);
        for pcb in &pcbs {
            pcb.set("t_starttime", 1);
        }
        loaded(|| {
            let file = open_changes();
            set_ledger(&file, true);
            changed_at(&file, NOW);
            pcbs[3].close();
            connection(6).set("t_rcvtime", u64::from(NOW) + 3);
            kernel::clock(100, NOW + 10);
            let (header, records) = snapshot(&file);
            assert_eq!((ports(&records), header.ended), (vec![6, 4, 4], 1), "a connection that was dropped is not quiet");
            assert_eq!(records[2].get(key::state), Some(State::ENDED));
        });
    }

    fn long_runs_of_quiet_connections_are_interrupted() {
        kernel::clock(100, NOW);
        kernel::many_connections(1000);
        loaded(|| {
            let file = open_changes();
            // They have something outstanding.
            assert_eq!(changed_at(&file, NOW).0.len(), 1000);
            assert_eq!(changed_at(&file, NOW + 1).0.len(), 1000);
        });
        let pcbs = idle(640);
        loaded(|| {
            Cred::user(0).assume();
            let file = open_changes();
            set_filter(&file, "fport 443");
            changed_at(&file, NOW);
            let before = kernel::calls("inp_next");
            kernel::clock_step(300_000);
            kernel::always_wants_cpu();
            let yields = kernel::calls("kern_yield");
            assert_eq!(changed_at(&file, NOW + 10).0.len(), 0);
            let locked = kernel::calls("inp_next") - before;
            assert!((24..=26).contains(&locked), "{locked} of 640 quiet and 1000 excluded connections are locked");
            assert!(kernel::calls("kern_yield") > yields);
        });
        drop(pcbs);
    }

    fn a_snapshot_that_was_not_read_to_its_end_is_followed_by_a_complete_one() {
        idle(5);
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            assert!(file.read(&mut [0; 10]).is_ok());
            file.seek(0);
            assert_eq!(changed_at(&file, NOW + 20), (walk_order(5), false));
            assert_eq!(changed_at(&file, NOW + 30), (vec![], true));
        });
    }

    fn a_truncated_snapshot_is_followed_by_a_complete_one() {
        idle(500);
        loaded(|| {
            let file = open_changes();
            kernel::set_sysctl("snapshot_bytes_max", 64 * 1024);
            let (header, _) = snapshot(&file);
            assert!(header.missed > 0);
            kernel::set_sysctl("snapshot_bytes_max", 1 << 20);
            assert_eq!(changed_at(&file, NOW + 10), (walk_order(500), false));
        });
    }

    fn an_interrupted_walk_loses_no_change() {
        let pcbs = idle(200);
        loaded(|| {
            let file = open_changes();
            changed_at(&file, NOW);
            pcbs[5].set("t_rcvtime", u64::from(NOW) + 5);
            kernel::clock(100, NOW + 10);
            kernel::signal("EINTR");
            for pcb in &pcbs {
                pcb.set("snd_max", 1);
            }
            fails_with(file.read(&mut [0; 100]), "EINTR");
            kernel::signal_gone();
            for pcb in &pcbs {
                pcb.set("snd_max", 0);
            }
            assert_eq!(changed_at(&file, NOW + 20), (vec![6], true));
        });
    }

    fn other_settings_and_other_users_start_with_all_connections() {
        idle(5);
        loaded(|| {
            let file = open_changes();
            let is_complete = |ticks| changed_at(&file, ticks) == (walk_order(5), false);
            assert!(is_complete(NOW) && !is_complete(NOW + 1));
            set_filter(&file, "lport < 100");
            assert!(is_complete(NOW + 2) && !is_complete(NOW + 3));
            set_ledger(&file, true);
            assert!(is_complete(NOW + 4) && !is_complete(NOW + 5));
            Cred::user(1001).assume();
            assert!(is_complete(NOW + 6) && !is_complete(NOW + 7));
            kernel::become_root();
            assert!(is_complete(NOW + 8));
            fails_with(file.ioctl(ioctl::SET_CHANGES, &mut 2_u32.to_ne_bytes()), "EINVAL");
        });
    }

    fn each_descriptor_has_changes_of_its_own() {
        let pcbs = idle(3);
        loaded(|| {
            let (one, other) = (open_changes(), open_changes());
            changed_at(&one, NOW);
            changed_at(&other, NOW);
            pcbs[0].set("t_rcvtime", u64::from(NOW) + 5);
            assert_eq!(changed_at(&one, NOW + 10).0, [1]);
            assert_eq!(changed_at(&one, NOW + 20).0, [] as [u16; 0]);
            assert_eq!(changed_at(&other, NOW + 30).0, [1]);
            assert_eq!(changed_at(&open_binary(), NOW + 40).0.len(), 3);
        });
    }

    fn a_connection_that_no_longer_matches_is_reported_unless_constants_exclude_it() {
        let pcbs = idle(3);
        loaded(|| {
            let file = open_changes();
            set_filter(&file, "state established and lport < 3");
            assert_eq!(changed_at(&file, NOW).0, [2, 1]);
            for pcb in &pcbs {
                pcb.set("t_state", State::CLOSE_WAIT.0.into()).set("t_rcvtime", u64::from(NOW) + 5);
            }
            kernel::clock(100, NOW + 10);
            let (header, records) = snapshot(&file);
            assert_eq!((ports(&records), header.matched), (vec![2, 1], 2));
            assert!(records.iter().all(|record| record.get(key::state) == Some(State::CLOSE_WAIT)));
        });
    }

    fn the_end_of_a_connection_is_reported_unless_constants_exclude_it() {
        let pcbs = idle(3);
        for pcb in &pcbs {
            pcb.set("t_starttime", 1);
        }
        loaded(|| {
            let file = open_changes();
            set_ledger(&file, true);
            set_filter(&file, "state established and lport < 3");
            assert_eq!(changed_at(&file, NOW).0, [2, 1]);
            for pcb in pcbs {
                pcb.close();
                assert!(pcb.discard().free());
            }
            kernel::clock(100, NOW + 10);
            let (header, records) = snapshot(&file);
            assert_eq!((ports(&records), header.ended), (vec![1, 2], 2));
        });
    }

    fn ticks_may_wrap() {
        kernel::clock(100, u32::MAX - 5);
        let pcbs = idle(2);
        for pcb in &pcbs {
            pcb.set("t_rcvtime", u64::from(u32::MAX) - 100);
        }
        loaded(|| {
            let file = open_changes();
            changed_at(&file, u32::MAX - 5);
            pcbs[0].set("t_rcvtime", 3);
            assert_eq!(changed_at(&file, 10).0, [1]);
            assert_eq!(changed_at(&file, 20).0, [] as [u16; 0]);
        });
    }

    fn memory_for_changes_is_charged_and_limited() {
        idle(2);
        loaded(|| {
            let before = kernel::sysctl("memory_bytes");
            let file = open();
            set_changes(&file, true);
            assert_eq!(kernel::sysctl("memory_bytes") - before, 16384);
            set_changes(&file, true);
            assert_eq!(kernel::sysctl("memory_bytes") - before, 16384);
            set_changes(&file, false);
            assert_eq!(kernel::sysctl("memory_bytes"), before);
            kernel::set_sysctl("total_bytes_max", 16383);
            fails_with(file.ioctl(ioctl::SET_CHANGES, &mut 1_u32.to_ne_bytes()), "ENOMEM");
        });
    }

    fn changes_in_all_network_stacks_are_seen() {
        let vnet = Vnet::new();
        idle(2);
        let inside = Pcb::of(vnet, Cred::user(0)).ends(&["INP_IPV4"], ends(7)).set("t_rcvtime", 1000);
        inside.set("snd_wnd", 65535);
        loaded(|| {
            let file = open_changes();
            file.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).expect("root may select all network stacks");
            assert_eq!(changed_at(&file, NOW).0.len(), 3);
            inside.set("t_rcvtime", u64::from(NOW) + 5);
            assert_eq!(changed_at(&file, NOW + 10).0, [7]);
        });
    }
}
