// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The layout of the dashboard.  A metric that is missing here is in the last row.

/// What a panel shows.
#[derive(Clone, Copy)]
pub enum Content {
    /// A metric family: the rate of a counter, the sum of a gauge, a quantile of a histogram.
    Family(&'static str),
    /// The distribution of a histogram over time.
    Heatmap(&'static str),
    /// An expression, in which SELECT is replaced by the label matchers of groups, with its
    /// unit in Grafana.
    Expression(&'static str, &'static str),
}

/// A panel.
pub struct Panel {
    /// What is shown.
    pub content: Content,
    /// The title.
    pub title: &'static str,
    /// What the reader must know besides the meaning of the metric and of its fields.
    pub note: &'static str,
    /// The fields from which the metric is computed.
    pub fields: &'static [&'static str],
}

const fn family(name: &'static str, title: &'static str, fields: &'static [&'static str]) -> Panel {
    Panel { content: Content::Family(name), title, note: "", fields }
}

const fn noted(name: &'static str, title: &'static str, fields: &'static [&'static str], note: &'static str) -> Panel {
    Panel { content: Content::Family(name), title, note, fields }
}

const RETRANSMITTED_SHARE: &str = "sum by ($by) (rate(tcpstats_retransmitted_bytes_total{SELECT}[$__rate_interval])) \
     / (sum by ($by) (rate(tcpstats_sent_bytes_total{SELECT}[$__rate_interval])) \
     + sum by ($by) (rate(tcpstats_retransmitted_bytes_total{SELECT}[$__rate_interval])) > 0)";

const QUEUE_USE: &str = "sum by ($by) (tcpstats_listen_queue_length{SELECT}) \
     / (sum by ($by) (tcpstats_listen_queue_limit{SELECT}) > 0)";

/// The rows with their panels.
pub const ROWS: [(&str, &[Panel]); 5] = [
    (
        "Traffic",
        &[
            family("tcpstats_sent_bytes", "Sent", &["sent_bytes", "acked_bytes"]),
            family("tcpstats_received_bytes", "Received", &["received_bytes", "rcv_nxt"]),
            noted(
                "tcpstats_limited_seconds",
                "What limits sending",
                &["rwnd_limited", "sndbuf_limited"],
                "The mean number of connections that are limited at a time.",
            ),
        ],
    ),
    (
        "Loss",
        &[
            Panel {
                content: Content::Expression(RETRANSMITTED_SHARE, "percentunit"),
                title: "Retransmitted share",
                note: "Payload retransmitted, as a share of all payload sent. TcpstatsLoss alerts at 2 %.",
                fields: &[],
            },
            family("tcpstats_retransmitted_bytes", "Retransmitted payload", &["rexmit_bytes"]),
            family("tcpstats_retransmitted_segments", "Retransmitted segments", &["rexmit_packs"]),
        ],
    ),
    (
        "Round-trip times",
        &[
            family("tcpstats_srtt_seconds", "Smoothed round-trip time: quantile $quantile", &["srtt"]),
            Panel {
                content: Content::Heatmap("tcpstats_srtt_seconds"),
                title: "Smoothed round-trip times",
                note: "",
                fields: &["srtt"],
            },
            family("tcpstats_min_rtt_seconds", "Minimum round-trip time: quantile $quantile", &["rttmin"]),
        ],
    ),
    (
        "Connections",
        &[
            family("tcpstats_connections", "Connections by state", &["state"]),
            family("tcpstats_connections_opened", "Connections opened", &[]),
            family("tcpstats_connections_closed", "Connections closed by reason", &["ending"]),
            family("tcpstats_connection_duration_seconds", "Duration: quantile $quantile", &["duration"]),
            family("tcpstats_connection_size_bytes", "Size: quantile $quantile", &["sent_bytes", "received_bytes"]),
            family(
                "tcpstats_connection_retransmitted_ratio",
                "Retransmitted share of a connection: quantile $quantile",
                &["rexmit_bytes", "sent_bytes"],
            ),
            family("tcpstats_listen_queue_length", "Listen queues", &["qlen"]),
            family("tcpstats_listen_queue_limit", "Limit of listen queues", &["qlimit"]),
            Panel {
                content: Content::Expression(QUEUE_USE, "percentunit"),
                title: "Use of listen queues",
                note: "A queue that is full refuses connections; TcpstatsListenQueueFull alerts.",
                fields: &["qlen", "qlimit"],
            },
            family("tcpstats_listen_queues_full", "Full listen queues", &["qlen", "qlimit"]),
            family("tcpstats_zero_window_connections", "Zero windows", &["snd_wnd", "rcv_wnd"]),
        ],
    ),
    (
        "tcpstats serve",
        &[
            family("tcpstats_source_up", "Source is available", &[]),
            family("tcpstats_source_errors", "Errors of the source", &[]),
            family("tcpstats_last_snapshot_timestamp_seconds", "Age of the last snapshot", &[]),
            family("tcpstats_snapshots", "Snapshots", &[]),
            family("tcpstats_snapshots_missed", "Snapshots missed", &[]),
            family("tcpstats_snapshot_walk_seconds", "Time spent on snapshots", &[]),
            family("tcpstats_records_missed", "Records missed", &[]),
            family("tcpstats_final_records_lost", "Final records lost", &[]),
            family("tcpstats_groups", "Groups with series", &[]),
            family("tcpstats_groups_limit", "Limit of groups", &[]),
            family("tcpstats_groups_in_other", "Groups in other", &[]),
            family("tcpstats_groups_replaced", "Groups replaced", &[]),
            family("tcpstats_build", "Version", &[]),
        ],
    ),
];
