// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Zones, congestion marks and the version of the kernel in records.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use tcpstats::{Filter, Record, State, key, option};

use crate::connections::{index_of, pair, pair_at, start_connecting, unbound};
use crate::device::Device;
use crate::system::{Setting, run, sysctl};
use crate::tap::Tap;

/// Returns the first link-local address of an interface.
fn link_local(interface: &str) -> Ipv6Addr {
    let found = run(&format!("ifconfig {interface} inet6 | sed -n 's/^.*inet6 \\(fe80[^%]*\\)%.*$/\\1/p' | head -1"));
    found.parse().unwrap_or_else(|_| panic!("{interface} has no link-local address: {found:?}"))
}

fn records_of(port: u16) -> Vec<Record> {
    let mut records = Device::binary().snapshot().records;
    records.retain(|record| record.get(key::lport) == Some(port) || record.get(key::fport) == Some(port));
    records
}

fn zones(tap: &mut Tap) {
    run("ifconfig epair9a inet6 -ifdisabled auto_linklocal && ifconfig epair9a up");
    std::thread::sleep(Duration::from_millis(200));
    run("ifconfig epair9a inet6 | grep -q fe80 || ifconfig epair9a inet6 fe80::9%epair9a/64");
    for interface in ["lo0", "epair9a"] {
        let (index, address) = (index_of(interface), link_local(interface));
        tap.test(&format!("addresses of {interface} do not contain their zone, which is in a field"), || {
            let (client, _server, listener) = pair_at(SocketAddrV6::new(address, 0, 0, index).into());
            let to = listener.local_addr().unwrap();
            let records = records_of(to.port());
            assert_eq!(records.len(), 3, "a listener and two ends: {records:?}");
            for record in &records {
                assert_eq!(record.get(key::laddr), Some(address.octets()));
                assert_eq!(record.get(key::zone), Some(index));
                let is_listener = record.get(key::state) == Some(State::LISTEN);
                let foreign = if is_listener { Ipv6Addr::UNSPECIFIED } else { address };
                assert_eq!(record.get(key::faddr), Some(foreign.octets()));
            }
            // Zones are shown as in netstat(1).
            let (local, foreign) = (client.local_addr().unwrap().port(), to.port());
            let shown = run(&format!("netstat -anW -p tcp | grep -F '{address}%{interface}.{local} '"));
            assert!(shown.contains(&format!("{address}%{interface}.{foreign} ")), "{shown}");
            let text = run("cat /dev/tcpstats");
            assert!(
                text.contains(&format!(",{address}%{interface},{local},{address}%{interface},{foreign},")),
                "{text}"
            );
            for text in [format!("host {address} and port {local}"), format!("zone {index} and port {local}")] {
                let filter = Filter::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                let mut device = Device::binary();
                device.ioctl(tcpstats::ioctl::SET_FILTER, &mut filter.to_bytes()).unwrap();
                assert_eq!(device.snapshot().records.len(), 2, "{text}");
            }
        });
    }
    let index = index_of("epair9a");
    tap.test("a SYN to a link-local address has a zone", || {
        let nobody = SocketAddr::V6(SocketAddrV6::new("fe80::dead".parse().unwrap(), 9, 0, index));
        let socket = unbound(libc::AF_INET6);
        start_connecting(&socket, nobody);
        let records = records_of(socket.local_addr().unwrap().port());
        assert_eq!(records.len(), 1);
        let ends = (records[0].get(key::faddr), records[0].get(key::zone));
        assert_eq!(ends, (Some("fe80::dead".parse::<Ipv6Addr>().unwrap().octets()), Some(index)));
    });
    tap.test("other addresses have no zone", || {
        let (client, _server, _) = pair(Ipv6Addr::LOCALHOST.into());
        let records = records_of(client.local_addr().unwrap().port());
        assert!(records.len() == 2 && records.iter().all(|record| record.get(key::zone).is_none()), "{records:?}");
    });
}

fn congestion_marks(tap: &mut Tap) {
    const ENABLE: &str = "net.inet.tcp.ecn.enable";
    for (value, options, counted) in
        [("0", 0, None), ("1", option::ECN, None), ("3", option::ACCECN, Some(0)), ("4", 0, None)]
    {
        tap.test(&format!("counters of CE marks with {ENABLE}={value}"), || {
            let Ok(_setting) = std::panic::catch_unwind(|| Setting::new(ENABLE, value)) else {
                println!("# this kernel does not support the value");
                return;
            };
            let (mut client, mut server, _) = pair(Ipv4Addr::LOCALHOST.into());
            client.write_all(&[7; 50_000]).unwrap();
            server.read_exact(&mut [0; 50_000]).unwrap();
            server.write_all(&[7; 50_000]).unwrap();
            client.read_exact(&mut [0; 50_000]).unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let records = records_of(client.local_addr().unwrap().port());
            assert_eq!(records.len(), 2);
            for record in records {
                let found = record.get(key::options).unwrap() & (option::ECN | option::ACCECN);
                // If the client does not request ECN, neither end has it.
                assert!(value == "4" || found == options, "options {found:x}");
                assert_eq!((record.get(key::received_ce), record.get(key::delivered_ce)), (counted, counted));
            }
        });
    }
}

pub fn all(tap: &mut Tap) {
    zones(tap);
    congestion_marks(tap);
    tap.test("a snapshot contains the kernel's version", || {
        let version = sysctl("kern.osreldate").unwrap();
        assert_eq!(Device::binary().snapshot().header.osversion.to_string(), version);
    });
}
