// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Filters in the kernel.

use tcpstats::{Filter, Record, ioctl, key};

use crate::help::{connection, connections, loaded, open_binary, ports, records, set_filter, snapshot};
use crate::kernel;

/// Creates connections that differ in fields of filters.
fn varied() {
    for port in 1..=200_u16 {
        let number = u64::from(port);
        connection(port)
            .set("t_state", number % 11)
            .set("snd_cwnd", number * 1448)
            .set("t_srtt", number << 5)
            .set("t_snd_rxt_bytes", if port % 7 == 0 { 1 << 20 } else { 0 })
            .stack(if port % 3 == 0 { "rack" } else { "freebsd" }, if port % 2 == 0 { "cubic" } else { "newreno" });
        if port % 50 == 0 {
            connection(port + 1000).dropped();
        }
    }
}

scenarios! {
    fn a_filter_selects_the_same_records_in_the_kernel_and_outside() {
        varied();
        loaded(|| {
            let all = records();
            let file = open_binary();
            for text in [
                "port 443",
                "lport 22 or lport 80",
                "not state listen and cc cubic",
                "srtt > 100ms",
                "snd_cwnd >= 100k and lport < 150",
                "net 192.0.2.0/24 and not host 192.0.2.9",
                "ip6",
                "stack rack and (rexmit_bytes > 512k or snd_cwnd = 1448)",
                "uid != 0",
                "not pipe >= 0",
                "options sack",
                "idle < 1s",
            ] {
                set_filter(&file, text);
                let filter = Filter::parse(text).unwrap();
                let expected: Vec<_> = all.iter().filter(|record| filter.matches(record)).cloned().collect();
                let (header, found) = snapshot(&file);
                assert_eq!(ports(&found), ports(&expected), "{text}");
                assert_eq!(header.matched, expected.len() as u64, "{text}");
            }
        });
    }

    fn a_filter_by_identity_avoids_filling_the_rest_of_the_record() {
        for (number, pcb) in (1..).zip(connections(500)) {
            pcb.set("inp_flowid", number);
        }
        loaded(|| {
            let file = open_binary();
            set_filter(&file, "flowid 7 or flowid 8");
            assert_eq!(ports(&snapshot(&file).1), [8, 7]);
            assert_eq!(kernel::calls("tcp_compute_pipe"), 2);
            set_filter(&file, "snd_cwnd = 1");
            assert_eq!(snapshot(&file).1.len(), 0);
            assert_eq!(kernel::calls("tcp_compute_pipe"), 502, "other fields require filling the record");
        });
    }

    fn half_open_connections_are_filtered_too() {
        connections(3);
        for port in [7, 8] {
            kernel::half_open(kernel::Vnet::HOST, kernel::Cred::user(0), false, crate::help::ends(port));
        }
        loaded(|| {
            let file = open_binary();
            set_filter(&file, "state syn_rcvd and lport 7");
            let (header, records) = snapshot(&file);
            assert_eq!((header.seen, ports(&records)), (2, vec![7]), "the state excludes the others");
            set_filter(&file, "snd_cwnd >= 0");
            assert_eq!(snapshot(&file).1.len(), 3, "a half-open connection has no window");
        });
    }

    fn clearing_a_filter_selects_all_connections_again() {
        connections(9);
        loaded(|| {
            let file = open_binary();
            set_filter(&file, "lport 4");
            assert_eq!(snapshot(&file).1.len(), 1);
            set_filter(&file, "lport 4 or lport 5");
            assert_eq!(snapshot(&file).1.len(), 2);
            file.ioctl(ioctl::CLEAR_FILTER, &mut []).unwrap();
            assert_eq!(snapshot(&file).1.len(), 9);
            file.ioctl(ioctl::CLEAR_FILTER, &mut []).unwrap();
        });
    }

    fn a_filter_applies_only_to_its_descriptor() {
        connections(9);
        loaded(|| {
            let (one, other) = (open_binary(), open_binary());
            set_filter(&one, "lport 4");
            assert_eq!((snapshot(&one).1.len(), snapshot(&other).1.len()), (1, 9));
        });
    }

    fn the_longest_filter_is_accepted() {
        connections(40);
        loaded(|| {
            let text: Vec<_> = (1..=32).map(|port| format!("lport {port}")).collect();
            let file = open_binary();
            set_filter(&file, &text.join(" or "));
            let found: Vec<Record> = snapshot(&file).1;
            assert_eq!(found.len(), 32);
            assert!(found.iter().all(|record| record.get(key::lport) <= Some(32)));
        });
    }
}
