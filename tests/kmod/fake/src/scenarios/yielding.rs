// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A walk that yields because another thread wants the CPU, and connections that
//! are removed and added in the meantime.

use std::cell::Cell;

use tcpstats::key;

use crate::help::{connection, connections, ends, loaded, open, open_binary, ports, read_to_end, snapshot, walk_order};
use crate::kernel::{self, At, Cred, Jail, Pcb, Vnet};

/// The maximum time without checking whether another thread wants the CPU.
const HOLD_NS: u64 = 200_000;

/// A clock step with which a check is due every sixteen connections.
const SLOW_NS: u64 = HOLD_NS + 1000;

/// Walks, yielding every sixteen connections, and returns the ports found.  Calls
/// `change` at each yield with its number, from 1.
fn yielding_walk(mut change: impl FnMut(u64)) -> Vec<u16> {
    kernel::clock_step(SLOW_NS);
    kernel::always_wants_cpu();
    let file = open_binary();
    let begun = Cell::new(false);
    let mut yields = 0;
    let hook = || {
        // The allocation of memory before the walk yields too.
        if begun.get() {
            yields += 1;
            change(yields);
        }
    };
    let fired = |name: &str, _: &[u64]| begun.set(name == "snapshot__start");
    let found = kernel::with_probes(fired, || kernel::with_hook(At::Yield, hook, || snapshot(&file)));
    assert_eq!(found.0.missed, 0);
    assert!(yields > 0, "the walk yields");
    ports(&found.1)
}

scenarios! {
    fn a_walk_yields_if_another_thread_wants_the_cpu() {
        connections(400);
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            assert_eq!(kernel::calls("kern_yield"), 0, "no other thread wants the CPU");
            assert_eq!(yielding_walk(|_| ()), walk_order(400));
            assert!(kernel::calls("kern_yield") >= 400 / 16 - 1);
        });
    }

    fn a_walk_yields_at_most_once_in_the_maximum_hold_time() {
        connections(400);
        loaded(|| {
            // The clock is read every sixteen connections and advances by a quarter of the maximum.
            kernel::clock_step(HOLD_NS / 4);
            kernel::always_wants_cpu();
            snapshot(&open_binary());
            let looks = 400 / 16;
            assert!((looks / 4 - 2..=looks / 4 + 6).contains(&kernel::calls("kern_yield")), "{}", kernel::calls("kern_yield"));
        });
    }

    fn a_walk_yields_among_hidden_connections() {
        connections(400);
        kernel::see_other_uids(false);
        loaded(|| {
            Cred::user(1001).assume();
            kernel::clock_step(SLOW_NS);
            kernel::always_wants_cpu();
            assert_eq!(snapshot(&open_binary()).1.len(), 0);
            assert!(kernel::calls("kern_yield") >= 400 / 16 - 1);
        });
    }

    fn the_connection_at_which_a_walk_yields_can_be_freed() {
        let pcbs = connections(400);
        loaded(|| {
            let mut order: Vec<_> = pcbs.iter().rev().copied().enumerate().collect();
            let mut gone = Vec::new();
            let found = yielding_walk(|number| {
                // Frees all connections that the walk has visited so far.
                let end = usize::try_from(number * 16 + 1).unwrap().min(order.len());
                for (at, pcb) in &order[..end] {
                    assert!(pcb.free(), "no connection is locked while the walk yields");
                    gone.push(*at);
                }
                order.drain(..end);
            });
            let mut distinct = found.clone();
            distinct.dedup();
            assert_eq!(found, distinct, "no connection is reported twice");
            assert!(found.windows(2).all(|two| two[0] > two[1]));
            let mut left: Vec<u16> = walk_order(400);
            for at in &gone {
                left[*at] = 0;
            }
            assert!(left.iter().filter(|port| **port != 0).all(|port| found.contains(port)), "connections that remain are reported");
        });
    }

    fn every_second_connection_can_be_freed_at_each_yield() {
        let pcbs = connections(1000);
        loaded(|| {
            let mut left: Vec<_> = pcbs.iter().copied().zip(1..=1000_u16).collect();
            let found = yielding_walk(|_| {
                let mut keep = false;
                left.retain(|(pcb, _)| {
                    keep = !keep;
                    keep || !pcb.free()
                });
            });
            assert!(found.windows(2).all(|two| two[0] > two[1]), "each connection is reported once, in order");
            assert!(left.iter().all(|(_, port)| found.contains(port)), "connections that remain are reported");
            assert_eq!(ports(&snapshot(&open_binary()).1).len(), left.len());
        });
    }

    fn all_connections_can_be_freed_at_a_yield() {
        let pcbs = connections(400);
        loaded(|| {
            let found = yielding_walk(|number| {
                if number == 5 {
                    assert!(pcbs.iter().all(|pcb| pcb.free()));
                }
            });
            assert_eq!(found, walk_order(400)[..found.len()]);
            assert!((64..=112).contains(&found.len()), "{}", found.len());
        });
    }

    fn connections_added_while_a_walk_yields_are_not_reported() {
        let pcbs = connections(200);
        loaded(|| {
            let mut next = 1000;
            let mut order = pcbs.iter().rev();
            let found = yielding_walk(|_| {
                // If the walk restarts, it must skip these.
                (0..50).for_each(|_| {
                    next += 1;
                    connection(next);
                });
                order.by_ref().take(20).for_each(|pcb| assert!(pcb.free()));
            });
            assert!(found.iter().all(|port| *port <= 200), "{found:?}");
            assert!(found.windows(2).all(|two| two[0] > two[1]));
        });
    }

    fn a_walk_ends_even_if_every_connection_it_returns_to_is_freed() {
        let stay = 50;
        connections(stay);
        let mut young: Vec<_> = (1001..=1200).map(connection).collect();
        loaded(|| {
            // At every yield, all connections to which the walk holds references are replaced by new ones.
            let mut next = 2000;
            let mut most = 0;
            let found = yielding_walk(|number| {
                most = number;
                young.drain(..).for_each(|pcb| assert!(pcb.free()));
                young.extend((0..200).map(|_| {
                    next += 1;
                    connection(next)
                }));
            });
            assert_eq!(&found[found.len() - usize::from(stay)..], walk_order(stay), "connections that remain are reported");
            assert!(most < 2000, "it yielded {most} times");
        });
    }

    fn a_walk_over_all_network_stacks_yields() {
        let vnets = [Vnet::HOST, Vnet::new(), Vnet::new()];
        let mut pcbs = Vec::new();
        for (number, vnet) in (1..).zip(vnets) {
            let cred = if number == 1 { Cred::user(0) } else { Cred::new(0, Jail::new(number, vnet)) };
            pcbs.extend((1..=100).map(|port| Pcb::of(vnet, cred).ends(&["INP_IPV4"], ends(port))));
        }
        loaded(|| {
            let file = open_binary();
            file.ioctl(tcpstats::ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
            kernel::clock_step(SLOW_NS);
            kernel::always_wants_cpu();
            let mut yields = 0;
            let hook = || {
                yields += 1;
                // The connections that a walk of each stack visits first.
                if yields == 3 {
                    for stack in 0..3 {
                        (40..100).for_each(|at| assert!(pcbs[stack * 100 + at].free()));
                    }
                }
            };
            let (_, records) = kernel::with_hook(At::Yield, hook, || snapshot(&file));
            let low = records.iter().filter(|record| record.get(key::lport).unwrap() <= 40).count();
            assert_eq!(low, 120, "connections that remain are reported");
            assert!(yields > 3);
        });
    }

    fn a_signal_during_a_yield_interrupts_the_walk() {
        let pcbs = connections(400);
        loaded(|| {
            kernel::clock_step(SLOW_NS);
            kernel::always_wants_cpu();
            let file = open_binary();
            let read = || file.read(&mut [0; 1000]);
            kernel::fails_with(kernel::with_hook(At::Yield, || kernel::signal("EINTR"), read), "EINTR");
            kernel::signal_gone();
            assert!(pcbs.iter().all(|pcb| pcb.free()), "no connection is left locked");
        });
    }

    fn a_long_copy_yields() {
        connections(2000);
        loaded(|| {
            let file = open();
            let mut bytes = vec![0; 4 << 20];
            file.read(&mut bytes[..1]).unwrap();
            kernel::always_wants_cpu();
            kernel::clock_step(SLOW_NS);
            let before = kernel::calls("kern_yield");
            let got = file.read(&mut bytes).unwrap();
            let yields = kernel::calls("kern_yield") - before;
            // A piece of text is at most 16 KB.
            assert!(yields + 1 >= got as u64 / 16384, "{yields} yields in {got} bytes");
        });
    }

    fn the_allocation_of_much_memory_yields() {
        kernel::many_connections(50_000);
        loaded(|| {
            kernel::always_wants_cpu();
            kernel::clock_step(SLOW_NS);
            let fired_at = Cell::new(0);
            let fired = |name: &str, _: &[u64]| {
                if name == "snapshot__start" {
                    fired_at.set(kernel::calls("kern_yield"));
                }
            };
            kernel::with_probes(fired, || snapshot(&open_binary()));
            assert!(fired_at.get() >= 50_000 * 392 / 65536, "{}", fired_at.get());
        });
    }

    fn hold_max_ns_is_the_longest_time_between_two_checks() {
        connections(400);
        kernel::clock_step(0);
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            assert_eq!(kernel::sysctl("hold_max_ns"), 0, "the clock does not advance");
            // Three milliseconds at one connection, and fifty at another, during which the thread is preempted.
            let mut step = 0;
            let hook = || {
                step += 1;
                if step == 100 {
                    kernel::advance(3_000_000);
                }
                if step == 300 {
                    kernel::advance(50_000_000);
                    kernel::preempt();
                }
            };
            kernel::with_hook(At::Walk, hook, || snapshot(&file));
            assert!((2_999_990..=3_000_000).contains(&kernel::sysctl("hold_max_ns")), "{}", kernel::sysctl("hold_max_ns"));
        });
    }

    fn a_user_is_not_charged_for_the_time_that_a_walk_yields() {
        connections(400);
        kernel::clock_step(0);
        loaded(|| {
            let ann = Cred::user(1001);
            ann.assume();
            let file = open_binary();
            kernel::always_wants_cpu();
            let step = || kernel::advance(10_000);
            let pause = || kernel::advance(50_000_000);
            let (header, _) = kernel::with_hook(At::Walk, step, || kernel::with_hook(At::Yield, pause, || snapshot(&file)));
            let worked = 401 * 10_000;
            assert!(header.walk_ns > 10 * worked, "{header:?}");
            assert!((HOLD_NS..2 * HOLD_NS).contains(&kernel::sysctl("hold_max_ns")), "{}", kernel::sysctl("hold_max_ns"));
            // The user waits as long as the walk worked.
            let slept = kernel::slept_ns();
            kernel::with_hook(At::Yield, || (), || snapshot(&file));
            assert!((worked..worked + 10_000).contains(&(kernel::slept_ns() - slept)), "{}", kernel::slept_ns() - slept);
        });
    }

    fn the_clock_is_read_again_after_a_yield() {
        connections(40);
        kernel::clock_step(0);
        loaded(|| {
            kernel::always_wants_cpu();
            let (step, pause) = (|| kernel::advance(20_000), || kernel::advance(5_000_000));
            let file = open_binary();
            let (_, records) = kernel::with_hook(At::Walk, step, || kernel::with_hook(At::Yield, pause, || snapshot(&file)));
            let after: Vec<_> = records.iter().filter(|record| record.at_ns > 5_000_000).collect();
            assert!((20..30).contains(&after.len()), "{} records after the yield", after.len());
        });
    }

    fn text_is_the_same_with_and_without_yields() {
        connections(500);
        kernel::clock_step(0);
        loaded(|| {
            let whole = read_to_end(&open(), 1 << 20);
            kernel::always_wants_cpu();
            let again = read_to_end(&open(), 1 << 20);
            assert!(whole == again);
        });
    }
}
