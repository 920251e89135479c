// SPDX-License-Identifier: BSD-2-Clause

//! Logs in Parquet, as `tcpstats convert` writes them, and as other programs
//! write them again: with other types, units, codecs and columns.
//!
//! A row is a record.  The notes are between the row groups: chunks that begin
//! with [`MAGIC`], of lines compressed with zstd, each the number of records
//! before the note, and the note.  The metadata tells where the chunks are
//! ([`CHUNKS_KEY`]).  Readers of the rows pass over what no column refers to.

mod column;
mod notes;

use std::fs::File;
use std::io::BufReader;

use bytes::Bytes;
use indicatif::ProgressBar;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use tcpstats::frame::flag;
use tcpstats::{Columns, Field, Header};

use self::column::{Column, Meaning, Value, is_number, is_text, unit_of};
use self::notes::Notes;
use super::{Current, Found, Reader, text};

/// How the metadata names what has written the file.
pub const CREATED_BY: &str = "tcpstats version ";

/// How a chunk of notes begins.
pub const MAGIC: &[u8] = b"TCPSNOTE";

/// The key of the metadata that has `offset:length` of each chunk of notes.
pub const CHUNKS_KEY: &str = "tcpstats.notes.chunks";

/// The key of the metadata that repeats the notes, without those of snapshots
/// and connections, for programs that read the metadata only.
pub const NOTES_KEY: &str = "tcpstats.notes";

/// The key of the metadata that has the number of notes which are not in
/// [`NOTES_KEY`] because it would be too long.
pub const OMITTED_KEY: &str = "tcpstats.notes.omitted";

/// Bytes of notes that are compressed together.
pub const CHUNK: usize = 1024 * 1024;

/// The most bytes of a chunk: its last note can be a long one.
const CHUNK_MAX: usize = 16 * CHUNK;

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
    notes: Notes,
    /// The snapshot that is being read, where no note tells where it ends.
    unmarked: Option<Header>,
    /// The record that follows the end of such a snapshot, and is read already.
    held: Option<Found>,
    /// Whether the notes were lost when another program has copied the rows.
    is_without_notes: bool,
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

impl Parquet {
    /// Reads that file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(file: Counted) -> Result<Self, String> {
        let notes = file.file.try_clone().map_err(|error| super::said(&error))?;
        let file = SerializedFileReader::new(file)
            .map_err(|error| format!("its metadata cannot be read: {}", said(&error)))?;
        let metadata = file.metadata();
        let columns = columns_of(metadata)?;
        let codec = columns.iter().find_map(|(_, index)| unsupported_codec(metadata, *index));
        if let Some(codec) = codec {
            return Err(format!(
                "it is compressed with {codec}, which is not supported; expected zstd, Snappy, gzip, LZ4, Brotli or none"
            ));
        }
        let notes = Notes::of(notes, metadata.file_metadata())?;
        let names: Vec<_> = columns
            .iter()
            .filter_map(|(meaning, _)| if let Meaning::Field(field) = meaning { Some(field.name) } else { None })
            .collect();
        let present = Columns::named(&names.join(",")).ok();
        let has_rows_of_notes = columns.iter().any(|(meaning, _)| matches!(meaning, Meaning::Note));
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
            held: None,
        })
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
                    let column = group.metadata().column(*index).column_descr();
                    self.batch.columns.push(Column::new(*meaning, column, group.get_column_reader(*index)?)?);
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
            let meaning = column.meaning;
            let Some(value) = column.take(row) else {
                continue;
            };
            match (meaning, value) {
                (Meaning::Time(unit_ns), Value::Number(number)) => {
                    time_ns = Some(number.checked_mul(unit_ns).ok_or("expected a time before the year 2554")?);
                }
                (Meaning::Snapshot, Value::Number(number)) => snapshot = Some(number),
                (Meaning::Note, Value::Text(note)) => {
                    is_note = true;
                    current.note.clear();
                    current.note.push_str(str::from_utf8(note).map_err(|_| "expected a note in UTF-8")?);
                }
                (Meaning::Field(field), value) => {
                    let set = match value {
                        Value::Number(number) => current.record.set_number(field, number),
                        Value::Text(text) => current.record.set_text(field, text),
                        Value::Other => None,
                    };
                    set.ok_or_else(|| format!("expected {}", tcpstats::read::Expected::Value(field)))?;
                }
                (Meaning::Time(_), _) => return Err("expected a time after 1970".into()),
                (Meaning::Snapshot, _) => return Err("expected the number of a snapshot".into()),
                (Meaning::Note, _) => return Err("expected a note".into()),
            }
        }
        if is_note {
            return text::note(current);
        }
        let (time_ns, snapshot) = time_ns.zip(snapshot).ok_or("expected a time and a snapshot's number")?;
        Ok(Some(Found::Record { time_ns, snapshot }))
    }
}

impl Reader for Parquet {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        if !self.is_without_notes {
            return self.next(current);
        }
        if current.columns.text != self.present {
            current.columns.text.clone_from(&self.present);
        }
        let found = match self.held.take() {
            Some(found) => Some(found),
            None => self.next(current)?,
        };
        let Some(Found::Record { time_ns, snapshot: number }) = found else {
            return Ok(self.unmarked.take().map(Found::Snapshot));
        };
        if let Some(ended) = self.unmarked.take_if(|header| header.sequence != number) {
            self.held = found;
            return Ok(Some(Found::Snapshot(ended)));
        }
        // The format of siftr(4) numbers no snapshots.
        if number > 0 {
            let first = Header { sequence: number, wall_ns: time_ns, flags: flag::UNFINISHED, ..Header::default() };
            let header = self.unmarked.get_or_insert(first);
            let records = header.written + 1;
            (header.seen, header.matched, header.written) = (records, records, records);
        }
        Ok(found)
    }

    fn place(&self) -> String {
        format!("row {}", self.row)
    }
}

impl Parquet {
    /// Reads the next item that is in the file.
    fn next(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        if current.columns.present != self.present {
            current.columns.present.clone_from(&self.present);
        }
        loop {
            let note = self.notes.after(self.row).map_err(|what| format!("after row {}: {what}", self.row))?;
            if let Some(note) = note {
                note.clone_into(&mut current.note);
                match text::note(current) {
                    Ok(None) => continue,
                    found => return found.map_err(|what| format!("after row {}: {what}", self.row)),
                }
            }
            if self.batch.next == self.batch.rows {
                match self.fill(current) {
                    Ok(true) => (),
                    Ok(false) => return Ok(None),
                    Err(error) => {
                        // What follows in the file may be whole, but cannot be told from what is not.
                        self.group = self.file.num_row_groups();
                        self.batch = Batch::default();
                        return Err(format!("after row {}: {}", self.row, said(&error)));
                    }
                }
            }
            match self.found(current) {
                Ok(None) => (),
                found => return found.map_err(|what| format!("{}: {what}", self.place())),
            }
        }
    }
}

/// What the columns are, and where: those that no record has are passed over,
/// as a later version or a database may have them.
fn columns_of(metadata: &ParquetMetaData) -> Result<Vec<(Meaning, usize)>, String> {
    const EXPECTED: &str = "expected a file that tcpstats convert has written";
    let mut columns = Vec::new();
    let (mut times, mut exact_times) = (None, None);
    for (index, column) in metadata.file_metadata().schema_descr().columns().iter().enumerate() {
        let name = column.path().parts().first().cloned().unwrap_or_default();
        let field = Field::by_name(&name);
        if field.is_none() && !matches!(&name[..], "time" | "time_ns" | "snapshot" | "note") {
            continue;
        }
        let is_flat = column.max_rep_level() == 0 && column.max_def_level() <= 1;
        let wrong = || format!("the column {name} is of another type than convert writes; {EXPECTED}");
        match (&name[..], field) {
            ("time", _) => times = Some((unit_of(column).filter(|_| is_flat), index)),
            ("time_ns", _) if is_flat && is_number(column) => exact_times = Some(index),
            ("snapshot", _) if is_flat && is_number(column) => columns.push((Meaning::Snapshot, index)),
            ("note", _) if is_flat && is_text(column) => columns.push((Meaning::Note, index)),
            (_, Some(field)) if is_flat && (is_text(column) || is_number(column)) => {
                columns.push((Meaning::Field(field), index));
            }
            _ => return Err(wrong()),
        }
    }
    let time = match (exact_times, times) {
        (Some(index), _) => (Meaning::Time(1), index),
        (None, Some((Some(unit_ns), index))) => (Meaning::Time(unit_ns), index),
        (None, Some((None, _))) => {
            return Err("the column time has no unit; expected a TIMESTAMP, or a column time_ns beside it".into());
        }
        (None, None) => return Err(format!("it has no column time; {EXPECTED}")),
    };
    if !columns.iter().any(|(meaning, _)| matches!(meaning, Meaning::Snapshot)) {
        return Err(format!("it has no column snapshot; {EXPECTED}"));
    }
    columns.insert(0, time);
    Ok(columns)
}

/// A compression of the column that cannot be undone.
fn unsupported_codec(metadata: &ParquetMetaData, column: usize) -> Option<&'static str> {
    let mut codecs = metadata.row_groups().iter().map(|group| group.column(column).compression());
    codecs.any(|codec| codec == Compression::LZO).then_some("LZO")
}

/// What went wrong, without the name of the library.
fn said(error: &ParquetError) -> String {
    match error {
        ParquetError::General(what) | ParquetError::EOF(what) => what.clone(),
        other => other.to_string(),
    }
}
