// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats`: shows statistics of TCP connections, live or from a log.
//!
//! This is a library only because the program and the generator of its manual
//! page and of the dashboard share it.

mod cli;
#[cfg(any(feature = "plot", feature = "serve"))]
mod json;
#[cfg(any(feature = "serve", feature = "top"))]
mod list;
mod live;
mod log;
#[cfg(all(feature = "compressed", feature = "convert", feature = "plot", feature = "serve", feature = "top"))]
mod manual;
mod measures;
mod output;
mod replay;
mod shown;
mod table;
mod units;
#[cfg(any(feature = "plot", feature = "serve"))]
mod uplot;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tcpstats_source::report;

use crate::cli::Cli;

#[cfg(all(feature = "compressed", feature = "convert", feature = "plot", feature = "serve", feature = "top"))]
pub use crate::manual::manual;

/// Returns the metrics of `tcpstats serve` in the format of `OpenMetrics`: every metric with every
/// label, of which those of `--by` have the value `other`.
#[cfg(feature = "serve")]
#[must_use]
pub fn metrics() -> String {
    cli::every_metric()
}

/// Runs the program with the arguments of the process, and returns its exit
/// status.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(cli) => cli.command.run(),
        Err(error) if error.use_stderr() => {
            // An error of standard error itself cannot be reported.
            let _ = error.print();
            return ExitCode::FAILURE;
        }
        Err(help) => print_help(&help),
    };
    result.unwrap_or_else(|error| {
        output::print_error(&report(error.as_ref()));
        ExitCode::FAILURE
    })
}

/// Prints the help or the version, in colour on a terminal.
fn print_help(help: &clap::Error) -> Result<ExitCode> {
    let text = help.render();
    let is_coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() && units::has_cursor();
    let text = if is_coloured { text.ansi().to_string() } else { text.to_string() };
    output::write(text.as_bytes())
}
