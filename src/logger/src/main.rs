// SPDX-License-Identifier: BSD-2-Clause

//! `siftr_cdev_logger`: samples the statistics of every TCP connection at
//! fixed times and logs them.

mod daemon;
mod diagnostics;
mod gap;
mod log;
mod options;
mod pidfile;
mod privileges;
mod run;
mod sampler;
mod sandbox;
mod status;
mod syslog;
mod ticks;
mod writer;

use std::io::{Write, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    diagnostics::begin(::log::LevelFilter::Warn);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = options::parse(&arguments).and_then(|request| match request {
        options::Request::Tell(text) => {
            let told = stdout().write_all(text.as_bytes());
            told.map_err(|error| format!("standard output: {error}"))
        }
        options::Request::Run(options) => {
            ::log::set_max_level(options.level);
            run::run(&options)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            ::log::error!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
