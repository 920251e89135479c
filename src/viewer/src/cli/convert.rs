// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats convert`: converts a log to another format.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Error, Result, anyhow, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tcpstats::FieldSet;
use tcpstats::filter::Verdict;
use tcpstats::text::Text;
use tcpstats::{Columns, Filter, Header, Record};
use tcpstats_log::{Format, LogColumns, LogWriter, LoggedNote, Note, WriteError, by_extension, extensions};

use crate::log::{Item, Log};
use crate::output::{Inputs, OutputFile};

pub const LONG_ABOUT: &str = "\
Convert a log to another format: csv, json, siftr or bin as written by siftr_cdev_logger(8), or Parquet for DuckDB, \
ClickHouse, Polars and Spark.

The notes of the log are kept.  The formats csv, bin and Parquet store the same information: a csv log that is \
converted to the other two and back is identical byte for byte.

In Parquet, each row is a record.  The column time is a TIMESTAMP in microseconds, and time_ns contains the \
nanoseconds.  The notes are stored in the file but not as rows.  The file format is documented in tcpstats(5).  \
Parquet files that another program has derived from such a file can also be read.  Their values are interpreted in \
the units that the file declares.  They can be uncompressed or compressed with zstd, Snappy, gzip, LZ4 or Brotli.  \
They no longer contain the notes.

If the log is damaged, the part before the damage is written and the exit status is 1.";

/// The arguments of `tcpstats convert`.
#[derive(clap::Args)]
pub struct Args {
    /// The logs to read, in any format (- for standard input), and the file to write (- for standard output).
    /// Several logs are ordered by their content and read as one log
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"])]
    pub files: Vec<PathBuf>,
    /// Write FORMAT (default: from the extension of OUT)
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
#[derive(Clone, Copy)]
pub struct LogFormat(&'static dyn tcpstats_log::Format);

/// Accepts the names of all formats.
fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    let names = tcpstats_log::FORMATS.map(|format| PossibleValue::new(format.name()).help(format.about()));
    PossibleValuesParser::new(names).try_map(|name| tcpstats_log::by_name(&name).map(LogFormat).ok_or("unknown format"))
}

/// Reads the logs and writes them as one.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (out, logs) = args.files.split_last().context("expected a log to read and a file to write")?;
    let format = match args.format {
        Some(format) => format.0,
        None => format_of(out)?,
    };
    let columns = args.columns.as_deref().map(Columns::parse).transpose();
    let columns = columns.map_err(|error| anyhow!("-O: {error}"))?;
    let selection = args.filter.as_deref().map(|text| Selection::new(text, columns.as_ref())).transpose()?;

    let mut log = Log::open_all(logs)?.warning();
    if let (Some(columns), None) = (&columns, &selection) {
        log = log.only(columns);
    }
    let output = OutputFile::create(out, &Inputs::of(logs), args.force)?;
    if format.is_binary() && output.is_terminal() {
        bail!("{}: cannot write {} to a terminal; name a file", name(out), format.described());
    }
    let out_name = name(out);
    let (output, outcome) = output.start()?;
    let mut writer = LogWriter::new(output, format, columns);
    let failed = |error: WriteError| match error {
        WriteError::System(cause) => Error::new(cause).context(out_name.clone()),
        WriteError::Encode(cause) => Error::new(cause).context(out_name.clone()),
    };
    // If the log is damaged, the part before the damage is written.
    let copied = copy(&mut log, selection, |item, columns| writer.item(item, columns).map_err(failed));
    let finished = writer.finish().map_err(failed);
    outcome.finish(copied.and(finished).map(|()| ExitCode::SUCCESS))
}

/// Passes the items of a log to the writer.
fn copy(
    log: &mut Log,
    mut selection: Option<Selection>,
    mut write: impl FnMut(&Item<'_>, &LogColumns) -> Result<()>,
) -> Result<()> {
    while let Some((item, columns)) = log.next_with_columns()? {
        match &mut selection {
            None => write(&item, columns)?,
            Some(selection) => selection.item(&item, |item| write(item, columns))?,
        }
    }
    Ok(())
}

/// Returns the name of the file to write in messages.
fn name(out: &Path) -> String {
    if out.as_os_str() == "-" { "standard output".into() } else { crate::log::name(out) }
}

/// Returns the format that the extension of a file denotes.
fn format_of(path: &Path) -> Result<&'static dyn Format> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.and_then(by_extension).ok_or_else(|| {
        anyhow!("{}: unknown extension; expected {}, or a format with -F", name(path), extensions(" or "))
    })
}

/// Selects the records of a log by a filter.
struct Selection {
    filter: Filter,
    text: String,
    note: String,
    /// Whether the written log says that records were left out.
    is_noted: bool,
    /// The records of the snapshot so far, and how many of them are final.
    records: u64,
    ended: u64,
    /// The fields to write; the others are read only for the filter.
    wanted: Option<FieldSet>,
    record: Record,
}

impl Selection {
    fn new(text: &str, columns: Option<&Columns>) -> Result<Self> {
        let filter = tcpstats_source::parse_filter(text)?;
        let mut buffer = vec![0; 64 + 6 * text.len()];
        let mut note = Text::new(&mut buffer);
        Note::Converted { filter: Some(text) }.lend(|converted| converted.write(&mut note));
        Ok(Self {
            filter,
            text: text.to_owned(),
            note: note.finish().unwrap_or_default().to_owned(),
            is_noted: false,
            records: 0,
            ended: 0,
            wanted: columns.map(FieldSet::of),
            record: Record::new(),
        })
    }

    /// Filters an item and passes on the result.
    fn item(&mut self, item: &Item<'_>, mut pass: impl FnMut(&Item<'_>) -> Result<()>) -> Result<()> {
        if matches!(item, Item::Note(note) if note.note.is_before_header()) {
            self.is_noted = false;
        } else if !self.is_noted {
            self.is_noted = true;
            let note = Note::Converted { filter: Some(&self.text) };
            pass(&Item::Note(LoggedNote { note, text: &self.note }))?;
        }
        match item {
            Item::Record { record, .. } if !self.filter.matches(record) => Ok(()),
            Item::Record { time_ns, snapshot, record } => {
                self.records += 1;
                self.ended += u64::from(record.is_final());
                let Some(wanted) = &self.wanted else {
                    return pass(item);
                };
                self.record.clone_from(record);
                self.record.keep(wanted);
                pass(&Item::Record { time_ns: *time_ns, snapshot: *snapshot, record: &self.record })
            }
            Item::Snapshot(header) => {
                let (written, ended) = (std::mem::take(&mut self.records), std::mem::take(&mut self.ended));
                let matched = written - ended + header.missed;
                pass(&Item::Snapshot(Header { matched, written, ended, ..*header }))
            }
            Item::Note(note) if self.excludes(&note.note) => Ok(()),
            Item::Note(_) => pass(item),
        }
    }

    /// Returns whether a note is about a connection that the filter excludes.
    fn excludes(&self, note: &Note<'_>) -> bool {
        let (Note::Open(connection) | Note::Close(connection)) = note else {
            return false;
        };
        let (record, is_complete) = connection.record();
        is_complete && self.filter.verdict_by_identity(&record) == Verdict::NoMatch
    }
}
