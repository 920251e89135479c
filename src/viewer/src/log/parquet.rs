// SPDX-License-Identifier: BSD-2-Clause

//! Logs in Parquet, as `tcpstats convert` writes them.

use std::fs::File;
use std::io::BufReader;

use bytes::Bytes;
use indicatif::ProgressBar;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use tcpstats::{Columns, Field};

use super::{Current, Found, Reader, text};

/// Rows that are read at once.
const BATCH: usize = 1024;

/// A file whose bytes are progress.
pub struct Counted {
    pub file: File,
    pub bar: ProgressBar,
}

impl Length for Counted {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Counted {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.bar.inc(length as u64);
        self.file.get_bytes(start, length)
    }
}

/// A log in Parquet while it is read.
pub struct Parquet {
    file: SerializedFileReader<Counted>,
    columns: Vec<(Meaning, usize)>,
    present: Option<Columns>,
    group: usize,
    batch: Batch,
    row: u64,
}

/// What a column is.
#[derive(Clone, Copy)]
enum Meaning {
    Time,
    Snapshot,
    Note,
    Field(&'static Field),
}

/// Some rows of a row group.
#[derive(Default)]
struct Batch {
    columns: Vec<Column>,
    rows: usize,
    next: usize,
    /// Rows of the row group that are not read yet.
    left: usize,
}

/// A column of a batch.
struct Column {
    meaning: Meaning,
    reader: ColumnReader,
    levels: Vec<i16>,
    values: Values,
    /// The value that comes next.
    next: usize,
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Vec<ByteArray>),
}

impl Parquet {
    /// Reads that file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(file: Counted) -> Result<Self, String> {
        let file = SerializedFileReader::new(file)
            .map_err(|error| format!("it is no whole Parquet file: {}", said(&error)))?;
        let mut columns = Vec::new();
        for (index, column) in file.metadata().file_metadata().schema_descr().columns().iter().enumerate() {
            let name = column.path().string();
            let meaning = match &name[..] {
                "time" => Meaning::Time,
                "snapshot" => Meaning::Snapshot,
                "note" => Meaning::Note,
                name => Meaning::Field(Field::by_name(name).ok_or_else(|| {
                    format!("no field is named \"{name}\"; expected a file that tcpstats convert has written")
                })?),
            };
            if column.max_rep_level() > 0 || column.max_def_level() > 1 {
                return Err(format!("the column {name} is nested; expected a file that tcpstats convert has written"));
            }
            columns.push((meaning, index));
        }
        let has = |is: fn(&Meaning) -> bool| columns.iter().any(|(meaning, _)| is(meaning));
        if !has(|meaning| matches!(meaning, Meaning::Time)) || !has(|meaning| matches!(meaning, Meaning::Snapshot)) {
            return Err("it has no columns time and snapshot; expected a file that tcpstats convert has written".into());
        }
        let names: Vec<_> = columns
            .iter()
            .filter_map(|(meaning, _)| if let Meaning::Field(field) = meaning { Some(field.name) } else { None })
            .collect();
        let present = Columns::named(&names.join(",")).ok();
        Ok(Self { file, columns, present, group: 0, batch: Batch::default(), row: 0 })
    }

    /// Makes the next rows ready; false at the end.
    fn fill(&mut self, current: &Current) -> Result<bool, ParquetError> {
        while self.batch.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.batch.columns.clear();
            for (meaning, index) in &self.columns {
                if !matches!(meaning, Meaning::Field(field) if !current.wanted.has(field)) {
                    self.batch.columns.push(Column::new(*meaning, group.get_column_reader(*index)?)?);
                }
            }
            self.batch.left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
        }
        self.batch.rows = BATCH.min(self.batch.left);
        self.batch.left -= self.batch.rows;
        self.batch.next = 0;
        for column in &mut self.batch.columns {
            column.fill(self.batch.rows)?;
        }
        Ok(true)
    }

    /// Reads the next row, which is there.
    fn found(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        let row = self.batch.next;
        self.batch.next += 1;
        self.row += 1;
        current.record.clear();
        let (mut time_ns, mut snapshot, mut is_note) = (None, None, false);
        for column in &mut self.batch.columns {
            if column.levels.get(row) != Some(&1) {
                continue;
            }
            let at = column.next;
            column.next += 1;
            match (column.meaning, column.values.at(at)) {
                (Meaning::Time, Some(Value::Number(number))) => time_ns = Some(number),
                (Meaning::Snapshot, Some(Value::Number(number))) => snapshot = Some(number),
                (Meaning::Note, Some(Value::Text(note))) => {
                    is_note = true;
                    current.note.clear();
                    current.note.push_str(str::from_utf8(note).map_err(|_| "expected a note in UTF-8")?);
                }
                (Meaning::Field(field), Some(value)) => {
                    let set = match value {
                        Value::Number(number) => current.record.set_number(field, number),
                        Value::Text(text) => current.record.set_text(field, text),
                    };
                    set.ok_or_else(|| format!("expected {}", tcpstats::read::Expected::Value(field)))?;
                }
                (Meaning::Time | Meaning::Snapshot | Meaning::Note, _) | (Meaning::Field(_), None) => {
                    return Err("a value is of another type than its column's".into());
                }
            }
        }
        if is_note {
            return text::note(current);
        }
        let (time_ns, snapshot) = time_ns.zip(snapshot).ok_or("expected a time and a snapshot's number")?;
        Ok(Some(Found::Record { time_ns, snapshot }))
    }
}

/// A value of a row.
enum Value<'a> {
    Number(u64),
    Text(&'a [u8]),
}

impl Values {
    #[allow(clippy::cast_sign_loss, reason = "the bits are an unsigned number's")]
    fn at(&self, index: usize) -> Option<Value<'_>> {
        match self {
            Self::Int32(values) => values.get(index).map(|value| Value::Number((*value as u32).into())),
            Self::Int64(values) => values.get(index).map(|value| Value::Number(*value as u64)),
            Self::Text(values) => values.get(index).map(|value| Value::Text(value.data())),
        }
    }
}

impl Column {
    fn new(meaning: Meaning, reader: ColumnReader) -> Result<Self, ParquetError> {
        let values = match &reader {
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Text(Vec::new()),
            _ => return Err(ParquetError::General("a column is of a type that no field has".into())),
        };
        Ok(Self { meaning, reader, levels: Vec::new(), values, next: 0 })
    }

    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.next = 0;
        self.levels.clear();
        match (&mut self.reader, &mut self.values) {
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => {
                read(reader, rows, &mut self.levels, values)
            }
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => {
                read(reader, rows, &mut self.levels, values)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Values::Text(values)) => {
                read(reader, rows, &mut self.levels, values)
            }
            _ => Ok(()),
        }
    }
}

/// Reads so many rows of a column.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<(), ParquetError> {
    values.clear();
    let mut found = 0;
    while found < rows {
        let (records, read, _) = reader.read_records(rows - found, Some(levels), None, values)?;
        if records == 0 {
            return Err(ParquetError::EOF("a column ends before its row group does".into()));
        }
        found += records;
        // A column that has a value in every row has no levels.
        if levels.is_empty() && read > 0 {
            levels.resize(found, 1);
        }
    }
    Ok(())
}

impl Reader for Parquet {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        if current.columns.present != self.present {
            current.columns.present.clone_from(&self.present);
        }
        loop {
            if self.batch.next == self.batch.rows {
                match self.fill(current) {
                    Ok(true) => (),
                    Ok(false) => return Ok(None),
                    Err(error) => {
                        // What follows in the file may be whole, but cannot be told from what is not.
                        self.group = self.file.num_row_groups();
                        self.batch = Batch::default();
                        return Err(format!("behind row {}: {}", self.row, said(&error)));
                    }
                }
            }
            match self.found(current) {
                Ok(None) => (),
                found => return found.map_err(|what| format!("{}: {what}", self.place())),
            }
        }
    }

    fn place(&self) -> String {
        format!("row {}", self.row)
    }
}

/// What went wrong, without the name of the library.
fn said(error: &ParquetError) -> String {
    match error {
        ParquetError::General(what) | ParquetError::EOF(what) => what.clone(),
        other => other.to_string(),
    }
}
