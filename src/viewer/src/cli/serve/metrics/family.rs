// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metric families: names, types, units and help.

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only increases.
    Counter,
    /// A value of the last snapshot.
    Gauge,
    /// A distribution.
    Histogram,
    /// Labels with the value 1.
    Info,
}

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name, which ends with the unit and lacks `_total` and `_info`.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The unit, empty if there is none.
    pub unit: &'static str,
    /// What it is.
    pub help: &'static str,
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, unit, help }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit, help }
}

const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, unit, help }
}

// What each family is, its help says.

pub const SENT_BYTES: Family = counter("tcpstats_sent_bytes", "bytes", "Payload sent, without retransmissions.");
pub const RECEIVED_BYTES: Family = counter("tcpstats_received_bytes", "bytes", "Payload received in order.");
pub const REXMIT_BYTES: Family = counter("tcpstats_retransmitted_bytes", "bytes", "Payload retransmitted.");
pub const REXMIT_PACKS: Family = counter("tcpstats_retransmitted_segments", "segments", "Segments retransmitted.");
pub const OPENED: Family = counter("tcpstats_connections_opened", "", "Connections that began.");
pub const CLOSED: Family = counter("tcpstats_connections_closed", "", "Connections that ended, by reason.");
pub const LIMITED: Family =
    counter("tcpstats_limited_seconds", "seconds", "Time during which sending was limited, summed over connections.");
pub const CONNECTIONS: Family = gauge("tcpstats_connections", "", "Connections and listening sockets, by state.");
pub const LISTEN_QUEUE: Family = gauge("tcpstats_listen_queue_length", "", "Connections that wait for accept(2).");
pub const LISTEN_QUEUE_LIMIT: Family =
    gauge("tcpstats_listen_queue_limit", "", "Maximum of tcpstats_listen_queue_length.");
pub const LISTEN_QUEUES_FULL: Family =
    gauge("tcpstats_listen_queues_full", "", "Listening sockets that refuse connections, because their queue is full.");
pub const ZERO_WINDOW: Family = gauge(
    "tcpstats_zero_window_connections",
    "",
    "Connections whose window is 0: the peer's for direction send, the own one for receive.",
);
pub const SRTT: Family =
    histogram("tcpstats_srtt_seconds", "seconds", "Smoothed round-trip time of each connection in each snapshot.");
pub const MIN_RTT: Family =
    histogram("tcpstats_min_rtt_seconds", "seconds", "Minimum round-trip time of connections that ended.");
pub const DURATION: Family =
    histogram("tcpstats_connection_duration_seconds", "seconds", "Duration of connections that ended.");
pub const SIZE: Family =
    histogram("tcpstats_connection_size_bytes", "bytes", "Payload sent and received by connections that ended.");
pub const SHARE: Family = histogram(
    "tcpstats_connection_retransmitted_ratio",
    "ratio",
    "Retransmitted share of the payload sent by connections that ended.",
);
pub const BUILD: Family =
    Family { name: "tcpstats_build", kind: Kind::Info, unit: "", help: "Version of the program." };
pub const SNAPSHOTS: Family = counter("tcpstats_snapshots", "", "Snapshots taken.");
pub const WALK: Family = counter("tcpstats_snapshot_walk_seconds", "seconds", "Time that the snapshots took.");
pub const MISSED_TICKS: Family =
    counter("tcpstats_snapshots_missed", "", "Snapshots not taken because an earlier one took too long.");
pub const MISSED: Family = counter(
    "tcpstats_records_missed",
    "",
    "Connections without a record because memory ran out or a limit was reached.",
);
pub const ENDED_LOST: Family =
    counter("tcpstats_final_records_lost", "", "Connections that ended without a final record.");
pub const ERRORS: Family = counter("tcpstats_source_errors", "", "Snapshots that failed.");
pub const REPLACED: Family =
    counter("tcpstats_groups_replaced", "", "Groups whose series ended, because others are larger.");
pub const UP: Family = gauge("tcpstats_source_up", "", "1 if the last snapshot succeeded, 0 if it failed.");
pub const LAST: Family = gauge("tcpstats_last_snapshot_timestamp_seconds", "seconds", "Time of the last snapshot.");
pub const GROUPS: Family = gauge("tcpstats_groups", "", "Groups that have their own series.");
pub const GROUPS_MAX: Family = gauge("tcpstats_groups_limit", "", "Maximum of tcpstats_groups.");
pub const IN_OTHER: Family =
    gauge("tcpstats_groups_in_other", "", "Groups of the last snapshot that share the series of other.");
