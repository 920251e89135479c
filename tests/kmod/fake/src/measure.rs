// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Measures the cost of reading the device: the CPU time of the module without that
//! of the fake kernel, and memory.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::help::{connection, loaded, open, open_binary, open_changes, open_ledger, set_filter};
use crate::kernel::{self, File, Pcb};

/// Number of measurements, of which the median is used.
const TIMES: usize = 9;

/// Returns the CPU time of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

/// Returns the median duration in nanoseconds.
fn median_ns(mut body: impl FnMut()) -> f64 {
    let mut times: Vec<_> = (0..TIMES)
        .map(|_| {
            let start = cpu();
            body();
            cpu().saturating_sub(start)
        })
        .collect();
    times.sort();
    times[TIMES / 2].as_secs_f64() * 1e9
}

/// Reads a snapshot to its end, and returns its length.
fn read(file: &File, buffer: &mut [u8]) -> u64 {
    let mut bytes = 0;
    loop {
        match file.read(buffer).expect("a read succeeds") {
            0 => return bytes,
            got => bytes += got as u64,
        }
    }
}

/// A way to read: its name, whether it calls functions of the kernel for each
/// record, and how to open a descriptor for it.
type Way = (&'static str, bool, fn() -> File);

const WAYS: [Way; 5] = [
    ("binary", true, open_binary),
    ("quiet", false, || {
        kernel::rest();
        open_changes()
    }),
    ("text", true, open),
    ("reject", false, || {
        let file = open_binary();
        set_filter(&file, "lport 1 and fport 2");
        file
    }),
    ("reject-locked", false, || {
        let file = open_binary();
        set_filter(&file, "uid 1 and jid 2");
        file
    }),
];

/// Ends connections with or without a reader of final records, and prints their number.
pub fn ends(count: u64, has_reader: bool) {
    let pcbs: Vec<_> = (0..count).map(|_| connection(80).set("t_starttime", 90_000)).collect();
    loaded(|| {
        let _reader = has_reader.then(open_ledger);
        pcbs.into_iter().for_each(Pcb::close);
        println!("ended\t1");
    });
}

/// Prints for each way to read, or only one, the number of reads, and for each
/// connection the nanoseconds, bytes and bytes of kernel memory, and the
/// nanoseconds of the fake kernel that were subtracted.
pub fn run(count: u64, only: Option<&str>) {
    kernel::many_connections(count);
    #[allow(clippy::cast_precision_loss, reason = "there are no 2^52 connections")]
    let each = |total: f64| total / count as f64;
    #[allow(clippy::cast_precision_loss, reason = "as above")]
    let each_of = |total: u64| each(total as f64);
    loaded(|| {
        for limit in ["snapshot_bytes_max", "total_bytes_max"] {
            kernel::set_sysctl(limit, 4 << 30);
        }
        let mut buffer = vec![0; 1 << 20];
        for (name, statistics, open) in WAYS.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name)) {
            let file = open();
            let bytes = read(&file, &mut buffer);
            let walk = median_ns(|| assert_eq!(kernel::walk(*statistics), count));
            let ns = median_ns(|| {
                assert_eq!(
                    read(&file, &mut buffer) >= bytes / 2,
                    *name != "quiet",
                    "later snapshots have about the length of the first, unless all connections are quiet"
                );
            });
            println!(
                "{name}\t{}\t{:.1}\t{:.1}\t{:.1}\t{:.1}",
                TIMES + 1,
                each((ns - walk).max(0.0)),
                each_of(bytes),
                each_of(kernel::memory()),
                each(walk)
            );
        }
    });
}
