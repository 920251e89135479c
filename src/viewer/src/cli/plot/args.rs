// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The arguments of `tcpstats plot`.

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

use std::path::PathBuf;

use super::figure::CONNECTIONS_MAX;
use super::svg::Size;

/// The long description in the help and the manual page.
pub const LONG_ABOUT: &str = "\
Plot connections over time, as an image or an interactive page: congestion window and slow start threshold, bytes in \
flight and the window offered by the peer, round-trip time and its variation, throughput, and retransmissions.

A line is interrupted where the log has no data: the connection is absent, snapshots are missing, or a value is not \
set.  Of the values that fall into one column of pixels (on a page, a quarter of a column), the first, lowest, \
highest and last are drawn, so the size of the output does not depend on the length of the log.

Throughput is computed from the first available of acked_bytes, sent_bytes and snd_una for sending, and of \
received_bytes and rcv_nxt for receiving; the plot names the field.  It is averaged over intervals of at most a \
second, or of two samples if they are further apart, and is interrupted while there is no data.  If none of these \
fields was logged, the plot has a message instead of the throughput.

Several logs are ordered by their content and read as one log.  Connections of different hosts, and from before and \
after a reboot, are plotted separately.  The time axis shows elapsed time, as in summary: setting the clock does not \
shift the axis, but is reported.

The logs are read twice; pipes and standard input are copied to temporary files.  If a log is damaged, the rest is \
plotted and the exit status is 1.";

/// The arguments of `tcpstats plot`.
#[derive(clap::Args)]
pub struct Args {
    /// The logs, in any format and order, optionally compressed (- for standard input)
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Write to FILE, whose name ends in .svg, .png or .html (- for SVG on standard output)
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Overwrite FILE if it exists
    #[arg(short, long)]
    pub force: bool,
    /// Write an interactive page, regardless of the name of FILE; the page is self-contained and needs no network
    #[arg(long)]
    pub html: bool,
    /// Plot only connections of which at least one record matches FILTER, from their first record to their last
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Overlay the COUNT connections that sent the most data, at most 8
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub count: u8,
    /// Label the axis with the time of day in UTC instead of the time since the start
    #[arg(long)]
    pub utc: bool,
    /// Set the size of the image in pixels; a PNG has twice as many in each direction
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "960x900")]
    pub size: Size,
}
