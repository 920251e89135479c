// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Many connections, and many threads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tcpstats::{MODULE_RECORD_LEN, key};

use crate::help::{
    connection, connections, frame, loaded, open, open_binary, ports, read_to_end, snapshot, walk_order,
};
use crate::kernel::{self, At, File, fails_with};

/// Runs `body` in a kernel thread.
fn in_kernel<T>(body: impl FnOnce() -> T) -> T {
    kernel::attach();
    body()
}

scenarios! {
    fn a_snapshot_can_have_a_million_connections() {
        let million = 1_000_000;
        kernel::many_connections(million);
        loaded(|| {
            let (limit, file) = (kernel::sysctl("snapshot_bytes_max"), open_binary());
            let (header, records) = snapshot(&file);
            assert_eq!((header.seen, header.matched), (million, million));
            assert_eq!(header.written, limit / 65536 * (65536 / MODULE_RECORD_LEN as u64), "as many as the limit allows");
            drop(records);
            kernel::set_sysctl("snapshot_bytes_max", 1 << 30);
            kernel::set_sysctl("total_bytes_max", 1 << 30);
            let (header, records) = snapshot(&file);
            assert_eq!((header.written, header.missed), (million, 0));
            let distinct: BTreeSet<_> = records.iter().map(|record| record.get(key::gencnt).unwrap()).collect();
            assert_eq!(distinct.len(), records.len());
            let bytes = million * MODULE_RECORD_LEN as u64;
            assert!(kernel::memory_peak() < bytes + bytes / 4, "{} bytes", kernel::memory_peak());
        });
    }

    fn two_threads_reading_one_descriptor_share_its_bytes() {
        connections(400);
        kernel::clock_step(0);
        loaded(|| {
            let complete = read_to_end(&open_binary(), 1 << 20);
            let file = open_binary();
            let mut first = [0; 8];
            assert_eq!(file.read(&mut first), Ok(8));
            let read = || in_kernel(|| {
                let mut pieces = Vec::new();
                let mut buffer = [0; 64];
                loop {
                    let got = file.read(&mut buffer).unwrap();
                    if got == 0 {
                        return pieces;
                    }
                    pieces.push(buffer[..got].to_vec());
                }
            });
            // Stop at the end of the first snapshot, because further reads take the next one.
            let pieces = thread::scope(|scope| {
                let (one, other) = (scope.spawn(read), scope.spawn(read));
                (one.join().unwrap(), other.join().unwrap())
            });
            let total: usize = pieces.0.iter().chain(&pieces.1).map(Vec::len).sum::<usize>() + 8;
            // One thread has read the end, and the other has read another snapshot.
            assert!(total.is_multiple_of(complete.len()), "{total} bytes of snapshots of {}", complete.len());
            let mut known: Vec<&[u8]> = complete.chunks(8).collect();
            known.sort_unstable();
            for piece in pieces.0.iter().chain(&pieces.1) {
                for eight in piece.chunks_exact(8) {
                    // The second snapshot has another sequence number.
                    let is_sequence = eight == 2_u64.to_ne_bytes();
                    assert!(is_sequence || known.binary_search(&eight).is_ok(), "bytes that are not in a snapshot");
                }
            }
        });
    }

    fn a_reader_waits_for_another_reader_of_the_descriptor_until_a_signal_arrives() {
        connections(100);
        loaded(|| {
            let file = open_binary();
            let (inside, leave) = (AtomicBool::new(false), AtomicBool::new(false));
            thread::scope(|scope| {
                let reader = scope.spawn(|| in_kernel(|| {
                    // All threads run the hook, but only this one walks.
                    let hook = || {
                        inside.store(true, SeqCst);
                        while !leave.load(SeqCst) {
                            thread::yield_now();
                        }
                    };
                    kernel::with_hook(At::Walk, hook, || read_to_end(&file, 4096))
                }));
                while !inside.load(SeqCst) {
                    thread::yield_now();
                }
                kernel::signal("EINTR");
                fails_with(file.read(&mut [0; 100]), "EINTR");
                fails_with(file.ioctl(tcpstats::ioctl::CLEAR_FILTER, &mut []), "EINTR");
                kernel::signal_gone();
                leave.store(true, SeqCst);
                assert_eq!(frame(&reader.join().unwrap()).1.len(), 100);
            });
            assert!(kernel::calls("sx wait") == 0, "no thread waited without a signal");
        });
    }

    fn many_readers_do_not_disturb_each_other() {
        connections(300);
        loaded(|| {
            thread::scope(|scope| {
                for reader in 0..8_usize {
                    scope.spawn(move || in_kernel(|| {
                        for round in 0..10 {
                            let file = if reader % 2 == 0 { open_binary() } else { open() };
                            let bytes = read_to_end(&file, 1000 + 37 * round);
                            if reader % 2 == 0 {
                                assert_eq!(ports(&frame(&bytes).1), walk_order(300));
                            } else {
                                assert_eq!(bytes.split(|byte| *byte == b'\n').count() - 1, 302);
                            }
                        }
                    }));
                }
            });
            assert_eq!(kernel::sysctl("snapshots"), 80);
            assert_eq!(kernel::sysctl("records"), 80 * 300);
            assert_eq!(kernel::sysctl("memory_bytes"), 0);
        });
    }

    fn connections_come_and_go_under_many_readers() {
        let stay = 200;
        connections(stay);
        loaded(|| {
            let (done, churned) = (AtomicBool::new(false), AtomicU64::new(0));
            thread::scope(|scope| {
                scope.spawn(|| in_kernel(|| {
                    let mut young = std::collections::VecDeque::new();
                    while !done.load(SeqCst) {
                        young.push_back(connection(10_000));
                        if young.len() > 100 {
                            let old = young.pop_front().unwrap();
                            if !old.free() {
                                young.push_front(old);
                            }
                        }
                        churned.fetch_add(1, SeqCst);
                    }
                }));
                let readers: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| in_kernel(|| {
                        let file = open_binary();
                        for _ in 0..50 {
                            let (header, records) = snapshot(&file);
                            assert_eq!(header.missed, 0);
                            let mut found = ports(&records);
                            // A new connection has no port yet.
                            found.retain(|port| (1..=stay).contains(port));
                            assert_eq!(found, walk_order(stay), "connections that remain are reported once");
                            let numbers: BTreeSet<_> = records.iter().map(|record| record.get(key::gencnt)).collect();
                            assert_eq!(numbers.len(), records.len(), "no connection is reported twice");
                        }
                    })))
                    .collect();
                for reader in readers {
                    reader.join().unwrap();
                }
                done.store(true, SeqCst);
            });
            assert!(churned.load(SeqCst) > 100);
        });
    }

    fn the_module_loads_and_unloads_while_threads_open_the_device() {
        connections(20);
        let (done, opened) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| in_kernel(|| {
                    while !done.load(SeqCst) {
                        // Fails with ENOENT or ENXIO while the device does not exist.
                        if let Ok(file) = File::open() {
                            assert!(read_to_end(&file, 4096).starts_with(b"time,"));
                            opened.fetch_add(1, SeqCst);
                            drop(file);
                            thread::sleep(Duration::from_micros(300));
                        }
                    }
                }));
            }
            let (mut loads, mut busy) = (0, 0_u64);
            while loads < 200 {
                kernel::load().unwrap();
                let seen = opened.load(SeqCst);
                while opened.load(SeqCst) == seen {
                    thread::yield_now();
                }
                while let Err(error) = kernel::unload() {
                    fails_with::<()>(Err(error), "EBUSY");
                    busy += 1;
                }
                loads += 1;
            }
            done.store(true, SeqCst);
            println!("{loads} loads, {busy} times busy, {} opens", opened.load(SeqCst));
        });
    }
}
