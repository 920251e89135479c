// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Counters for the status line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Counters since the start, which all threads update.
pub struct Counters {
    start: Instant,
    /// Number of snapshots in the log.
    pub snapshots: AtomicU64,
    /// Number of records in the log.
    pub records: AtomicU64,
    /// Number of bytes in the log.
    pub bytes: AtomicU64,
    /// Number of ticks at which no snapshot was taken.
    pub missed_ticks: AtomicU64,
    /// Number of snapshots that were taken but not logged.
    pub dropped: AtomicU64,
    /// Duration of the last walk in nanoseconds.
    pub walk_ns: AtomicU64,
}

impl Counters {
    /// Returns counters that are zero.
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

    /// Returns the status line of the log with this name.  `waiting` snapshots of
    /// at most `queue` are queued.
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
