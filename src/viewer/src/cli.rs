// SPDX-License-Identifier: BSD-2-Clause

//! The command line: what is parsed, completed by shells, and told in
//! tcpstats(1).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "plot")]
use crate::plot::{MOST, Size};

/// Look at the statistics of TCP connections, live or in a log
#[derive(Parser)]
#[command(name = "tcpstats", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `tcpstats` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Tell whether a log is whole
    #[command(long_about = CHECK_LONG)]
    Check(Check),
    /// Draw connections of logs over time, as a picture or as a page to zoom in
    #[cfg(feature = "plot")]
    #[command(long_about = PLOT_LONG)]
    Plot(Plot),
}

const CHECK_LONG: &str = "\
Tell whether a log is whole: a line for each thing that is missing or wrong, with its place, and a last line with \
what the log has.

Told are lines and frames that are torn or damaged, snapshots that are missing or were dropped, missed ticks, a source \
that was lost, steps of the clock, snapshots that are truncated or whose tables changed meanwhile, records that are \
more or fewer than their snapshot says, and an end without the logger's closing line.

The exit status is 0 where the log is whole, and 1 where it is not or cannot be read.";

/// `tcpstats check`
#[derive(Args)]
pub struct Check {
    /// The logs, in any format, also compressed; - is standard input.  Rotated ones are read as one, the oldest first
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Say nothing; the exit status tells
    #[arg(short, long)]
    pub quiet: bool,
}

#[cfg(feature = "plot")]
const PLOT_LONG: &str = "\
Draw connections of logs over time, as a picture or as a page to zoom in: congestion window and threshold, bytes in \
flight and the window that the peer offers, round-trip time with its variation, throughput and retransmissions.

A line breaks where the log knows nothing: the connection is absent, snapshots are missing, a value is not set.  Of the \
values that share a column of pixels the first, the lowest, the highest and the last are drawn (of a page, a quarter of \
a column), so that a long log makes no larger picture.

Throughput is taken from acked_bytes, snd_una or sent_bytes, whichever the log has first, and from received_bytes or \
rcv_nxt; without any of those of sending it is estimated as inflight / srtt.  The picture names what it is from.

Logs are read twice; standard input is put into a temporary file for it.  Of a damaged log the rest is drawn; the exit \
status is then 1.";

/// `tcpstats plot`
#[cfg(feature = "plot")]
#[derive(Args)]
pub struct Plot {
    /// The logs, in any format and order, also compressed; - is standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Draw into this file, whose name ends in .svg, .png or .html; - is standard output, for SVG
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Make a page to zoom and hover in, whatever the file is called; it is whole by itself and needs no network
    #[arg(long)]
    pub html: bool,
    /// Draw only connections of which a record matches this filter, and these from their first record to their last
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Draw so many connections over each other, those that sent most; at most 8
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST)))]
    pub count: u8,
    /// Tell the time of day in UTC instead of the time since the start
    #[arg(long)]
    pub utc: bool,
    /// How large the picture is, in pixels; a PNG has twice as many each way
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "960x900")]
    pub size: Size,
}
