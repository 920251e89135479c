// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Timers of connections, which 15.0 loses if they fire while their connection is
//! locked.

use crate::help::{connections, loaded, open_binary, open_ledger, ports, records, set_ledger, snapshot, walk_order};
use crate::kernel::{self, At, Pcb};

/// A tick of the clock.
const TICK_NS: u64 = 10_000_000;

/// The maximum number of ticks that a walk waits.
const MAX_TICKS: u64 = 8;

/// Creates connections with ports from 1 and sets a clock with this tick.
fn with_clock(count: u16) -> Vec<Pcb> {
    kernel::clock(100, 1000);
    connections(count)
}

/// Starts timers that are about to fire.
fn start_timers(pcbs: &[Pcb]) {
    for pcb in pcbs {
        pcb.timer(TICK_NS / 2, false);
    }
}

/// Returns the ports in the order in which a walk visits them: those in `deferred` last
/// if timers can be lost.
fn visited(deferred: &[u16], count: u16) -> Vec<u16> {
    let is_first = |port: &u16| !kernel::loses_timers() || !deferred.contains(port);
    let mut all: Vec<_> = walk_order(count).into_iter().filter(is_first).collect();
    if kernel::loses_timers() {
        all.extend(deferred);
    }
    all
}

scenarios! {
    fn a_timer_that_is_about_to_fire_finds_its_connection_unlocked() {
        let pcbs = with_clock(10);
        loaded(|| {
            start_timers(&pcbs[4..6]);
            assert_eq!(ports(&records()), visited(&[5, 6], 10));
            assert_eq!(kernel::timers_lost(), 0);
            assert_eq!(kernel::calls("pause_sbt"), u64::from(kernel::loses_timers()), "both fire in the same tick");
        });
    }

    fn the_first_and_the_last_connection_can_be_visited_at_the_end() {
        let pcbs = with_clock(3);
        loaded(|| {
            start_timers(&[pcbs[0], pcbs[2]]);
            assert_eq!(ports(&records()), visited(&[1, 3], 3));
            start_timers(&pcbs);
            assert_eq!(ports(&records()), visited(&[1, 2, 3], 3));
            assert_eq!(kernel::timers_lost(), 0);
        });
    }

    fn timers_that_are_not_lost_do_not_delay_a_walk() {
        let pcbs = with_clock(5);
        loaded(|| {
            pcbs[0].timer(TICK_NS / 2, true);
            pcbs[1].timer(4 * TICK_NS, false);
            pcbs[2].timer(7200 * 1_000_000_000, false);
            assert_eq!(ports(&records()), walk_order(5));
            assert_eq!((kernel::timers_lost(), kernel::calls("pause_sbt")), (0, 0));
        });
    }

    fn a_connection_that_its_timer_ends_is_not_visited() {
        let pcbs = with_clock(5);
        loaded(|| {
            start_timers(&pcbs[1..3]);
            let file = open_binary();
            let ends = || assert!(pcbs[2].free());
            let (header, records) = kernel::with_hook(At::Sleep, ends, || snapshot(&file));
            if kernel::loses_timers() {
                assert_eq!((ports(&records), header.seen), (vec![5, 4, 1, 2], 4));
            } else {
                assert_eq!(ports(&records), walk_order(5));
            }
        });
    }

    fn a_timer_that_does_not_fire_delays_a_walk_for_a_few_ticks_only() {
        let pcbs = with_clock(5);
        kernel::softclock(false);
        loaded(|| {
            start_timers(&pcbs[..2]);
            assert_eq!(ports(&records()), visited(&[1, 2], 5));
            let waited = if kernel::loses_timers() { MAX_TICKS } else { 0 };
            assert_eq!(kernel::calls("pause_sbt"), waited, "for all connections together");
        });
    }

    fn connections_are_reported_once_if_many_timers_are_about_to_fire() {
        let pcbs = with_clock(300);
        loaded(|| {
            start_timers(&pcbs);
            let mut found = ports(&records());
            found.sort_unstable();
            assert_eq!(found, (1..=300).collect::<Vec<_>>());
            assert_eq!(kernel::timers_lost(), if kernel::loses_timers() { 300 - 64 } else { 0 });
        });
    }

    fn connections_are_reported_once_if_the_walk_goes_back() {
        let pcbs = with_clock(400);
        loaded(|| {
            // The walk yields every sixteen connections.
            kernel::clock_step(201_000);
            kernel::always_wants_cpu();
            start_timers(&pcbs[190..200]);
            let file = open_binary();
            let mut yields = 0;
            let hook = || {
                yields += 1;
                // The connections at which the walk has yielded are freed, so it starts again.
                if yields == 24 {
                    assert!(pcbs[59..190].iter().chain(&pcbs[200..]).all(|pcb| pcb.free()));
                }
            };
            let (_, records) = kernel::with_hook(At::Yield, hook, || snapshot(&file));
            assert!(yields > 24);
            let mut found = ports(&records);
            found.sort_unstable();
            let all: Vec<_> = found.iter().copied().filter(|port| *port < 60 || (191..=200).contains(port)).collect();
            assert_eq!(all, (1..60).chain(191..=200).collect::<Vec<_>>());
            found.dedup();
            assert_eq!(found.len(), records.len(), "none is reported twice");
            let passed = found.iter().filter(|port| (60..=190).contains(*port)).count();
            assert!(passed > 10, "the walk had passed those with timers");
        });
    }

    fn a_walk_that_ends_early_drops_its_references() {
        let pcbs = with_clock(65);
        loaded(|| {
            // The walk checks for signals at the sixty-fourth connection.
            start_timers(&pcbs[63..]);
            let file = open_binary();
            let signal = || kernel::signal("EINTR");
            let result = kernel::with_hook(At::Sleep, signal, || file.read(&mut [0; 4096]));
            assert_eq!(result.is_err(), kernel::loses_timers(), "the signal arrives while the walk waits");
            kernel::signal_gone();
            drop(file);
            assert!(pcbs[63].free() && pcbs[64].free());
        });
    }

    fn turning_the_ledger_off_loses_no_timers() {
        let pcbs = with_clock(5);
        loaded(|| {
            let file = open_ledger();
            start_timers(&pcbs);
            set_ledger(&file, false);
            assert_eq!(kernel::timers_lost(), 0);
        });
    }
}
