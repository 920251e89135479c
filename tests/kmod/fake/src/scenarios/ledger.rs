// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Final records of connections that end while somebody reads the ledger.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tcpstats::frame::flag;
use tcpstats::{Ending, FIELDS, Header, Record, State, ioctl, key, name};

use crate::help::{
    connection, ends, frame, loaded, open, open_binary, open_ledger, ports, read_to_end, set_binary, set_columns,
    set_filter, set_ledger, snapshot,
};
use crate::kernel::{self, At, Cred, File, Jail, Pcb, Vnet, constant, fails_with};

/// Creates an established connection.
fn established(port: u16) -> Pcb {
    connection(port).set("t_starttime", 90_000).set("t_rcvtime", 99_000)
}

fn established_of(vnet: Vnet, cred: Cred, port: u16) -> Pcb {
    Pcb::of(vnet, cred).ends(&["INP_IPV4"], ends(port)).set("t_starttime", 90_000)
}

/// Takes a snapshot, and returns the header and the final records.
fn take(file: &File) -> (Header, Vec<Record>) {
    let (header, records) = snapshot(file);
    let ended = records.into_iter().filter(|record| record.get(key::state) == Some(State::ENDED)).collect();
    (header, ended)
}

/// Returns the ports of the final records of a snapshot.
fn ended(file: &File) -> Vec<u16> {
    ports(&take(file).1)
}

/// Ends connections with these ports.
fn end_all(of: impl IntoIterator<Item = u16>) {
    for port in of {
        established(port).close();
    }
}

/// Runs `body` on a kernel thread of its own.
fn on_another_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                kernel::attach();
                body()
            })
            .join()
            .unwrap()
    })
}

/// Limits the ring to a number of records.
fn ring_of(records: u64) {
    kernel::set_sysctl("ledger_bytes_max", records * (tcpstats::MODULE_RECORD_LEN as u64 + 16));
}

scenarios! {
    fn a_connection_that_ends_has_one_final_record() {
        loaded(|| {
            let file = open_ledger();
            let (seen, unseen) = (established(1), established(2));
            let (header, records) = snapshot(&file);
            assert_eq!((header.flags, header.ended, records.len()), (flag::LEDGER, 0, 2));
            seen.close();
            unseen.close();
            established(3).close();
            assert_eq!(ended(&file), [1, 2, 3]);
            for pcb in [seen, unseen] {
                assert!(pcb.discard().free());
            }
            assert_eq!(ended(&file), [] as [u16; 0]);
            assert_eq!(kernel::sysctl("ended"), 3);
        });
    }

    fn without_the_ledger_nothing_is_replaced_and_nothing_is_recorded() {
        kernel::tcp_stack("rack", true);
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            assert_eq!(kernel::tcp_stacks_changed(), 0);
            end_all([1]);
            let (header, records) = snapshot(&file);
            assert_eq!((header.flags, header.ended, records.len()), (0, 0, 1));
            assert_eq!((kernel::sysctl("ended"), kernel::sysctl("ledger_readers")), (0, 0));
        });
    }

    fn a_final_record_has_all_that_a_live_record_has() {
        loaded(|| {
            let file = open_ledger();
            let pcb = established(7)
                .set("iss", 1000)
                .set("snd_una", 6001)
                .set("snd_max", 6001)
                .set("snd_nxt", 6001)
                .set("t_sndbytes", 5000)
                .set("irs", 10)
                .set("rcv_nxt", 800)
                .set("t_maxseg", 1448)
                .set("t_srtt", 320)
                .set("inp_flowid", 77);
            let live = snapshot(&file).1.remove(0);
            pcb.close();
            let last = take(&file).1.remove(0);
            let differ: Vec<_> = FIELDS.iter().filter(|field| live.bytes(field) != last.bytes(field) || live.has(field) != last.has(field)).map(|field| field.name).collect();
            assert_eq!(differ, ["state", "duration", "ending"]);
            assert_eq!(last.get(key::sent_bytes), Some(5000));
        });
    }

    fn the_duration_is_the_time_from_the_establishment_to_the_last_segment() {
        kernel::tcp_stack("rack", true);
        loaded(|| {
            let file = open_ledger();
            kernel::clock(1000, 100_000);
            for (start, received, sent, duration) in [
                (90_000, 99_000, 0, 9_000_000),
                (90_000, 91_000, 95_000, 5_000_000),
                // The SYN was sent before.
                (90_000, 90_000, 89_000, 0),
                (90_000, 0, 0, 0),
                (u64::from(u32::MAX) - 9, 20, 0, 30_000),
            ] {
                let pcb = connection(1).set("t_starttime", start).set("t_rcvtime", received).set("t_sndtime", sent);
                pcb.close();
                assert_eq!(take(&file).1[0].get(key::duration), Some(duration), "{start} {received} {sent}");
                assert!(pcb.discard().free());
            }
            assert!(snapshot(&file).1.is_empty());
            // Only the base stack sets t_sndtime.
            let pcb = connection(1).stack("rack", "newreno").set("t_starttime", 90_000).set("t_rcvtime", 91_000).set("t_sndtime", 95_000);
            pcb.close();
            assert_eq!(take(&file).1[0].get(key::duration), Some(1_000_000));
        });
    }

    fn a_final_record_has_the_time_of_the_end() {
        loaded(|| {
            let file = open_ledger();
            snapshot(&file);
            kernel::clock_step(0);
            let before = kernel::now();
            end_all([1]);
            kernel::advance(5_000_000);
            let (header, records) = take(&file);
            let at = header.mono_ns.wrapping_add(records[0].at_ns);
            assert!(at.abs_diff(before) <= 1, "{at} {before}");
            set_binary(&file, false);
            set_columns(&file, "lport,state,ending");
            end_all([2]);
            kernel::advance(2_000_000_000);
            let text = String::from_utf8(read_to_end(&file, 4096)).unwrap();
            let rows: Vec<_> = text.lines().filter(|row| row.ends_with(",rst_sent") || row.contains("ENDED")).collect();
            assert_eq!(rows.len(), 1, "{text}");
            assert!(text.contains(" ended=1 ended_lost=0"), "{text}");
        });
    }

    fn the_way_a_connection_ends_is_reported() {
        let error = |name| constant(name);
        loaded(|| {
            let file = open_ledger();
            let cases = [
                (State::TIME_WAIT, 0, Ending::FinSent),
                (State::LAST_ACK, 0, Ending::FinReceived),
                (State::ESTABLISHED, error("ECONNRESET"), Ending::RstReceived),
                (State::CLOSED, error("ECONNRESET"), Ending::RstReceived),
                (State::CLOSED, error("ETIMEDOUT"), Ending::Timeout),
                // 14 negates the errors of some stacks.
                (State::CLOSED, u64::from(u16::MAX) + 1 - error("ETIMEDOUT"), Ending::Timeout),
                // A thread of the application took the error.
                (State::ESTABLISHED, 0, Ending::RstReceived),
                (State::CLOSED, error("ECONNABORTED"), Ending::RstSent),
                (State::CLOSED, error("EFAULT"), Ending::Dropped),
            ];
            for (state, error, _) in cases {
                established(1).close_in(state, error);
            }
            let now = || established(1).set("t_rcvtime", 100_000);
            let closed = constant("TF_CLOSED");
            established(1).set("t_flags", closed).close_in(State::FIN_WAIT_2, 0);
            now().set("t_flags", closed).close_in(State::FIN_WAIT_2, 0);
            now().set("t_flags", closed).close_in(State::FIN_WAIT_1, 0);
            now().close_in(State::CLOSED, 0);
            now().set("so_options", constant("SO_LINGER")).close_in(State::CLOSED, 0);
            established(1).set("snd_max", 5).set("snd_una", 4).close_in(State::LAST_ACK, 0);
            kernel::in_sysctl(true);
            established(1).close_in(State::CLOSED, error("ECONNABORTED"));
            kernel::in_sysctl(false);
            let expected = cases.into_iter().map(|(_, _, ending)| ending);
            let expected: Vec<_> = expected
                .chain([
                    Ending::Timeout,
                    Ending::RstSent,
                    Ending::RstSent,
                    Ending::RstReceived,
                    Ending::RstSent,
                    Ending::RstReceived,
                    Ending::Killed,
                ])
                .collect();
            let found: Vec<_> = take(&file).1.iter().map(|record| record.get(key::ending).unwrap()).collect();
            assert_eq!(found, expected.iter().map(|ending| name::<16>(ending.name().as_bytes())).collect::<Vec<_>>());
        });
    }

    fn connections_that_were_not_established_and_listeners_have_none() {
        loaded(|| {
            let file = open_ledger();
            connection(1).close_in(State::SYN_SENT, constant("ECONNREFUSED"));
            connection(2).close_in(State::CLOSED, 0);
            connection(3).set("t_starttime", 90_000).set("so_options", constant("SO_ACCEPTCONN")).close_in(State::LISTEN, 0);
            assert_eq!(ended(&file), [] as [u16; 0]);
        });
    }

    fn a_connection_that_ended_before_the_ledger_was_on_has_none() {
        loaded(|| {
            end_all([1]);
            let dropped = established(2).set("inp_flags", constant("INP_DROPPED"));
            let file = open_ledger();
            // As tcp_switch_back_to_default() does with every connection of a stack.
            dropped.close();
            assert_eq!(ended(&file), [] as [u16; 0]);
        });
    }

    fn a_connection_that_ends_during_a_walk_is_in_the_next_snapshot() {
        let pcbs: Vec<_> = (1..=40).map(established).collect();
        loaded(|| {
            let file = open_ledger();
            let mut walked = 0;
            let walk = || {
                walked += 1;
                // The walk has visited the last connections, and has locked none of these.
                if walked == 20 {
                    let (visited, ahead) = (pcbs[35], pcbs[3]);
                    on_another_thread(move || {
                        visited.close();
                        ahead.close();
                    });
                }
            };
            let (header, records) = kernel::with_hook(At::Walk, walk, || snapshot(&file));
            assert_eq!((header.ended, records.len()), (0, 40));
            assert_eq!(ended(&file), [36, 4]);
        });
    }

    fn two_readers_have_positions_of_their_own() {
        loaded(|| {
            let files = [open_ledger(), open_ledger()];
            end_all([1, 2]);
            assert_eq!(ended(&files[0]), [1, 2]);
            end_all([3]);
            assert_eq!(ended(&files[0]), [3]);
            let later = open_ledger();
            assert_eq!(ended(&files[1]), [1, 2, 3]);
            assert_eq!(ended(&later), [] as [u16; 0], "a later reader gets no earlier records");
            end_all([4]);
            for file in [&files[0], &files[1], &later] {
                assert_eq!(ended(file), [4]);
            }
        });
    }

    fn records_that_are_overwritten_are_counted_for_each_reader() {
        loaded(|| {
            ring_of(10);
            let files = [open_ledger(), open_ledger()];
            end_all(1..=4);
            assert_eq!(ended(&files[0]), [1, 2, 3, 4]);
            end_all(5..=13);
            let (header, records) = take(&files[0]);
            assert_eq!((header.ended_lost, ports(&records)), (0, (5..=13).collect()));
            let (header, records) = take(&files[1]);
            assert_eq!((header.ended_lost, ports(&records)), (3, (4..=13).collect()));
            end_all(14..=36);
            for file in &files {
                let (header, records) = take(file);
                assert_eq!((header.ended_lost, ports(&records)), (13, (27..=36).collect()));
            }
            assert_eq!(kernel::sysctl("ended_lost"), 3 + 13 + 13);
            assert_eq!(take(&files[0]).0.ended_lost, 0);
        });
    }

    fn losses_that_a_reader_could_not_see_are_not_counted_for_it() {
        let (ann, bob) = (Cred::user(1001), Cred::user(1002));
        kernel::see_other_uids(false);
        loaded(|| {
            ring_of(4);
            ann.assume();
            let file = open_ledger();
            kernel::become_root();
            let all = open_ledger();
            for port in 1..=8 {
                established_of(Vnet::HOST, if port % 2 == 0 { ann } else { bob }, port).close();
            }
            ann.assume();
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, ports(&records)), (2, vec![6, 8]));
            kernel::become_root();
            let (header, records) = take(&all);
            assert_eq!((header.ended_lost, ports(&records)), (4, vec![5, 6, 7, 8]));
        });
    }

    fn a_reader_that_takes_the_place_of_another_inherits_nothing() {
        loaded(|| {
            ring_of(4);
            let stays = open_ledger();
            let file = open_ledger();
            end_all(1..=4);
            drop(file);
            let file = open_ledger();
            end_all(5..=6);
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, ports(&records)), (0, vec![5, 6]));
            assert_eq!(take(&stays).0.ended_lost, 2);
        });
    }

    fn final_records_are_visible_to_those_who_could_see_the_connection() {
        let (ann, bob) = (Cred::user(1001), Cred::user(1002));
        let jailed = Cred::new(0, Jail::new(4, Vnet::HOST));
        let vnet = Vnet::new();
        let other = Cred::new(0, Jail::new(9, vnet));
        kernel::see_other_uids(false);
        loaded(|| {
            let readers = [ann, bob, jailed, other].map(|cred| {
                cred.assume();
                (cred, open_ledger())
            });
            kernel::become_root();
            let (root, all) = (open_ledger(), open_ledger());
            all.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
            for (port, (vnet, cred)) in (1..).zip([
                (Vnet::HOST, ann),
                (Vnet::HOST, bob),
                (Vnet::HOST, jailed),
                (vnet, other),
                (Vnet::HOST, Cred::user(0)),
            ]) {
                let pcb = established_of(vnet, cred, port);
                pcb.close();
                // No part of the connection is needed any more.
                assert!(pcb.discard().free());
            }
            for ((cred, file), port) in readers.iter().zip(1..) {
                cred.assume();
                assert_eq!(ended(file), [port]);
            }
            kernel::become_root();
            assert_eq!(ended(&root), [1, 2, 3, 5]);
            let records = take(&all).1;
            assert_eq!(ports(&records), [1, 2, 3, 4, 5]);
            assert!(records[3].get(key::vnet) != records[2].get(key::vnet));
            drop(readers);
            vnet.free();
        });
    }

    fn records_that_were_judged_for_another_credential_are_lost() {
        let ann = Cred::user(1001);
        kernel::see_other_uids(false);
        loaded(|| {
            let file = open_ledger();
            end_all([1]);
            // The ledger begins with the first snapshot if a daemon has dropped its privileges by then.
            ann.assume();
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, records.len()), (0, 0));
            established_of(Vnet::HOST, ann, 2).close();
            end_all([3]);
            assert_eq!(ended(&file), [2]);
            kernel::become_root();
            snapshot(&file);
            end_all([4, 5]);
            ann.assume();
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, records.len()), (2, 0));
            kernel::become_root();
        });
        assert_eq!(kernel::credentials(), 0);
    }

    fn a_reader_of_all_network_stacks_that_returns_to_its_own_gets_nothing_from_others() {
        let vnet = Vnet::new();
        let jailed = Cred::new(0, Jail::new(9, vnet));
        loaded(|| {
            let file = open_ledger();
            snapshot(&file);
            file.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
            let pcb = established_of(vnet, jailed, 1);
            pcb.close();
            file.ioctl(ioctl::SET_ALL_VNETS, &mut 0_u32.to_ne_bytes()).unwrap();
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, records.len()), (1, 0));
            assert!(pcb.discard().free());
            vnet.free();
        });
    }

    fn a_change_of_the_stack_is_not_an_end_and_a_later_end_is() {
        kernel::tcp_stack("rack", true);
        loaded(|| {
            let file = open_ledger();
            let pcb = established(1).switch("rack", false);
            assert_eq!(ended(&file), [] as [u16; 0]);
            pcb.switch("freebsd", true).switch("freebsd", false).switch("rack", false);
            end_all([2]);
            pcb.close();
            assert_eq!(ended(&file), [2, 1]);
            assert_eq!(kernel::sysctl("ended"), 2);
        });
    }

    fn a_snapshot_waits_for_a_change_of_the_stack() {
        kernel::tcp_stack("rack", true);
        let pcb = established(1);
        loaded(|| {
            let file = open_ledger();
            thread::scope(|scope| {
                let file = &file;
                let reading = Mutex::new(None);
                let hook = || {
                    let before = kernel::calls("wait for a connection");
                    *reading.lock().unwrap() = Some(scope.spawn(move || {
                        kernel::attach();
                        take(file)
                    }));
                    while kernel::calls("wait for a connection") == before {
                        thread::yield_now();
                    }
                };
                kernel::with_hook(At::Switch, hook, || pcb.switch("rack", false));
                let (header, records) = reading.into_inner().unwrap().unwrap().join().unwrap();
                assert_eq!((header.ended, records.len()), (0, 0));
            });
        });
    }

    fn the_functions_of_all_stacks_are_replaced_while_a_reader_exists() {
        kernel::tcp_stack("rack", true);
        kernel::tcp_stack("plain", false);
        loaded(|| {
            for _ in 0..3 {
                let file = open_ledger();
                assert_eq!(kernel::tcp_stacks_changed(), 3);
                assert_eq!(kernel::tcp_stack_references(), 3);
                let other = open_ledger();
                set_ledger(&file, true);
                drop(file);
                assert_eq!((kernel::tcp_stacks_changed(), kernel::sysctl("ledger_readers")), (3, 1));
                set_ledger(&other, false);
                assert_eq!((kernel::tcp_stacks_changed(), kernel::tcp_stack_references()), (0, 0));
                assert_eq!((kernel::sysctl("ledger_readers"), kernel::sysctl("memory_bytes")), (0, 0));
                set_ledger(&other, true);
                other.revoke();
                drop(other);
                assert_eq!((kernel::tcp_stacks_changed(), kernel::credentials()), (0, 0));
            }
        });
    }

    fn a_stacks_own_functions_are_called_as_before() {
        kernel::tcp_stack("rack", true);
        kernel::tcp_stack("plain", false);
        let pcbs = ["rack", "plain", "freebsd"].map(|stack| established(1).stack(stack, "newreno"));
        // stop_all and fini of rack, and fini of freebsd.
        let run = || {
            let before = kernel::tcp_stack_calls();
            let pcb = pcbs[0].switch("freebsd", true).switch("freebsd", false).switch("rack", true).switch("rack", false);
            pcb.switch("plain", false).switch("rack", false);
            for pcb in pcbs {
                pcb.discard();
            }
            kernel::tcp_stack_calls() - before
        };
        let without = run();
        assert!(without > 5);
        loaded(|| {
            let _file = open_ledger();
            assert_eq!(run(), without);
        });
        assert_eq!(run(), without);
    }

    fn a_stack_that_is_loaded_later_is_covered() {
        loaded(|| {
            let file = open_ledger();
            kernel::load_tcp_stack("rack");
            assert_eq!(kernel::tcp_stacks_changed(), 2);
            established(1).stack("rack", "newreno").close();
            assert_eq!(ended(&file), [1]);
            // A connection changes to a stack before the handler of kld_load has run.
            kernel::tcp_stack("bbr", true);
            established(2).switch("bbr", false).close();
            assert_eq!(ended(&file), [2]);
            drop(file);
            assert_eq!(kernel::tcp_stacks_changed(), 0);
            kernel::load_tcp_stack("late");
            assert_eq!(kernel::tcp_stacks_changed(), 0);
        });
    }

    fn too_many_stacks_are_refused_and_nothing_is_replaced() {
        for number in 0..33 {
            kernel::tcp_stack(&format!("stack{number}"), number % 2 == 0);
        }
        loaded(|| {
            let file = open_binary();
            fails_with(file.ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()), "ENFILE");
            assert_eq!((kernel::tcp_stacks_changed(), kernel::tcp_stack_references(), kernel::credentials()), (0, 0, 0));
            assert_eq!(snapshot(&file).0.flags, 0);
            assert_eq!(kernel::sysctl("memory_bytes"), 65536);
        });
    }

    fn turning_the_ledger_off_waits_for_threads_that_are_about_to_end_a_connection() {
        let pcb = established(1);
        for by_close in [false, true] {
            loaded(|| {
                let file = open_ledger();
                let (begun, called) = (AtomicBool::new(false), AtomicBool::new(false));
                thread::scope(|scope| {
                    scope.spawn(|| {
                        kernel::attach();
                        let hook = || {
                            begun.store(true, SeqCst);
                            thread::sleep(Duration::from_millis(100));
                            called.store(true, SeqCst);
                        };
                        kernel::with_hook(At::Close, hook, || pcb.set("inp_flags", 0).close());
                    });
                    while !begun.load(SeqCst) {
                        thread::yield_now();
                    }
                    if by_close { drop(file) } else { set_ledger(&file, false) }
                    assert!(called.load(SeqCst), "a thread can still call the module");
                });
            });
        }
    }

    fn the_wait_yields_and_reaches_every_connection() {
        let pcbs: Vec<_> = (1..=400).map(established).collect();
        loaded(|| {
            let file = open_ledger();
            kernel::clock_step(300_000);
            kernel::always_wants_cpu();
            let before = kernel::calls("kern_yield");
            let mut number = 0;
            let change = || {
                // Connections disappear and appear meanwhile.
                number += 1;
                assert!(pcbs[400 - 60 * number].free());
                established(1000);
            };
            kernel::with_hook(At::Yield, change, || set_ledger(&file, false));
            assert!(kernel::calls("kern_yield") - before >= 4);
            kernel::clock_step(100);
        });
    }

    fn an_open_ledger_prevents_unloading() {
        kernel::load().unwrap();
        let file = open_ledger();
        fails_with(kernel::unload(), "EBUSY");
        fails_with(kernel::unload_by_force(), "EBUSY");
        end_all([1]);
        assert_eq!(ended(&file), [1], "the ledger still works");
        drop(file);
        kernel::unload().unwrap();
        end_all([2]);
    }

    fn without_memory_for_the_ledger_nothing_is_replaced() {
        loaded(|| {
            kernel::set_sysctl("total_bytes_max", 1 << 20);
            let file = open_binary();
            fails_with(file.ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()), "ENOMEM");
            assert_eq!((kernel::tcp_stacks_changed(), kernel::credentials(), kernel::sysctl("memory_bytes")), (0, 0, 0));
            assert_eq!(snapshot(&file).0.flags, 0);
            kernel::set_sysctl("ledger_bytes_max", 1 << 19);
            set_ledger(&file, true);
            assert!(kernel::sysctl("memory_bytes") > 500_000);
            kernel::set_sysctl("ledger_bytes_max", 0);
            drop(file);
            let file = open_ledger();
            end_all([1, 2]);
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, ports(&records)), (1, vec![2]), "there is room for at least one");
        });
    }

    fn the_end_of_a_connection_allocates_nothing_and_needs_little_stack() {
        let pcbs: Vec<_> = (1..=50).map(established).collect();
        loaded(|| {
            let _file = open_ledger();
            let (allocations, memory) = (kernel::calls("malloc nowait"), kernel::memory());
            let mut pcbs = pcbs.into_iter();
            let used = kernel::stack_of(|| pcbs.next().unwrap().close());
            assert!(used < 4096, "{used} bytes");
            pcbs.for_each(Pcb::close);
            assert_eq!((kernel::calls("malloc nowait"), kernel::memory()), (allocations, memory));
        });
    }

    fn the_filter_applies_to_final_records() {
        loaded(|| {
            let file = open_ledger();
            set_filter(&file, "state ended and lport >= 5");
            let live = established(9);
            end_all(1..=8);
            let (header, records) = snapshot(&file);
            assert_eq!((header.seen, header.matched, header.ended, header.ended_lost), (0, 0, 4, 0));
            assert_eq!(ports(&records), [5, 6, 7, 8]);
            set_filter(&file, "state established");
            live.close();
            assert_eq!(snapshot(&file).0.ended, 0, "a final record that does not match is not kept for later");
            file.ioctl(ioctl::CLEAR_FILTER, &mut []).unwrap();
            assert_eq!(ended(&file), [] as [u16; 0]);
        });
    }

    fn final_records_without_memory_stay_for_the_next_snapshot() {
        loaded(|| {
            let file = open_ledger();
            end_all(1..=600);
            let room = 65536 / tcpstats::MODULE_RECORD_LEN as u64;
            kernel::set_sysctl("snapshot_bytes_max", 4 * 65536);
            let (header, first) = take(&file);
            // The walk sees the connections, which are not freed yet.
            assert_eq!((header.missed, header.ended, header.ended_lost), (600 - 4 * room, 0, 0));
            assert!(first.is_empty());
            kernel::set_sysctl("snapshot_bytes_max", 1 << 30);
            assert_eq!(ended(&file), (1..=600).collect::<Vec<_>>());
        });
    }

    fn final_records_of_a_snapshot_that_is_not_read_are_counted_as_lost() {
        loaded(|| {
            let file = open_ledger();
            end_all([1, 2]);
            file.read(&mut [0; 300]).unwrap();
            file.seek(0);
            end_all([3]);
            let (header, records) = take(&file);
            assert_eq!((header.ended_lost, ports(&records)), (2, vec![3]));
            end_all([4]);
            file.read(&mut [0; 300]).unwrap();
            set_filter(&file, "state ended");
            assert_eq!(take(&file).0.ended_lost, 1);
            // All of a snapshot was read, but not the end of file after it.
            end_all([5]);
            let mut buffer = vec![0; 1 << 20];
            let got = file.read(&mut buffer).unwrap();
            assert_eq!(ports(&frame(&buffer[..got]).1), [5]);
            file.seek(0);
            assert_eq!(take(&file).0.ended_lost, 0);
            assert_eq!(kernel::sysctl("ended_lost"), 3);
        });
    }

    fn a_signal_during_the_walk_loses_no_final_record() {
        let _pcbs: Vec<_> = (1..=200).map(established).collect();
        loaded(|| {
            let file = open_ledger();
            end_all([1001, 1002]);
            kernel::signal("EINTR");
            fails_with(file.read(&mut [0; 100]), "EINTR");
            kernel::signal_gone();
            end_all([1003]);
            assert_eq!(ended(&file), [1001, 1002, 1003]);
        });
    }

    fn a_user_cannot_take_all_places_and_root_always_finds_one() {
        loaded(|| {
            kernel::set_sysctl("opens_per_user_max", 100);
            let mut files = Vec::new();
            for uid in 1..=12 {
                Cred::user(uid).assume();
                for _ in 0..8 {
                    let file = open();
                    if file.ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()).is_ok() {
                        files.push(file);
                    }
                }
                if uid == 1 {
                    fails_with(open().ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()), "EMFILE");
                }
            }
            fails_with(open().ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()), "ENFILE");
            assert_eq!(files.len(), 24);
            kernel::become_root();
            let _of_root: Vec<_> = (0..40).map(|_| open_ledger()).collect();
            fails_with(open().ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()), "ENFILE");
            assert_eq!(kernel::sysctl("ledger_readers"), 64);
        });
        assert_eq!(kernel::credentials(), 0);
    }

    fn only_0_and_1_are_arguments() {
        loaded(|| {
            let file = open_ledger();
            for wrong in [2_u32, u32::MAX] {
                fails_with(file.ioctl(ioctl::SET_LEDGER, &mut wrong.to_ne_bytes()), "EINVAL");
            }
            end_all([1]);
            assert_eq!(ended(&file), [1], "the ledger is still on");
            set_ledger(&file, false);
            fails_with(file.ioctl(ioctl::SET_LEDGER, &mut 7_u32.to_ne_bytes()), "EINVAL");
            set_ledger(&file, false);
            assert_eq!(snapshot(&file).0.flags, 0);
        });
    }

    fn the_probe_reports_each_end_once() {
        loaded(|| {
            let file = open_ledger();
            let mut fired = Vec::new();
            let probe = |name: &str, arguments: &[u64]| {
                if name == "connection__ended" {
                    fired.push(arguments[1] != 0 && arguments[0] != 0);
                }
            };
            kernel::with_probes(probe, || {
                end_all([1, 2]);
                connection(3).close();
                snapshot(&file);
            });
            assert_eq!(fired, [true, true]);
        });
    }

    fn final_records_of_many_connections_are_in_one_snapshot() {
        loaded(|| {
            let file = open_ledger();
            take(&file);
            for number in 0..5000 {
                let pcb = established(number);
                pcb.close();
                assert!(pcb.discard().free());
            }
            let (header, records) = take(&file);
            assert_eq!((header.ended, header.ended_lost, records.len()), (5000, 0, 5000));
        });
    }

    fn every_end_is_reported_once_to_each_of_many_readers_while_connections_end() {
        const CLOSERS: u32 = 3;
        const ENDS: u16 = 400;
        loaded(|| {
            let done = AtomicU32::new(0);
            thread::scope(|scope| {
                let readers = [(); 3].map(|()| {
                    let file = open_ledger();
                    let done = &done;
                    scope.spawn(move || {
                        kernel::attach();
                        let mut found = BTreeSet::new();
                        loop {
                            let last = done.load(SeqCst) == CLOSERS;
                            let (header, records) = take(&file);
                            assert_eq!(header.ended_lost, 0);
                            for record in records {
                                assert!(found.insert((record.get(key::lport), record.get(key::fib))), "reported twice");
                            }
                            if last {
                                return found.len();
                            }
                        }
                    })
                });
                // One more comes and goes.
                scope.spawn(|| {
                    kernel::attach();
                    while done.load(SeqCst) != CLOSERS {
                        take(&open_ledger());
                    }
                });
                for closer in 0..CLOSERS {
                    let done = &done;
                    scope.spawn(move || {
                        kernel::attach();
                        for number in 0..ENDS {
                            let pcb = established(number).set("inp_inc.inc_fibnum", closer.into());
                            pcb.close();
                            let pcb = pcb.discard();
                            while !pcb.free() {
                                thread::yield_now();
                            }
                        }
                        done.fetch_add(1, SeqCst);
                    });
                }
                for reader in readers {
                    assert_eq!(reader.join().unwrap(), CLOSERS as usize * usize::from(ENDS));
                }
            });
        });
    }
}
