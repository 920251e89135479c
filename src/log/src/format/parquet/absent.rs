// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A program that was built without Parquet.

use tcpstats::{Columns, Header, Record};

use super::super::api::{Encoder, EncoderOptions};
use crate::batch::Batch;
use crate::error::{EncodeError, Problem};
use crate::input::Source;
use crate::item::Reader;
use crate::note::Note;

/// Returns the error that the file cannot be read.
pub fn reader(_: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
    Err(Problem::WithoutParquet)
}

/// Returns an encoder that fails.
pub fn encoder(_: EncoderOptions) -> Box<dyn Encoder> {
    Box::new(Absent)
}

struct Absent;

fn failed() -> Result<(), EncodeError> {
    Err(EncodeError::Parquet("this program was built without the feature convert".into()))
}

impl Encoder for Absent {
    fn header(&mut self, _: &mut Batch, _: &Columns) -> Result<(), EncodeError> {
        failed()
    }

    fn record(&mut self, _: &mut Batch, _: u64, _: u64, _: &Record) -> Result<(), EncodeError> {
        failed()
    }

    fn snapshot(&mut self, _: &mut Batch, _: &Header) -> Result<(), EncodeError> {
        failed()
    }

    fn note(&mut self, _: &mut Batch, _: &Note<'_>) -> Result<(), EncodeError> {
        failed()
    }
}
