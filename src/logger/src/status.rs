// SPDX-License-Identifier: BSD-2-Clause

//! How far the logger has come, for the status line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Counts since the start, which every thread adds to.
pub struct Counters {
    start: Instant,
    /// Snapshots in the log.
    pub snapshots: AtomicU64,
    /// Records in the log.
    pub records: AtomicU64,
    /// Bytes in the log.
    pub bytes: AtomicU64,
    /// Ticks at which no snapshot was taken.
    pub missed_ticks: AtomicU64,
    /// Snapshots that were taken and did not come into the log.
    pub dropped: AtomicU64,
    /// Duration of the last walk in nanoseconds.
    pub walk_ns: AtomicU64,
}

impl Counters {
    /// Begins at nothing.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            snapshots: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            missed_ticks: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            walk_ns: AtomicU64::new(0),
        }
    }

    /// The status line; `waiting` snapshots of at most `queue` wait for the
    /// log of that name.
    pub fn line(&self, waiting: usize, queue: usize, log: &str) -> String {
        format!(
            "status uptime_s={:.3} snapshots={} records={} missed_ticks={} dropped={} bytes={} walk_us={} \
             waiting={waiting} queue={queue} log=\"{log}\"",
            self.start.elapsed().as_secs_f64(),
            self.snapshots.load(Relaxed),
            self.records.load(Relaxed),
            self.missed_ticks.load(Relaxed),
            self.dropped.load(Relaxed),
            self.bytes.load(Relaxed),
            self.walk_ns.load(Relaxed) / 1000,
        )
    }
}
