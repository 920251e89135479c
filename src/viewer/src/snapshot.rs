// SPDX-License-Identifier: BSD-2-Clause

//! Snapshots, of a kernel or from a log.

use tcpstats::{Header, Record};

use crate::boot::Boot;

/// The state of all connections at one instant.
pub struct Snapshot {
    /// The time at which it was taken, and the number of its records.
    pub header: Header,
    /// The records, one for each connection.
    pub records: Vec<Record>,
    /// Whether the host may have been rebooted since the previous snapshot.
    #[cfg_attr(not(feature = "top"), allow(dead_code, reason = "only top compares snapshots"))]
    pub boot: Boot,
}
