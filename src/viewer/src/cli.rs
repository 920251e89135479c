// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The command line: the source of the parser, of shell completions and of
//! tcpstats(1).
//!
//! Each command is a module with its arguments, `Args`, and its function `run`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

mod check;
mod completions;
#[cfg(feature = "convert")]
mod convert;
#[cfg(feature = "plot")]
mod plot;
#[cfg(feature = "serve")]
mod serve;
mod show;
mod summary;
#[cfg(feature = "top")]
mod top;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

#[cfg(feature = "serve")]
pub use self::serve::every_metric;

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
    /// samples. If standard output is not a terminal, one snapshot is printed in
    /// the format of show.
    #[cfg(feature = "top")]
    Top(top::Args),
    /// Print one snapshot as a table
    ///
    /// Rows are sorted by state, then by local port. Columns that are empty for all
    /// connections are omitted unless they are named. If the source is a log, its
    /// last complete snapshot is shown. At most 524,288 records of a snapshot in a
    /// log are kept in memory, which takes about a gigabyte; for larger snapshots,
    /// select connections with -e.
    Show(show::Args),
    /// Check whether a log is complete and undamaged
    #[command(long_about = check::LONG_ABOUT)]
    Check(check::Args),
    /// Convert a log to another format
    #[cfg(feature = "convert")]
    #[command(long_about = convert::LONG_ABOUT, override_usage = "tcpstats convert [OPTIONS] <IN>... <OUT>")]
    Convert(convert::Args),
    /// Summarize a log by connection, prefix, port or owner
    #[command(long_about = summary::LONG_ABOUT)]
    Summary(summary::Args),
    /// Plot connections over time, as an image or an interactive page
    #[cfg(feature = "plot")]
    #[command(long_about = plot::LONG_ABOUT)]
    Plot(plot::Args),
    /// Export metrics of connections for Prometheus, and show connections in a browser
    #[cfg(feature = "serve")]
    #[command(long_about = serve::LONG_ABOUT)]
    Serve(serve::Args),
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
            Self::Convert(args) => convert::run(args),
            Self::Summary(args) => summary::run(args),
            #[cfg(feature = "plot")]
            Self::Plot(args) => plot::run(args),
            #[cfg(feature = "serve")]
            Self::Serve(args) => serve::run(args),
            Self::Completions(args) => completions::run(args, &mut Cli::command()),
        }
    }
}
