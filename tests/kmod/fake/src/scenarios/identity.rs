// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The identity of a connection: its ends, owner and names.

use tcpstats::{MODULE_RECORD_LEN, PREAMBLE_LEN, Record, State, ioctl, key};

use crate::help::{
    connection, connections, ends, loaded, only, open, open_binary, read_to_end, records, set_columns, snapshot,
};
use crate::kernel::{self, Cred, Ends, File, Jail, Pcb, Vnet};

scenarios! {
    fn a_zone_is_a_separate_field_and_not_part_of_the_address() {
        let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        // Addresses in the kernel, and addresses and zone in a record.
        let cases = [
            (("fe80:1::1", "fe80:1::2"), ("fe80::1", "fe80::2"), Some(1)),
            (("fe80:12::1", "2001:db8::1"), ("fe80::1", "2001:db8::1"), Some(0x12)),
            (("::", "fe80:3::9"), ("::", "fe80::9"), Some(3)),
            (("febf:1234:5::1", "febf:1234:5::2"), ("febf:0:5::1", "febf:0:5::2"), Some(0x1234)),
            (("fe80:4::1", "ff02:4::1"), ("fe80::1", "ff02::1"), Some(4)),
            (("::", "ff11:2::1"), ("::", "ff11::1"), Some(2)),
            (("fe80::1", "fe80::2"), ("fe80::1", "fe80::2"), None),
            (("2001:db8:7::1", "2001:db8:8::1"), ("2001:db8:7::1", "2001:db8:8::1"), None),
            (("fec0:1::1", "fc00:1::1"), ("fec0:1::1", "fc00:1::1"), None),
            (("ff05:1::1", "ff0e:1::1"), ("ff05:1::1", "ff0e:1::1"), None),
            (("::ffff:192.0.2.1", "::1"), ("::ffff:192.0.2.1", "::1"), None),
        ];
        let pcb = Pcb::new();
        for (port, ((local, foreign), ..)) in (1..).zip(cases) {
            kernel::half_open(Vnet::HOST, Cred::user(0), true, Ends { laddr: v6(local), faddr: v6(foreign), lport: port, fport: 9 });
        }
        loaded(|| {
            let ends = |record: &Record| (record.get(key::laddr).unwrap(), record.get(key::faddr).unwrap(), record.get(key::zone));
            for (port, (embedded, (local, foreign), zone)) in (1..).zip(cases) {
                pcb.ends(&["INP_IPV6"], Ends { laddr: v6(embedded.0), faddr: v6(embedded.1), lport: 80, fport: 9 });
                let records = records();
                let of_port = |port| records.iter().find(|record| record.get(key::lport) == Some(port)).unwrap();
                assert_eq!(ends(of_port(80)), (v6(local), v6(foreign), zone), "{embedded:?}");
                assert_eq!(ends(of_port(port)), (v6(local), v6(foreign), zone), "{embedded:?} in the SYN cache");
            }
            // The bytes before an IPv4 address are undefined.
            pcb.ends(&["INP_IPV4"], self::ends(80));
            assert!(records().iter().any(|record| record.get(key::ipver) == Some(4) && record.get(key::zone).is_none()));
        });
    }

    fn text_names_the_zone_of_the_readers_own_network_stack() {
        let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let ends = |zone: u32| Ends {
            laddr: v6(&format!("fe80:{zone:x}::1")),
            lport: 80,
            faddr: v6("2001:db8::1"),
            fport: 9,
        };
        let vnet = Vnet::new();
        let jailed = Cred::new(0, Jail::new(4, vnet));
        let pcb = Pcb::new();
        Pcb::of(vnet, jailed).ends(&["INP_IPV6"], ends(4));
        loaded(|| {
            let file = open();
            set_columns(&file, "laddr,faddr,zone");
            let text = |file: &File| -> Vec<String> {
                let text = String::from_utf8(read_to_end(file, 100)).unwrap();
                let cells = |row: &str| row.splitn(3, ',').nth(2).unwrap().to_owned();
                text.lines().skip(1).filter(|line| !line.starts_with('#')).map(cells).collect()
            };
            for (zone, address) in [(4, "fe80::1%em0"), (1, "fe80::1%lo0"), (7, "fe80::1%7")] {
                pcb.ends(&["INP_IPV6"], ends(zone));
                assert_eq!(text(&file), [format!("{address},2001:db8::1,{zone}")]);
            }
            pcb.ends(&["INP_IPV6"], ends(4));
            file.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).expect("root is allowed to");
            let mut all = text(&file);
            all.sort_unstable();
            assert_eq!(all, ["fe80::1%4,2001:db8::1,4", "fe80::1%em0,2001:db8::1,4"], "4 is another interface in that network stack");
            // The descriptor is passed on: the snapshot is that of the host, and the reader is in a jail.
            file.ioctl(ioctl::SET_ALL_VNETS, &mut 0_u32.to_ne_bytes()).expect("everybody is allowed to");
            let mut first = [0; 1];
            file.read(&mut first).unwrap();
            jailed.assume();
            assert_eq!(text(&file), ["fe80::1%4,2001:db8::1,4"]);
            kernel::become_root();
        });
    }

    fn the_traffic_class_is_that_of_the_sockets_family() {
        let v6 = Ends { laddr: [0x20; 16], lport: 80, faddr: [0x30; 16], fport: 5000 };
        let pcb = Pcb::new().ends(&["INP_IPV6"], v6).set("inp_ip_tos", 0x28);
        let tos = || only(records()).get(key::tos);
        loaded(|| {
            assert_eq!(tos(), Some(0), "no option is set");
            pcb.set("ip6po_tclass", u64::from(u32::MAX));
            assert_eq!(tos(), Some(0), "-1 is the default");
            pcb.set("ip6po_tclass", 0xb8);
            assert_eq!(tos(), Some(0xb8));
            pcb.ends(&["INP_IPV4"], ends(80));
            assert_eq!(tos(), Some(0x28));
        });
    }

    fn the_identifier_for_bblog_is_present_if_the_application_has_set_it() {
        connection(80);
        let pcb = connection(81);
        loaded(|| {
            let file = open_binary();
            let ids = || {
                let ids = snapshot(&file).1.into_iter().map(|record| record.get(key::log_id));
                let [id, none] = ids.collect::<Vec<_>>().try_into().unwrap();
                assert_eq!(none, None);
                id
            };
            assert_eq!(ids(), None);
            // The fake kernel of one release lacks the option TCP_BLACKBOX, and can load the module nevertheless.
            if kernel::has_log_ids() {
                for id in ["a", "nginx.4711.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP", ""] {
                    pcb.log_id(id);
                    assert_eq!(ids(), Some(tcpstats::name(id.as_bytes())).filter(|_| !id.is_empty()));
                }
                pcb.log_id("in the memory of the next");
                snapshot(&file);
            }
            assert!(pcb.free());
            let bytes = read_to_end(&file, 4096);
            let at = bytes.len() - MODULE_RECORD_LEN + PREAMBLE_LEN + key::log_id.field().offset;
            assert_eq!(bytes[at..at + 64], [0; 64], "the identifier of another connection");
        });
    }

    fn addresses_of_every_family_are_those_of_the_socket() {
        let v6 = |last: u8| {
            let mut address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            address[15] = last;
            address
        };
        let v4 = ends(80);
        let both_v6 = Ends { laddr: v6(1), lport: 65535, faddr: v6(2), fport: 1 };
        let any = Ends { laddr: [0; 16], lport: 22, faddr: [0; 16], fport: 0 };
        Pcb::new().ends(&["INP_IPV4"], v4);
        Pcb::new().ends(&["INP_IPV6"], both_v6);
        // An IPv6 socket that also listens for IPv4.
        Pcb::new().ends(&["INP_IPV6", "INP_IPV4"], any);
        // An IPv6 socket that is connected over IPv4.
        Pcb::new().ends(&["INP_IPV4"], Ends { lport: 81, ..v4 });
        loaded(|| {
            let records = records();
            let of = |at: usize| {
                let record: &Record = &records[at];
                (
                    record.get(key::ipver).unwrap(),
                    record.get(key::laddr).unwrap(),
                    record.get(key::lport).unwrap(),
                    record.get(key::faddr).unwrap(),
                    record.get(key::fport).unwrap(),
                )
            };
            assert_eq!(of(0), (4, v4.laddr, 81, v4.faddr, 443));
            assert_eq!(of(1), (6, [0; 16], 22, [0; 16], 0));
            assert_eq!(of(2), (6, v6(1), 65535, v6(2), 1));
            assert_eq!(of(3), (4, v4.laddr, 80, v4.faddr, 443));
        });
    }

    fn the_longest_names_are_complete() {
        let (stack, cc) = ("a-stack-with-a-very-long-name-01", "a-cc-of-sixteen-");
        connection(80).stack(stack, cc);
        loaded(|| {
            let record = only(records());
            assert_eq!(record.get(key::stack).unwrap(), *stack.as_bytes());
            assert_eq!(record.get(key::cc).unwrap(), *cc.as_bytes());
        });
    }

    fn the_owner_is_that_of_the_socket_and_not_of_the_reader() {
        let jail = Jail::new(7, Vnet::HOST);
        Pcb::of(Vnet::HOST, Cred::new(1001, jail)).ends(&["INP_IPV4"], ends(80));
        Pcb::of(Vnet::HOST, Cred::user(0xffff_fffe)).ends(&["INP_IPV4"], ends(81));
        loaded(|| {
            let owners: Vec<_> = records().iter().map(|record| (record.get(key::uid), record.get(key::jid))).collect();
            assert_eq!(owners, [(Some(0xffff_fffe), Some(0)), (Some(1001), Some(7))]);
        });
    }

    fn half_open_connections_come_from_the_syn_cache() {
        connections(2);
        let v6 = Ends { laddr: [0x20; 16], lport: 443, faddr: [0x30; 16], fport: 5000 };
        kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(9));
        kernel::half_open(Vnet::HOST, Cred::user(0), true, v6);
        loaded(|| {
            let records = records();
            assert_eq!(records.len(), 4);
            let half: Vec<_> = records.iter().filter(|record| record.get(key::gencnt).is_none()).collect();
            assert_eq!(half.len(), 2);
            assert!(half.iter().all(|record| record.get(key::state) == Some(State::SYN_RCVD)));
            assert!(half.iter().all(|record| record.get(key::snd_cwnd).is_none()));
            assert_eq!(half[0].get(key::laddr), Some([0x20; 16]));
            assert_eq!(half[0].get(key::ipver), Some(6));
            assert_eq!(half[1].get(key::laddr), Some(ends(9).laddr));
            assert_eq!((half[1].get(key::lport), half[1].get(key::fport)), (Some(9), Some(443)));
        });
    }
}
