// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats`: looks at the statistics of TCP connections, live or in a log.

mod check;
mod cli;
mod log;
mod output;
#[cfg(feature = "plot")]
mod plot;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(asked) => check::run(&asked),
        #[cfg(feature = "plot")]
        Command::Plot(asked) => plot::run(&asked),
    };
    match done {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("tcpstats: {sentence}");
            ExitCode::FAILURE
        }
    }
}
