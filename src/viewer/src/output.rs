// SPDX-License-Identifier: BSD-2-Clause

//! What is written for people and programs to read.

use std::io::{self, Write, stdout};
use std::process::ExitCode;

use tcpstats_source::Sentence;

use crate::log::said;

/// A sentence for what standard output did not take.
pub fn failed(error: &io::Error) -> Sentence {
    match error.kind() {
        io::ErrorKind::BrokenPipe => "standard output: nobody reads it any more".into(),
        _ => format!("standard output: {}", said(error)),
    }
}

/// A time in nanoseconds as seconds with three decimals.
#[must_use]
pub fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000_000)
}

/// Writes all of it.
///
/// # Errors
/// A sentence where standard output does not take it.
pub fn write(bytes: &[u8]) -> Result<ExitCode, Sentence> {
    let mut to = stdout().lock();
    end(to.write_all(bytes).and_then(|()| to.flush()))
}

/// What came of writing a page or a table: a reader that went away has seen
/// enough.
///
/// # Errors
/// A sentence where standard output does not take it.
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
