// SPDX-License-Identifier: BSD-2-Clause

//! The command line: what is parsed, completed by shells, and told in
//! tcpstats(1).

use std::path::PathBuf;

#[cfg(feature = "convert")]
use clap::ValueEnum;
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
    /// Write a log in another format
    #[cfg(feature = "convert")]
    #[command(long_about = CONVERT_LONG)]
    Convert(Convert),
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

#[cfg(feature = "convert")]
const CONVERT_LONG: &str = "\
Write a log in another format: csv, json, siftr and bin as siftr_cdev_logger writes them, and Parquet, which DuckDB, \
ClickHouse, Polars and Spark read.

A log keeps all that it says about itself: csv, bin and parquet are the same log, and a csv log that goes through them \
comes back as the same bytes.  In Parquet a note of the log is a row that has its text in the column `note`, so that \
`where note is null` selects the records.  The unit and meaning of each column are in the file's metadata.

Where the log is damaged, what stands before the damage is written, and the exit status is 1.";

/// `tcpstats convert`
#[cfg(feature = "convert")]
#[derive(Args)]
pub struct Convert {
    /// The log to read, in any format, - for standard input, and the file to write, - for standard output.  Several logs
    /// are read as one, the oldest first
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub files: Vec<PathBuf>,
    /// The format to write [default: what OUT ends in]
    #[arg(short = 'F', long, value_enum, value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// The columns: basic, all, or names of fields with commas between [default: those that the log has]
    #[arg(short = 'O', long, value_name = "COLUMNS")]
    pub columns: Option<String>,
    /// Only the connections that the filter matches, as tcpstats(1) describes it
    #[arg(short = 'e', long = "expression", value_name = "FILTER")]
    pub filter: Option<String>,
    /// Write over a file that is there
    #[arg(short, long)]
    pub force: bool,
}

/// The format of a log.
#[cfg(feature = "convert")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A header row and a row a record
    Csv,
    /// JSON Lines
    Json,
    /// The format of siftr(4) 1.3.0
    Siftr,
    /// Frames, as the device gives them
    Bin,
    /// Apache Parquet, compressed with zstd
    Parquet,
}
