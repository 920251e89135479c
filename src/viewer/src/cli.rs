// SPDX-License-Identifier: BSD-2-Clause

//! The command line: what is parsed, completed by shells, and told in
//! tcpstats(1).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
