// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats plot`: connections of a log as an image or an interactive page.
//!
//! Logs are read twice, first to select the connections and then to collect their
//! values ([`selection`], [`trace`]), in memory that does not grow with the logs
//! ([`line`], [`bins`]).  The result is a [`figure`], which is written as SVG, PNG
//! or HTML.

mod args;
mod axis;
mod bins;
mod figure;
mod line;
mod page;
mod png;
mod reading;
mod selection;
mod spacing;
mod svg;
mod trace;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use tcpstats::Filter;

pub use self::args::{Args, LONG_ABOUT};
use self::axis::TimeAxis;
use self::bins::seconds;
use self::figure::Figure;
use self::reading::RereadableLogs;
use self::selection::Selection;
use crate::output::{Inputs, OutputFile, STANDARD_OUTPUT, warn};

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputFormat {
    Svg,
    Png,
    Html,
}

impl OutputFormat {
    /// Returns the format that the suffix of the file's name determines.
    fn of(output: &Path, html: bool) -> Result<Self> {
        let suffix = output.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
        match suffix.as_deref() {
            _ if html => Ok(Self::Html),
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            Some("html" | "htm") => Ok(Self::Html),
            None if is_stdout(output) => Ok(Self::Svg),
            _ => bail!("-o {}: expected a name that ends in .svg, .png or .html", output.display()),
        }
    }
}

fn is_stdout(output: &Path) -> bool {
    output == Path::new("-")
}

/// Reads the logs and writes the plot.
pub fn run(args: &Args) -> Result<ExitCode> {
    let format = OutputFormat::of(&args.output, args.html)?;
    if is_stdout(&args.output) && io::stdout().is_terminal() {
        bail!("{STANDARD_OUTPUT}: cannot write an image to a terminal; name a file with -o");
    }
    let filter = args.filter.as_deref().map(tcpstats_source::parse_filter).transpose()?;
    let output = OutputFile::create(&args.output, &Inputs::of(&args.logs), args.force)?;
    let logs = RereadableLogs::new(&args.logs)?;
    draw(args, format, output, &logs, filter.as_ref())
}

fn draw(
    args: &Args,
    format: OutputFormat,
    output: OutputFile,
    logs: &RereadableLogs,
    filter: Option<&Filter>,
) -> Result<ExitCode> {
    let selection = Selection::of(logs, filter, args.count)?;
    let size = args.size;
    // A page can be zoomed.
    let columns = u64::from(size.width) * if format == OutputFormat::Html { 4 } else { 1 };
    let bin_ns = bin_of(&selection);
    let traces = trace::read(logs, &selection, columns, bin_ns)?;
    let ticks = f64::from(size.width) / 90.0;
    let time = if args.utc {
        TimeAxis::utc(selection.start_wall_ns, selection.span_ns, ticks)
    } else {
        TimeAxis::since_start(selection.span_ns, ticks)
    };
    let figure = Figure::of(&selection, traces, bin_ns, time);
    if figure.panels.is_empty() {
        return Err(logs.nothing_to_draw("its values are not set"));
    }
    let bytes = match format {
        OutputFormat::Svg => svg::draw(&figure, size).into_bytes(),
        OutputFormat::Png => png::render(&svg::draw(&figure, size))?,
        OutputFormat::Html => page::write(&figure, args.utc).into_bytes(),
    };
    let written = output.write(&bytes)?;
    if let Some(steps) = &selection.clock_steps {
        warn(steps);
    }
    // Report the damage after plotting the intact part.
    selection.damage.into_error().map_or(Ok(written), Err)
}

/// The maximum interval over which throughput is averaged, unless snapshots are
/// further apart.
const INTERVAL_MAX_S: f64 = 1.0;

/// Returns the interval over which throughput is averaged: a round number, so that
/// a plot of one connection has about 150 intervals of at least two records each.
fn bin_of(selection: &Selection) -> u64 {
    let count = if selection.connections.len() == 1 { 150.0 } else { 60.0 };
    let intervals = selection.intervals_ns.iter().copied().filter(|ns| *ns < u64::MAX);
    let interval = intervals.min().map_or(0.0, seconds);
    let least = (seconds(selection.span_ns) / count).min(INTERVAL_MAX_S).max(interval * 1.9);
    let width = axis::round_up(least.max(1e-6));
    u64::try_from(std::time::Duration::from_secs_f64(width).as_nanos()).unwrap_or(u64::MAX)
}
