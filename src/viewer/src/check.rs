// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats check`: whether a log is whole.

use std::process::ExitCode;

use tcpstats_source::Sentence;

use crate::cli;
use crate::log::{Item, Log};

/// Reads the log to its end.
pub fn run(asked: &cli::Check) -> Result<ExitCode, Sentence> {
    let mut log = Log::open(&asked.log)?;
    let (mut records, mut snapshots) = (0u64, 0u64);
    while let Some(item) = log.next()? {
        match item {
            Item::Record { .. } => records += 1,
            Item::Snapshot(_) => snapshots += 1,
            Item::Note(_) => {}
        }
    }
    println!("{snapshots} snapshots, {records} records");
    Ok(ExitCode::SUCCESS)
}
