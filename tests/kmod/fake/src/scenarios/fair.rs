// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Fairness between readers.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use tcpstats::MODULE_RECORD_LEN;

use crate::help::{connections, ends, loaded, open_binary, read_to_end, snapshot};
use crate::kernel::{self, At, Cred, File, Jail, Pcb, Vnet, fails_with};

const BLOCK: u64 = 65536;

/// Takes a snapshot and reads only its first bytes, so that it keeps its memory;
/// returns how many connections it missed.
fn start_snapshot(file: &File) -> u64 {
    let before = kernel::sysctl("missed");
    assert_eq!(file.read(&mut [0; 8]), Ok(8));
    kernel::sysctl("missed") - before
}

scenarios! {
    fn an_unprivileged_reader_does_not_make_roots_logger_miss_connections() {
        let count = 100_000;
        kernel::many_connections(count);
        let jailed = [7, 8].map(|jid| {
            let vnet = Vnet::new();
            let root = Cred::new(0, Jail::new(jid, vnet));
            kernel::many_connections_of(vnet, root, count);
            root
        });
        loaded(|| {
            // Less than the defaults, in the same proportion: the test uses real memory.
            for (limit, mb) in [("total", 160), ("jail", 60), ("user", 40)] {
                kernel::set_sysctl(&format!("{limit}_bytes_max"), mb << 20);
            }
            kernel::set_sysctl("reserved_bytes", 80 << 20);
            let ann = Cred::user(1001);
            let mut greedy = Vec::new();
            for who in [ann, Cred::user(1002), jailed[0], jailed[1]] {
                who.assume();
                // Every descriptor keeps as much memory as it gets.
                greedy.extend((0..32).map(|_| open_binary()));
                greedy.iter().skip(greedy.len() - 32).for_each(|file| {
                    start_snapshot(file);
                });
                fails_with(File::open(), "EMFILE");
            }
            kernel::become_root();
            let logger = open_binary();
            for round in 1..=3 {
                let (header, records) = snapshot(&logger);
                assert_eq!((header.missed, records.len() as u64), (0, count), "round {round}");
                ann.assume();
                greedy[..32].iter().for_each(|file| {
                    file.seek(0);
                    start_snapshot(file);
                });
                kernel::become_root();
            }
            let others = kernel::sysctl("total_bytes_max") - kernel::sysctl("reserved_bytes");
            assert!(kernel::sysctl("memory_bytes") <= others + (count + count / 4) * MODULE_RECORD_LEN as u64);
            drop(greedy);
        });
    }

    fn a_logger_started_by_root_is_not_limited_after_it_drops_privileges() {
        connections(1000);
        loaded(|| {
            kernel::set_sysctl("total_bytes_max", 20 * BLOCK);
            kernel::set_sysctl("reserved_bytes", 20 * BLOCK);
            kernel::set_sysctl("interval_min_us", 1_000_000);
            let logger = open_binary();
            Cred::user(1001).assume();
            for _ in 0..3 {
                assert_eq!(snapshot(&logger).0.missed, 0);
            }
            assert_eq!(kernel::slept_ns(), 0);
            assert!(snapshot(&open_binary()).0.missed > 0, "a descriptor that the user opened is limited");
        });
    }

    fn the_memory_of_a_user_is_limited() {
        connections(1000);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            kernel::set_sysctl("user_bytes_max", 10 * BLOCK);
            Cred::user(1001).assume();
            let (one, other) = (open_binary(), open_binary());
            assert_eq!(start_snapshot(&one), 0);
            assert!(start_snapshot(&other) > 0);
            assert!(kernel::sysctl("memory_bytes") <= 10 * BLOCK);
            Cred::user(1002).assume();
            assert_eq!(start_snapshot(&open_binary()), 0, "another user has a separate limit");
            Cred::user(1001).assume();
            drop(one);
            other.seek(0);
            assert_eq!(start_snapshot(&other), 0, "memory that one descriptor frees is available to the other");
        });
    }

    fn the_memory_of_a_jail_is_limited() {
        connections(1000);
        let jail = Jail::new(5, Vnet::HOST);
        let jailed = |uid| Cred::new(uid, jail);
        let inside = Cred::new(3, jail.inside(6));
        for port in 1..=1000 {
            Pcb::of(Vnet::HOST, jailed(0)).ends(&["INP_IPV4"], ends(port));
            Pcb::of(Vnet::HOST, inside).ends(&["INP_IPV4"], ends(port));
        }
        loaded(|| {
            kernel::set_sysctl("jail_bytes_max", 10 * BLOCK);
            let hold = |cred: Cred| {
                cred.assume();
                let file = open_binary();
                (start_snapshot(&file), file)
            };
            let one = hold(jailed(1));
            assert_eq!(one.0, 0);
            let other = hold(jailed(2));
            assert!(other.0 > 0, "another user of the jail");
            let inner = hold(inside);
            assert_eq!(inner.0, 1000, "a nested jail shares the limit");
            assert!(kernel::sysctl("memory_bytes") <= 10 * BLOCK);
            drop((one, other, inner));
        });
    }

    fn users_of_nested_jails_are_counted_together() {
        connections(3);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 2);
            let jail = Jail::new(5, Vnet::HOST);
            Cred::new(0, jail).assume();
            let one = File::open().unwrap();
            Cred::new(0, jail.inside(6)).assume();
            let two = File::open().unwrap();
            Cred::new(0, jail.inside(7).inside(8)).assume();
            fails_with(File::open(), "EMFILE");
            Cred::new(0, Jail::new(9, Vnet::HOST)).assume();
            let three = File::open().expect("another jail has a separate limit");
            drop((one, two, three));
        });
    }

    fn a_jail_cannot_fill_the_table_of_users() {
        loaded(|| {
            let jail = Jail::new(5, Vnet::HOST);
            let mut files = Vec::new();
            for uid in 0..200 {
                Cred::new(uid, jail).assume();
                files.extend(File::open().ok());
            }
            assert_eq!(files.len(), 32);
            fails_with(File::open(), "ENFILE");
            for number in 6..40 {
                for uid in 0..4 {
                    Cred::new(uid, Jail::new(number, Vnet::HOST)).assume();
                    files.extend(File::open().ok());
                }
            }
            assert_eq!(files.len(), 96, "all jails together");
            for uid in 1000..1032 {
                Cred::user(uid).assume();
                files.push(File::open().expect("entries are left for users of the host"));
            }
            drop(files);
        });
    }

    fn connections_that_a_user_cannot_see_use_no_memory() {
        let ann = Cred::user(1001);
        kernel::many_connections(20_000);
        for port in 1..=3 {
            Pcb::of(Vnet::HOST, ann).ends(&["INP_IPV4"], ends(port));
        }
        kernel::see_other_uids(false);
        loaded(|| {
            ann.assume();
            let file = open_binary();
            kernel::memory_peak();
            for _ in 0..2 {
                assert_eq!(snapshot(&file).1.len(), 3);
                assert!(kernel::memory_peak() < 4 * BLOCK, "{} bytes", kernel::memory_peak());
            }
        });
    }

    fn memory_is_allocated_for_the_number_of_records_in_the_last_snapshot() {
        kernel::many_connections(5000);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            Cred::user(1001).assume();
            let file = open_binary();
            kernel::fail_allocations_after(2);
            assert!(snapshot(&file).0.missed > 0, "the first snapshot allocates without waiting");
            assert_eq!(snapshot(&file).0.missed, 0, "the second one allocates before the walk");
            kernel::fail_no_allocations();
        });
    }

    fn an_idle_descriptor_of_a_user_keeps_little_memory() {
        kernel::many_connections(20_000);
        loaded(|| {
            let ann = Cred::user(1001);
            ann.assume();
            let file = open_binary();
            assert_eq!(snapshot(&file).0.missed, 0);
            assert!(kernel::sysctl("memory_bytes") <= 16 * BLOCK, "{}", kernel::sysctl("memory_bytes"));
            assert_eq!(snapshot(&file).0.missed, 0);
            // The same applies if an ioctl or a signal ends the snapshot.
            start_snapshot(&file);
            assert!(kernel::sysctl("memory_bytes") > 100 * BLOCK);
            file.ioctl(tcpstats::ioctl::CLEAR_FILTER, &mut []).unwrap();
            assert!(kernel::sysctl("memory_bytes") <= 16 * BLOCK);
            let mut step = 0;
            let hook = || {
                step += 1;
                if step == 15_000 {
                    kernel::signal("EINTR");
                }
            };
            fails_with(kernel::with_hook(At::Walk, hook, || file.read(&mut [0; 100])), "EINTR");
            kernel::signal_gone();
            assert!(kernel::sysctl("memory_bytes") <= 16 * BLOCK);
        });
    }

    fn idle_memory_of_root_is_available_to_others() {
        kernel::many_connections(5000);
        let bytes = 5000 * MODULE_RECORD_LEN as u64;
        loaded(|| {
            kernel::set_sysctl("total_bytes_max", 2 * bytes);
            let files: Vec<_> = (0..12).map(|_| open_binary()).collect();
            for file in files.iter().chain(&files) {
                assert_eq!(snapshot(file).0.missed, 0, "it reclaims the idle memory of others");
                let held = kernel::sysctl("memory_bytes");
                assert!((bytes..=2 * bytes).contains(&held), "{held} of {bytes}");
            }
            kernel::set_sysctl("reserved_bytes", 0);
            Cred::user(1001).assume();
            let user = open_binary();
            assert_eq!(start_snapshot(&user), 0, "a user can reclaim it too");
            drop(user);
        });
    }

    fn idle_memory_is_freed_when_the_system_runs_low() {
        kernel::many_connections(5000);
        loaded(|| {
            let files: Vec<_> = (0..10).map(|_| open_binary()).collect();
            for file in &files {
                snapshot(file);
            }
            let one = 5000 * MODULE_RECORD_LEN as u64;
            assert!(kernel::sysctl("memory_bytes") >= 8 * one, "eight descriptors keep their memory");
            assert!(kernel::sysctl("memory_bytes") <= 11 * one, "the others keep nothing");
            kernel::low_memory();
            assert_eq!(kernel::sysctl("memory_bytes"), 0);
            assert_eq!(snapshot(&files[0]).0.missed, 0);
            start_snapshot(&files[1]);
            kernel::low_memory();
            assert!(kernel::sysctl("memory_bytes") >= one, "a snapshot in progress keeps its memory");
            assert_eq!(read_to_end(&files[1], 65536).len() as u64 % 8, 0);
        });
    }

    fn a_walk_does_not_retry_a_failed_allocation() {
        connections(5000);
        loaded(|| {
            Cred::user(1001).assume();
            let file = open_binary();
            let before = kernel::calls("malloc nowait");
            kernel::fail_allocations_after(3);
            let (header, _) = snapshot(&file);
            kernel::fail_no_allocations();
            assert!(header.missed > 4000, "{header:?}");
            assert_eq!(kernel::calls("malloc nowait") - before, 4, "three blocks and one failure");
        });
    }

    fn a_user_has_one_walk_at_a_time_and_root_is_not_limited() {
        connections(100);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            let ann = Cred::user(1001);
            ann.assume();
            let (one, other) = (open_binary(), open_binary());
            other.nonblocking(true);
            kernel::become_root();
            let roots = open_binary();
            let (inside, leave) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                let walker = scope.spawn(|| {
                    kernel::attach();
                    ann.assume();
                    let hook = || {
                        // All threads run the hook; only the first one waits.
                        if !inside.swap(true, SeqCst) {
                            while !leave.load(SeqCst) {
                                thread::yield_now();
                            }
                        }
                    };
                    kernel::with_hook(At::Walk, hook, || read_to_end(&one, 4096))
                });
                while !inside.load(SeqCst) {
                    thread::yield_now();
                }
                ann.assume();
                fails_with(other.read(&mut [0; 100]), "EAGAIN");
                assert_eq!(other.poll(&["POLLIN"]), 0);
                Cred::user(1002).assume();
                assert_eq!(snapshot(&open_binary()).1.len(), 100, "another user can walk at the same time");
                kernel::become_root();
                assert_eq!(snapshot(&roots).1.len(), 100);
                leave.store(true, SeqCst);
                walker.join().unwrap();
            });
            ann.assume();
            assert_eq!(snapshot(&other).1.len(), 100);
        });
    }

    fn readers_of_a_user_wait_for_each_other() {
        connections(100);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 0);
            let ann = Cred::user(1001);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        kernel::attach();
                        ann.assume();
                        let file = open_binary();
                        for _ in 0..20 {
                            assert_eq!(snapshot(&file).1.len(), 100);
                        }
                    });
                }
            });
            assert_eq!(kernel::sysctl("snapshots"), 80);
        });
    }

    fn the_pause_after_a_walk_is_proportional_to_its_cost() {
        connections(1000);
        kernel::clock_step(0);
        loaded(|| {
            Cred::user(1001).assume();
            let file = open_binary();
            let step = || kernel::advance(10_000);
            let cost = 1001 * 10_000;
            for (percent, pause) in [(50, cost), (20, 4 * cost), (100, 0)] {
                kernel::set_sysctl("walk_percent_max", percent);
                kernel::with_hook(At::Walk, step, || snapshot(&file));
                let slept = kernel::slept_ns();
                snapshot(&file);
                let slept = kernel::slept_ns() - slept;
                assert!((pause..=pause + 1000).contains(&slept), "{percent} %: {slept} of {pause}");
            }
            // Another descriptor does not evade the pause.
            kernel::set_sysctl("walk_percent_max", 50);
            kernel::with_hook(At::Walk, step, || snapshot(&file));
            let slept = kernel::slept_ns();
            snapshot(&open_binary());
            assert!(kernel::slept_ns() - slept >= cost);
        });
    }

    fn an_interrupted_walk_is_charged_too() {
        connections(1000);
        kernel::clock_step(0);
        loaded(|| {
            Cred::user(1001).assume();
            let file = open_binary();
            let mut steps = 0;
            let hook = || {
                steps += 1;
                kernel::advance(10_000);
                if steps == 800 {
                    kernel::signal("EINTR");
                }
            };
            fails_with(kernel::with_hook(At::Walk, hook, || file.read(&mut [0; 100])), "EINTR");
            kernel::signal_gone();
            snapshot(&file);
            assert!(kernel::slept_ns() >= 8_000_000, "{}", kernel::slept_ns());
        });
    }
}
