// SPDX-License-Identifier: BSD-2-Clause

//! Output for people and programs: standard output, standard error, and files.

#[cfg(any(feature = "convert", feature = "plot"))]
mod descriptor;
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

use tcpstats_source::Sentence;

#[cfg(any(feature = "convert", feature = "plot"))]
pub use self::file::OutputFile;
pub use self::inputs::Inputs;
pub use self::standard::Stdout;
use crate::log::said;
pub use tcpstats_log::seconds;

/// Returns the message for an error of standard output.
pub fn failed(error: &io::Error) -> Sentence {
    format!("standard output: {}", said(error))
}

/// Prints a message on standard error, which may be closed or full: nobody can
/// be told about that.
pub fn complain(message: &str) {
    let _ = stderr().lock().write_all(format!("tcpstats: {message}\n").as_bytes());
}

/// Prints a warning on standard error, once if the same is found again.
pub fn warn(what: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if PRINTED.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        complain(&format!("warning: {what}"));
    }
}

/// Writes the bytes to standard output.
///
/// # Errors
/// A message if standard output cannot take them.
pub fn write(bytes: &[u8]) -> Result<ExitCode, Sentence> {
    end(Stdout::open().and_then(|mut to| to.write_all(bytes)))
}

/// Returns the exit status after writing to standard output.  A reader that
/// closed the pipe has seen enough: that is not an error.
///
/// # Errors
/// A message if standard output failed otherwise.
pub fn end(written: io::Result<()>) -> Result<ExitCode, Sentence> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(&error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// A time in nanoseconds as seconds with nine decimals, as logs have it.
#[must_use]
pub fn seconds9(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}
