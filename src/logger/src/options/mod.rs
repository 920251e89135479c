// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The command line.

mod bytes;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use getopts::{Matches, Options as Getopts};
use log::LevelFilter;
use nix::sys::stat::Mode;
use tcpstats::{Columns, Field, FieldSet, Filter};
use tcpstats_log::{Encoder, EncoderOptions, FORMATS, Format, Pairs, names};
use tcpstats_source::Stacks;

use crate::privileges::Identity;
use crate::syslog::Target;

/// What the command line requests.
pub enum Request {
    /// Print this text and exit.
    Print(String),
    /// Sample and log.
    Run(Box<Options>),
}

/// How to sample and log.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    /// The destination of the records.
    pub output: Output,
    /// Permissions of the log file.
    pub mode: Mode,
    /// Time between two samples.
    pub interval: Duration,
    /// Number of snapshots after which to exit.
    pub count: Option<u64>,
    /// Time after which to exit.
    pub duration: Option<Duration>,
    /// The format and the columns of the log.
    pub layout: Layout,
    /// The argument of `-O`.
    pub columns_text: String,
    /// Whether `-O` was given.
    pub has_columns: bool,
    /// The source of the statistics.
    pub source: OsString,
    /// The network stacks whose connections are logged.
    pub stacks: Stacks,
    /// Find the processes that have the sockets open.
    pub owners: bool,
    /// The connections to log; `None` logs all of them.
    pub filter: Option<Filter>,
    /// The argument of `-e`, or an empty string.
    pub filter_text: String,
    /// With `-x`, the time between two keyframes; `None` logs every record.
    pub keyframe_every: Option<Duration>,
    /// Log the final record of every connection that ends, if the source has it.
    pub ledger: bool,
    /// Maximum time between two calls of `fsync`(2).
    pub sync_every: Option<Duration>,
    /// Maximum number of queued snapshots.
    pub queue: usize,
    /// Run in the background.
    pub background: bool,
    /// The file that holds the process ID and is locked while the process runs.
    pub pidfile: Option<PathBuf>,
    /// The user to run as.
    pub identity: Option<Identity>,
    /// The least severe level of the logger's own messages that is logged.
    pub level: LevelFilter,
    /// Enter the sandbox.
    pub sandbox: bool,
}

impl Options {
    /// Returns whether the log or the filter may use the field.
    pub fn wants(&self, field: &Field) -> bool {
        // A name that is part of another word only costs an unneeded field.
        self.layout.fields().has(field) || self.filter_text.contains(field.name)
    }
}

/// The destination of the records.
pub enum Output {
    /// A file; `-` is standard output.
    File(PathBuf),
    /// A syslog daemon.
    Syslog(Target),
}

/// The format of the log, and its columns.
#[derive(Clone)]
pub struct Layout {
    /// The format of a file; `None` for the lines of syslog.
    pub format: Option<&'static dyn Format>,
    /// The columns, if the format has any.
    pub columns: Columns,
}

impl Layout {
    /// Returns the fields that a log with this layout needs.
    pub fn fields(&self) -> FieldSet {
        self.format.map_or_else(|| FieldSet::of(&self.columns), |format| format.fields(&self.columns))
    }

    /// Returns a writer of a log with this layout.
    pub fn encoder(&self, system_version: u64) -> Box<dyn Encoder> {
        match self.format {
            None => Box::new(Pairs::new(self.columns.clone())),
            Some(format) => {
                let columns = format.has_columns().then(|| self.columns.clone());
                format.encoder(EncoderOptions { columns, system_version })
            }
        }
    }
}

/// The options that take a value.
const WITH_VALUE: [&str; 16] = ["o", "s", "c", "t", "F", "O", "d", "e", "k", "q", "y", "m", "l", "p", "u", "netns"];

fn getopts() -> Getopts {
    let format = format!("write FORMAT: {} (default: {})", names(" or ", Format::is_appendable), FORMATS[0].name());
    let mut options = Getopts::new();
    options
        .optopt(
            "o",
            "output",
            "write the log to FILE, or to standard output if FILE is - (default: tcpstats.log)",
            "FILE",
        )
        .optopt("s", "interval", "sample every USEC microseconds (default: 50000)", "USEC")
        .optopt("c", "count", "exit after COUNT snapshots", "COUNT")
        .optopt("t", "time", "exit after SECONDS seconds", "SECONDS")
        .optopt("F", "format", &format, "FORMAT")
        .optopt(
            "O",
            "columns",
            "log COLUMNS: basic, all, or a comma-separated list of fields (default: basic)",
            "COLUMNS",
        )
        .optopt("d", "source", "read from SOURCE: auto, bpf, sock_diag, a device, or a file of binary frames", "SOURCE")
        .optopt("e", "filter", "log only connections that match FILTER", "FILTER")
        .optflag("P", "owners", "log the processes that have the connections open, and their containers or jails")
        .optflag("x", "changed-only", "log only records that changed since they were last written")
        .optopt("k", "keyframe", "with -x, log all records every SECONDS seconds (default: 60)", "SECONDS")
        .optopt("q", "queue", "queue up to SNAPSHOTS snapshots for a slow log (default: 64)", "SNAPSHOTS")
        .optopt(
            "y",
            "sync",
            "sync the log to disk every SECONDS seconds (default: at rotation and exit only)",
            "SECONDS",
        )
        .optopt("m", "mode", "set the permissions of the log, in octal (default: 0640)", "MODE")
        .optopt(
            "l",
            "syslog",
            "log to the local syslog daemon, to @HOST:PORT over UDP, or to @@HOST:PORT over TCP",
            "FACILITY[.LEVEL][@HOST]",
        )
        .optflag("b", "background", "run in the background")
        .optopt("p", "pidfile", "write the process ID to FILE and lock it", "FILE")
        .optopt("u", "user", "drop root privileges and run as USER", "USER[:GROUP]")
        .optopt(
            "",
            "netns",
            "log the connections of the network namespaces NAMES: all, or a comma-separated list (Linux)",
            "NAMES",
        )
        .optflag("", "all-vnets", "log the connections of all virtual network stacks (FreeBSD)")
        .optflag("", "no-ledger", "do not log the final records of connections that have ended")
        .optflag("", "no-sandbox", "do not enter the sandbox")
        .optflag("v", "verbose", "also log informational messages")
        .optflag("", "quiet", "log only errors")
        .optflag("h", "help", "print this help and exit")
        .optflag("V", "version", "print the version and exit");
    options
}

fn usage() -> String {
    let brief = format!(
        "usage: siftr_cdev_logger [-bhPVvx] [-o FILE] [-s USEC] [-c COUNT] [-t SECONDS]\n    \
         [-F FORMAT] [-O COLUMNS] [-d SOURCE] [-e FILTER] [-k SECONDS] [-q SNAPSHOTS]\n    \
         [-y SECONDS] [-m MODE] [-l FACILITY[.LEVEL][@HOST]] [-p FILE] [-u USER[:GROUP]]\n    \
         [--netns NAMES] [--all-vnets] [--no-ledger] [--no-sandbox] [--quiet]\n\n\
         Log the statistics of every TCP connection. The default source is {}.",
        tcpstats_source::DEFAULT
    );
    getopts().usage(&brief)
}

/// Parses the command line.
///
/// # Errors
/// Returns an error that describes the first mistake.
pub fn parse(arguments: &[OsString]) -> Result<Request> {
    let wrong = |what: String| anyhow!("{what}; use -h for help");
    let matches = getopts().parse(arguments.iter().map(|argument| bytes::encode(argument)));
    let matches = matches.map_err(|fail| wrong(bytes::display(&fail.to_string())))?;
    if matches.opt_present("h") {
        return Ok(Request::Print(usage()));
    }
    if matches.opt_present("V") {
        return Ok(Request::Print(format!("siftr_cdev_logger {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if let Some(extra) = matches.free.first() {
        let extra = bytes::display(extra);
        return Err(wrong(format!("\"{extra}\": unexpected argument")));
    }
    values::text_only(&matches)?;
    let filter_text = matches.opt_str("e").unwrap_or_default();
    let filter = match matches.opt_str("e") {
        Some(text) => Some(tcpstats_source::parse_filter(&text)?),
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
        layout: values::layout(&matches)?,
        has_columns: matches.opt_present("O"),
        columns_text: values::columns(&matches),
        source: values::path(&matches, "d").unwrap_or_else(|| tcpstats_source::DEFAULT.into()).into(),
        stacks: Stacks::of_options(matches.opt_str("netns").as_deref(), matches.opt_present("all-vnets"))?,
        owners: matches.opt_present("P"),
        filter,
        filter_text,
        keyframe_every: keyframe_every(&matches)?,
        ledger: !matches.opt_present("no-ledger"),
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

fn keyframe_every(matches: &Matches) -> Result<Option<Duration>> {
    let every = values::seconds(matches, "k")?;
    if !matches.opt_present("x") {
        return match every {
            Some(_) => bail!("-k requires -x"),
            None => Ok(None),
        };
    }
    Ok(Some(every.unwrap_or(Duration::from_mins(1))))
}

fn level(matches: &Matches) -> Result<LevelFilter> {
    match (matches.opt_present("v"), matches.opt_present("quiet")) {
        (true, true) => bail!("-v and --quiet cannot be combined"),
        (true, false) => Ok(LevelFilter::Info),
        (false, true) => Ok(LevelFilter::Error),
        (false, false) => Ok(LevelFilter::Warn),
    }
}

/// Checks that the given options can be combined.
fn agree(matches: &Matches, options: &Options) -> Result<()> {
    if options.stacks == Stacks::AllVnets && options.identity.as_ref().is_some_and(|identity| !identity.uid.is_root()) {
        bail!("--all-vnets cannot be combined with -u, because only root can read all network stacks");
    }
    let Output::File(path) = &options.output else {
        return match ["o", "m", "y"].into_iter().find(|flag| matches.opt_present(flag)) {
            Some(flag) => bail!("-{flag} cannot be combined with -l, which sends records to syslog instead of a file"),
            None => Ok(()),
        };
    };
    if options.pidfile.as_deref().is_some_and(|pidfile| is_same_name(pidfile, path)) {
        bail!("-p and -o name the same file, {}; use different files", path.display());
    }
    let to_standard_output = path.as_os_str() == "-";
    if to_standard_output && options.background {
        bail!("-b cannot be combined with -o -, because a daemon has no standard output; name a file");
    }
    if to_standard_output && options.sync_every.is_some() {
        bail!("-y requires a log file; standard output cannot be synced to disk");
    }
    if options.keyframe_every.is_some()
        && let Some(format) = options.layout.format.filter(|format| !format.has_connection_notes())
    {
        let suitable = names(" or ", |format| format.is_appendable() && format.has_connection_notes());
        bail!("-x requires {suitable}; {} cannot represent that a connection opened or closed", format.name());
    }
    Ok(())
}

/// Returns whether two paths have the same file name in the same directory.  The
/// files need not exist.
fn is_same_name(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| {
        let path = std::path::absolute(path).ok()?;
        Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
    };
    resolved(one).is_some_and(|one| resolved(other) == Some(one))
}
