// SPDX-License-Identifier: BSD-2-Clause

//! The command line: the source of the parser, of shell completions and of
//! tcpstats(1).
//!
//! Each command is a module with its arguments, `Args`, and its function `run`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

mod check;
mod completions;
#[cfg(feature = "plot")]
mod plot;
mod show;
mod summary;
#[cfg(feature = "top")]
mod top;

#[cfg(feature = "convert")]
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
#[cfg(feature = "convert")]
use clap::{Args, ValueEnum};
use clap::{CommandFactory, Parser, Subcommand};

/// Show statistics of TCP connections, live or from a log
#[derive(Parser)]
#[command(name = "tcpstats", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `tcpstats`.
#[derive(Subcommand)]
pub enum Command {
    /// Display connections in an interactive list
    ///
    /// Each line shows one connection, with rates computed from the last two
    /// samples. If standard output is not a terminal, one snapshot is printed as
    /// by show.
    #[cfg(feature = "top")]
    Top(top::Args),
    /// Print one snapshot as a table
    ///
    /// Rows are sorted by state, then by local port. Columns that are empty for all
    /// connections are omitted unless they are named. If the source is a log, its
    /// last complete snapshot is shown. At most 524288 records of a snapshot in a
    /// log are kept in memory, which takes about a gigabyte; for larger snapshots,
    /// select connections with -e.
    Show(show::Args),
    /// Check whether a log is complete and undamaged
    #[command(long_about = check::LONG_ABOUT)]
    Check(check::Args),
    /// Convert a log to another format
    #[cfg(feature = "convert")]
    #[command(long_about = CONVERT_LONG, override_usage = "tcpstats convert [OPTIONS] <IN>... <OUT>")]
    Convert(Convert),
    /// Summarize a log by connection, prefix or port
    #[command(long_about = summary::LONG_ABOUT)]
    Summary(summary::Args),
    /// Plot connections over time, as an image or an interactive page
    #[cfg(feature = "plot")]
    #[command(long_about = plot::LONG_ABOUT)]
    Plot(plot::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Command {
    /// Runs the command, and returns the exit status of the program.
    ///
    /// # Errors
    /// Returns the error of the command.
    pub fn run(&self) -> Result<ExitCode> {
        match self {
            #[cfg(feature = "top")]
            Self::Top(args) => top::run(args),
            Self::Show(args) => show::run(args),
            Self::Check(args) => check::run(args),
            #[cfg(feature = "convert")]
            Self::Convert(args) => crate::convert::run(args).map_err(anyhow::Error::msg),
            Self::Summary(args) => summary::run(args),
            #[cfg(feature = "plot")]
            Self::Plot(args) => plot::run(args),
            Self::Completions(args) => completions::run(args, &mut Cli::command()),
        }
    }
}

#[cfg(feature = "convert")]
const CONVERT_LONG: &str = "\
Convert a log to another format: csv, json, siftr or bin as written by siftr_cdev_logger(8), or Parquet for DuckDB, \
ClickHouse, Polars and Spark.

The notes of the log are kept.  The formats csv, bin and Parquet store the same information: a csv log that is \
converted to the other two and back is identical byte for byte.

In Parquet, each row is a record.  The column time is a TIMESTAMP in microseconds, and time_ns contains the \
nanoseconds.  The notes are stored in the file but not as rows.  The file format is documented in tcpstats(5).  \
Parquet files that another program has derived from it can be read too, in the units that they declare and with any \
of the compressions zstd, Snappy, gzip, LZ4, Brotli or none; such files no longer contain the notes.

If the log is damaged, the part before the damage is written and the exit status is 1.";

/// `tcpstats convert`
#[cfg(feature = "convert")]
#[derive(Args)]
pub struct Convert {
    /// The logs to read, in any format (- for standard input), and the file to write (- for standard output).
    /// Several logs are ordered by their content and read as one log
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub files: Vec<PathBuf>,
    /// Write FORMAT (default: given by the suffix of OUT)
    #[arg(short = 'F', long, value_enum, value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// Write COLUMNS: basic, all, or a comma-separated list of fields (default: the columns of the log)
    #[arg(short = 'O', long, value_name = "COLUMNS")]
    pub columns: Option<String>,
    /// Include only connections that match FILTER, see tcpstats(5)
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Overwrite OUT if it exists
    #[arg(short, long)]
    pub force: bool,
}

/// The format of a log.
#[cfg(feature = "convert")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A header row, then one row for each record
    Csv,
    /// JSON Lines
    Json,
    /// The format of siftr(4) 1.3.0
    Siftr,
    /// Binary frames, as the device returns them
    Bin,
    /// Apache Parquet, compressed with zstd
    Parquet,
}
