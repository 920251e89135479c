// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats`: looks at the statistics of TCP connections, live or in a log.
//!
//! A library only so that the program and the generator of its manual page can
//! share it.

mod check;
mod cli;
#[cfg(feature = "convert")]
mod convert;
mod live;
mod log;
#[cfg(all(feature = "compressed", feature = "convert", feature = "plot", feature = "top"))]
mod manual;
mod output;
#[cfg(feature = "plot")]
mod plot;
mod replay;
mod show;
mod summary;
mod table;
#[cfg(feature = "top")]
mod top;
mod units;

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use clap::Parser;
use tcpstats_source::{Sentence, without_numbers};

use crate::cli::{Cli, Command};

#[cfg(all(feature = "compressed", feature = "convert", feature = "plot", feature = "top"))]
pub use crate::manual::manual;

/// Runs the program with the arguments of the process, and returns its exit
/// status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // If standard error does not take it, there is nobody left to tell.
            let _ = error.print();
            return ExitCode::FAILURE;
        }
        Err(help) => return end(page(&help)),
    };
    end(match cli.command {
        #[cfg(feature = "top")]
        Command::Top(asked) => top::run(&asked),
        Command::Show(asked) => show::run(&asked),
        Command::Check(asked) => check::run(&asked),
        #[cfg(feature = "plot")]
        Command::Plot(asked) => plot::run(&asked),
        Command::Completions(asked) => output::write(&asked.script()),
        #[cfg(feature = "convert")]
        Command::Convert(asked) => convert::run(&asked),
        Command::Summary(asked) => summary::run(&asked),
    })
}

/// Prints help or version, in colour on a terminal.
fn page(page: &clap::Error) -> Result<ExitCode, Sentence> {
    let text = page.render();
    let is_coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() && units::has_cursor();
    let text = if is_coloured { text.ansi().to_string() } else { text.to_string() };
    output::write(text.as_bytes())
}

/// Reports what went wrong, if anything did; returns the exit status.
fn end(done: Result<ExitCode, Sentence>) -> ExitCode {
    done.unwrap_or_else(|sentence| {
        output::complain(&without_numbers(&sentence));
        ExitCode::FAILURE
    })
}
