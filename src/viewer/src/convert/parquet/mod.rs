// SPDX-License-Identifier: BSD-2-Clause

//! Parquet, the door to `DuckDB`, `ClickHouse`, Polars and Spark.
//!
//! A row is a record.  The notes of the log are in the same file, outside of the
//! rows, so that the way back is lossless.  Time is in microseconds, which every
//! one of them reads, and once more as the number of nanoseconds.

mod column;
mod notes;

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use tcpstats::note::{self, NoteText};
use tcpstats::text::Text;
use tcpstats::{Columns, Field, Header, Record};

use self::column::{Column, parquet_type};
use self::notes::Notes;
use super::{Heading, Output, Writer, header_note};
use crate::log::parquet::CREATED_BY;
use crate::log::{Item, LogColumns};

/// Rows of a row group: it ends with the snapshot that reaches it, so that each
/// is of a time of its own.
const GROUP_ROWS: usize = 128 * 1024;

/// Records that wait for being put into columns, at most: as many as the nearest
/// cache holds.
const WAITING: usize = 32;

/// A Parquet file while it is written.
pub struct Parquet {
    /// Until the first record, whose columns are the file's.
    output: Option<Output>,
    chosen: Option<Columns>,
    heading: Heading,
    file: Option<SerializedFileWriter<Output>>,
    /// Those of the file, while it is open.
    columns: Option<Columns>,
    rows: Rows,
    notes: Notes,
    /// How many there were so far, in all row groups.
    records: u64,
    /// The time of the note with which the log, or its file, starts; without one,
    /// that of the first record.
    log_start: Option<u64>,
    /// The number of the last snapshot since then.
    snapshot: u64,
}

/// The rows of a row group.
#[derive(Default)]
struct Rows {
    count: usize,
    /// Records that are in no column of a field yet: many at once are cheaper.
    waiting: Vec<Record>,
    time: Column,
    time_ns: Column,
    snapshot: Column,
    log_start: Column,
    fields: Vec<(&'static Field, Column)>,
}

impl Rows {
    fn of(columns: &Columns) -> Self {
        Self {
            count: 0,
            waiting: Vec::with_capacity(WAITING),
            time: Column::numbers(),
            time_ns: Column::numbers(),
            snapshot: Column::numbers(),
            log_start: Column::numbers(),
            fields: columns.fields().map(|field| (field, Column::of(field.kind))).collect(),
        }
    }

    fn record(&mut self, time_ns: u64, snapshot: u64, log_start: u64, record: &Record) {
        self.time.number(time_ns / 1000);
        self.time_ns.number(time_ns);
        self.snapshot.number(snapshot);
        self.log_start.number(log_start / 1000);
        self.waiting.push(record.clone());
        self.count += 1;
        if self.waiting.len() == WAITING {
            self.settle();
        }
    }

    /// Puts the waiting records into the columns of their fields.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (field, column) in &mut self.fields {
            column.values(&self.waiting, field);
        }
        self.waiting.clear();
    }

    /// In the order of the schema.
    fn columns(&mut self) -> impl Iterator<Item = &mut Column> {
        let fields = self.fields.iter_mut().map(|(_, column)| column);
        [&mut self.time, &mut self.time_ns, &mut self.snapshot, &mut self.log_start].into_iter().chain(fields)
    }
}

/// What the file says of its columns: unit and meaning.
fn metadata(columns: &Columns) -> Vec<KeyValue> {
    let version = KeyValue::new("tcpstats.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let fields = columns.fields().map(|field| {
        let unit = if field.unit.name().is_empty() { String::new() } else { format!(" [{}]", field.unit.name()) };
        KeyValue::new(format!("tcpstats.field.{}", field.name), format!("{}{unit}", field.meaning))
    });
    std::iter::once(version).chain(fields).collect()
}

/// The schema in Parquet's own language.
fn schema(columns: &Columns) -> String {
    let mut schema = "message tcpstats {\n required int64 time (TIMESTAMP(MICROS,true));\n \
                      required int64 time_ns;\n required int64 snapshot (INTEGER(64,false));\n \
                      required int64 log_start (TIMESTAMP(MICROS,true));\n"
        .to_owned();
    for field in columns.fields() {
        let (physical, logical) = parquet_type(field.kind);
        schema.extend([" optional ", physical, " ", field.name, " (", logical, ");\n"]);
    }
    schema + "}"
}

/// When a log starts, where that is its note.
fn start_of(note: &NoteText<'_>) -> Option<u64> {
    match note.name {
        "log" => note.seconds("time"),
        "siftr_enable" => {
            let (seconds, us) = (note.number("enable_time_secs")?, note.number("enable_time_usecs")?);
            seconds.checked_mul(1_000_000_000)?.checked_add(us.checked_mul(1000)?)
        }
        _ => None,
    }
}

/// The note of a snapshot, with what only a frame's header has.
fn snapshot_note(header: &Header) -> String {
    let mut buffer = [0; 512];
    let mut text = Text::new(&mut buffer);
    note::snapshot(header, |note| note.write(&mut text));
    if !header.walk_ns.is_multiple_of(1000) {
        text.str(" walk_ns=").number(header.walk_ns);
    }
    if header.hz != 0 {
        text.str(" hz=").number(header.hz.into());
    }
    if header.osversion != 0 {
        text.str(" osversion=").number(header.osversion.into());
    }
    text.finish().unwrap_or_default().to_owned()
}

impl Parquet {
    /// Writes there.
    pub fn new(output: Output, chosen: Option<Columns>) -> Self {
        Self {
            output: Some(output),
            heading: Heading::note(chosen.clone()),
            chosen,
            file: None,
            columns: None,
            rows: Rows::default(),
            notes: Notes::default(),
            records: 0,
            log_start: None,
            snapshot: 0,
        }
    }

    /// Begins the file, whose columns must be known by now.
    fn begin(&mut self, columns: &LogColumns) -> Result<(), String> {
        let all = || columns.present.clone().unwrap_or_else(Columns::all);
        let columns = self.chosen.clone().unwrap_or_else(all);
        let Some(output) = self.output.take() else {
            return Ok(());
        };
        let open = || {
            let schema = Arc::new(parse_message_type(&schema(&columns))?);
            let mut properties = WriterProperties::builder();
            for field in columns.fields().filter(|field| field.kind.is_text()) {
                // Of texts the least and greatest tell nobody which rows to leave out.
                let column = ColumnPath::from(field.name);
                properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
            }
            for name in ["time", "time_ns"] {
                // Each is another than those before, and not by much.
                let column = ColumnPath::from(name);
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), false)
                    .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
            }
            let properties = properties
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_created_by(format!("{CREATED_BY}{}", env!("CARGO_PKG_VERSION")))
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .set_key_value_metadata(Some(metadata(&columns)))
                .build();
            SerializedFileWriter::new(output, schema, Arc::new(properties))
        };
        self.file = Some(open().map_err(|error| said(&error))?);
        self.rows = Rows::of(&columns);
        self.columns = Some(columns);
        Ok(())
    }

    /// Writes the rows as a row group.
    fn flush(&mut self) -> Result<(), String> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        self.rows.settle();
        let mut write = || {
            let mut group = file.next_row_group()?;
            let mut levels = Vec::with_capacity(self.rows.count);
            for column in self.rows.columns() {
                if let Some(to) = group.next_column()? {
                    column.write(to, &mut levels)?;
                }
            }
            group.close()
        };
        write().map_err(|error| said(&error))?;
        self.rows.count = 0;
        Ok(())
    }

    fn note(&mut self, text: &str, columns: &LogColumns) -> Result<(), String> {
        self.notes.add(self.records, text);
        if self.notes.is_full() {
            self.begin(columns)?;
            self.write_notes()?;
        }
        Ok(())
    }

    fn write_notes(&mut self) -> Result<(), String> {
        match &mut self.file {
            Some(file) => self.notes.write(file).map_err(|error| said(&error)),
            None => Ok(()),
        }
    }
}

impl Writer for Parquet {
    fn item(&mut self, item: &Item<'_>, columns: &LogColumns) -> Result<(), String> {
        if let Some(due) = self.heading.due(item, columns) {
            let note = header_note(&due, |note| {
                let mut buffer = vec![0; 4096];
                let mut text = Text::new(&mut buffer);
                note.write(&mut text);
                text.finish().unwrap_or_default().to_owned()
            });
            self.note(&note, columns)?;
        }
        match item {
            Item::Record { time_ns, snapshot, record } => {
                self.begin(columns)?;
                if self.chosen.is_none() && columns.present.is_some() && columns.present != self.columns {
                    return Err("the columns of the log change here, which a Parquet file cannot; \
                                -O tells those that it shall have"
                        .into());
                }
                // Numbers that start again are of another run, also where no note says so.
                let log_start = self.log_start.filter(|_| *snapshot >= self.snapshot).unwrap_or(*time_ns);
                (self.log_start, self.snapshot) = (Some(log_start), *snapshot);
                self.rows.record(*time_ns, *snapshot, log_start, record);
                self.records += 1;
                // A log without snapshots has no better place to part it.
                if self.rows.count >= 2 * GROUP_ROWS { self.flush() } else { Ok(()) }
            }
            Item::Snapshot(header) => {
                self.begin(columns)?;
                self.note(&snapshot_note(header), columns)?;
                if self.rows.count >= GROUP_ROWS { self.flush() } else { Ok(()) }
            }
            Item::Note(note) => {
                if let Some(start_ns) = NoteText::read(note).and_then(|note| start_of(&note)) {
                    (self.log_start, self.snapshot) = (Some(start_ns), 0);
                }
                self.note(note, columns)
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.begin(&LogColumns::default())?;
        self.flush()?;
        self.write_notes()?;
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        for pair in std::mem::take(&mut self.notes).metadata() {
            file.append_key_value_metadata(pair);
        }
        file.close().map(|_| ()).map_err(|error| said(&error))
    }
}

/// What went wrong, without the name of the library.
fn said(error: &ParquetError) -> String {
    match error {
        ParquetError::External(error) => match error.downcast_ref::<std::io::Error>() {
            Some(error) => crate::log::said(error),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}
