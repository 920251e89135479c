// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats convert`: a log in another format.

mod bin;
mod parquet;
mod siftr;
mod text;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use tcpstats::FieldSet;
use tcpstats::filter::Verdict;
use tcpstats::note::{Note, NoteText, Pair};
use tcpstats::text::Text;
use tcpstats::{Columns, Field, Filter, Header, Record, csv};
use tcpstats_source::Sentence;

use crate::cli::{self, LogFormat};
use crate::log::{HEADER_NOTE, Item, Log, LogColumns};
use crate::output::{Inputs, OutputFile};

/// What writes a log in one format.
trait Writer {
    /// Writes what comes next, in a log that has those columns there.
    ///
    /// # Errors
    /// What the system said.
    fn item(&mut self, item: &Item<'_>, columns: &LogColumns) -> Result<(), String>;

    /// Writes what is still due, so that what was written is a whole log.
    ///
    /// # Errors
    /// What the system said.
    fn finish(&mut self) -> Result<(), String>;
}

/// Bytes to be written.
type Output = Box<dyn Write + Send>;

/// Reads the logs and writes them into one.
pub fn run(asked: &cli::Convert) -> Result<ExitCode, Sentence> {
    let (out, logs) = asked.files.split_last().ok_or("expected a log to read and a file to write")?;
    let format = match asked.format {
        Some(format) => format,
        None => by_extension(out)?,
    };
    let columns = asked.columns.as_deref().map(Columns::parse).transpose();
    let columns = columns.map_err(|error| format!("-O: {error}"))?;
    let filter = asked.filter.as_deref().map(|text| Kept::new(text, columns.as_ref())).transpose()?;

    let mut log = Log::open_all(logs)?.warning();
    if let (Some(columns), None) = (&columns, &filter) {
        log = log.only(columns);
    }
    let output = OutputFile::create(out, &Inputs::of(logs), asked.force)?;
    if format == LogFormat::Parquet && output.is_terminal() {
        return Err(format!("{}: cannot write Parquet to a terminal; name a file", name(out)));
    }
    let out_name = name(out);
    let (output, outcome) = output.start()?;
    let mut writer: Box<dyn Writer> = match format {
        LogFormat::Csv => Box::new(text::Lines::csv(output, columns)),
        LogFormat::Json => Box::new(text::Lines::json(output, columns)),
        LogFormat::Siftr => Box::new(siftr::Siftr::new(output)),
        LogFormat::Bin => Box::new(bin::Bin::new(output, columns)),
        LogFormat::Parquet => Box::new(parquet::Parquet::new(output, columns)),
    };
    // What was read before the log turned out to be damaged is kept.
    let copied = copy(&mut log, writer.as_mut(), filter, &out_name);
    let finished = writer.finish().map_err(|what| format!("{out_name}: {what}"));
    drop(writer);
    outcome.finish(copied.and(finished).map(|()| ExitCode::SUCCESS))
}

fn copy(log: &mut Log, writer: &mut dyn Writer, filter: Option<Kept>, out_name: &str) -> Result<(), Sentence> {
    let said = |what| format!("{out_name}: {what}");
    match filter {
        None => {
            while let Some((item, columns)) = log.next_with_columns()? {
                writer.item(&item, columns).map_err(said)?;
            }
        }
        Some(mut kept) => {
            while let Some((item, columns)) = log.next_with_columns()? {
                kept.item(&item, |item| writer.item(item, columns)).map_err(said)?;
            }
        }
    }
    Ok(())
}

/// How messages name the file to write.
fn name(out: &Path) -> String {
    if out.as_os_str() == "-" { "standard output".into() } else { crate::log::name(out) }
}

/// The format that a file's name tells.
fn by_extension(path: &Path) -> Result<LogFormat, Sentence> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(LogFormat::Csv),
        Some("json" | "jsonl" | "ndjson") => Ok(LogFormat::Json),
        Some("siftr") => Ok(LogFormat::Siftr),
        Some("bin") => Ok(LogFormat::Bin),
        Some("parquet") => Ok(LogFormat::Parquet),
        _ => Err(format!(
            "{}: its name tells no format; expected .csv, .json, .siftr, .bin or .parquet, or -F with one of them",
            name(path)
        )),
    }
}

/// What a filter keeps of a log.
struct Kept {
    filter: Filter,
    note: String,
    /// Whether the log says by now that it was filtered.
    is_told: bool,
    records: u64,
    /// The fields that are read for the filter only are not written.
    wanted: Option<FieldSet>,
    record: Record,
}

impl Kept {
    fn new(text: &str, columns: Option<&Columns>) -> Result<Self, Sentence> {
        let filter = tcpstats_source::parse_filter(text).map_err(|error| error.to_string())?;
        let mut buffer = vec![0; 64 + 6 * text.len()];
        let mut note = Text::new(&mut buffer);
        Note { name: CONVERTED, pairs: &[("filter", Pair::Text(text))] }.write(&mut note);
        Ok(Self {
            filter,
            note: note.finish().unwrap_or_default().to_owned(),
            is_told: false,
            records: 0,
            wanted: columns.map(FieldSet::of),
            record: Record::new(),
        })
    }

    /// Passes an item on as it is in the filtered log.
    fn item(&mut self, item: &Item<'_>, mut pass: impl FnMut(&Item<'_>) -> Result<(), String>) -> Result<(), String> {
        if is_head(item) {
            self.is_told = false;
        } else if !self.is_told {
            self.is_told = true;
            pass(&Item::Note(&self.note))?;
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
            Item::Note(text) if self.excludes(text) => Ok(()),
            Item::Note(_) => pass(item),
        }
    }

    /// Whether a note tells of a connection that the filter excludes.
    fn excludes(&self, text: &str) -> bool {
        let Some(note) = NoteText::read(text).filter(|note| matches!(note.name, "open" | "close")) else {
            return false;
        };
        let mut record = Record::new();
        let fields = note.pairs().filter_map(|(key, value)| Field::by_name(key).zip(Some(value)));
        let is_known = fields.map(|(field, value)| record.set_text(field, value.as_bytes())).all(|set| set.is_some());
        is_known && self.filter.verdict_by_identity(&record) == Verdict::NoMatch
    }
}

/// The note that says how a log was converted.
const CONVERTED: &str = "converted";

/// Whether an item is of the first lines of a run, before its header row.
fn is_head(item: &Item<'_>) -> bool {
    let Item::Note(text) = item else {
        return false;
    };
    let name = text.split(' ').next().unwrap_or_default();
    matches!(name, "torn" | "log" | CONVERTED)
}

/// Where a header row is due, or a note in its place.
struct Heading {
    /// The columns that were asked for.
    chosen: Option<Columns>,
    /// The columns that the log has there.
    now: Option<Columns>,
    /// What a reader of the written log takes for its columns.
    known: Option<Columns>,
    /// Whether the logger's own note tells the columns too.
    is_note: bool,
    is_settled: bool,
}

impl Heading {
    /// A header row, of these columns where none are known.
    fn row(chosen: Option<Columns>, default: Columns) -> Self {
        Self { chosen, now: Some(default), known: None, is_note: false, is_settled: false }
    }

    /// A note, where the columns are others than the log's own note tells.
    fn note(chosen: Option<Columns>) -> Self {
        Self { chosen, now: None, known: None, is_note: true, is_settled: false }
    }

    /// The columns that a reader must be told before the item, if any.
    fn due(&mut self, item: &Item<'_>, columns: &LogColumns) -> Option<Columns> {
        if self.is_settled && !is_head(item) {
            return None;
        }
        if columns.text.is_some() {
            self.now.clone_from(&columns.text);
        }
        if !is_head(item) {
            return self.settle();
        }
        self.is_settled = false;
        if let (true, Item::Note(text)) = (self.is_note, item)
            && let Some(columns) = NoteText::read(text).and_then(|note| note.text("columns"))
        {
            self.known = Columns::parse(columns).ok();
        }
        None
    }

    /// The columns that a reader must be told now, if any.
    fn settle(&mut self) -> Option<Columns> {
        self.is_settled = true;
        let now = self.chosen.as_ref().or(self.now.as_ref())?;
        if self.known.as_ref() == Some(now) {
            return None;
        }
        self.known = Some(now.clone());
        self.known.clone()
    }
}

/// Lends the note that tells the columns where a format has no header row.
fn header_note<R>(columns: &Columns, use_it: impl FnOnce(&Note<'_>) -> R) -> R {
    let mut buffer = [0; csv::HEADER_MAX];
    let mut names = Text::new(&mut buffer);
    columns.write(&mut names);
    use_it(&Note { name: HEADER_NOTE, pairs: &[("columns", Pair::Text(names.finish().unwrap_or_default()))] })
}
