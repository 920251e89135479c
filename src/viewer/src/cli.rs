// SPDX-License-Identifier: BSD-2-Clause

//! The command line: what is parsed, completed by shells, and told in
//! tcpstats(1).

#![allow(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

/// Look at the statistics of TCP connections, live or in a log
#[derive(Parser)]
#[command(name = "tcpstats", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `tcpstats` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Watch connections on the screen
    ///
    /// One line a connection, with rates between the last two samples. Where
    /// standard output is no terminal one snapshot is printed, as by show.
    #[cfg(feature = "top")]
    Top(Top),
    /// Print one snapshot as a table
    ///
    /// Sorted by state, then by local port. Columns that no connection has are
    /// left out unless they were named. The source can also be a log in any
    /// format, of which the last whole snapshot is shown; - is standard input.
    Show(Show),
    /// Tell whether a log is whole
    #[command(long_about = CHECK_LONG)]
    Check(Check),
    /// Print a script with which a shell completes the command line
    Completions(Completions),
}

/// Which connections, and of what.
#[derive(Args, Clone)]
pub struct Live {
    /// Show only connections that match, such as 'port 443 and srtt > 100ms'
    #[arg(short = 'e', long, value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Option<String>,
    /// Where the statistics come from: sock_diag, a device, or a file of frames
    #[arg(short = 'd', long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: Option<String>,
}

/// `tcpstats show`
#[derive(Args)]
pub struct Show {
    /// Which connections, and of what.
    #[command(flatten)]
    pub live: Live,
    /// What to show: basic, all, or field names with commas between
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
    /// Print numbers as a log has them, in bytes and microseconds
    #[arg(short, long)]
    pub numbers: bool,
    /// Print JSON Lines, an object a connection, with all fields unless told otherwise
    #[arg(long, conflicts_with = "numbers")]
    pub json: bool,
}

/// `tcpstats top`
#[cfg(feature = "top")]
#[derive(Args)]
pub struct Top {
    /// Which connections, and of what.
    #[command(flatten)]
    pub live: Live,
    /// Time between two samples
    #[arg(short = 's', long, value_name = "MICROSECONDS", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=366 * 24 * 3600 * 1_000_000))]
    pub interval: u64,
    /// End after so many samples
    #[arg(short = 'c', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What to show beside the rates: basic, all, or field names with commas between
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
}

#[cfg(feature = "top")]
impl Show {
    /// What is printed where there is no screen for top.
    pub fn in_place_of(top: &Top) -> Self {
        Self { live: top.live.clone(), columns: top.columns.clone(), numbers: false, json: false }
    }
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

/// `tcpstats completions`
#[derive(Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

impl Completions {
    /// The script.
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tcpstats", &mut script);
        script
    }
}
