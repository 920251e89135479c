// SPDX-License-Identifier: BSD-2-Clause

//! What is written for people and programs to read.

use std::io;

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
