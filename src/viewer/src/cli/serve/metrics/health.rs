// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics of the program itself.

use tcpstats::Header;

/// The metrics of the program itself.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The time at which its series were created, in nanoseconds since the Epoch.
    pub created_ns: u64,
    /// Whether the last attempt to take a snapshot succeeded.
    pub is_up: bool,
    /// Snapshots taken.
    pub snapshots: u64,
    /// The time of the last snapshot in nanoseconds since the Epoch.
    pub last_ns: Option<u64>,
    /// The time that the snapshots took, in nanoseconds.
    pub walk_ns: u64,
    /// Snapshots that were not taken because an earlier one took too long.
    pub missed_ticks: u64,
    /// The count of the log at its last snapshot.
    pub logged_missed_ticks: Option<u64>,
    /// Connections without a record, because memory ran out or a limit was reached.
    pub missed: u64,
    /// Connections that ended without a final record.
    pub ended_lost: u64,
    /// Whether the source has final records.
    pub has_ledger: bool,
    /// Errors of the source.
    pub errors: u64,
    /// The maximum number of groups with series.
    pub groups_max: u64,
}

impl Health {
    /// Returns the metrics before the first snapshot.
    pub fn new(groups_max: usize, created_ns: u64) -> Self {
        Self { created_ns, groups_max: groups_max as u64, ..Self::default() }
    }

    /// Adds a snapshot.
    pub fn add(&mut self, header: &Header) {
        self.is_up = true;
        self.snapshots += 1;
        self.last_ns = Some(header.wall_ns);
        self.walk_ns = self.walk_ns.saturating_add(header.walk_ns);
        self.missed = self.missed.saturating_add(header.missed);
        self.ended_lost = self.ended_lost.saturating_add(header.ended_lost);
        let logged = self.logged_missed_ticks.replace(header.missed_ticks);
        // The count starts again with each run of the logger.
        let new = logged.map_or(0, |before| header.missed_ticks.checked_sub(before).unwrap_or(header.missed_ticks));
        self.missed_ticks = self.missed_ticks.saturating_add(new);
    }

    /// Adds an error of the source.
    pub fn source_failed(&mut self) {
        self.is_up = false;
        self.errors += 1;
    }
}
