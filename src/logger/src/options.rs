// SPDX-License-Identifier: BSD-2-Clause

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use getopts::{Matches, Options as Getopts};
use tcpstats::{Columns, Filter};

use crate::Sentence;
use crate::source;

/// What the command line asks for.
pub enum Request {
    /// To print this and end.
    Tell(String),
    /// To sample and log.
    Run(Box<Options>),
}

/// How to sample and log.
pub struct Options {
    /// The log's path; `-` is standard output.
    pub output: PathBuf,
    /// Time between two ticks.
    pub interval: Duration,
    /// End after so many snapshots.
    pub count: Option<u64>,
    /// End after so long.
    pub duration: Option<Duration>,
    /// The log's format.
    pub format: Format,
    /// `-O` as it was given.
    pub columns_text: String,
    /// Where the statistics come from.
    pub source: String,
    /// What is logged; everything where there is none.
    pub filter: Option<Filter>,
    /// `-e` as it was given, empty without one.
    pub filter_text: String,
}

/// A format of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values of these columns.
    Csv(Columns),
    /// JSON Lines of these columns.
    Json(Columns),
    /// As siftr(4) logs.
    Siftr,
    /// Binary frames.
    Bin,
}

fn getopts() -> Getopts {
    let mut options = Getopts::new();
    options
        .optopt("o", "output", "log to FILE, - for standard output (tcpstats.log)", "FILE")
        .optopt("s", "interval", "microseconds between two samples (50000)", "MICROSECONDS")
        .optopt("c", "count", "end after COUNT snapshots", "COUNT")
        .optopt("t", "time", "end after SECONDS", "SECONDS")
        .optopt("F", "format", "csv, json, siftr or bin (csv)", "FORMAT")
        .optopt("O", "columns", "basic, all, or field names with commas between (basic)", "COLUMNS")
        .optopt("d", "source", "sock_diag, a device, or a file of frames", "SOURCE")
        .optopt("e", "filter", "log only connections that match FILTER", "FILTER")
        .optflag("h", "help", "print this and end")
        .optflag("V", "version", "print the version and end");
    options
}

fn usage() -> String {
    let brief = format!(
        "usage: siftr_cdev_logger [-hV] [-o FILE] [-s MICROSECONDS] [-c COUNT] [-t SECONDS]\n    \
         [-F FORMAT] [-O COLUMNS] [-d SOURCE] [-e FILTER]\n\n\
         Logs the statistics of every TCP connection. The source is {} unless -d names another.",
        source::DEFAULT
    );
    getopts().usage(&brief)
}

/// Reads the command line.
///
/// # Errors
/// A sentence about the first thing that is wrong.
pub fn parse(arguments: &[OsString]) -> Result<Request, Sentence> {
    let wrong = |what: String| format!("{what}; -h tells the options");
    let matches = getopts().parse(arguments).map_err(|fail| wrong(fail.to_string()))?;
    if matches.opt_present("h") {
        return Ok(Request::Tell(usage()));
    }
    if matches.opt_present("V") {
        return Ok(Request::Tell(format!("siftr_cdev_logger {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(extra) = matches.free.first() {
        return Err(wrong(format!("\"{extra}\" is no option, and no other argument is expected")));
    }
    let filter_text = matches.opt_str("e").unwrap_or_default();
    let filter = match matches.opt_str("e") {
        Some(text) => Some(Filter::parse(&text).map_err(|error| format!("filter \"{text}\": {error}"))?),
        None => None,
    };
    Ok(Request::Run(Box::new(Options {
        output: matches.opt_str("o").unwrap_or_else(|| "tcpstats.log".into()).into(),
        interval: Duration::from_micros(number(&matches, "s", "a number of microseconds")?.unwrap_or(50_000)),
        count: number(&matches, "c", "a number of snapshots")?,
        duration: seconds(&matches)?,
        format: format(&matches)?,
        columns_text: matches.opt_str("O").unwrap_or_else(|| "basic".into()),
        source: matches.opt_str("d").unwrap_or_else(|| source::DEFAULT.into()),
        filter,
        filter_text,
    })))
}

/// The most that an interval, a count or a duration may be: a year in
/// microseconds, so that no sum of times overflows.
const NUMBER_MAX: u64 = 366 * 24 * 3600 * 1_000_000;

fn number(matches: &Matches, flag: &str, expected: &str) -> Result<Option<u64>, Sentence> {
    let Some(text) = matches.opt_str(flag) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if (1..=NUMBER_MAX).contains(&number) => Ok(Some(number)),
        _ => Err(format!("-{flag} \"{text}\": expected {expected}, from 1 to {NUMBER_MAX}")),
    }
}

fn seconds(matches: &Matches) -> Result<Option<Duration>, Sentence> {
    let Some(text) = matches.opt_str("t") else {
        return Ok(None);
    };
    let limit = Duration::from_micros(NUMBER_MAX);
    match text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) if !time.is_zero() && time <= limit => Ok(Some(time)),
        _ => Err(format!("-t \"{text}\": expected a number of seconds above 0 and at most {}", limit.as_secs())),
    }
}

fn format(matches: &Matches) -> Result<Format, Sentence> {
    let list = matches.opt_str("O");
    let columns = |list: Option<&str>| {
        Columns::parse(list.unwrap_or("basic")).map_err(|error| format!("-O \"{}\": {error}", list.unwrap_or("basic")))
    };
    let name = matches.opt_str("F").unwrap_or_else(|| "csv".into());
    let format = match name.as_str() {
        "csv" => return columns(list.as_deref()).map(Format::Csv),
        "json" => return columns(list.as_deref()).map(Format::Json),
        "siftr" => Format::Siftr,
        "bin" => Format::Bin,
        _ => return Err(format!("-F \"{name}\": expected csv, json, siftr or bin")),
    };
    if list.is_some() {
        return Err(format!("-O goes with csv and json; the format {name} has fields of its own"));
    }
    Ok(format)
}
