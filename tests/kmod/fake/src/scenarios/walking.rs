// SPDX-License-Identifier: BSD-2-Clause

//! Connections that appear, vanish and change while the module walks.

use tcpstats::key;

use crate::help::{connection, connections, loaded, open_binary, ports, records, snapshot, walk_order};
use crate::kernel::{self, At};

/// Runs `change` when the walk is at that connection, from 1, and gives the
/// ports that the walk found.
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

    fn connections_that_vanish_ahead_of_the_walk_are_not_in_it() {
        let pcbs = connections(10);
        loaded(|| {
            // At the third the walk is at port 8.
            let found = walk_with(3, || pcbs[..4].iter().for_each(|pcb| assert!(pcb.free())));
            assert_eq!(found, [10, 9, 8, 7, 6, 5]);
        });
    }

    fn connections_that_vanish_behind_the_walk_are_in_it() {
        let pcbs = connections(10);
        loaded(|| {
            let found = walk_with(8, || pcbs[3..].iter().for_each(|pcb| assert!(pcb.free())));
            assert_eq!(found, walk_order(10));
            assert_eq!(ports(&records()), [3, 2, 1]);
        });
    }

    fn the_connection_that_is_looked_at_cannot_vanish() {
        let pcbs = connections(3);
        loaded(|| {
            let mut tried = false;
            walk_with(2, || {
                assert!(!pcbs[1].free(), "the second is locked");
                assert!(pcbs[2].free(), "the first is not, any more");
                tried = true;
            });
            assert!(tried);
            assert!(pcbs[1].free(), "the walk is over");
        });
    }

    fn all_connections_but_one_can_vanish_in_the_middle() {
        let pcbs = connections(500);
        loaded(|| {
            let vanish = || assert_eq!(pcbs.iter().filter(|pcb| !pcb.free()).count(), 1);
            let found = walk_with(250, vanish);
            assert_eq!(found, walk_order(500)[..250]);
            assert_eq!(records().len(), 1, "it was locked");
        });
    }

    fn a_connection_is_shown_as_it_is_when_the_walk_is_there() {
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

    fn a_connection_that_is_dropped_before_the_walk_comes_there_is_safe() {
        let pcbs = connections(4);
        loaded(|| {
            let drop_first = || {
                pcbs[0].dropped().detached();
            };
            let found = walk_with(2, drop_first);
            assert_eq!(found, walk_order(4));
        });
    }

    fn twice_as_many_connections_as_were_counted_are_all_in_it() {
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

    fn fewer_connections_than_were_counted_are_no_error() {
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

    fn probes_tell_of_the_snapshot_and_of_what_is_not_in_it() {
        connections(5);
        loaded(|| {
            let file = open_binary();
            crate::help::set_filter(&file, "lport > 3");
            let mut seen = Vec::new();
            let fired = |name: &str, arguments: &[u64]| {
                // The first argument of the third is a pointer.
                let says = if name == "record__skip" { arguments[1] } else { arguments[0] };
                seen.push((name.to_owned(), says));
            };
            let (header, _) = kernel::with_probes(fired, || snapshot(&file));
            let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                names,
                ["snapshot__start", "record__skip", "record__skip", "record__skip", "snapshot__done"]
            );
            assert_eq!(seen[0].1, 1, "the first snapshot");
            assert_eq!(seen[1].1, 2, "for the filter");
            assert_eq!(seen[4].1, header.sequence);
        });
    }
}
