// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Connections that appear, disappear and change during a walk.

use tcpstats::key;

use crate::help::{connection, connections, loaded, open_binary, ports, records, snapshot, walk_order};
use crate::kernel::{self, At};

/// Runs `change` when the walk is at connection `at`, counted from 1, and returns
/// the ports that the walk finds.
fn walk_with(at: u64, mut change: impl FnMut()) -> Vec<u16> {
    let mut step = 0;
    let hook = || {
        step += 1;
        if step == at {
            change();
        }
    };
    ports(&kernel::with_hook(At::Walk, hook, records))
}

scenarios! {
    fn connections_that_appear_are_in_the_next_walk() {
        connections(10);
        loaded(|| {
            let appear = || {
                for port in 1001..1200 {
                    connection(port);
                }
            };
            let found = walk_with(5, appear);
            assert_eq!(found, walk_order(10));
            assert_eq!(records().len(), 209);
        });
    }

    fn the_first_connection_is_reported_if_one_before_it_ends_while_the_walk_waits_for_it() {
        let pcbs = connections(3);
        loaded(|| {
            pcbs[2].busy(true);
            assert_eq!(ports(&records()), [2, 1]);
            pcbs[1].busy(true);
            assert_eq!(ports(&records()), [1]);
            pcbs[0].busy(true);
            assert_eq!(ports(&records()), []);
        });
    }

    fn connections_removed_ahead_of_the_walk_are_not_reported() {
        let pcbs = connections(10);
        loaded(|| {
            // The third connection of the walk has port 8.
            let found = walk_with(3, || pcbs[..4].iter().for_each(|pcb| assert!(pcb.free())));
            assert_eq!(found, [10, 9, 8, 7, 6, 5]);
        });
    }

    fn connections_removed_after_the_walk_has_passed_are_reported() {
        let pcbs = connections(10);
        loaded(|| {
            let found = walk_with(8, || pcbs[3..].iter().for_each(|pcb| assert!(pcb.free())));
            assert_eq!(found, walk_order(10));
            assert_eq!(ports(&records()), [3, 2, 1]);
        });
    }

    fn the_current_connection_of_a_walk_cannot_be_freed() {
        let pcbs = connections(3);
        loaded(|| {
            let mut tried = false;
            walk_with(2, || {
                assert!(!pcbs[1].free(), "the second connection is locked");
                assert!(pcbs[2].free(), "the first connection is no longer locked");
                tried = true;
            });
            assert!(tried);
            assert!(pcbs[1].free(), "the walk has ended");
        });
    }

    fn all_connections_but_the_current_one_can_be_freed_during_a_walk() {
        let pcbs = connections(500);
        loaded(|| {
            let free = || assert_eq!(pcbs.iter().filter(|pcb| !pcb.free()).count(), 1);
            let found = walk_with(250, free);
            assert_eq!(found, walk_order(500)[..250]);
            assert_eq!(records().len(), 1, "the locked connection");
        });
    }

    fn a_record_has_the_values_at_the_time_the_walk_visits_the_connection() {
        let pcbs = connections(4);
        loaded(|| {
            let mut step = 0;
            let hook = || {
                step += 1;
                for pcb in &pcbs {
                    pcb.set("snd_cwnd", step);
                }
            };
            let records = kernel::with_hook(At::Walk, hook, records);
            let windows: Vec<_> = records.iter().map(|record| record.get(key::snd_cwnd).unwrap()).collect();
            assert_eq!(windows, [1, 2, 3, 4]);
        });
    }

    fn a_connection_that_is_dropped_ahead_of_the_walk_is_safe() {
        let pcbs = connections(4);
        loaded(|| {
            let drop_first = || {
                pcbs[0].dropped().detached();
            };
            let found = walk_with(2, drop_first);
            assert_eq!(found, walk_order(4));
        });
    }

    fn twice_as_many_connections_as_expected_are_all_reported() {
        connections(1000);
        loaded(|| {
            let file = open_binary();
            let fired = |name: &str, _: &[u64]| {
                if name == "snapshot__start" {
                    for port in 1001..=2000 {
                        connection(port);
                    }
                }
            };
            let (header, records) = kernel::with_probes(fired, || snapshot(&file));
            assert_eq!(ports(&records), walk_order(2000));
            assert_eq!(header.missed, 0);
        });
    }

    fn fewer_connections_than_expected_are_not_an_error() {
        let pcbs = connections(2000);
        loaded(|| {
            let file = open_binary();
            let mut pcbs = pcbs.iter();
            let fired = |name: &str, _: &[u64]| {
                if name == "snapshot__start" {
                    pcbs.by_ref().for_each(|pcb| assert!(pcb.free()));
                }
            };
            let (header, records) = kernel::with_probes(fired, || snapshot(&file));
            assert_eq!((header.seen, records.len()), (0, 0));
        });
    }

    fn probes_report_snapshots_and_skipped_connections() {
        for pcb in &connections(7)[..3] {
            pcb.set("snd_cwnd", 1);
        }
        loaded(|| {
            let file = open_binary();
            crate::help::set_filter(&file, "lport < 6 and snd_cwnd != 1");
            let mut seen = Vec::new();
            let fired = |name: &str, arguments: &[u64]| {
                // The first argument of the third is a pointer.
                let value = if name == "record__skip" { arguments[1] } else { arguments[0] };
                seen.push((name.to_owned(), value));
            };
            let (header, _) = kernel::with_probes(fired, || snapshot(&file));
            let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                ["snapshot__start", "record__skip", "record__skip", "record__skip", "snapshot__done"]
            );
            assert_eq!(seen[0].1, 1, "the first snapshot");
            assert_eq!(seen[1].1, 2, "skipped because of the filter, with the connection locked");
            assert_eq!(seen[4].1, header.sequence);
        });
    }
}
