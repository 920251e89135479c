// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What the viewer defines: its command line and its metrics.  Example programs of the
//! viewer print it, because this program is also built where the viewer is not.

use std::process::{Command, Stdio};

/// Returns the output of an example program: `manual` prints the synopsis, the options and
/// the commands in tcpstats(1), `metrics` the metrics of `tcpstats serve`.
///
/// # Errors
/// Returns an error if cargo fails.
pub fn example(name: &str) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let example = format!("--example={name}");
    let command = ["run", "--locked", "--quiet", "--package=tcpstats_viewer", &example];
    let done = Command::new(cargo).args(command).stderr(Stdio::inherit()).output();
    let done = done.map_err(|error| format!("cargo: {error}"))?;
    if !done.status.success() {
        return Err(format!("cargo {}: {}", command.join(" "), done.status));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("cargo {}: {error}", command.join(" ")))
}
