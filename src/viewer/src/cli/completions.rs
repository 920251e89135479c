// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats completions`: completion scripts for shells.

use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

use crate::output;

/// The arguments of `tcpstats completions`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// Prints the completion script of the command line for a shell.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tcpstats", &mut script);
    output::write(&script)
}
