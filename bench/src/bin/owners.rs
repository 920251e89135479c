// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `owners CALLS INTERVAL_MS`: measures the cost of finding the owners of all TCP sockets.
//!
//! Takes CALLS snapshots, one every `INTERVAL_MS` milliseconds, and finds the owners of their
//! sockets after each.  Prints CPU time in milliseconds: the median of the snapshots, the first
//! search, the median of the others, and the most expensive of them; then the number of sockets
//! that processes have open, and of those whose owner was found, in the last call.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tcpstats::frame::Frame;
use tcpstats::key;
use tcpstats::stream::SnapshotBuffer;
use tcpstats_source::owners::{Finder, Socket};
use tcpstats_source::{DEFAULT, Numbered, Stacks, open};

/// Returns the CPU time of this process in milliseconds.
fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?).as_secs_f64() * 1e3)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [calls, interval_ms] = arguments[..] else {
        return Err("usage: owners CALLS INTERVAL_MS".into());
    };
    let mut source = open(DEFAULT, None, &Stacks::Own)?.source;
    let mut finder = Finder::open()?;
    let (mut samples, mut searches) = (Vec::new(), Vec::new());
    let (mut open, mut found) = (0, 0);
    let mut next = Instant::now();
    for _ in 0..calls {
        let start = cpu_ms()?;
        let mut snapshot = SnapshotBuffer::new();
        source.sample(&mut snapshot)?;
        samples.push(cpu_ms()? - start);
        let sockets: Vec<_> = Frame::parse(snapshot.bytes())?
            .records()
            .map(|record| Socket {
                id: Numbered { gencnt: record.get(key::gencnt).unwrap_or(0), vnet: record.get(key::vnet) },
                inode: record.get(key::inode),
                jid: record.get(key::jid),
            })
            .collect();
        let start = cpu_ms()?;
        let owners = finder.find(&sockets)?;
        searches.push(cpu_ms()? - start);
        open = sockets.iter().filter(|socket| socket.inode.is_some_and(|inode| inode != 0)).count();
        found = owners.iter().filter(|owner| owner.process.is_some()).count();
        next += Duration::from_millis(interval_ms);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    let first = searches.remove(0);
    let most = searches.iter().copied().fold(0.0, f64::max);
    println!("{:.3} {first:.3} {:.3} {most:.3} {open} {found}", median(samples), median(searches));
    Ok(())
}
