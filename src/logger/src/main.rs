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
mod terminal;
mod ticks;
mod writer;

use std::fs::File;
use std::io::{ErrorKind, Write, stdout};
use std::os::fd::AsFd;
use std::process::ExitCode;

use tcpstats_source::Sentence;
use tcpstats_source::system::standard_output_was_closed;

fn main() -> ExitCode {
    diagnostics::begin(::log::LevelFilter::Warn);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = options::parse(&arguments).and_then(|request| match request {
        options::Request::Tell(text) => print(&text),
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

/// Writes the text to standard output.
fn print(text: &str) -> Result<(), Sentence> {
    if standard_output_was_closed() {
        return Err("standard output is closed".into());
    }
    // Rust's own stdout() takes an error for success where the descriptor cannot be written to.
    let printed =
        stdout().as_fd().try_clone_to_owned().and_then(|output| File::from(output).write_all(text.as_bytes()));
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
