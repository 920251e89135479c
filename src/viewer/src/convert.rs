// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats convert`: converts a log to another format.

use std::path::Path;
use std::process::ExitCode;

use tcpstats::FieldSet;
use tcpstats::filter::Verdict;
use tcpstats::text::Text;
use tcpstats::{Columns, Filter, Header, Record};
use tcpstats_log::{Format, LogColumns, LogWriter, LoggedNote, Note, WriteError, by_extension, extensions};
use tcpstats_source::{Sentence, report};

use crate::cli;
use crate::log::{Item, Log};
use crate::output::{Inputs, OutputFile};

/// Reads the logs and writes them as one.
pub fn run(asked: &cli::Convert) -> Result<ExitCode, Sentence> {
    let (out, logs) = asked.files.split_last().ok_or("expected a log to read and a file to write")?;
    let format = match asked.format {
        Some(format) => format.0,
        None => format_of(out)?,
    };
    let columns = asked.columns.as_deref().map(Columns::parse).transpose();
    let columns = columns.map_err(|error| format!("-O: {error}"))?;
    let selection = asked.filter.as_deref().map(|text| Selection::new(text, columns.as_ref())).transpose()?;

    let mut log = Log::open_all(logs).map_err(|error| report(&error))?.warning();
    if let (Some(columns), None) = (&columns, &selection) {
        log = log.only(columns);
    }
    let output = OutputFile::create(out, &Inputs::of(logs), asked.force)?;
    if format.is_binary() && output.is_terminal() {
        return Err(format!("{}: cannot write {} to a terminal; name a file", name(out), format.described()));
    }
    let out_name = name(out);
    let (output, outcome) = output.start()?;
    let mut writer = LogWriter::new(output, format, columns);
    let said = |error: WriteError| match error {
        WriteError::System(error) => format!("{out_name}: {}", crate::log::said(&error)),
        WriteError::Encode(error) => format!("{out_name}: {}", report(&error)),
    };
    // If the log is damaged, the part before the damage is written.
    let copied = copy(&mut log, selection, |item, columns| writer.item(item, columns).map_err(said));
    let finished = writer.finish().map_err(said);
    outcome.finish(copied.and(finished).map(|()| ExitCode::SUCCESS))
}

/// Passes the items of a log to the writer.
fn copy(
    log: &mut Log,
    mut selection: Option<Selection>,
    mut write: impl FnMut(&Item<'_>, &LogColumns) -> Result<(), Sentence>,
) -> Result<(), Sentence> {
    while let Some((item, columns)) = log.next_with_columns().map_err(|error| report(&error))? {
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
fn format_of(path: &Path) -> Result<&'static dyn Format, Sentence> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.and_then(by_extension).ok_or_else(|| {
        format!("{}: unknown extension; expected {}, or -F with one of them", name(path), extensions(" or "))
    })
}

/// Selects the records of a log by a filter.
struct Selection {
    filter: Filter,
    text: String,
    note: String,
    /// Whether the written log says that records were left out.
    is_noted: bool,
    records: u64,
    /// The fields to write; the others are read only for the filter.
    wanted: Option<FieldSet>,
    record: Record,
}

impl Selection {
    fn new(text: &str, columns: Option<&Columns>) -> Result<Self, Sentence> {
        let filter = tcpstats_source::parse_filter(text).map_err(|error| error.to_string())?;
        let mut buffer = vec![0; 64 + 6 * text.len()];
        let mut note = Text::new(&mut buffer);
        Note::Converted { filter: Some(text) }.lend(|converted| converted.write(&mut note));
        Ok(Self {
            filter,
            text: text.to_owned(),
            note: note.finish().unwrap_or_default().to_owned(),
            is_noted: false,
            records: 0,
            wanted: columns.map(FieldSet::of),
            record: Record::new(),
        })
    }

    /// Passes on what an item is in the filtered log.
    fn item(
        &mut self,
        item: &Item<'_>,
        mut pass: impl FnMut(&Item<'_>) -> Result<(), Sentence>,
    ) -> Result<(), Sentence> {
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
                let Some(wanted) = &self.wanted else {
                    return pass(item);
                };
                self.record.clone_from(record);
                self.record.keep(wanted);
                pass(&Item::Record { time_ns: *time_ns, snapshot: *snapshot, record: &self.record })
            }
            Item::Snapshot(header) => {
                let written = std::mem::take(&mut self.records);
                pass(&Item::Snapshot(Header { matched: written + header.missed, written, ..*header }))
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
