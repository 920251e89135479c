// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The synopsis, the options and the commands in tcpstats(1), from the command
//! line of the viewer.

use std::process::{Command, Stdio};

/// Returns the parts, which an example program of the viewer prints: this
/// program is also built where the viewer is not.
///
/// # Errors
/// Returns an error if cargo fails.
pub fn generate() -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = ["run", "--locked", "--quiet", "--package=tcpstats_viewer", "--example=manual"];
    let done = Command::new(cargo).args(command).stderr(Stdio::inherit()).output();
    let done = done.map_err(|error| format!("cargo: {error}"))?;
    if !done.status.success() {
        return Err(format!("cargo {}: {}", command.join(" "), done.status));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("cargo {}: {error}", command.join(" ")))
}
