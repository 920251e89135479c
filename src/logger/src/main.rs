// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `siftr_cdev_logger`: samples the statistics of every TCP connection at fixed
//! intervals and logs them.

mod daemon;
mod diagnostics;
mod gap;
mod helper;
mod log;
mod options;
mod pidfile;
mod privileges;
mod run;
mod sampler;
mod status;
mod syslog;
mod terminal;
mod ticks;
mod writer;

use std::fs::File;
use std::io::{ErrorKind, Write, stdout};
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tcpstats_source::report;
use tcpstats_source::system::standard_output_was_closed;

fn main() -> ExitCode {
    diagnostics::begin(::log::LevelFilter::Warn);
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = options::parse(&arguments).and_then(|request| match request {
        options::Request::Print(text) => print(&text),
        options::Request::Run(options) => {
            ::log::set_max_level(options.level);
            run::run(&options)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ::log::error!("{}", report(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Writes the text to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    if standard_output_was_closed() {
        bail!("standard output is closed");
    }
    // Rust's stdout() ignores the error if the descriptor is not open for writing.
    let printed =
        stdout().as_fd().try_clone_to_owned().and_then(|output| File::from(output).write_all(text.as_bytes()));
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}
