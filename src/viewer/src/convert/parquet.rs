// SPDX-License-Identifier: BSD-2-Clause

//! Parquet, the door to `DuckDB`, `ClickHouse`, Polars and Spark.
//!
//! A row is a record or a note: a note's row has its text in the column
//! `note`, and of the others time and snapshot at most, as an object of json
//! has.  So the log stays whole, and `where note is null` are its records.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use tcpstats::note::{self, NoteText};
use tcpstats::text::{Text, longest};
use tcpstats::{Columns, Field, Header, Kind, Record};

use super::{Heading, Output, Writer, header_note};
use crate::log::{Item, LogColumns};

/// Rows of a row group: it ends with the snapshot that reaches it, so that each
/// is of a time of its own.
const GROUP_ROWS: usize = 128 * 1024;

/// Records that wait for being put into columns, at most: as many as the nearest
/// cache holds.
const WAITING: usize = 32;

/// Values whose texts are known, a power of two.
const KNOWN: usize = 1024;

/// Texts that are written at once.
const BATCH: usize = 1024;

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
}

/// The rows of a row group.
#[derive(Default)]
struct Rows {
    count: usize,
    /// Records that are in no column of a field yet: many at once are cheaper.
    waiting: Vec<Record>,
    time: Column,
    snapshot: Column,
    fields: Vec<(&'static Field, Column)>,
    note: Column,
}

/// The texts of a column, each once or not much more often.
struct Texts {
    /// Of each value, which text it is.
    numbers: Vec<u32>,
    different: Vec<ByteArray>,
    /// Where a value's bytes hash to, which text they are.
    known: Vec<Known>,
}

/// A value's bytes as a record has them, and the number of its text.
#[derive(Clone, Default)]
struct Known {
    bytes: [u8; 32],
    number: Option<u32>,
}

impl Texts {
    fn new() -> Self {
        Self { numbers: Vec::new(), different: Vec::new(), known: vec![Known::default(); KNOWN] }
    }

    /// Appends a text.
    fn push(&mut self, text: &str) -> u32 {
        // There are not so many rows in a group.
        let number = u32::try_from(self.different.len()).unwrap_or(u32::MAX);
        self.different.push(ByteArray::from(text));
        self.numbers.push(number);
        number
    }

    /// Appends the text of a field's bytes.
    fn push_value(&mut self, bytes: &[u8], record: &Record, field: &Field) {
        let mut padded = [0; 32];
        padded[..bytes.len()].copy_from_slice(bytes);
        let fold = |hash: u64, word: &[u8; 8]| (hash ^ u64::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = &padded.as_chunks().0[..bytes.len().div_ceil(8)];
        let hash = words.iter().fold(0, fold) >> 32;
        let at = usize::try_from(hash).unwrap_or_default() % KNOWN;
        match self.known[at].number {
            Some(number) if self.known[at].bytes == padded => self.numbers.push(number),
            _ => {
                let mut buffer = [0; longest(Kind::Options)];
                let mut text = Text::new(&mut buffer);
                text.value(record, field);
                let number = self.push(text.finish().unwrap_or_default());
                self.known[at] = Known { bytes: padded, number: Some(number) };
            }
        }
    }

    /// Writes them, as many at once as the nearest cache holds, and forgets them.
    fn write(&mut self, mut to: SerializedColumnWriter<'_>, levels: &[i16]) -> Result<(), ParquetError> {
        let mut numbers = self.numbers.as_slice();
        let mut values = Vec::with_capacity(BATCH);
        for levels in levels.chunks(BATCH) {
            let present = levels.iter().filter(|level| **level == 1).count();
            let (these, rest) = numbers.split_at(present);
            numbers = rest;
            values.clear();
            values.extend(these.iter().map(|number| self.different[*number as usize].clone()));
            to.typed::<ByteArrayType>().write_batch(&values, Some(levels), None)?;
        }
        self.numbers.clear();
        self.different.clear();
        self.known.fill(Known::default());
        to.close()
    }
}

/// What a column holds of a row group: a value for each row that has one, and
/// for each row whether it has.
#[derive(Default)]
struct Column {
    values: Values,
    presence: Presence,
}

/// A bit for each row.
#[derive(Default)]
struct Presence {
    words: Vec<u64>,
    rows: usize,
}

impl Presence {
    /// Appends so many rows, 1 to 64 of them, the first at the lowest bit.
    fn push(&mut self, bits: u64, rows: usize) {
        let at = self.rows % 64;
        match self.words.last_mut() {
            Some(word) if at > 0 => {
                *word |= bits << at;
                if at + rows > 64 {
                    self.words.push(bits >> (64 - at));
                }
            }
            _ => self.words.push(bits),
        }
        self.rows += rows;
    }

    /// Takes the rows as the levels that Parquet knows.
    fn take(&mut self, levels: &mut Vec<i16>) {
        levels.clear();
        for word in &self.words {
            match *word {
                u64::MAX => levels.extend([1; 64]),
                word => levels.extend((0..64).map(|bit| (word >> bit & 1) as i16)),
            }
        }
        levels.truncate(self.rows);
        self.words.clear();
        self.rows = 0;
    }
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Texts),
}

impl Default for Values {
    fn default() -> Self {
        Self::Int64(Vec::new())
    }
}

impl Values {
    /// For the values of a kind.
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::Hex32 => Self::Int32(Vec::new()),
            Kind::U64 => Self::Int64(Vec::new()),
            Kind::Address | Kind::State | Kind::Options | Kind::Name16 | Kind::Name32 | Kind::Name64 => {
                Self::Text(Texts::new())
            }
        }
    }
}

/// How a kind of value stands in the schema.
fn parquet_type(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::U8 => ("int32", "INTEGER(8,false)"),
        Kind::U16 => ("int32", "INTEGER(16,false)"),
        Kind::U32 | Kind::Hex32 => ("int32", "INTEGER(32,false)"),
        Kind::U64 => ("int64", "INTEGER(64,false)"),
        Kind::Address | Kind::State | Kind::Options | Kind::Name16 | Kind::Name32 | Kind::Name64 => {
            ("binary", "STRING")
        }
    }
}

impl Column {
    fn new(values: Values) -> Self {
        Self { values, presence: Presence::default() }
    }

    fn absent(&mut self) {
        self.presence.push(0, 1);
    }

    #[allow(clippy::cast_possible_wrap, reason = "the bits are an unsigned number's")]
    fn number(&mut self, number: Option<u64>) {
        if let (Values::Int64(values), Some(number)) = (&mut self.values, number) {
            values.push(number as i64);
        }
        self.presence.push(number.is_some().into(), 1);
    }

    /// Appends what the records have in the field.
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "the bits are an unsigned number's")]
    fn values(&mut self, records: &[Record], field: &Field) {
        let mut present = 0;
        match &mut self.values {
            Values::Int32(values) => {
                for (row, record) in records.iter().enumerate() {
                    let number = record.number(field);
                    values.extend(number.map(|number| number as u32 as i32));
                    present |= u64::from(number.is_some()) << row;
                }
            }
            Values::Int64(values) => {
                for (row, record) in records.iter().enumerate() {
                    let number = record.number(field);
                    values.extend(number.map(|number| number as i64));
                    present |= u64::from(number.is_some()) << row;
                }
            }
            Values::Text(texts) => {
                for (row, record) in records.iter().enumerate() {
                    let bytes = record.bytes(field);
                    if let Some(bytes) = bytes {
                        texts.push_value(bytes, record, field);
                    }
                    present |= u64::from(bytes.is_some()) << row;
                }
            }
        }
        self.presence.push(present, records.len());
    }

    fn write(&mut self, mut to: SerializedColumnWriter<'_>, levels: &mut Vec<i16>) -> Result<(), ParquetError> {
        self.presence.take(levels);
        match &mut self.values {
            Values::Int32(values) => {
                to.typed::<Int32Type>().write_batch(values, Some(levels), None)?;
                values.clear();
            }
            Values::Int64(values) => {
                to.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                values.clear();
            }
            Values::Text(texts) => return texts.write(to, levels),
        }
        to.close()
    }
}

impl Rows {
    fn of(columns: &Columns) -> Self {
        Self {
            count: 0,
            waiting: Vec::with_capacity(WAITING),
            time: Column::new(Values::Int64(Vec::new())),
            snapshot: Column::new(Values::Int64(Vec::new())),
            fields: columns.fields().map(|field| (field, Column::new(Values::of(field.kind)))).collect(),
            note: Column::new(Values::Text(Texts::new())),
        }
    }

    fn record(&mut self, time_ns: u64, snapshot: u64, record: &Record) {
        self.time.number(Some(time_ns));
        self.snapshot.number(Some(snapshot));
        self.note.absent();
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

    fn note(&mut self, text: &str) {
        self.settle();
        let note = NoteText::read(text);
        self.time.number(note.and_then(|note| note.seconds("time")));
        self.snapshot.number(note.and_then(|note| note.number("snapshot")));
        for (_, column) in &mut self.fields {
            column.absent();
        }
        if let Values::Text(texts) = &mut self.note.values {
            texts.push(text);
            self.note.presence.push(1, 1);
        }
        self.count += 1;
    }

    fn columns(&mut self) -> impl Iterator<Item = &mut Column> {
        let fields = self.fields.iter_mut().map(|(_, column)| column);
        [&mut self.time, &mut self.snapshot].into_iter().chain(fields).chain([&mut self.note])
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
    let mut schema = "message tcpstats {\n optional int64 time (TIMESTAMP(NANOS,true));\n \
                      optional int64 snapshot (INTEGER(64,false));\n"
        .to_owned();
    for field in columns.fields() {
        let (physical, logical) = parquet_type(field.kind);
        schema.extend([" optional ", physical, " ", field.name, " (", logical, ");\n"]);
    }
    schema + " optional binary note (STRING);\n}"
}

/// The note of a snapshot, with what only a frame's header has.
fn snapshot_note(header: &Header) -> String {
    let mut buffer = [0; 512];
    let mut text = Text::new(&mut buffer);
    note::snapshot(header, |note| note.write(&mut text));
    if !header.walk_ns.is_multiple_of(1000) {
        text.str(" walk_ns=").number(header.walk_ns);
    }
    if header.mono_ns != 0 {
        text.str(" mono=").seconds9(header.mono_ns);
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
            rows: Rows::of(&Columns::all()),
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
            let properties = columns.fields().filter(|field| field.kind.is_text()).fold(
                // Of texts the least and greatest tell nobody which rows to leave out.
                WriterProperties::builder(),
                |properties, field| {
                    let column = ColumnPath::from(field.name);
                    properties.set_column_statistics_enabled(column, EnabledStatistics::None)
                },
            );
            let properties = properties
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_created_by(concat!("tcpstats ", env!("CARGO_PKG_VERSION")).to_owned())
                .set_statistics_enabled(EnabledStatistics::Chunk)
                // Each is another than those before, and not by much.
                .set_column_dictionary_enabled(ColumnPath::from("time"), false)
                .set_column_encoding(ColumnPath::from("time"), Encoding::DELTA_BINARY_PACKED)
                .set_key_value_metadata(Some(metadata(&columns)))
                .build();
            SerializedFileWriter::new(output, schema, Arc::new(properties))
        };
        self.file = Some(open().map_err(|error| said(&error))?);
        // Notes that came before the first record wait in rows without fields.
        let waiting = std::mem::replace(&mut self.rows, Rows::of(&columns));
        if let Values::Text(notes) = waiting.note.values {
            for note in &notes.different {
                self.rows.note(note.as_utf8().unwrap_or_default());
            }
        }
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

    fn note(&mut self, text: &str) -> Result<(), String> {
        self.rows.note(text);
        if self.rows.count < GROUP_ROWS {
            return Ok(());
        }
        self.begin(&LogColumns::default())?;
        self.flush()
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
            self.note(&note)?;
        }
        match item {
            Item::Record { time_ns, snapshot, record } => {
                self.begin(columns)?;
                if self.chosen.is_none() && columns.present.is_some() && columns.present != self.columns {
                    return Err("the columns of the log change here, which a Parquet file cannot; \
                                -O tells those that it shall have"
                        .into());
                }
                self.rows.record(*time_ns, *snapshot, record);
                // A log without snapshots has no better place to part it.
                if self.rows.count >= 2 * GROUP_ROWS { self.flush() } else { Ok(()) }
            }
            Item::Snapshot(header) => {
                self.begin(columns)?;
                self.note(&snapshot_note(header))
            }
            Item::Note(note) => self.note(note),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.begin(&LogColumns::default())?;
        self.flush()?;
        match self.file.take() {
            Some(file) => file.close().map(|_| ()).map_err(|error| said(&error)),
            None => Ok(()),
        }
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
