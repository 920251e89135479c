// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Standard output, standard error, and files to write.

#[cfg(any(feature = "convert", feature = "plot"))]
mod descriptor;
#[cfg(any(feature = "convert", feature = "plot"))]
mod error;
#[cfg(any(feature = "convert", feature = "plot"))]
mod file;
mod inputs;
#[cfg(any(feature = "convert", feature = "plot"))]
mod interrupt;
mod standard;

use std::collections::BTreeSet;
use std::io::{self, Write, stderr};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

#[cfg(any(feature = "convert", feature = "plot"))]
pub use self::file::OutputFile;
pub use self::inputs::Inputs;
pub use self::standard::{STANDARD_OUTPUT, Stdout};
pub use tcpstats_log::seconds;

/// Prints an error on standard error.  An error of standard error itself, which
/// may be closed or full, cannot be reported.
pub fn print_error(message: &str) {
    let _ = stderr().lock().write_all(format!("tcpstats: {message}\n").as_bytes());
}

/// Prints information on standard error.
#[cfg(feature = "serve")]
pub fn inform(message: &str) {
    print_error(message);
}

/// Prints a warning on standard error, unless it was printed before.
pub fn warn(what: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if PRINTED.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        print_error(&format!("warning: {what}"));
    }
}

/// Returns a time in nanoseconds as seconds with nine decimals, as in logs.
#[must_use]
pub fn seconds9(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// Writes bytes to standard output.
///
/// # Errors
/// As [`end`].
pub fn write(bytes: &[u8]) -> Result<ExitCode> {
    end(Stdout::open().and_then(|mut to| to.write_all(bytes)))
}

/// Returns the exit status after writing to standard output.  A reader that
/// closes the pipe early is not an error.
///
/// # Errors
/// Returns the error of standard output.
pub fn end(result: io::Result<()>) -> Result<ExitCode> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context(STANDARD_OUTPUT),
        _ => Ok(ExitCode::SUCCESS),
    }
}
