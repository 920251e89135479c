// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The numbers of network stacks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use tcpstats::{ioctl, key};

use crate::help::{connection, ends, loaded, open_binary, records, snapshot};
use crate::kernel::{self, Cred, File, Jail, Pcb, Vnet, fails_with};

/// Opens a descriptor that returns the connections of all network stacks.
fn open_all() -> File {
    let file = open_binary();
    file.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).expect("root is allowed to");
    file
}

/// Returns ports and numbers of network stacks, ordered by port.
fn numbers(file: &File) -> Vec<(u16, u64)> {
    let number = |record: &tcpstats::Record| {
        (record.get(key::lport).unwrap(), record.get(key::vnet).expect("every record has one"))
    };
    let mut found: Vec<_> = snapshot(file).1.iter().map(number).collect();
    found.sort_unstable();
    found
}

/// Creates a connection in a network stack.
fn connection_in(vnet: Vnet, port: u16) -> Pcb {
    Pcb::of(vnet, Cred::new(0, Jail::new(9, vnet))).ends(&["INP_IPV4"], ends(port))
}

scenarios! {
    fn every_record_has_the_number_of_its_network_stack_and_the_host_has_0() {
        let vnets = [Vnet::new(), Vnet::new()];
        connection(1);
        kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(2));
        let jailed = vnets.map(|vnet| Cred::new(0, Jail::new(4, vnet)));
        for (port, (vnet, cred)) in (3..).step_by(2).zip(vnets.into_iter().zip(jailed)) {
            Pcb::of(vnet, cred).ends(&["INP_IPV4"], ends(port));
            kernel::half_open(vnet, cred, false, ends(port + 1));
        }
        loaded(|| {
            let found = numbers(&open_all());
            let [one, other] = [found[2].1, found[4].1];
            assert_eq!(found, [(1, 0), (2, 0), (3, one), (4, one), (5, other), (6, other)]);
            assert!(one != other && one != 0 && other != 0, "{one} {other}");
            jailed[1].assume();
            assert_eq!(numbers(&open_binary()), found[4..], "users of the network stack see the same number");
            kernel::become_root();
            connection_in(Vnet::new(), 7);
            let later = numbers(&open_all());
            assert_eq!(later[..6], found);
            assert!(![0, one, other].contains(&later[6].1), "a later network stack has another number");
        });
    }

    fn the_number_of_a_removed_network_stack_is_never_reused() {
        connection(1);
        for step in [0, 100] {
            kernel::clock_step(step);
            loaded(|| {
                let (file, memory) = (open_all(), kernel::memory());
                let (mut seen, mut generations) = (BTreeSet::from([0]), BTreeSet::new());
                for _ in 0..50 {
                    // It has the address and the generation numbers of the previous one.
                    let vnet = Vnet::new();
                    let pcb = connection_in(vnet, 2);
                    let records = snapshot(&file).1;
                    let jailed = records.iter().find(|record| record.get(key::lport) == Some(2)).unwrap();
                    assert!(seen.insert(jailed.get(key::vnet).unwrap()), "a number is reused");
                    generations.insert(jailed.get(key::gencnt));
                    assert!(pcb.free());
                    vnet.free();
                }
                assert_eq!(generations.len(), 1);
                drop(file);
                assert!(kernel::memory() < memory, "their data is freed");
            });
        }
    }

    fn reloading_the_module_changes_the_numbers_except_that_of_the_host() {
        connection(1);
        connection_in(Vnet::new(), 2);
        connection_in(Vnet::new(), 3);
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            loaded(|| {
                let found = numbers(&open_all());
                assert_eq!(found[0], (1, 0));
                assert!(found[1..].iter().all(|(_, number)| seen.insert(*number)), "{found:?}");
            });
        }
        assert_eq!(seen.len(), 40);
    }

    fn a_network_stack_can_be_removed_before_during_and_after_the_module_is_loaded() {
        let [before, during] = [Vnet::new(), Vnet::new()];
        before.free();
        let after = loaded(|| {
            during.free();
            let [gone, after] = [Vnet::new(), Vnet::new()];
            gone.free();
            connection_in(after, 1).free();
            assert_eq!(records().len(), 0);
            after
        });
        after.free();
    }

    fn a_failed_load_forgets_all_network_stacks() {
        let vnet = Vnet::new();
        kernel::other_device("tcpstats").unwrap();
        fails_with(kernel::load(), "ENOEXEC");
        vnet.free();
        Vnet::new().free();
        kernel::other_device_gone();
        loaded(|| assert_eq!(records().len(), 0));
    }

    fn network_stacks_can_appear_and_disappear_while_readers_walk() {
        connection(1);
        loaded(|| {
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                let readers = [(); 2].map(|()| {
                    scope.spawn(|| {
                        kernel::attach();
                        let file = open_all();
                        for _ in 0..200 {
                            let found = numbers(&file);
                            assert!(found.iter().all(|(port, number)| (*port == 1) == (*number == 0)), "{found:?}");
                        }
                    })
                });
                scope.spawn(|| {
                    kernel::attach();
                    while !done.load(SeqCst) {
                        let vnet = Vnet::new();
                        let pcb = connection_in(vnet, 2);
                        while !pcb.free() {
                            thread::yield_now();
                        }
                        vnet.free();
                    }
                });
                for reader in readers {
                    reader.join().unwrap();
                }
                done.store(true, SeqCst);
            });
        });
    }
}
