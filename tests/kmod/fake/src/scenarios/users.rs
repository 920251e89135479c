// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Visibility for users, jails and network stacks.

use tcpstats::{frame::flag, ioctl, key};

use crate::help::{ends, loaded, open, open_binary, ports, records, snapshot};
use crate::kernel::{self, Cred, File, Jail, Pcb, Vnet, fails_with};

fn connection_of(vnet: Vnet, cred: Cred, port: u16) {
    Pcb::of(vnet, cred).ends(&["INP_IPV4"], ends(port));
}

fn set_all_vnets(file: &File, all: u32) -> Result<(), kernel::Errno> {
    file.ioctl(ioctl::SET_ALL_VNETS, &mut all.to_ne_bytes())
}

fn seen_by(cred: Cred) -> Vec<u16> {
    cred.assume();
    let found = ports(&records());
    kernel::become_root();
    found
}

scenarios! {
    fn connections_of_other_users_are_hidden_according_to_the_policy() {
        let (ann, bob) = (Cred::user(1001), Cred::user(1002));
        connection_of(Vnet::HOST, ann, 1);
        connection_of(Vnet::HOST, bob, 2);
        connection_of(Vnet::HOST, Cred::user(0), 3);
        loaded(|| {
            assert_eq!(seen_by(ann), [3, 2, 1], "the default policy");
            kernel::see_other_uids(false);
            assert_eq!(seen_by(ann), [1]);
            assert_eq!(seen_by(bob), [2]);
            assert_eq!(ports(&records()), [3, 2, 1], "root sees all");
        });
    }

    fn hidden_connections_are_not_counted() {
        let ann = Cred::user(1001);
        (1..=100).for_each(|port| connection_of(Vnet::HOST, Cred::user(0), port));
        connection_of(Vnet::HOST, ann, 1000);
        kernel::see_other_uids(false);
        loaded(|| {
            ann.assume();
            let (header, records) = snapshot(&open_binary());
            assert_eq!((header.seen, header.matched, records.len()), (1, 1, 1));
            assert_eq!(kernel::calls("tcp_compute_pipe"), 1);
        });
    }

    fn half_open_connections_of_other_users_are_hidden() {
        let ann = Cred::user(1001);
        kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(1));
        kernel::half_open(Vnet::HOST, ann, false, ends(2));
        kernel::see_other_uids(false);
        loaded(|| {
            assert_eq!(seen_by(ann), [2]);
            assert_eq!(records().len(), 2);
        });
    }

    fn a_jail_sees_only_its_connections_and_the_host_sees_them_too() {
        let jail = Jail::new(4, Vnet::HOST);
        connection_of(Vnet::HOST, Cred::new(0, jail), 1);
        connection_of(Vnet::HOST, Cred::new(1001, jail), 2);
        connection_of(Vnet::HOST, Cred::user(0), 3);
        connection_of(Vnet::HOST, Cred::new(0, Jail::new(5, Vnet::HOST)), 4);
        loaded(|| {
            assert_eq!(seen_by(Cred::new(0, jail)), [2, 1]);
            assert_eq!(ports(&records()), [4, 3, 2, 1]);
            let jails: Vec<_> = records().iter().map(|record| record.get(key::jid).unwrap()).collect();
            assert_eq!(jails, [5, 0, 4, 4]);
        });
    }

    fn a_reader_sees_its_own_network_stack() {
        let vnet = Vnet::new();
        let jailed = Cred::new(0, Jail::new(9, vnet));
        connection_of(Vnet::HOST, Cred::user(0), 1);
        connection_of(vnet, jailed, 2);
        kernel::half_open(vnet, jailed, false, ends(3));
        loaded(|| {
            assert_eq!(ports(&records()), [1]);
            assert_eq!(seen_by(jailed), [3, 2]);
        });
    }

    fn root_of_the_host_can_request_all_network_stacks() {
        let vnets = [Vnet::new(), Vnet::new()];
        connection_of(Vnet::HOST, Cred::user(0), 1);
        for (number, vnet) in (2..).zip(vnets) {
            let jailed = Cred::new(0, Jail::new(number, vnet));
            connection_of(vnet, jailed, u16::try_from(number).unwrap());
            kernel::half_open(vnet, jailed, false, ends(u16::try_from(number).unwrap() + 10));
        }
        loaded(|| {
            let file = open_binary();
            set_all_vnets(&file, 1).unwrap();
            let (header, records) = snapshot(&file);
            let mut found = ports(&records);
            found.sort_unstable();
            assert_eq!(found, [1, 2, 3, 12, 13]);
            assert_eq!(header.flags, flag::ALL_VNETS);
            set_all_vnets(&file, 0).unwrap();
            let (header, records) = snapshot(&file);
            assert_eq!((header.flags, ports(&records)), (0, vec![1]));
        });
    }

    fn nobody_else_can_request_all_network_stacks() {
        loaded(|| {
            for cred in [
                Cred::user(1001),
                Cred::new(0, Jail::new(3, Vnet::HOST)),
                Cred::new(0, Jail::new(4, Vnet::new())),
                Cred::new(1001, Jail::new(5, Vnet::HOST)),
            ] {
                cred.assume();
                let file = open();
                fails_with(set_all_vnets(&file, 1), "EPERM");
                set_all_vnets(&file, 0).unwrap();
            }
        });
    }

    fn a_descriptor_passed_on_by_root_returns_nothing_from_other_network_stacks() {
        let vnet = Vnet::new();
        connection_of(vnet, Cred::new(0, Jail::new(9, vnet)), 2);
        connection_of(Vnet::HOST, Cred::user(0), 1);
        loaded(|| {
            let file = open_binary();
            set_all_vnets(&file, 1).unwrap();
            for cred in [Cred::user(1001), Cred::new(0, Jail::new(9, vnet))] {
                cred.assume();
                fails_with(file.read(&mut [0; 1000]), "EPERM");
            }
            kernel::become_root();
            assert_eq!(snapshot(&file).1.len(), 2);
        });
    }

    fn visibility_depends_on_who_reads_and_not_on_who_opened() {
        let ann = Cred::user(1001);
        connection_of(Vnet::HOST, ann, 1);
        connection_of(Vnet::HOST, Cred::user(0), 2);
        kernel::see_other_uids(false);
        loaded(|| {
            let file = open_binary();
            assert_eq!(ports(&snapshot(&file).1), [2, 1]);
            ann.assume();
            assert_eq!(ports(&snapshot(&file).1), [1]);
        });
    }

    fn network_stacks_can_be_empty() {
        let _empty = [Vnet::new(), Vnet::new()];
        loaded(|| {
            let file = open_binary();
            set_all_vnets(&file, 1).unwrap();
            assert_eq!(snapshot(&file).1.len(), 0);
        });
    }
}
