// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Readers of all kinds while connections are opened and closed.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tcpstats::{ioctl, key};

use crate::connections::pair;
use crate::device::Device;

const READERS: usize = 16;
const OPENERS: usize = 4;

/// Opens the device: a third of the readers read text, some have filters, and others
/// read only changes.
fn open(reader: usize) -> Device {
    let device = if reader % 3 == 0 { Device::open().unwrap() } else { Device::binary() };
    match reader % 6 {
        2 => device.set_filter("state established and snd_cwnd > 1k"),
        4 => device.set_filter("ip6 and lport > 1023 or state time_wait and not fnet 127.0.0.0/8"),
        _ => (),
    }
    if reader % 4 == 1 {
        device.ioctl(ioctl::SET_CHANGES, &mut 1_u32.to_ne_bytes()).unwrap();
    }
    device
}

/// Runs for `seconds` seconds, and prints the totals.
pub fn run(seconds: u64) -> bool {
    let stop = AtomicBool::new(false);
    let (opened, snapshots, records) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for opener in 0..OPENERS {
            let (stop, opened) = (&stop, &opened);
            scope.spawn(move || {
                let address: IpAddr =
                    if opener % 2 == 0 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                while !stop.load(Relaxed) {
                    let mut connections: Vec<_> = (0..20).map(|_| pair(address)).collect();
                    for (client, _, _) in &mut connections {
                        client.write_all(&[1; 3000]).unwrap();
                    }
                    opened.fetch_add(20, Relaxed);
                }
            });
        }
        for reader in 0..READERS {
            let (stop, snapshots, records) = (&stop, &snapshots, &records);
            scope.spawn(move || {
                let mut device = open(reader);
                while !stop.load(Relaxed) {
                    if reader % 3 == 0 {
                        let text = device.read_all(1 << (reader + 1)).unwrap();
                        let text = std::str::from_utf8(&text).unwrap();
                        let width = text.lines().next().unwrap().split(',').count();
                        let (note, rows): (Vec<_>, Vec<_>) =
                            text.lines().skip(1).partition(|line| line.starts_with('#'));
                        assert!(rows.iter().all(|row| row.split(',').count() == width));
                        assert!(note.len() == 1 && note[0].contains(&format!(" records={} ", rows.len())), "{note:?}");
                        records.fetch_add(rows.len() as u64, Relaxed);
                    } else {
                        let snapshot = device.snapshot();
                        let mut numbers: Vec<_> =
                            snapshot.records.iter().filter_map(|record| record.get(key::gencnt)).collect();
                        records.fetch_add(snapshot.records.len() as u64, Relaxed);
                        numbers.sort_unstable();
                        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "a connection is repeated");
                    }
                    snapshots.fetch_add(1, Relaxed);
                    if reader % 5 == 4 {
                        device = open(reader);
                    }
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Relaxed);
    });
    println!(
        "# {} connections opened and closed, {} snapshots, {} records by {READERS} readers in {seconds} s",
        opened.into_inner(),
        snapshots.into_inner(),
        records.into_inner()
    );
    true
}

/// Reads all network stacks for `seconds` seconds.
pub fn everywhere(seconds: u64) -> bool {
    let mut device = Device::binary();
    device.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        assert_eq!(device.snapshot().header.flags, tcpstats::frame::flag::ALL_VNETS);
    }
    true
}
