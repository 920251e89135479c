// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats`: looks at the statistics of TCP connections, live or in a log.

mod check;
mod cli;
#[cfg(feature = "convert")]
mod convert;
mod identity;
mod live;
mod log;
#[cfg(all(test, feature = "compressed", feature = "convert", feature = "plot", feature = "top"))]
mod manual;
mod output;
#[cfg(feature = "plot")]
mod plot;
mod replay;
mod show;
mod summary;
mod table;
#[cfg(feature = "plot")]
mod throughput;
#[cfg(feature = "top")]
mod top;
mod units;

use std::process::ExitCode;

use clap::Parser;
use tcpstats_source::without_numbers;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Where it cannot be told there is nobody to tell.
            let _ = told.print();
            return if told.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
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
    };
    match done {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("tcpstats: {}", without_numbers(&sentence));
            ExitCode::FAILURE
        }
    }
}
