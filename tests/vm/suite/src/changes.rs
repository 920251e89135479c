// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots of changes, compared with complete snapshots while connections change in
//! many ways.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tcpstats::frame::flag;
use tcpstats::{Compared, FIELDS, Record, State, ioctl, key};

use crate::connections::{self, reset};
use crate::device::Device;
use crate::system::{stacks, with_stack};
use crate::tap::Tap;

/// Network stack and number.
type Id = (Option<u64>, u64);

/// What a reader of changes knows.
#[derive(Default)]
struct Known {
    connections: BTreeMap<Id, Record>,
    changed: u64,
    left_out: u64,
}

fn id(record: &Record) -> Option<Id> {
    Some((record.get(key::vnet), record.get(key::gencnt)?))
}

/// Returns whether a connection in this state is in every snapshot.
fn is_always_reported(record: &Record) -> bool {
    record.get(key::state).unwrap().0 < State::ESTABLISHED.0
}

impl Known {
    /// Applies a snapshot of changes; returns the connections in it.
    fn apply(&mut self, device: &mut Device) -> BTreeMap<Id, bool> {
        let snapshot = device.snapshot();
        assert_eq!(snapshot.header.ended_lost, 0);
        let is_complete = snapshot.header.flags & flag::CHANGED_ONLY == 0;
        let mut reported = BTreeMap::new();
        for record in snapshot.records {
            let Some(id) = id(&record) else {
                continue;
            };
            let has_ended = record.is_final();
            reported.insert(id, has_ended);
            if has_ended {
                self.connections.remove(&id);
            } else {
                self.connections.insert(id, record);
            }
        }
        let before = self.connections.len();
        self.connections.retain(|id, record| reported.contains_key(id) || !(is_complete || is_always_reported(record)));
        self.changed += reported.len() as u64;
        self.left_out += (before - reported.len().min(before)) as u64;
        reported
    }
}

/// Compares each stack's connections for `seconds` seconds.
pub fn run(seconds: u64) -> bool {
    std::panic::set_hook(Box::new(|what| println!("# {what}")));
    let mut tap = Tap::default();
    for stack in stacks() {
        let _stack = with_stack(stack);
        tap.test(&format!("{stack}: every change is in the changes"), || compare(seconds));
    }
    tap.end()
}

fn compare(seconds: u64) {
    let stop = AtomicBool::new(false);
    let actions = AtomicU64::new(0);
    let _idle: Vec<_> = (0..100).map(|_| pair(Ipv4Addr::LOCALHOST.into())).collect();
    let compared = Compared::by(FIELDS.iter());
    let mut known = Known::default();
    let mut changes = Device::binary();
    for command in [ioctl::SET_LEDGER, ioctl::SET_CHANGES] {
        changes.ioctl(command, &mut 1_u32.to_ne_bytes()).unwrap();
    }
    let mut complete = Device::binary();
    known.apply(&mut changes);
    let (mut rounds, mut unreported) = (0, Vec::new());
    thread::scope(|scope| {
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            for load in [bulk, ping_pong, slow_reader, half_closed, held_back, short, backlog] {
                let (stop, actions) = (&stop, &actions);
                scope.spawn(move || {
                    while !stop.load(Relaxed) {
                        load(address, stop);
                        actions.fetch_add(1, Relaxed);
                    }
                });
            }
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while Instant::now() < end {
                let all = complete.snapshot().records;
                let before = known.connections.clone();
                let reported = known.apply(&mut changes);
                expect_ends(&unreported, &reported);
                unreported = check(&all, &before, &reported, &compared);
                rounds += 1;
                thread::sleep(Duration::from_millis(rounds % 7 * 5));
            }
        }));
        stop.store(true, Relaxed);
        assert!(result.is_ok());
    });
    // Timers have stopped, and nothing is on its way.
    thread::sleep(Duration::from_secs(2));
    expect_ends(&unreported, &known.apply(&mut changes));
    let all = complete.snapshot().records;
    let unreported = check(&all, &known.connections, &BTreeMap::new(), &compared);
    expect_ends(&unreported, &BTreeMap::new());
    let numbers: Vec<_> = all.iter().filter_map(id).collect();
    let gone: Vec<_> = known.connections.keys().filter(|id| !numbers.contains(id)).copied().collect();
    // They may have left TIME_WAIT meanwhile.
    let reported = known.apply(&mut changes);
    assert!(gone.iter().all(|id| reported.get(id) == Some(&true)), "{gone:?} are gone without a final record");
    println!(
        "# {} actions, {rounds} rounds, {} connections reported, {} left out",
        actions.into_inner(),
        known.changed,
        known.left_out
    );
    assert!(known.left_out > known.changed / 4, "idle connections are left out");
}

/// Checks that connections whose changes were not reported have ended during the walk.
fn expect_ends(unreported: &[(Id, String)], reported: &BTreeMap<Id, bool>) {
    for (id, what) in unreported {
        assert_eq!(reported.get(id), Some(&true), "not reported: {what}");
    }
}

/// Checks that each connection of a complete snapshot matches the changes before it or
/// is in those after it.  Returns the others, and what is wrong with them.
fn check(
    all: &[Record],
    before: &BTreeMap<Id, Record>,
    reported: &BTreeMap<Id, bool>,
    compared: &Compared,
) -> Vec<(Id, String)> {
    let mut unreported = Vec::new();
    for record in all {
        let Some(id) = id(record).filter(|id| !reported.contains_key(id)) else {
            continue;
        };
        // It is gone; otherwise it would have been reported.
        if is_always_reported(record) {
            continue;
        }
        let Some(known) = before.get(&id) else {
            unreported.push((id, format!("new: {record:?}")));
            continue;
        };
        if !compared.same(known, record) {
            let differ = |field: &&tcpstats::Field| {
                !tcpstats::ALWAYS_MOVING.contains(&field.name)
                    && (known.has(field) != record.has(field) || known.bytes(field) != record.bytes(field))
            };
            let differences: Vec<_> = FIELDS
                .iter()
                .filter(differ)
                .map(|field| format!("{}: {:?} -> {:?}", field.name, known.number(field), record.number(field)))
                .collect();
            unreported.push((id, format!("{differences:?} of {record:?}")));
        }
    }
    unreported
}

/// Returns both ends of a connection, whose reads fail instead of waiting for ever, and
/// its listener.
fn pair(address: IpAddr) -> (TcpStream, TcpStream, TcpListener) {
    let (client, server, listener) = connections::pair(address);
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
    (client, server, listener)
}

fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

fn bulk(address: IpAddr, stop: &AtomicBool) {
    let (mut client, mut server, _) = pair(address);
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 100_000];
        while server.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    for _ in 0..20 {
        if stop.load(Relaxed) {
            break;
        }
        client.write_all(&[1; 50_000]).unwrap();
        pause(15);
    }
    drop(client);
    reading.join().unwrap();
}

fn ping_pong(address: IpAddr, stop: &AtomicBool) {
    let (mut client, mut server, _) = pair(address);
    for _ in 0..20 {
        if stop.load(Relaxed) {
            return;
        }
        client.write_all(b"ping").unwrap();
        server.read_exact(&mut [0; 4]).unwrap();
        pause(30);
        server.write_all(b"pong").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        pause(40);
    }
}

/// The receive buffer fills up, the window closes, and the reader drains it slowly.
fn slow_reader(address: IpAddr, stop: &AtomicBool) {
    let (client, mut server, _) = pair(address);
    client.set_nonblocking(true).unwrap();
    server.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 30_000];
    for _ in 0..30 {
        if stop.load(Relaxed) {
            return;
        }
        while (&client).write(&[2; 20_000]).is_ok() {}
        pause(30);
        for _ in 0..3 {
            _ = server.read(&mut buffer);
        }
        pause(20);
    }
}

fn half_closed(address: IpAddr, stop: &AtomicBool) {
    let (mut client, mut server, _) = pair(address);
    client.write_all(&[3; 100]).unwrap();
    pause(30);
    client.shutdown(Shutdown::Write).unwrap();
    pause(60);
    if !stop.load(Relaxed) {
        server.write_all(&[4; 200]).unwrap();
        pause(60);
    }
    server.read_exact(&mut [0; 100]).unwrap();
    pause(60);
}

/// Small segments wait in the send buffer.
fn held_back(address: IpAddr, _: &AtomicBool) {
    let (mut client, mut server, _) = pair(address);
    hold_back(&client, true);
    for _ in 0..5 {
        client.write_all(&[5; 100]).unwrap();
        pause(30);
    }
    hold_back(&client, false);
    client.write_all(&[5; 100]).unwrap();
    pause(30);
    server.read_exact(&mut [0; 600]).unwrap();
}

fn hold_back(stream: &TcpStream, on: bool) {
    let value = i32::from(on);
    // SAFETY: the option is an int.
    let result = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOPUSH, (&raw const value).cast(), 4)
    };
    assert_eq!(result, 0);
}

fn short(address: IpAddr, _: &AtomicBool) {
    for number in 0..10 {
        let (mut client, mut server, _) = pair(address);
        client.write_all(&[6; 100]).unwrap();
        server.read_exact(&mut [0; 100]).unwrap();
        if number % 2 == 0 {
            reset(client)
        } else {
            drop(client)
        }
        pause(3);
    }
}

/// Connections wait in the queue of a listener.
fn backlog(address: IpAddr, _: &AtomicBool) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            pause(20);
            TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        })
        .collect();
    for _ in 0..3 {
        drop(listener.accept().unwrap());
        pause(20);
    }
    drop((clients, listener));
}
