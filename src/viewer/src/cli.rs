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
    /// Tell whether a log is whole; exit 1 if it is not
    Check(Check),
}

/// `tcpstats check`
#[derive(Args)]
pub struct Check {
    /// The log, in any format; - is standard input
    pub log: PathBuf,
}
