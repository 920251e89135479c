// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats plot`: connections of a log as a picture or as a page.
//!
//! Logs are read twice, for which connections to draw and for what to draw of
//! them ([`choice`], [`trace`]); memory does not grow with them ([`line`],
//! [`bins`]).  What is drawn is a [`figure`], which becomes SVG, PNG or HTML.

mod axis;
mod bins;
mod choice;
mod figure;
mod line;
mod page;
mod png;
mod reading;
mod spacing;
mod svg;
mod trace;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use tcpstats::Filter;
use tcpstats_source::Sentence;

use self::axis::TimeAxis;
use self::bins::seconds;
use self::choice::Choice;
use self::figure::Figure;
pub use self::figure::MOST;
use self::reading::Again;
pub use self::svg::Size;
use crate::cli;
use crate::output::{Inputs, OutputFile, warn};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svg,
    Png,
    Html,
}

impl Kind {
    /// As the file's name ends.
    fn of(output: &Path, html: bool) -> Result<Self, Sentence> {
        let ending = output.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            _ if html => Ok(Self::Html),
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            Some("html" | "htm") => Ok(Self::Html),
            None if is_stdout(output) => Ok(Self::Svg),
            _ => Err(format!("-o {}: expected a name that ends in .svg, .png or .html", output.display())),
        }
    }
}

fn is_stdout(output: &Path) -> bool {
    output == Path::new("-")
}

/// Draws what was asked for.
pub fn run(asked: &cli::Plot) -> Result<ExitCode, Sentence> {
    let kind = Kind::of(&asked.output, asked.html)?;
    if is_stdout(&asked.output) && io::stdout().is_terminal() {
        return Err("standard output: cannot write a picture to a terminal; name a file with -o".to_owned());
    }
    let filter = asked.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    let output = OutputFile::create(&asked.output, &Inputs::of(&asked.logs), asked.force)?;
    let again = Again::of(&asked.logs)?;
    draw(asked, kind, output, &again, filter.as_ref()).map_err(|sentence| again.named(&sentence))
}

fn draw(
    asked: &cli::Plot,
    kind: Kind,
    output: OutputFile,
    logs: &Again,
    filter: Option<&Filter>,
) -> Result<ExitCode, Sentence> {
    let choice = Choice::of(logs, filter, asked.count)?;
    let size = asked.size;
    // A page is looked at closer.
    let columns = u64::from(size.width) * if kind == Kind::Html { 4 } else { 1 };
    let bin_ns = bin_of(&choice);
    let traces = trace::read(logs, &choice, columns, bin_ns)?;
    let ticks = f64::from(size.width) / 90.0;
    let time = if asked.utc {
        TimeAxis::utc(choice.start_wall_ns, choice.span_ns, ticks)
    } else {
        TimeAxis::since_start(choice.span_ns, ticks)
    };
    let figure = Figure::of(&choice, traces, bin_ns, time);
    if figure.panels.is_empty() {
        return Err(logs.nothing("the values that it has are not set"));
    }
    let bytes = match kind {
        Kind::Svg => svg::draw(&figure, size).into_bytes(),
        Kind::Png => png::render(&svg::draw(&figure, size))?,
        Kind::Html => page::write(&figure, asked.utc).into_bytes(),
    };
    let written = output.write(&bytes)?;
    if let Some(stepped) = &choice.stepped {
        warn(stepped);
    }
    // What could be read is drawn; what could not is said.
    choice.damage.told().map_or(Ok(written), Err)
}

/// The longest interval in which what moved is summed, unless the log has few
/// records: what happens within it is averaged, however long the picture is.
const LONGEST_S: f64 = 1.0;

/// The length of the intervals in which what moved is summed: a round number,
/// about 150 in the picture of one connection, of at least two records each.
fn bin_of(choice: &Choice) -> u64 {
    let count = if choice.connections.len() == 1 { 150.0 } else { 60.0 };
    let intervals = choice.intervals_ns.iter().copied().filter(|ns| *ns < u64::MAX);
    let interval = intervals.min().map_or(0.0, seconds);
    let least = (seconds(choice.span_ns) / count).min(LONGEST_S).max(interval * 1.9);
    let width = axis::round_up(least.max(1e-6));
    u64::try_from(std::time::Duration::from_secs_f64(width).as_nanos()).unwrap_or(u64::MAX)
}
