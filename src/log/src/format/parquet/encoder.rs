// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writing of logs in Parquet.
//!
//! Time is in microseconds, which all readers support, and again as the number of
//! nanoseconds.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use tcpstats::text::Text;
use tcpstats::{Columns, Field, Header, Record, csv};

use super::super::api::{Encoder, EncoderOptions};
use super::column_writer::{Column, parquet_type};
use super::layout::CREATED_BY;
use super::notes_writer::Notes;
use crate::batch::Batch;
use crate::error::EncodeError;
use crate::item::LoggedNote;
use crate::note::Note;

/// Minimum number of rows of a row group.  It ends with the snapshot that reaches
/// this number, so that the times of row groups do not overlap.
const GROUP_ROWS: usize = 128 * 1024;

/// Number of records that are split into columns together: as many as fit in the
/// first-level cache.
const WAITING: usize = 32;

/// Bytes on their way from the library into a batch.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn drain(&self, batch: &mut Batch) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !bytes.is_empty() {
            batch.bytes(&bytes);
            bytes.clear();
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a Parquet file.
struct ParquetEncoder {
    output: Pipe,
    chosen: Option<Columns>,
    /// The fields of the log at this position.
    present: Option<Columns>,
    /// `None` until the first record, which determines the columns.
    file: Option<SerializedFileWriter<Pipe>>,
    /// The columns of the file, once it is open.
    columns: Option<Columns>,
    rows: Rows,
    notes: Notes,
    /// The number of records in all row groups.
    records: u64,
    /// The time of the first note of the log or file, or without one the time of
    /// the first record.
    log_start: Option<u64>,
    /// The number of the last snapshot since then.
    snapshot: u64,
}

/// The rows of a row group.
#[derive(Default)]
struct Rows {
    count: usize,
    /// Records that have not been split into columns yet: splitting many is cheaper.
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
            self.split();
        }
    }

    /// Splits the waiting records into the columns of their fields.
    fn split(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        for (field, column) in &mut self.fields {
            column.values(&self.waiting, field);
        }
        self.waiting.clear();
    }

    /// Returns the columns in the order of the schema.
    fn columns(&mut self) -> impl Iterator<Item = &mut Column> {
        let fields = self.fields.iter_mut().map(|(_, column)| column);
        [&mut self.time, &mut self.time_ns, &mut self.snapshot, &mut self.log_start].into_iter().chain(fields)
    }
}

/// Returns the metadata about the columns: unit and meaning.
fn metadata(columns: &Columns) -> Vec<KeyValue> {
    let version = KeyValue::new("tcpstats.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let fields = columns.fields().map(|field| {
        let unit = if field.unit.name().is_empty() { String::new() } else { format!(" [{}]", field.unit.name()) };
        KeyValue::new(format!("tcpstats.field.{}", field.name), format!("{}{unit}", field.meaning))
    });
    std::iter::once(version).chain(fields).collect()
}

/// Returns the schema in the language of Parquet.
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

/// Returns the note of a snapshot, with what only the header of a frame contains.
fn snapshot_note(header: &Header) -> String {
    let mut buffer = [0; 512];
    let mut text = Text::new(&mut buffer);
    Note::Snapshot(*header).lend(|note| note.write(&mut text));
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

impl ParquetEncoder {
    /// Starts the file, whose columns must be known by now.
    fn begin(&mut self) -> Result<(), EncodeError> {
        if self.file.is_some() {
            return Ok(());
        }
        let present = || self.present.clone().unwrap_or_else(Columns::all);
        let columns = self.chosen.clone().unwrap_or_else(present);
        let output = self.output.clone();
        let open = || {
            let schema = Arc::new(parse_message_type(&schema(&columns))?);
            let mut properties = WriterProperties::builder();
            for field in columns.fields().filter(|field| field.kind.is_text()) {
                // The minimum and maximum of texts do not help to skip rows.
                let column = ColumnPath::from(field.name);
                properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
            }
            for name in ["time", "time_ns"] {
                // Each value differs from the one before by a small amount.
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
        self.file = Some(open()?);
        self.rows = Rows::of(&columns);
        self.columns = Some(columns);
        Ok(())
    }

    /// Writes the rows as a row group.
    fn flush(&mut self) -> Result<(), EncodeError> {
        if self.rows.count == 0 {
            return Ok(());
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        self.rows.split();
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
        write()?;
        self.rows.count = 0;
        Ok(())
    }

    fn add_note(&mut self, note: &Note<'_>, text: &str) -> Result<(), EncodeError> {
        self.notes.add(self.records, note, text);
        if self.notes.is_full() {
            self.begin()?;
            self.write_notes()?;
        }
        Ok(())
    }

    fn write_notes(&mut self) -> Result<(), EncodeError> {
        match &mut self.file {
            Some(file) => Ok(self.notes.write(file)?),
            None => Ok(()),
        }
    }
}

/// Returns an encoder.
pub fn encoder(options: EncoderOptions) -> Box<dyn Encoder> {
    Box::new(ParquetEncoder {
        output: Pipe::default(),
        chosen: options.columns,
        present: None,
        file: None,
        columns: None,
        rows: Rows::default(),
        notes: Notes::default(),
        records: 0,
        log_start: None,
        snapshot: 0,
    })
}

impl Encoder for ParquetEncoder {
    fn header(&mut self, batch: &mut Batch, columns: &Columns) -> Result<(), EncodeError> {
        let mut buffer = [0; csv::HEADER_MAX];
        let mut names = Text::new(&mut buffer);
        columns.write(&mut names);
        self.note(batch, &Note::Header { columns: names.finish() })
    }

    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError> {
        self.begin()?;
        if self.chosen.is_none() && self.present.is_some() && self.present != self.columns {
            return Err(EncodeError::ColumnsChange);
        }
        let time_ns = wall_ns.wrapping_add(record.at_ns);
        // Numbers that start again belong to another run, even if no note says so.
        let log_start = self.log_start.filter(|_| snapshot >= self.snapshot).unwrap_or(time_ns);
        (self.log_start, self.snapshot) = (Some(log_start), snapshot);
        self.rows.record(time_ns, snapshot, log_start, record);
        self.records += 1;
        // A log without snapshots has no better position to split it.
        if self.rows.count >= 2 * GROUP_ROWS {
            self.flush()?;
            self.output.drain(batch);
        }
        Ok(())
    }

    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        self.begin()?;
        self.add_note(&Note::Snapshot(*header), &snapshot_note(header))?;
        if self.rows.count >= GROUP_ROWS {
            self.flush()?;
        }
        self.output.drain(batch);
        Ok(())
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        let mut buffer = vec![0; 4096];
        let mut text = Text::new(&mut buffer);
        note.lend(|note| note.write(&mut text));
        let text = text.finish().unwrap_or_default();
        self.logged_note(batch, &LoggedNote { note: *note, text })
    }

    fn logged_note(&mut self, batch: &mut Batch, note: &LoggedNote<'_>) -> Result<(), EncodeError> {
        let start_ns = match note.note {
            Note::Log(log) => log.time_ns,
            Note::SiftrEnable(enable) => enable.time_ns,
            _ => None,
        };
        if let Some(start_ns) = start_ns {
            (self.log_start, self.snapshot) = (Some(start_ns), 0);
        }
        self.add_note(&note.note, note.text)?;
        self.output.drain(batch);
        Ok(())
    }

    fn end(&mut self, batch: &mut Batch) -> Result<(), EncodeError> {
        self.begin()?;
        self.flush()?;
        self.write_notes()?;
        if let Some(mut file) = self.file.take() {
            for pair in std::mem::take(&mut self.notes).metadata() {
                file.append_key_value_metadata(pair);
            }
            file.close()?;
        }
        self.output.drain(batch);
        Ok(())
    }

    fn present(&mut self, columns: Option<&Columns>) {
        self.present = columns.cloned();
    }
}

impl From<ParquetError> for EncodeError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}
