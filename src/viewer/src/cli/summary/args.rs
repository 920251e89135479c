// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The arguments of `tcpstats summary`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

use std::path::PathBuf;

use clap::ValueEnum;

/// The long description in the help and the manual page.
pub const LONG_ABOUT: &str = "\
Summarize a log: for each connection, its duration, bytes and throughput, round-trip times, retransmissions, and what \
limited it.  The worst connections are listed first.

The summary covers only what the log contains: activity before the log started and fields that were not logged are \
not included.  Bytes sent are the first available of acked_bytes, sent_bytes and snd_una; bytes received are \
received_bytes or rcv_nxt.  The mean throughput is computed over the full duration, the maximum over intervals of at \
least a second.  The median and the 95th percentile of the round-trip time are accurate to within 1 %.

A connection is in slow start while it has data to send and snd_cwnd is below snd_ssthresh.  It is limited by cwnd or \
by the receiver while data is waiting and no further segment fits into the smaller of snd_cwnd and snd_wnd.  It is \
limited by the send buffer while no further segment fits into the buffer and neither window limits it.  On Linux, the \
times during which the receiver or the send buffer limited the connection are taken from the kernel's rwnd_limited \
and sndbuf_limited.

Listening sockets and connections in CLOSED or TIME_WAIT are excluded.  In a log of changes only \
(siftr_cdev_logger -x), a record remains valid until the next record of its connection.  Memory use grows with the \
number of connections, not with the length of the log: 1.5 kB for a connection with a steady round-trip time, 3 kB if \
it varies by half, and 12 kB if it varies by a factor of ten thousand.

Durations and rates are computed from the monotonic clock in the log.  If there is none, the time of day is used \
where it agrees with the logger's ticks.  Connections of different hosts, and from before and after a reboot, are \
kept apart.  If the log does not show whether the host was rebooted between two runs of the logger, a reboot is assumed \
if a total decreases.

The owner of a connection is the last one that the log contains, and connections without an owner are in one row.  \
Processes with the same name have separate rows.  Logs contain owners only if the logger has recorded them.

If the log is damaged, the part before the damage is summarized and the exit status is 1.";

/// The arguments of `tcpstats summary`.
#[derive(clap::Args)]
pub struct Args {
    /// The logs, in any format, optionally compressed (- for standard input).  Several logs are ordered by their
    /// content and read as one log
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print one row for each connection, for each prefix of foreign addresses, for each service port (the lower
    /// port of a connection), or for each process, container, jail or network namespace
    #[arg(long, value_enum, default_value_t = By::Connection, value_name = "WHAT")]
    pub by: By,
    /// Length of IPv4 prefixes, in bits
    #[arg(long, default_value_t = 24, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix4: u8,
    /// Length of IPv6 prefixes, in bits
    #[arg(long, default_value_t = 48, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix6: u8,
    /// Sort rows by MEASURE, in descending order (default: rexmit-bytes, or bytes if rows are processes, containers,
    /// jails or network namespaces)
    #[arg(short, long, value_enum, value_name = "MEASURE")]
    pub worst: Option<Measure>,
    /// Print at most ROWS rows (default: 10, or all with --json and --csv)
    #[arg(short = 'n', long, value_name = "ROWS")]
    pub count: Option<usize>,
    /// Include only connections that match FILTER, see tcpstats(5)
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Print JSON Lines, one object for each row, with exact numbers
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with exact numbers
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

impl Args {
    /// Returns the measure by which rows are sorted.
    pub fn measure(&self) -> Measure {
        let default = if self.by.owner_field().is_some() { Measure::Bytes } else { Measure::RexmitBytes };
        self.worst.unwrap_or(default)
    }
}

/// The subject of a row of a summary.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A connection
    Connection,
    /// All connections to one prefix of foreign addresses
    Prefix,
    /// All connections of one service port
    Port,
    /// All connections of one process
    Process,
    /// All connections of the processes in one container
    Container,
    /// All connections of one jail
    Jail,
    /// All connections of one network namespace
    Netns,
}

/// The measure by which rows are sorted.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Bytes retransmitted
    RexmitBytes,
    /// Segments retransmitted
    RexmitPacks,
    /// Retransmitted share of the bytes sent
    RexmitRate,
    /// Minimum of srtt
    SrttMin,
    /// Median of srtt
    SrttMedian,
    /// 95th percentile of srtt
    SrttP95,
    /// Maximum of srtt
    SrttMax,
    /// Fraction of time in slow start
    SlowStart,
    /// Fraction of time limited by cwnd
    CwndLimited,
    /// Fraction of time limited by the receiver
    ReceiverLimited,
    /// Fraction of time limited by the send buffer
    BufferLimited,
    /// Bytes sent and received
    Bytes,
    /// Bytes sent
    Sent,
    /// Bytes received
    Received,
    /// Duration in the log
    Duration,
}
