// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The arguments of `tcpstats top`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

use clap::ValueHint;

use crate::live::LiveArgs;

/// The arguments of `tcpstats top`.
#[derive(clap::Args)]
pub struct Args {
    /// The source and the filter.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Sample every USEC microseconds
    #[arg(short = 's', long, value_name = "USEC", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=366 * 24 * 3600 * 1_000_000))]
    pub interval: u64,
    /// Exit after COUNT samples
    #[arg(short = 'c', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Show COLUMNS in addition to the rates: basic, all, or a comma-separated list of fields, in which process
    /// combines command, pid and processes
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
}
