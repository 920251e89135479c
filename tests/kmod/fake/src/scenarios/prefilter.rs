// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Connections that ports, addresses or states exclude, which are not locked.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use tcpstats::{State, ipv4};

use crate::help::{
    connection, connections, ends, loaded, open_binary, open_changes, ports, set_filter, snapshot, walk_order,
};
use crate::kernel::{self, At, Cred, Ends, File, Pcb};

/// Takes a snapshot.  Returns its ports, the number of connections that were locked, and
/// the number that its header reports as seen.
fn locked(file: &File) -> (Vec<u16>, u64, u64) {
    let before = kernel::calls("inp_next");
    let (header, records) = snapshot(file);
    (ports(&records), kernel::calls("inp_next") - before, header.seen)
}

/// Takes a snapshot of connections that match a filter, and runs `change` before the
/// walk locks connection `at` of those that it has selected, counted from 1.
fn with_change_at(at: u64, filter: &str, mut change: impl FnMut()) -> Vec<u16> {
    let file = open_binary();
    set_filter(&file, filter);
    let mut step = 0;
    let hook = || {
        step += 1;
        if step == at {
            change();
        }
    };
    ports(&kernel::with_hook(At::Lock, hook, || snapshot(&file)).1)
}

/// Runs `change` before the walk locks the first connection.
fn with_change(filter: &str, change: impl FnMut()) -> Vec<u16> {
    with_change_at(1, filter, change)
}

/// Changes the local port, as bind(2) does.
fn set_port(pcb: Pcb, lport: u16) {
    pcb.ends(&["INP_IPV4"], ends(lport));
}

scenarios! {
    fn excluded_connections_are_neither_locked_nor_counted() {
        connections(20);
        Pcb::new().ends(&["INP_IPV4"], Ends { laddr: ipv4([10, 1, 2, 3]), ..ends(21) }).set("t_state", 5);
        let v6 = |last| std::array::from_fn(|i| [0x20, 1, 0xd, 0xb8].get(i).copied().unwrap_or(if i == 15 { last } else { 0 }));
        Pcb::new().ends(&["INP_IPV6"], Ends { laddr: v6(1), faddr: v6(2), lport: 22, fport: 80 });
        loaded(|| {
            let file = open_binary();
            for (filter, found) in [
                ("lport 4 or lport 5", vec![5, 4]),
                ("lport < 3", vec![2, 1]),
                ("not (lport >= 3)", vec![2, 1]),
                ("fport 80", vec![22]),
                ("port 80 or port 7", vec![22, 7]),
                ("ip6", vec![22]),
                ("ipver = 6", vec![22]),
                ("net 10.0.0.0/8", vec![21]),
                ("fnet 2001:db8::/32 and not lnet 10.0.0.0/8", vec![22]),
                ("host 2001:db8::1", vec![22]),
                ("state close_wait", vec![21]),
                ("state != established", vec![21]),
                ("lport < 3 and snd_cwnd >= 0", vec![2, 1]),
                ("lport < 3 and uid 0 and cc cubic", vec![2, 1]),
                ("(lport 1 or state close_wait) and not (srtt > 1s and lport 5)", vec![21, 1]),
            ] {
                set_filter(&file, filter);
                let count = found.len() as u64;
                assert_eq!(locked(&file), (found, count, count), "{filter}");
            }
        });
    }

    fn a_connection_that_other_fields_can_select_is_locked() {
        connections(20);
        loaded(|| {
            let file = open_binary();
            for (filter, found) in [
                ("lport 4 or snd_cwnd > 0", vec![4]),
                ("not (lport > 4 and snd_cwnd = 0)", vec![4, 3, 2, 1]),
                ("lport > 4 or uid 0", walk_order(20)),
                ("lport 4 or cc reno", vec![4]),
                ("not (cc reno and lport 4)", walk_order(20)),
                ("uid 1", vec![]),
            ] {
                set_filter(&file, filter);
                assert_eq!(locked(&file), (found, 20, 20), "{filter}");
            }
        });
    }

    fn the_number_seen_reveals_nothing_about_connections_of_others() {
        for port in 1..=9 {
            Pcb::of(kernel::Vnet::HOST, Cred::user(if port % 3 == 0 { 1001 } else { 1002 })).ends(&["INP_IPV4"], ends(port));
        }
        kernel::see_other_uids(false);
        loaded(|| {
            Cred::user(1001).assume();
            let file = open_binary();
            set_filter(&file, "lport < 6");
            assert_eq!(locked(&file), (vec![3], 5, 1));
        });
    }

    fn long_runs_of_excluded_connections_are_interrupted() {
        connections(1000);
        loaded(|| {
            Cred::user(0).assume();
            let file = open_binary();
            set_filter(&file, "lport 1001");
            assert_eq!(locked(&file), (vec![], 1000 / 64, 0));
            kernel::clock_step(300_000);
            kernel::always_wants_cpu();
            let yields = kernel::calls("kern_yield");
            set_filter(&file, "lport 1");
            let (found, locked, seen) = locked(&file);
            assert_eq!((found, seen), (vec![1], 1));
            assert!((15..=20).contains(&locked), "{locked} of 1000 are locked");
            let yields = kernel::calls("kern_yield") - yields;
            assert!(yields >= 6, "{yields} yields: the clock is read every 256 connections that are excluded");
        });
    }

    fn a_connection_that_is_locked_is_judged_when_it_is_unlocked() {
        let pcbs = connections(5);
        loaded(|| {
            // connect(2) has locked the connection, and has not set its port yet.
            set_port(pcbs[2], 9);
            pcbs[2].busy(false);
            assert_eq!(with_change("lport 3", || set_port(pcbs[2], 3)), [3]);
            // It matches when the walk waits for it, and not afterwards.
            pcbs[2].busy(false);
            assert_eq!(with_change("lport 3", || set_port(pcbs[2], 9)), []);
        });
    }

    fn a_connection_that_changes_before_it_is_locked_is_judged_again() {
        let pcbs = connections(5);
        loaded(|| {
            assert_eq!(with_change("lport < 4", || set_port(pcbs[2], 9)), [2, 1], "the port");
            set_port(pcbs[2], 3);
            let elsewhere = || _ = pcbs[2].ends(&["INP_IPV4"], Ends { faddr: ipv4([10, 0, 0, 1]), ..ends(3) });
            assert_eq!(with_change("lport < 4 and fnet 192.0.2.0/24", elsewhere), [2, 1], "the address");
            set_port(pcbs[2], 3);
            let closes = || _ = pcbs[2].set("t_state", State::CLOSE_WAIT.0.into());
            assert_eq!(with_change("lport < 4 and state established", closes), [2, 1], "the state");
        });
    }

    fn a_connection_that_is_freed_before_it_is_locked_is_not_reported() {
        let pcbs = connections(5);
        loaded(|| {
            // A new connection with the same port is at the head of the list.
            let replace = |at: usize| {
                assert!(pcbs[at - 1].free());
                connection(at.try_into().unwrap());
            };
            assert_eq!(with_change("lport < 4", || replace(3)), [3, 2, 1], "the walk starts again");
            assert_eq!(with_change_at(2, "lport < 4", || replace(2)), [3, 1], "the walk has passed the new connection");
            assert_eq!(with_change("lport < 4", || ()), [2, 3, 1]);
        });
    }

    fn a_connection_that_begins_to_match_after_the_walk_has_passed_is_in_the_next_snapshot() {
        let pcbs = connections(5);
        loaded(|| {
            assert_eq!(with_change("lport 1 or lport 9", || set_port(pcbs[4], 9)), [1]);
            assert_eq!(with_change("lport 1 or lport 9", || ()), [9, 1]);
        });
    }

    fn a_connection_is_not_excluded_by_values_that_it_never_had_together() {
        let pcb = connection(2);
        pcb.set("t_state", State::CLOSE_WAIT.0.into());
        loaded(|| {
            let file = open_binary();
            set_filter(&file, "(state established and lport 1) or (state close_wait and lport 2)");
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    pcb.alternate(3_000_000);
                    done.store(true, SeqCst);
                });
                let mut walks = 0_u64;
                while !done.load(SeqCst) {
                    assert_eq!(snapshot(&file).1.len(), 1, "after {walks} walks");
                    walks += 1;
                }
                println!("{walks} walks");
            });
        });
    }

    fn only_fields_that_never_change_exclude_from_changes() {
        kernel::clock(100, 1000);
        for pcb in connections(10) {
            pcb.set("snd_max", 1);
        }
        loaded(|| {
            let file = open_changes();
            set_filter(&file, "lport < 3 and state established");
            assert_eq!(locked(&file).0, [2, 1]);
            kernel::clock(100, 1001);
            assert_eq!(locked(&file), (vec![2, 1], 2, 2));
            set_filter(&file, "state close_wait");
            assert_eq!(locked(&file), (vec![], 0, 0), "the first snapshot contains the connections that match");
            kernel::clock(100, 1002);
            assert_eq!(locked(&file), (walk_order(10), 10, 10));
        });
    }

    fn connections_that_are_excluded_are_not_deferred() {
        kernel::clock(100, 1000);
        let pcbs = connections(100);
        loaded(|| {
            for pcb in &pcbs {
                pcb.timer(5_000_000, false);
            }
            let file = open_binary();
            set_filter(&file, "lport 7");
            assert_eq!(ports(&snapshot(&file).1), [7]);
            assert_eq!(kernel::timers_lost(), 0);
            assert_eq!(kernel::calls("pause_sbt"), u64::from(kernel::loses_timers()));
        });
    }
}
