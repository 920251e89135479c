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

/// `tcpstats plot`
///
/// Congestion window and threshold, bytes in flight, round-trip time, throughput
/// and retransmissions on one axis of time.  Lines break where nothing is known.
#[cfg(feature = "plot")]
#[derive(Args)]
pub struct Plot {
    /// The logs, in any format and order; - is standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,

    /// Draw into this file, which ends in .svg, .png or .html; - is standard
    /// output, for SVG
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,

    /// Make a page to zoom and hover in, whatever the file is called: one file
    /// that needs no network
    #[arg(long)]
    pub html: bool,

    /// Draw only connections of which a record matches this filter, and these
    /// whole
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,

    /// Draw so many connections one over the other, those that sent most; at
    /// most 8
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
