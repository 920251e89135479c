// SPDX-License-Identifier: BSD-2-Clause

//! The command line: the source of the parser, of shell completions and of
//! tcpstats(1).

#![allow(clippy::doc_markdown, reason = "the comments are the text of --help")]

use std::path::PathBuf;

#[cfg(feature = "convert")]
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

#[cfg(feature = "plot")]
use crate::plot::{MOST, Size};

/// Show statistics of TCP connections, live or from a log
#[derive(Parser)]
#[command(name = "tcpstats", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `tcpstats`.
#[derive(Subcommand)]
pub enum Command {
    /// Display connections in an interactive list
    ///
    /// Each line shows one connection, with rates computed from the last two
    /// samples. If standard output is not a terminal, one snapshot is printed as
    /// by show.
    #[cfg(feature = "top")]
    Top(Top),
    /// Print one snapshot as a table
    ///
    /// Rows are sorted by state, then by local port. Columns that are empty for all
    /// connections are omitted unless they are named. If the source is a log, its
    /// last complete snapshot is shown. At most 524288 records of a snapshot in a
    /// log are kept in memory, which takes about a gigabyte; for larger snapshots,
    /// select connections with -e.
    Show(Show),
    /// Check whether a log is complete and undamaged
    #[command(long_about = CHECK_LONG)]
    Check(Check),
    /// Convert a log to another format
    #[cfg(feature = "convert")]
    #[command(long_about = CONVERT_LONG, override_usage = "tcpstats convert [OPTIONS] <IN>... <OUT>")]
    Convert(Convert),
    /// Summarize a log by connection, prefix or port
    #[command(long_about = SUMMARY_LONG)]
    Summary(Summary),
    /// Plot connections over time, as an image or an interactive page
    #[cfg(feature = "plot")]
    #[command(long_about = PLOT_LONG)]
    Plot(Plot),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// The source and the filter of live statistics.
#[derive(Args, Clone)]
pub struct Live {
    /// Show only connections that match FILTER, for example 'port 443 and srtt > 100ms'
    #[arg(short = 'e', long, value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Option<String>,
    /// Read from SOURCE: sock_diag, a device, or a log in any format (- for standard input)
    #[arg(short = 'd', long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: Option<String>,
}

/// `tcpstats show`
#[derive(Args)]
pub struct Show {
    /// The source and the filter.
    #[command(flatten)]
    pub live: Live,
    /// Show COLUMNS: basic, all, or a comma-separated list of fields
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
    /// Print exact numbers, in bytes and microseconds, as in a log
    #[arg(short, long)]
    pub numbers: bool,
    /// Print JSON Lines, one object for each connection, with all fields unless -o is given
    #[arg(long, conflicts_with = "numbers")]
    pub json: bool,
}

/// `tcpstats top`
#[cfg(feature = "top")]
#[derive(Args)]
pub struct Top {
    /// The source and the filter.
    #[command(flatten)]
    pub live: Live,
    /// Sample every USEC microseconds
    #[arg(short = 's', long, value_name = "USEC", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=366 * 24 * 3600 * 1_000_000))]
    pub interval: u64,
    /// Exit after COUNT samples
    #[arg(short = 'c', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Show COLUMNS in addition to the rates: basic, all, or a comma-separated list of fields
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
}

#[cfg(feature = "top")]
impl Show {
    /// Returns what is printed if there is no terminal for top.
    pub fn in_place_of(top: &Top) -> Self {
        Self { live: top.live.clone(), columns: top.columns.clone(), numbers: false, json: false }
    }
}

const CHECK_LONG: &str = "\
Check whether a log is complete and undamaged.  Print one line for each problem, with its position, and a final line \
that describes the contents of the log.

The following problems are reported: truncated or damaged lines and frames; missing or dropped snapshots; missed \
ticks; failures of the source; steps of the clock; snapshots that are truncated or during which the kernel's tables \
changed; a number of records that differs from the one stated for the snapshot; duplicate records in a snapshot \
(checked for its first 1,048,576 records); a missing closing line; and an empty log.  If several logs are given, logs \
that overlap, are given twice, or come from another host or from after a reboot are also reported, and so is a missing \
log between two of them.

The exit status is 0 if no problem was found, and 1 otherwise or if a log cannot be read.";

/// `tcpstats check`
#[derive(Args)]
pub struct Check {
    /// The logs, in any format, optionally compressed (- for standard input).  Rotated logs are ordered by their
    /// content and read as one log
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print nothing; only set the exit status
    #[arg(short, long)]
    pub quiet: bool,
    /// Report all problems (default: the first 20 and the number of others)
    #[arg(short, long)]
    pub all: bool,
}

/// `tcpstats completions`
#[derive(Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

impl Completions {
    /// Returns the script.
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tcpstats", &mut script);
        script
    }
}

#[cfg(feature = "convert")]
const CONVERT_LONG: &str = "\
Convert a log to another format: csv, json, siftr or bin as written by siftr_cdev_logger(8), or Parquet for DuckDB, \
ClickHouse, Polars and Spark.

The notes of the log are kept.  The formats csv, bin and Parquet store the same information: a csv log that is \
converted to the other two and back is identical byte for byte.

In Parquet, each row is a record.  The column time is a TIMESTAMP in microseconds, and time_ns contains the \
nanoseconds.  The notes are stored in the file but not as rows.  The file format is documented in tcpstats(5).  \
Parquet files that another program has derived from it can be read too, in the units that they declare and with any \
of the compressions zstd, Snappy, gzip, LZ4, Brotli or none; such files no longer contain the notes.

If the log is damaged, the part before the damage is written and the exit status is 1.";

/// `tcpstats convert`
#[cfg(feature = "convert")]
#[derive(Args)]
pub struct Convert {
    /// The logs to read, in any format (- for standard input), and the file to write (- for standard output).
    /// Several logs are ordered by their content and read as one log
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub files: Vec<PathBuf>,
    /// Write FORMAT (default: given by the suffix of OUT)
    #[arg(short = 'F', long, value_parser = log_formats(), value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// Write COLUMNS: basic, all, or a comma-separated list of fields (default: the columns of the log)
    #[arg(short = 'O', long, value_name = "COLUMNS")]
    pub columns: Option<String>,
    /// Include only connections that match FILTER, see tcpstats(5)
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Overwrite OUT if it exists
    #[arg(short, long)]
    pub force: bool,
}

/// The format of a log.
#[cfg(feature = "convert")]
#[derive(Clone, Copy)]
pub struct LogFormat(pub &'static dyn tcpstats_log::Format);

/// Accepts the names of all formats.
#[cfg(feature = "convert")]
fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    let names = tcpstats_log::FORMATS.map(|format| PossibleValue::new(format.name()).help(format.about()));
    PossibleValuesParser::new(names).try_map(|name| tcpstats_log::by_name(&name).map(LogFormat).ok_or("unknown format"))
}

const SUMMARY_LONG: &str = "\
Summarize a log: for each connection, its duration, bytes and throughput, round-trip times, retransmissions, and what \
limited it.  The worst connections are listed first.

The summary covers only what the log contains: activity before the log started and fields that were not logged are \
not included.  Bytes sent are the first available of acked_bytes, sent_bytes and snd_una; bytes received are \
received_bytes or rcv_nxt.  The mean throughput \
is computed over the whole duration, the maximum over intervals of at least a second.  The median and the 95th \
percentile of the round-trip time are accurate to within 1 %.

A connection is in slow start while it has data to send and snd_cwnd is below snd_ssthresh.  It is limited by cwnd or \
by the receiver while data is waiting and no further segment fits into the smaller of snd_cwnd and snd_wnd.  It is \
limited by the send buffer while no further segment fits into the buffer and neither window limits it.  On Linux, the times limited by the \
receiver and by the send buffer are the kernel's rwnd_limited and sndbuf_limited.

Listening sockets, closed connections and connections in TIME_WAIT are excluded.  In a log of changes only \
(siftr_cdev_logger -x), a record remains valid until the next record of its connection.  Memory use grows with the \
number of connections, not with the length of the log: 1.5 kB for a connection with a steady round-trip time, 3 kB if \
it varies by half, and 12 kB if it varies ten thousandfold.

Durations and rates are computed from the monotonic clock in the log.  If there is none, the time of day is used \
where it agrees with the logger's ticks.  Connections of different hosts, and from before and after a reboot, are \
kept apart: totals that decrease between two runs of the logger belong to another connection.

If the log is damaged, the part before the damage is summarized and the exit status is 1.";

/// `tcpstats summary`
#[derive(Args)]
pub struct Summary {
    /// The logs, in any format, optionally compressed (- for standard input).  Several logs are ordered by their
    /// content and read as one log
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print one row for each connection, for each prefix of foreign addresses, or for each service port (the lower
    /// port of a connection)
    #[arg(long, value_enum, default_value_t = By::Connection, value_name = "WHAT")]
    pub by: By,
    /// Length of IPv4 prefixes, in bits
    #[arg(long, default_value_t = 24, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix4: u8,
    /// Length of IPv6 prefixes, in bits
    #[arg(long, default_value_t = 48, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix6: u8,
    /// Sort rows by MEASURE, in descending order
    #[arg(short, long, value_enum, default_value_t = Measure::RexmitBytes, value_name = "MEASURE")]
    pub worst: Measure,
    /// Print at most ROWS rows (default: 10, or all with --json and --csv)
    #[arg(short = 'n', long, value_name = "ROWS")]
    pub count: Option<usize>,
    /// Include only connections that match FILTER, see tcpstats(5)
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Print JSON Lines, one object for each row, with exact numbers
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values with exact numbers
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// The subject of a row of a summary.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A connection
    Connection,
    /// All connections to one prefix of foreign addresses
    Prefix,
    /// All connections of one service port
    Port,
}

/// The measure by which rows are sorted.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Bytes retransmitted
    RexmitBytes,
    /// Segments retransmitted
    RexmitPacks,
    /// Retransmitted share of the bytes sent
    RexmitRate,
    /// Minimum of srtt
    SrttMin,
    /// Median of srtt
    SrttMedian,
    /// 95th percentile of srtt
    SrttP95,
    /// Maximum of srtt
    SrttMax,
    /// Fraction of time in slow start
    SlowStart,
    /// Fraction of time limited by cwnd
    CwndLimited,
    /// Fraction of time limited by the receiver
    ReceiverLimited,
    /// Fraction of time limited by the send buffer
    BufferLimited,
    /// Bytes sent
    Sent,
    /// Bytes received
    Received,
    /// Duration in the log
    Duration,
}

#[cfg(feature = "plot")]
const PLOT_LONG: &str = "\
Plot connections over time, as an image or an interactive page: congestion window and slow start threshold, bytes in \
flight and the window offered by the peer, round-trip time and its variation, throughput, and retransmissions.

A line is interrupted where the log has no data: the connection is absent, snapshots are missing, or a value is not \
set.  Of the values that fall into one column of pixels (on a page, a quarter of a column), the first, lowest, \
highest and last are drawn, so the size of the output does not depend on the length of the log.

Throughput is computed from the first available of acked_bytes, sent_bytes and snd_una for sending, and of \
received_bytes and rcv_nxt for receiving; the plot names the field.  It is averaged over intervals of at most a second, or of two \
samples if they are further apart, and is interrupted while there is no data.  If none of these fields was logged, \
the plot says that there is no throughput.

Several logs are ordered by their content and read as one log.  Connections of different hosts, and from before and \
after a reboot, are plotted separately.  The time axis shows elapsed time, as in summary: setting the clock does not \
move it, and is reported.

The logs are read twice; pipes and standard input are copied to temporary files.  If a log is damaged, the rest is \
plotted and the exit status is 1.";

/// `tcpstats plot`
#[cfg(feature = "plot")]
#[derive(Args)]
pub struct Plot {
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
    /// Overlay the COUNT connections that sent most, at most 8
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST)))]
    pub count: u8,
    /// Label the axis with the time of day in UTC instead of the time since the start
    #[arg(long)]
    pub utc: bool,
    /// Set the size of the image in pixels; a PNG has twice as many in each direction
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "960x900")]
    pub size: Size,
}
