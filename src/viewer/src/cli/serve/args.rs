// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The arguments of `tcpstats serve`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

use std::net::SocketAddr;

use clap::{ValueEnum, ValueHint};

use crate::live::LiveArgs;

/// The long description in the help and the manual page.
pub const LONG_ABOUT: &str = "\
Export metrics of TCP connections for Prometheus at /metrics, in the format that the client prefers: the protobuf format \
of Prometheus, which has native histograms, OpenMetrics 1.0, or the text format 0.0.4 of Prometheus, which is the \
default.

Connections are grouped by --by.  Each group has counters, gauges and histograms.  A counter contains what was \
counted since the program was started: a connection that is already open then contributes only the increase of its \
counters, and one that begins later contributes everything, up to its final record.  A value that the source does \
not have is absent.

The histogram of srtt contains one observation for each connection in each snapshot, except in LISTEN, CLOSED and \
TIME_WAIT, so that its quantiles are those of tcpstats summary.  The histograms of the minimum round-trip time, \
duration, size and retransmitted share contain one observation for each final record.  A quantile of a native histogram \
has an error of up to 5 %.  With fixed buckets, a quantile of srtt has an error of up to 100 % with the default of \
--rtt-buckets, and of up to 5 % with --rtt-buckets 15; those of the other histograms are coarse.

The number of series is limited by --series-max, which counts every line of /metrics in OpenMetrics.  A group has up \
to 113 of them, or 127 if the kernel reports why connections end, so that the default is enough for 16 or 14 groups \
and the others.  A scraper that stores native histograms stores 31 or 38 series for each group, but the groups are the \
same for all clients.  If there are more groups than that allows, the largest by recent traffic have their own series, \
and the others share the series whose labels are all 'other'.  Every ten minutes, up to a tenth of the former are \
replaced by groups in 'other' that have become more than twice as large.  The series of a replaced group end, and no \
counter decreases; if the group returns, it has new series with a new creation time.

If SOURCE is a log, it is read as fast as possible, and counters start at 0 before its first snapshot.  The program then \
continues to serve the state at the end of the log.  Samples have no timestamps, so rates during the reading are not \
those of the log.

The page at / shows groups and connections in a browser, as top does: with rates, sorted by any column, selected by a \
filter in the language of -e, and one connection with charts of up to 300 snapshots.  It lists at most 200 connections \
and groups.  It is updated four times a second at most, by up to 16 streams of server-sent events; its address \
contains the filter and the order.  Rates and charts begin when the page is opened, except those of a log.  The page \
shows the addresses and ports of all connections to everybody who can connect to the server, unless --no-page is \
given.

The server accepts only GET and HEAD, has neither TLS nor authentication, and listens on the loopback interface by \
default.  To make it accessible to other hosts, use a reverse proxy that provides both.  A request is refused if its \
Host header contains neither the address of --listen nor localhost nor a name of --host-name.

After it has opened everything, the program enters a sandbox by Landlock or Capsicum.  There is no sandbox if owners \
are needed, because --by contains process, container or jail, or FILTER compares owners, and none with --netns, \
because a sandbox prevents the inspection of other processes.";

/// The arguments of `tcpstats serve`.
#[derive(clap::Args)]
pub struct Args {
    /// The source and the filter.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Listen on ADDRESS; port 0 chooses a free port
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:9812", value_hint = ValueHint::Other)]
    pub listen: SocketAddr,
    /// Also accept requests for the host NAME, for example the one that a reverse proxy passes on
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Hostname)]
    pub host_name: Vec<String>,
    /// Group connections by a comma-separated list of labels
    #[arg(long, value_enum, value_delimiter = ',', default_value = "port", value_name = "LABELS")]
    pub by: Vec<By>,
    /// Length of IPv4 prefixes, in bits
    #[arg(long, default_value_t = 24, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix4: u8,
    /// Length of IPv6 prefixes, in bits
    #[arg(long, default_value_t = 48, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix6: u8,
    /// Export at most SERIES series
    #[arg(long, default_value_t = 2000, value_name = "SERIES")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub series_max: u32,
    /// Use N buckets for each power of two in the histogram of srtt, except in native histograms
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub rtt_buckets: u8,
    /// Sample every USEC microseconds
    #[arg(short = 's', long, value_name = "USEC", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=366 * 24 * 3600 * 1_000_000))]
    pub interval: u64,
    /// Serve only the metrics, not the page
    #[arg(long)]
    pub no_page: bool,
    /// Do not enter the sandbox
    #[arg(long)]
    pub no_sandbox: bool,
}

/// A label by which connections are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The service port: the lower port of the connection
    Port,
    /// The local port
    Lport,
    /// The prefix of the foreign address
    Prefix,
    /// The congestion control algorithm
    Cc,
    /// The TCP stack (FreeBSD)
    Stack,
    /// The jail (FreeBSD)
    Jail,
    /// The name of the process
    Process,
    /// The container of the process (Linux)
    Container,
    /// The network namespace, with --netns (Linux)
    Netns,
}

impl By {
    /// Returns the name of the label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Lport => "lport",
            Self::Prefix => "prefix",
            Self::Cc => "cc",
            Self::Stack => "stack",
            Self::Jail => "jail",
            Self::Process => "process",
            Self::Container => "container",
            Self::Netns => "netns",
        }
    }

    /// Returns whether its values are found by inspecting processes or jails.
    pub fn needs_owners(self) -> bool {
        matches!(self, Self::Jail | Self::Process | Self::Container)
    }
}
