// SPDX-License-Identifier: BSD-2-Clause

//! The command line.

mod bytes;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use getopts::{Matches, Options as Getopts};
use log::LevelFilter;
use nix::sys::stat::Mode;
use tcpstats::{Columns, Field, Filter};
use tcpstats_source::Sentence;

use crate::privileges::Identity;
use crate::syslog::Target;

/// What the command line asks for.
pub enum Request {
    /// To print this and end.
    Tell(String),
    /// To sample and log.
    Run(Box<Options>),
}

/// How to sample and log.
pub struct Options {
    /// Where the records go.
    pub output: Output,
    /// Permissions of the log's file.
    pub mode: Mode,
    /// Time between two ticks.
    pub interval: Duration,
    /// End after so many snapshots.
    pub count: Option<u64>,
    /// End after so long.
    pub duration: Option<Duration>,
    /// The log's format.
    pub format: Format,
    /// `-O` as it was given, and whether it was.
    pub columns_text: String,
    pub has_columns: bool,
    /// Where the statistics come from.
    pub source: OsString,
    /// What is logged; everything where there is none.
    pub filter: Option<Filter>,
    /// `-e` as it was given, empty without one.
    pub filter_text: String,
    /// Log only what changed, and everything this often.
    pub keyframe_every: Option<Duration>,
    /// Have the log reach the disk at least this often.
    pub sync_every: Option<Duration>,
    /// Snapshots that may wait for the log.
    pub queue: usize,
    /// Run in the background.
    pub background: bool,
    /// The file that holds the process's number, locked while it lives.
    pub pidfile: Option<PathBuf>,
    /// Who to run as.
    pub identity: Option<Identity>,
    /// What of the logger's own messages is told.
    pub level: LevelFilter,
    /// Give up every right that is not needed.
    pub sandbox: bool,
}

impl Options {
    /// Returns whether the log or the filter may have that field.
    pub fn wants(&self, field: &Field) -> bool {
        // A name that is also part of another word is wanted once too often.
        self.format.shows(field) || self.filter_text.contains(field.name)
    }
}

/// Where the records go.
pub enum Output {
    /// To a file; `-` is standard output.
    File(PathBuf),
    /// To a syslog daemon.
    Syslog(Target),
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
    /// Lines of `key=value` of these columns, for syslog.
    Pairs(Columns),
}

impl Format {
    /// Returns whether a log of the format has that field.
    pub fn shows(&self, field: &Field) -> bool {
        match self {
            Self::Csv(columns) | Self::Json(columns) | Self::Pairs(columns) => {
                columns.fields().any(|column| column.index == field.index)
            }
            Self::Siftr => false,
            Self::Bin => true,
        }
    }
}

/// The options that take a value.
const WITH_VALUE: [&str; 15] = ["o", "s", "c", "t", "F", "O", "d", "e", "k", "q", "y", "m", "l", "p", "u"];

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
        .optflag("x", "changed-only", "log only records that changed since they were last written")
        .optopt("k", "keyframe", "with -x, log everything every SECONDS (60)", "SECONDS")
        .optopt("q", "queue", "snapshots that may wait for a slow log (64)", "SNAPSHOTS")
        .optopt("y", "sync", "have the log reach the disk every SECONDS (only at rotation and end)", "SECONDS")
        .optopt("m", "mode", "permissions of the log, in octal (0640)", "MODE")
        .optopt("l", "syslog", "log to syslog: @HOST:PORT by UDP, @@HOST:PORT by TCP", "FACILITY[.LEVEL][@HOST]")
        .optflag("b", "background", "run as a daemon")
        .optopt("p", "pidfile", "write the process id to FILE, and lock it", "FILE")
        .optopt("u", "user", "give up root for USER", "USER[:GROUP]")
        .optflag("", "no-sandbox", "keep the rights that are not needed")
        .optflag("v", "verbose", "tell also what is no trouble")
        .optflag("", "quiet", "tell errors only")
        .optflag("h", "help", "print this and end")
        .optflag("V", "version", "print the version and end");
    options
}

fn usage() -> String {
    let brief = format!(
        "usage: siftr_cdev_logger [-bhVvx] [-o FILE] [-s MICROSECONDS] [-c COUNT] [-t SECONDS]\n    \
         [-F FORMAT] [-O COLUMNS] [-d SOURCE] [-e FILTER] [-k SECONDS] [-q SNAPSHOTS]\n    \
         [-y SECONDS] [-m MODE] [-l FACILITY[.LEVEL][@HOST]] [-p FILE] [-u USER[:GROUP]]\n    \
         [--no-sandbox] [--quiet]\n\n\
         Logs the statistics of every TCP connection. The source is {} unless -d names another.",
        tcpstats_source::DEFAULT
    );
    getopts().usage(&brief)
}

/// Reads the command line.
///
/// # Errors
/// A sentence about the first thing that is wrong.
pub fn parse(arguments: &[OsString]) -> Result<Request, Sentence> {
    let wrong = |what: String| format!("{what}; -h tells the options");
    let matches = getopts().parse(arguments.iter().map(|argument| bytes::encode(argument)));
    let matches = matches.map_err(|fail| wrong(bytes::display(&fail.to_string())))?;
    if matches.opt_present("h") {
        return Ok(Request::Tell(usage()));
    }
    if matches.opt_present("V") {
        return Ok(Request::Tell(format!("siftr_cdev_logger {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(extra) = matches.free.first() {
        let extra = bytes::display(extra);
        return Err(wrong(format!("\"{extra}\" is no option, and no other argument is expected")));
    }
    values::text_only(&matches)?;
    let filter_text = matches.opt_str("e").unwrap_or_default();
    let filter = match matches.opt_str("e") {
        Some(text) => Some(tcpstats_source::parse_filter(&text).map_err(|error| error.to_string())?),
        None => None,
    };
    let options = Options {
        output: match matches.opt_str("l") {
            Some(target) => Output::Syslog(Target::parse(&target)?),
            None => Output::File(values::path(&matches, "o").unwrap_or_else(|| "tcpstats.log".into())),
        },
        mode: values::mode(&matches)?.unwrap_or(Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP),
        interval: Duration::from_micros(values::number(&matches, "s", "a number of microseconds")?.unwrap_or(50_000)),
        count: values::number(&matches, "c", "a number of snapshots")?,
        duration: values::seconds(&matches, "t")?,
        format: values::format(&matches)?,
        has_columns: matches.opt_present("O"),
        columns_text: matches.opt_str("O").unwrap_or_else(|| "basic".into()),
        source: values::path(&matches, "d").unwrap_or_else(|| tcpstats_source::DEFAULT.into()).into(),
        filter,
        filter_text,
        keyframe_every: keyframe_every(&matches)?,
        sync_every: values::seconds(&matches, "y")?,
        queue: values::queue(&matches)?.unwrap_or(64),
        background: matches.opt_present("b"),
        pidfile: values::path(&matches, "p"),
        identity: matches.opt_str("u").map(|text| Identity::find(&text)).transpose()?,
        level: level(&matches)?,
        sandbox: !matches.opt_present("no-sandbox"),
    };
    agree(&matches, &options)?;
    Ok(Request::Run(Box::new(options)))
}

fn keyframe_every(matches: &Matches) -> Result<Option<Duration>, Sentence> {
    let every = values::seconds(matches, "k")?;
    if !matches.opt_present("x") {
        return match every {
            Some(_) => Err("-k goes with -x: without it every snapshot is whole".into()),
            None => Ok(None),
        };
    }
    Ok(Some(every.unwrap_or(Duration::from_mins(1))))
}

fn level(matches: &Matches) -> Result<LevelFilter, Sentence> {
    match (matches.opt_present("v"), matches.opt_present("quiet")) {
        (true, true) => Err("-v and --quiet contradict each other; give one of them".into()),
        (true, false) => Ok(LevelFilter::Info),
        (false, true) => Ok(LevelFilter::Error),
        (false, false) => Ok(LevelFilter::Warn),
    }
}

/// Whether options that were given go together.
fn agree(matches: &Matches, options: &Options) -> Result<(), Sentence> {
    let Output::File(path) = &options.output else {
        return match ["o", "m", "y"].into_iter().find(|flag| matches.opt_present(flag)) {
            Some(flag) => Err(format!("-{flag} goes with a log in a file, and -l sends the records to syslog instead")),
            None => Ok(()),
        };
    };
    if options.pidfile.as_deref().is_some_and(|pidfile| is_same_name(pidfile, path)) {
        return Err(format!("-p and -o name the same file, {}; a pidfile holds a process id alone", path.display()));
    }
    let to_standard_output = path.as_os_str() == "-";
    if to_standard_output && options.background {
        return Err("-b leaves the terminal, and with it the standard output that -o - asks for; name a file".into());
    }
    if to_standard_output && options.sync_every.is_some() {
        return Err("-y goes with a log in a file; standard output has no disk to reach".into());
    }
    if options.keyframe_every.is_some() && options.format == Format::Siftr {
        return Err(
            "-x goes with csv, json and bin; the format siftr cannot say that a connection opened or closed".into()
        );
    }
    Ok(())
}

/// Whether two names, of which no file need exist, are the same name in one
/// directory.
fn is_same_name(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| {
        let path = std::path::absolute(path).ok()?;
        Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
    };
    resolved(one).is_some_and(|one| resolved(other) == Some(one))
}
