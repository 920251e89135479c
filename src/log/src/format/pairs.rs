// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Lines of `key=value` pairs, for syslog.  Not a format of files.

use tcpstats::{Columns, Header, Record, pairs};

use super::api::Encoder;
use crate::batch::Batch;
use crate::error::EncodeError;
use crate::note::Note;

/// Writes records and notes as `key=value` pairs.
#[derive(Debug)]
pub struct Pairs {
    columns: Columns,
}

impl Pairs {
    /// Writes these columns.
    #[must_use]
    pub fn new(columns: Columns) -> Self {
        Self { columns }
    }
}

impl Encoder for Pairs {
    fn header(&mut self, _: &mut Batch, columns: &Columns) -> Result<(), EncodeError> {
        self.columns = columns.clone();
        Ok(())
    }

    #[inline]
    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError> {
        batch.line(pairs::ROW_MAX, |text| pairs::row(text, &self.columns, wall_ns, snapshot, record));
        Ok(())
    }

    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        self.note(batch, &Note::Snapshot(*header))
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        note.lend(|note| batch.note(note, pairs::note));
        Ok(())
    }
}
