// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats`: looks at the statistics of TCP connections, live or in a log.

mod check;
mod cli;
#[cfg(feature = "convert")]
mod convert;
mod log;
mod output;
mod summary;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(asked) => check::run(&asked),
        #[cfg(feature = "convert")]
        Command::Convert(asked) => convert::run(&asked),
        Command::Summary(asked) => summary::run(&asked),
    };
    match done {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("tcpstats: {sentence}");
            ExitCode::FAILURE
        }
    }
}
