// SPDX-License-Identifier: BSD-2-Clause

//! The command line: what is parsed, completed by shells, and told in
//! tcpstats(1).

#![allow(clippy::doc_markdown, reason = "the comments are what --help prints")]

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

#[cfg(feature = "plot")]
use crate::plot::{MOST, Size};

/// Look at the statistics of TCP connections, live or in a log
#[derive(Parser)]
#[command(name = "tcpstats", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `tcpstats` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Watch connections on the screen
    ///
    /// One line a connection, with rates between the last two samples. Where
    /// standard output is no terminal one snapshot is printed, as by show.
    #[cfg(feature = "top")]
    Top(Top),
    /// Print one snapshot as a table
    ///
    /// Sorted by state, then by local port. Columns that no connection has are
    /// left out unless they were named. The source can also be a log in any
    /// format, of which the last whole snapshot is shown; - is standard input.
    /// Of a log at most 524288 records of a snapshot are held, in about a
    /// gigabyte; of more, select some with -e.
    Show(Show),
    /// Tell whether a log is whole
    #[command(long_about = CHECK_LONG)]
    Check(Check),
    /// Write a log in another format
    #[cfg(feature = "convert")]
    #[command(long_about = CONVERT_LONG, override_usage = "tcpstats convert [OPTIONS] <IN>... <OUT>")]
    Convert(Convert),
    /// Sum a log up: each connection, or all to one prefix or port
    #[command(long_about = SUMMARY_LONG)]
    Summary(Summary),
    /// Draw connections of logs over time, as a picture or as a page to zoom in
    #[cfg(feature = "plot")]
    #[command(long_about = PLOT_LONG)]
    Plot(Plot),
    /// Print a script with which a shell completes the command line
    Completions(Completions),
}

/// Which connections, and of what.
#[derive(Args, Clone)]
pub struct Live {
    /// Show only connections that match, such as 'port 443 and srtt > 100ms'
    #[arg(short = 'e', long, value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Option<String>,
    /// Where the statistics come from: sock_diag, a device, or a log in any format; - is standard input
    #[arg(short = 'd', long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: Option<String>,
}

/// `tcpstats show`
#[derive(Args)]
pub struct Show {
    /// Which connections, and of what.
    #[command(flatten)]
    pub live: Live,
    /// What to show: basic, all, or field names with commas between
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
    /// Print numbers as a log has them, in bytes and microseconds
    #[arg(short, long)]
    pub numbers: bool,
    /// Print JSON Lines, an object a connection, with all fields unless told otherwise
    #[arg(long, conflicts_with = "numbers")]
    pub json: bool,
}

/// `tcpstats top`
#[cfg(feature = "top")]
#[derive(Args)]
pub struct Top {
    /// Which connections, and of what.
    #[command(flatten)]
    pub live: Live,
    /// Time between two samples
    #[arg(short = 's', long, value_name = "MICROSECONDS", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=366 * 24 * 3600 * 1_000_000))]
    pub interval: u64,
    /// End after so many samples
    #[arg(short = 'c', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What to show beside the rates: basic, all, or field names with commas between
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
}

#[cfg(feature = "top")]
impl Show {
    /// What is printed where there is no screen for top.
    pub fn in_place_of(top: &Top) -> Self {
        Self { live: top.live.clone(), columns: top.columns.clone(), numbers: false, json: false }
    }
}

const CHECK_LONG: &str = "\
Tell whether a log is whole: a line for each thing that is missing or wrong, with its place, and a last line with \
what the log has.

Reported are lines and frames that are truncated or damaged, snapshots that are missing or were dropped, missed ticks, \
a source that was lost, steps of the clock, snapshots that are truncated or whose tables changed meanwhile, records \
that are more or fewer than their snapshot says, records that are doubled in a snapshot (of its first 1,048,576), an \
end without the logger's closing line, and an empty log.  Of several logs also those that overlap, that were given \
twice, whose neighbour is missing, and that are from another host or from after a reboot.

The exit status is 0 where the log is whole, and 1 where it is not or cannot be read.";

/// `tcpstats check`
#[derive(Args)]
pub struct Check {
    /// The logs, in any format, also compressed; - is standard input.  Rotated ones are read as one, in the order of their
    /// content
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print nothing; the exit status is the result
    #[arg(short, long)]
    pub quiet: bool,
    /// Report all problems (default: the first 20, and how many more there are)
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
    /// The script.
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tcpstats", &mut script);
        script
    }
}

#[cfg(feature = "convert")]
const CONVERT_LONG: &str = "\
Write a log in another format: csv, json, siftr and bin as siftr_cdev_logger writes them, and Parquet, which DuckDB, \
ClickHouse, Polars and Spark read.

A log keeps all that it says about itself: csv, bin and parquet are the same log, and a csv log that goes through them \
comes back as the same bytes.

In Parquet each row is a record.  The time is a TIMESTAMP in microseconds, and time_ns has the nanoseconds.  The notes of \
the log are in the file but not in the rows.  tcpstats(5) describes the file.  Parquet that another program has \
written from it is read too, with its units and with any of its compressions: zstd, Snappy, gzip, LZ4, Brotli or none; \
the notes are lost on that way.

Where the log is damaged, what stands before the damage is written, and the exit status is 1.";

/// `tcpstats convert`
#[cfg(feature = "convert")]
#[derive(Args)]
pub struct Convert {
    /// The log to read, in any format, - for standard input, and the file to write, - for standard output.  Several logs
    /// are read as one, in the order of their content
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub files: Vec<PathBuf>,
    /// The format to write [default: what OUT ends in]
    #[arg(short = 'F', long, value_enum, value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// The columns: basic, all, or names of fields with commas between [default: those that the log has]
    #[arg(short = 'O', long, value_name = "COLUMNS")]
    pub columns: Option<String>,
    /// Only the connections that the filter matches, as tcpstats(5) describes it
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Overwrite OUT if it exists
    #[arg(short, long)]
    pub force: bool,
}

/// The format of a log.
#[cfg(feature = "convert")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A header row and a row a record
    Csv,
    /// JSON Lines
    Json,
    /// The format of siftr(4) 1.3.0
    Siftr,
    /// Frames, as the device gives them
    Bin,
    /// Apache Parquet, compressed with zstd
    Parquet,
}

const SUMMARY_LONG: &str = "\
Sum a log up: how long each connection was in it, bytes and throughput, round-trip times, retransmissions, and what \
limited it.  The worst come first.

Reported is what the log has: what a connection did before it, and fields that were not logged, are not in it.  Bytes \
sent are those acknowledged.  Where the log has no acked_bytes, sent_bytes or snd_una counts them; where it has no \
received_bytes, rcv_nxt does.  The mean throughput \
is over the whole time, the greatest over at least a second.  Of the round-trip times the median and that of 95 % are \
right within 1 %.

Time is in slow start while there is data to send and snd_cwnd is below snd_ssthresh.  It is limited by cwnd, or by the \
receiver, while data waits and no segment more fits the smaller of snd_cwnd and snd_wnd, and by the sender's buffer \
while that is full and neither window is.  On Linux the last two are what the kernel counted as rwnd_limited and \
sndbuf_limited.

Listening and closed connections and those in TIME_WAIT are left out.  In a log of changes only (siftr_cdev_logger -x) a \
record holds until the next one of its connection.  Memory grows with the number of connections and not with the \
length of the log: by 1.5 kB for a connection with a steady round-trip time, by 3 kB if it varies by half, and by \
12 kB if it varies ten thousandfold.

Durations and rates come from the log's monotonic clock if it has one, otherwise from the clock of the day as far as \
it agrees with the logger's ticks.  Connections of different hosts, and from before and after a reboot, are kept apart: \
totals that decrease between two runs of the logger belong to another connection.

Where the log is damaged, what stands before the damage is summed up, and the exit status is 1.";

/// `tcpstats summary`
#[derive(Args)]
pub struct Summary {
    /// The logs, in any format, also compressed; - is standard input.  Several are read as one, in the order of their
    /// content
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// A row for each connection, for each prefix of foreign addresses, or for each port of a service, the lower of a
    /// connection's two
    #[arg(long, value_enum, default_value_t = By::Connection, value_name = "WHAT")]
    pub by: By,
    /// Bits of an IPv4 prefix
    #[arg(long, default_value_t = 24, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix4: u8,
    /// Bits of an IPv6 prefix
    #[arg(long, default_value_t = 48, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix6: u8,
    /// What the rows are sorted by, the greatest first
    #[arg(short, long, value_enum, default_value_t = Measure::RexmitBytes, value_name = "MEASURE")]
    pub worst: Measure,
    /// So many rows [default: 10, or all with --json and --csv]
    #[arg(short = 'n', long, value_name = "ROWS")]
    pub count: Option<usize>,
    /// Only the connections that the filter matches, as tcpstats(5) describes it
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// JSON Lines: an object a row, with all numbers in full
    #[arg(long)]
    pub json: bool,
    /// Comma-separated values, with all numbers in full
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// What a row of a summary is of.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A connection
    Connection,
    /// All connections to a prefix of foreign addresses
    Prefix,
    /// All connections of a port
    Port,
}

/// What connections are compared by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Bytes retransmitted
    RexmitBytes,
    /// Segments retransmitted
    RexmitPacks,
    /// Share of the bytes sent that were retransmissions
    RexmitRate,
    /// Least srtt
    SrttMin,
    /// Median of srtt
    SrttMedian,
    /// What 95 % of the time srtt was not above
    SrttP95,
    /// Greatest srtt
    SrttMax,
    /// Share of the time in slow start
    SlowStart,
    /// Share of the time limited by cwnd
    CwndLimited,
    /// Share of the time limited by the receiver
    ReceiverLimited,
    /// Share of the time limited by the send buffer
    BufferLimited,
    /// Bytes sent
    Sent,
    /// Bytes received
    Received,
    /// Time in the log
    Duration,
}

#[cfg(feature = "plot")]
const PLOT_LONG: &str = "\
Draw connections of logs over time, as a picture or as a page to zoom in: congestion window and threshold, bytes in \
flight and the window that the peer offers, round-trip time with its variation, throughput and retransmissions.

A line breaks where the log knows nothing: the connection is absent, snapshots are missing, a value is not set.  Of the \
values that share a column of pixels the first, the lowest, the highest and the last are drawn (of a page, a quarter of \
a column), so that a long log makes no larger picture.

Throughput is computed from acked_bytes, else sent_bytes, else snd_una, and from received_bytes, else rcv_nxt; the picture \
names the field.  It is averaged over intervals of at most a second, or of two samples of a log that has fewer, and \
a time without data breaks it.  Without any of these fields there is no throughput, and the picture says so.

Several logs are read as one, in the order of their content.  Connections of different hosts, and from before and after a \
reboot, are drawn apart.  The axis of time has the time that passed, as in summary: a clock that was set does not move it, \
and is reported.

Logs are read twice; pipes and standard input are put into temporary files for it.  Of a damaged log the rest is drawn; \
the exit status is then 1.";

/// `tcpstats plot`
#[cfg(feature = "plot")]
#[derive(Args)]
pub struct Plot {
    /// The logs, in any format and order, also compressed; - is standard input
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Draw into this file, whose name ends in .svg, .png or .html; - is standard output, for SVG
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Overwrite FILE if it exists
    #[arg(short, long)]
    pub force: bool,
    /// Make a page to zoom and hover in, whatever the file is called; it is whole by itself and needs no network
    #[arg(long)]
    pub html: bool,
    /// Draw only connections of which a record matches this filter, and these from their first record to their last
    #[arg(short = 'e', long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Draw so many connections over each other, those that sent most; at most 8
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST)))]
    pub count: u8,
    /// Tell the time of day in UTC instead of the time since the start
    #[arg(long)]
    pub utc: bool,
    /// How large the picture is, in pixels; a PNG has twice as many each way
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "960x900")]
    pub size: Size,
}
