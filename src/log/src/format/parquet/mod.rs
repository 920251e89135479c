// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Logs in Parquet, as `tcpstats convert` writes them, and as other programs
//! rewrite them: with other types, units, codecs and columns.
//!
//! A row is a record.  The notes are between the row groups: chunks that start
//! with [`layout::MAGIC`], of lines compressed with zstd.  A line contains the number of
//! records before the note, and the note.  The metadata contains the positions of
//! the chunks ([`layout::CHUNKS_KEY`]).  Readers of the rows ignore what no column refers
//! to.

#[cfg(not(feature = "parquet"))]
mod absent;
#[cfg(feature = "parquet")]
mod column_reader;
#[cfg(feature = "parquet")]
mod column_writer;
#[cfg(feature = "parquet")]
mod encoder;
#[cfg(feature = "parquet")]
mod layout;
#[cfg(feature = "parquet")]
mod notes_reader;
#[cfg(feature = "parquet")]
mod notes_writer;
#[cfg(feature = "parquet")]
mod reader;

#[cfg(not(feature = "parquet"))]
use self::absent::{encoder, reader};
#[cfg(feature = "parquet")]
use self::{encoder::encoder, reader::reader};
use super::api::{Encoder, EncoderOptions, Format};
use crate::error::Problem;
use crate::input::Source;
use crate::item::Reader;

/// The first bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";

/// The Parquet format of Apache.
pub struct Parquet;

impl Format for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn about(&self) -> &'static str {
        "Apache Parquet, compressed with zstd"
    }

    fn described(&self) -> &'static str {
        "a Parquet file"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["parquet"]
    }

    fn starts_like(&self, first: &[u8]) -> bool {
        first.starts_with(PARQUET)
    }

    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
        if source.is_compressed {
            return Err(Problem::CompressedParquet);
        }
        reader(source)
    }

    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder> {
        encoder(options)
    }

    fn is_appendable(&self) -> bool {
        false
    }

    fn is_binary(&self) -> bool {
        true
    }
}
