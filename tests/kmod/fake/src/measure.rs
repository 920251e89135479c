// SPDX-License-Identifier: BSD-2-Clause

//! What a read of the device costs: CPU time of the module without that of the
//! fake kernel, and memory.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::help::{loaded, open, open_binary, set_filter};
use crate::kernel::{self, File};

/// How often each is done; the median counts.
const TIMES: usize = 9;

/// CPU time of this thread.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has that clock").into()
}

/// Median nanoseconds that it takes.
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

/// Reads a snapshot to its end; gives its bytes.
fn read(file: &File, buffer: &mut [u8]) -> u64 {
    let mut bytes = 0;
    loop {
        match file.read(buffer).expect("it can be read") {
            0 => return bytes,
            got => bytes += got as u64,
        }
    }
}

/// Prints, for so many connections, a line for each way to read: nanoseconds
/// and bytes a connection.
pub fn run(count: u64) {
    kernel::many_connections(count);
    #[allow(clippy::cast_precision_loss, reason = "there are no 2^52 connections")]
    let each = |total: f64| total / count as f64;
    loaded(|| {
        for limit in ["snapshot_bytes_max", "total_bytes_max"] {
            kernel::set_sysctl(limit, 4 << 30);
        }
        let mut buffer = vec![0; 1 << 20];
        let identity = median_ns(|| assert_eq!(kernel::walk(false), count));
        let statistics = median_ns(|| assert_eq!(kernel::walk(true), count));
        let mut line = |what: &str, file: &File, kernels: f64| {
            let mut bytes = read(file, &mut buffer);
            let ns = median_ns(|| bytes = read(file, &mut buffer));
            #[allow(clippy::cast_precision_loss, reason = "as above")]
            let (ns, bytes) = (each((ns - kernels).max(0.0)), each(bytes as f64));
            println!("{what}\t{ns:.1} ns\t{bytes:.0} bytes");
        };
        let binary = open_binary();
        line("binary", &binary, statistics);
        let memory = kernel::memory();
        drop(binary);
        line("text, basic columns", &open(), statistics);
        let rejecting = open_binary();
        set_filter(&rejecting, "lport 1 and fport 2");
        line("binary, a filter that rejects all", &rejecting, identity);
        drop(rejecting);
        #[allow(clippy::cast_precision_loss, reason = "as above")]
        let memory = each(memory as f64);
        println!("memory\t{memory:.0} bytes");
        println!("the fake kernel's own walk\t{:.1} ns", each(statistics));
    });
}
