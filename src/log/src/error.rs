// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Errors of logs.  None of them includes the text of its cause.

use std::fmt;
use std::io;

use tcpstats::read::{Expected, RowError};
use tcpstats::stream::StreamError;

use crate::note::NoteError;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system cannot open or read the log.
    #[error("{log}")]
    System {
        /// The name of the log.
        log: String,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The contents of the log cannot be read.
    #[error("{log}")]
    Log {
        /// The name of the log.
        log: String,
        /// What is wrong with it.
        #[source]
        problem: Box<Problem>,
    },
    /// No log was named.
    #[error("expected the name of a log")]
    NoLog,
}

impl Error {
    pub(crate) fn new(log: &str, problem: Problem) -> Self {
        match problem {
            Problem::System(cause) => Self::System { log: log.to_owned(), cause },
            problem => Self::Log { log: log.to_owned(), problem: Box::new(problem) },
        }
    }
}

/// A position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line, from 1.
    Line(u64),
    /// After a line.
    AfterLine(u64),
    /// An offset in bytes.
    Byte(u64),
    /// A row of a table, from 1.
    Row(u64),
    /// After a row of a table.
    AfterRow(u64),
    /// The end of the log.
    End,
}

impl Position {
    /// Returns a problem at this position.
    pub(crate) fn with(self, problem: Problem) -> Problem {
        Problem::At { position: self, problem: Box::new(problem) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::AfterLine(number) => write!(f, "after line {number}"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::Row(number) => write!(f, "row {number}"),
            Self::AfterRow(number) => write!(f, "after row {number}"),
            Self::End => f.write_str("at its end"),
        }
    }
}

/// What is wrong with the contents of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A problem at a position.
    #[error("{position}")]
    At {
        /// Where it is.
        position: Position,
        /// What it is.
        #[source]
        problem: Box<Problem>,
    },
    /// The system cannot open the log, or a part of it.
    #[error("cannot open it")]
    System(#[source] io::Error),
    /// The system cannot read the log.
    #[error("read error")]
    Read(#[source] io::Error),
    /// The path leads to a directory.
    #[error("is a directory; expected a log")]
    Directory,
    /// The text is in UTF-16.
    #[error("text in UTF-16; convert it to UTF-8, for example with iconv -f UTF-16 -t UTF-8")]
    Utf16,
    /// No format starts like this.
    #[error("not a tcpstats log (expected {expected})")]
    NotALog {
        /// The names of the formats.
        expected: String,
    },
    /// The program was built without decompression.
    #[error("is compressed, but this program was built without the feature compressed; pipe it through {0}")]
    Compressed(&'static str),
    /// The program was built without Parquet.
    #[error("is a Parquet file, but this program was built without the feature convert")]
    WithoutParquet,
    /// A Parquet file is compressed as a whole.
    #[error("a compressed Parquet file cannot be read; decompress it first")]
    CompressedParquet,
    /// A Parquet file is read from its end.
    #[error("a Parquet file cannot be read from a pipe; expected its name")]
    ParquetPipe,
    /// The last line has no line break.
    #[error("the line is truncated; expected a line break")]
    TruncatedLine,
    /// The line is longer than any line of a log.
    #[error("the line is longer than any line of a log")]
    LongLine,
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A field has a value that it cannot have.
    #[error("expected {0}")]
    Value(Expected),
    /// A row does not have the expected cells.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A row does not have as many cells as the header row.
    #[error("expected {expected} cells in the row, found {found}")]
    Cells {
        /// The number of columns.
        expected: usize,
        /// The number of cells.
        found: usize,
    },
    /// A column cannot belong to a log.
    #[error("{0}")]
    Column(String),
    /// A note is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A frame is damaged.
    #[error(transparent)]
    Frame(StreamError),
    /// More connections have ended in the log than memory allows.
    #[error("more than {max} connections have ended; select some of them with -e")]
    ManyEnded {
        /// The maximum number that is held in memory.
        max: usize,
    },
    /// A snapshot in the log is larger than memory allows.
    #[error("snapshot {snapshot} has more than {max} records to show; select some of them with -e")]
    LargeSnapshot {
        /// The number of the snapshot.
        snapshot: u64,
        /// The maximum.
        max: usize,
    },
    /// The metadata of a Parquet file cannot be read.
    #[error("cannot read the metadata")]
    Metadata(#[source] Box<Problem>),
    /// A key in the metadata of a Parquet file has a damaged value.
    #[error("{0} in the metadata is damaged")]
    MetadataKey(&'static str),
    /// The contents of a Parquet file are damaged.
    #[error("{0}")]
    Parquet(String),
    /// A Parquet file is compressed in an unsupported way.
    #[error("is compressed with {0}, which is not supported; expected zstd, Snappy, gzip, LZ4, Brotli or none")]
    Codec(&'static str),
    /// A column of a Parquet file has another type.
    #[error("column {0} has an unexpected type; expected a file written by tcpstats convert")]
    ColumnType(String),
    /// A Parquet file lacks a column.
    #[error("has no column {0}; expected a file written by tcpstats convert")]
    NoColumn(&'static str),
    /// The time in a Parquet file has no unit.
    #[error("column time has no unit; expected a TIMESTAMP or an additional column time_ns")]
    TimeUnit,
    /// The notes in a Parquet file cannot be read.
    #[error("cannot read the notes")]
    Notes(#[source] Box<Problem>),
    /// Data is damaged.
    #[error("they are damaged")]
    Damaged,
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => Self::Read(error),
            error => Self::Frame(error),
        }
    }
}

/// Why a log cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The log contains only changes, and the format needs complete snapshots.
    #[error("the log contains changes only, which the format of siftr(4) cannot represent")]
    ChangesOnly,
    /// The columns of the log change, and the format needs the same in all rows.
    #[error("the columns of the log change here, which a Parquet file cannot represent; select columns with -O")]
    ColumnsChange,
    /// A Parquet file cannot be encoded.
    #[error("{0}")]
    Parquet(String),
    /// The compression of notes failed.
    #[error("cannot compress the notes")]
    Notes(#[source] io::Error),
}
