// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading of logs in Parquet.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use tcpstats::frame::flag;
use tcpstats::{Columns, Field, Header};

use super::column_reader::{Column, Content, Value, is_number, is_text, unit_of};
use super::notes_reader::Notes;
use crate::error::{Position, Problem};
use crate::input::{Progress, Source, is_stdin};
use crate::item::{Current, Found, Reader};

/// Returns a reader of the file, which is opened again: it is read from its end.
pub fn reader(source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
    if is_stdin(source.path) {
        return Err(Problem::ParquetPipe);
    }
    let file = File::open(source.path).map_err(Problem::System)?;
    Ok(Box::new(ParquetReader::new(Counted { file, progress: source.progress })?))
}

/// Number of rows that are read at once.
const BATCH: usize = 1024;

/// A file that reports its bytes as progress.
struct Counted {
    file: File,
    progress: Arc<dyn Progress>,
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
        self.progress.advance(length as u64);
        self.file.get_bytes(start, length)
    }
}

/// Reads a log in Parquet.
struct ParquetReader {
    file: SerializedFileReader<Counted>,
    columns: Vec<(Content, usize)>,
    present: Option<Columns>,
    group: usize,
    batch: Batch,
    row: u64,
    notes: Notes,
    /// The snapshot that is being read, if no note marks its end.
    unmarked: Option<Header>,
    /// The record after the end of such a snapshot, which has been read already.
    next_record: Option<Found>,
    /// Whether the notes were lost when another program copied the rows.
    is_without_notes: bool,
}

/// Some rows of a row group.
#[derive(Default)]
struct Batch {
    columns: Vec<Column>,
    rows: usize,
    next: usize,
    /// The number of rows of the row group that have not been read yet.
    left: usize,
}

impl ParquetReader {
    fn new(file: Counted) -> Result<Self, Problem> {
        let notes = file.file.try_clone().map_err(Problem::System)?;
        let file = SerializedFileReader::new(file).map_err(|error| Problem::Metadata(Box::new(error.into())))?;
        let metadata = file.metadata();
        let columns = columns_of(metadata)?;
        let codec = columns.iter().find_map(|(_, index)| unsupported_codec(metadata, *index));
        if let Some(codec) = codec {
            return Err(Problem::Codec(codec));
        }
        let notes = Notes::of(notes, metadata.file_metadata())?;
        let names: Vec<_> = columns
            .iter()
            .filter_map(|(content, _)| if let Content::Field(field) = content { Some(field.name) } else { None })
            .collect();
        let present = Columns::named(&names.join(",")).ok();
        let has_rows_of_notes = columns.iter().any(|(content, _)| matches!(content, Content::Note));
        Ok(Self {
            is_without_notes: notes.are_missing() && !has_rows_of_notes,
            file,
            columns,
            present,
            group: 0,
            batch: Batch::default(),
            row: 0,
            notes,
            unmarked: None,
            next_record: None,
        })
    }

    /// Reads the next rows; returns `false` at the end.
    fn fill(&mut self, current: &Current) -> Result<bool, ParquetError> {
        while self.batch.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.batch.columns.clear();
            for (content, index) in &self.columns {
                if !matches!(content, Content::Field(field) if !current.wanted.has(field)) {
                    let column = group.metadata().column(*index).column_descr();
                    self.batch.columns.push(Column::new(*content, column, group.get_column_reader(*index)?)?);
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

    /// Returns the next row, which must exist.
    fn found(&mut self, current: &mut Current) -> Result<Option<Found>, Problem> {
        let row = self.batch.next;
        self.batch.next += 1;
        self.row += 1;
        current.record.clear();
        let (mut time_ns, mut snapshot, mut is_note) = (None, None, false);
        for column in &mut self.batch.columns {
            let content = column.content;
            let Some(value) = column.take(row) else {
                continue;
            };
            match (content, value) {
                (Content::Time(unit_ns), Value::Number(number)) => {
                    time_ns =
                        Some(number.checked_mul(unit_ns).ok_or(Problem::Expected("a time before the year 2554"))?);
                }
                (Content::Snapshot, Value::Number(number)) => snapshot = Some(number),
                (Content::Note, Value::Text(note)) => {
                    is_note = true;
                    current.note.clear();
                    current.note.push_str(str::from_utf8(note).map_err(|_| Problem::Expected("a note in UTF-8"))?);
                }
                (Content::Field(field), value) => {
                    let set = match value {
                        Value::Number(number) => current.record.set_number(field, number),
                        Value::Text(text) => current.record.set_text(field, text),
                        Value::Other => None,
                    };
                    set.ok_or(Problem::Value(tcpstats::read::Expected::Value(field)))?;
                }
                (Content::Time(_), _) => return Err(Problem::Expected("a time after 1970")),
                (Content::Snapshot, _) => return Err(Problem::Expected("the number of a snapshot")),
                (Content::Note, _) => return Err(Problem::Expected("a note")),
            }
        }
        if is_note {
            return current.take_note();
        }
        let (time_ns, snapshot) = time_ns.zip(snapshot).ok_or(Problem::Expected("a time and a snapshot number"))?;
        Ok(Some(Found::Record { time_ns, snapshot }))
    }
}

impl Reader for ParquetReader {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, Problem> {
        if !self.is_without_notes {
            return self.next(current);
        }
        if current.columns.text != self.present {
            current.columns.text.clone_from(&self.present);
        }
        let found = match self.next_record.take() {
            Some(found) => Some(found),
            None => self.next(current)?,
        };
        let Some(Found::Record { time_ns, snapshot: number }) = found else {
            return Ok(self.unmarked.take().map(Found::Snapshot));
        };
        if let Some(ended) = self.unmarked.take_if(|header| header.sequence != number) {
            self.next_record = found;
            return Ok(Some(Found::Snapshot(ended)));
        }
        // Snapshots in the format of siftr(4) have no numbers.
        if number > 0 {
            let first = Header { sequence: number, wall_ns: time_ns, flags: flag::UNFINISHED, ..Header::default() };
            let header = self.unmarked.get_or_insert(first);
            let records = header.written + 1;
            (header.seen, header.matched, header.written) = (records, records, records);
        }
        Ok(found)
    }

    fn position(&self) -> Position {
        Position::Row(self.row)
    }
}

impl ParquetReader {
    /// Reads the next item of the file.
    fn next(&mut self, current: &mut Current) -> Result<Option<Found>, Problem> {
        if current.columns.present != self.present {
            current.columns.present.clone_from(&self.present);
        }
        loop {
            let after = Position::AfterRow(self.row);
            let note = self.notes.after(self.row).map_err(|problem| after.with(problem))?;
            if let Some(note) = note {
                note.clone_into(&mut current.note);
                match current.take_note() {
                    Ok(None) => continue,
                    found => return found.map_err(|problem| after.with(problem)),
                }
            }
            if self.batch.next == self.batch.rows {
                match self.fill(current) {
                    Ok(true) => (),
                    Ok(false) => return Ok(None),
                    Err(error) => {
                        // The following rows may be intact, but cannot be distinguished from damaged ones.
                        self.group = self.file.num_row_groups();
                        self.batch = Batch::default();
                        return Err(after.with(error.into()));
                    }
                }
            }
            match self.found(current) {
                Ok(None) => (),
                found => return found.map_err(|problem| self.position().with(problem)),
            }
        }
    }
}

/// Returns the contents of the columns and their indexes.  Columns that are not
/// fields are skipped: a later version or a database may add them.
fn columns_of(metadata: &ParquetMetaData) -> Result<Vec<(Content, usize)>, Problem> {
    let mut columns = Vec::new();
    let (mut times, mut exact_times) = (None, None);
    for (index, column) in metadata.file_metadata().schema_descr().columns().iter().enumerate() {
        let name = column.path().parts().first().cloned().unwrap_or_default();
        let field = Field::by_name(&name);
        if field.is_none() && !matches!(&name[..], "time" | "time_ns" | "snapshot" | "note") {
            continue;
        }
        let is_flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
        let wrong = || Problem::ColumnType(name.clone());
        match (&name[..], field) {
            ("time", _) => times = Some((unit_of(column).filter(|_| is_flat), index)),
            ("time_ns", _) if is_flat && is_number(column) => exact_times = Some(index),
            ("snapshot", _) if is_flat && is_number(column) => columns.push((Content::Snapshot, index)),
            ("note", _) if is_flat && is_text(column) => columns.push((Content::Note, index)),
            (_, Some(field)) if is_flat && (is_text(column) || is_number(column)) => {
                columns.push((Content::Field(field), index));
            }
            _ => return Err(wrong()),
        }
    }
    let time = match (exact_times, times) {
        (Some(index), _) => (Content::Time(1), index),
        (None, Some((Some(unit_ns), index))) => (Content::Time(unit_ns), index),
        (None, Some((None, _))) => {
            return Err(Problem::TimeUnit);
        }
        (None, None) => return Err(Problem::NoColumn("time")),
    };
    if !columns.iter().any(|(content, _)| matches!(content, Content::Snapshot)) {
        return Err(Problem::NoColumn("snapshot"));
    }
    columns.insert(0, time);
    Ok(columns)
}

/// Returns the compression of a column if it is not supported.
fn unsupported_codec(metadata: &ParquetMetaData, column: usize) -> Option<&'static str> {
    let mut codecs = metadata.row_groups().iter().map(|group| group.column(column).compression());
    codecs.any(|codec| codec == Compression::LZO).then_some("LZO")
}

impl From<ParquetError> for Problem {
    /// Converts an error without the name of the library.
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::General(what) | ParquetError::EOF(what) => Self::Parquet(what),
            other => Self::Parquet(other.to_string()),
        }
    }
}
