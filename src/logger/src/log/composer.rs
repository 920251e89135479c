// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Composes the bytes of the log from snapshots and notes.

use std::ffi::OsStr;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tcpstats::frame::Frame;
use tcpstats::{Columns, Compared, Field, FieldSet, Header, Record};
use tcpstats_log::{
    Batch, ConnectionFields, ConnectionNote, EncodeError, Encoder, Expected, LogNote, Note, Totals, compared,
};
use tcpstats_source::system::{System, wall_ns};

use super::file::Found;
use crate::options::{Layout, Options};
use crate::status::Counters;

/// Why the log is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The run continues in another file.
    Rotated,
    /// The run is over.
    End,
}

/// The bytes that are going to be written, and what is needed to compose them.
pub struct Composer {
    /// What is expected of a log that exists.
    pub expected: Expected,
    /// The format, and the columns of the current file.
    pub layout: Layout,
    /// The sandbox of the process.
    pub sandbox: String,
    encoder: Box<dyn Encoder>,
    batch: Batch,
    /// Why the batch cannot be composed, if it cannot.
    error: Option<EncodeError>,
    system: System,
    source: String,
    interval: Duration,
    /// The argument of `-O`, and the columns of the current file if it has others.
    columns_text: String,
    own_columns: Option<String>,
    filter: String,
    keyframe_every: Option<Duration>,
}

impl Composer {
    /// Creates an empty batch.  `is_live` means that the source is this system.
    pub fn new(options: &Options, source: &OsStr, is_live: bool) -> Self {
        let mut system = System::this();
        if !is_live {
            // Frames that were recorded earlier may be from another boot.
            system.boot = None;
        }
        Self {
            expected: Expected {
                columns: options.layout.columns.clone(),
                takes_other_columns: !options.has_columns,
                sampled: None,
            },
            encoder: options.layout.encoder(system.version),
            layout: options.layout.clone(),
            sandbox: String::new(),
            batch: Batch::default(),
            error: None,
            system,
            source: source.display().to_string(),
            interval: options.interval,
            columns_text: options.columns_text.clone(),
            own_columns: None,
            filter: options.filter_text.clone(),
            keyframe_every: options.keyframe_every,
        }
    }

    /// Returns the bytes to write.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent what was composed.
    pub fn bytes(&mut self) -> io::Result<&[u8]> {
        match self.error.take() {
            Some(error) => Err(io::Error::other(error)),
            None => Ok(self.batch.filled()),
        }
    }

    /// Starts another batch after one that was not written.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.encoder.settle(false);
    }

    /// Registers that the batch was written.
    pub fn written(&mut self) {
        self.encoder.settle(true);
    }

    /// Starts a file, which may have columns of its own.
    pub fn begin_file(&mut self, found: &Found) {
        self.own_columns = found.columns.as_ref().map(names);
        self.layout.columns = found.columns.as_ref().unwrap_or(&self.expected.columns).clone();
        self.encoder = self.layout.encoder(self.system.version);
    }

    /// Returns whether the log contains the field.
    pub fn shows(&self, field: &Field) -> bool {
        self.layout.fields().has(field)
    }

    /// Returns how records are compared in a log of changes.
    pub fn compared(&self) -> Compared {
        compared(&self.layout.fields())
    }

    /// Returns whether the frames of the source are those of the log.
    pub fn is_frames(&self) -> bool {
        self.layout.format.is_some_and(tcpstats_log::Format::is_frames)
    }

    /// Appends a note.
    pub fn note(&mut self, note: &Note<'_>) {
        if let Err(error) = self.encoder.note(&mut self.batch, note) {
            self.error.get_or_insert(error);
        }
    }

    /// Appends the first lines of a run or a file.
    pub fn head(&mut self, found: &Found) {
        if found.torn_bytes > 0 {
            self.note(&Note::Torn { bytes: Some(found.torn_bytes) });
        }
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let note = Note::Log(LogNote {
            version: Some(env!("CARGO_PKG_VERSION")),
            time_ns: Some(wall_ns()),
            host: Some(&self.system.host),
            system: Some(&self.system.name),
            source: Some(&self.source),
            interval_us: Some(us(self.interval)),
            columns: Some(self.own_columns.as_ref().unwrap_or(&self.columns_text)),
            filter: Some(&self.filter),
            sandbox: Some(&self.sandbox),
            boot: self.system.boot.as_deref(),
            keyframe_us: self.keyframe_every.map(us),
        });
        let mut composed = self.encoder.note(&mut self.batch, &note);
        if !found.continued && self.encoder.has_header_row() {
            composed = composed.and(self.encoder.header(&mut self.batch, &self.layout.columns));
        }
        if let Err(error) = composed {
            self.error.get_or_insert(error);
        }
    }

    /// Appends the closing lines.
    pub fn end(&mut self, closing: Closing, counters: &Counters) {
        let count = |counter: &AtomicU64| Some(counter.load(Relaxed));
        let totals = Totals {
            time_ns: Some(wall_ns()),
            snapshots: count(&counters.snapshots),
            records: count(&counters.records),
            missed_ticks: count(&counters.missed_ticks),
            dropped: count(&counters.dropped),
        };
        self.note(&match closing {
            Closing::Rotated => Note::Rotated(totals),
            Closing::End => Note::End(totals),
        });
        if let Err(error) = self.encoder.end(&mut self.batch) {
            self.error.get_or_insert(error);
        }
    }

    /// Appends a snapshot; returns the number of records that are logged.
    ///
    /// # Errors
    /// Returns an error if the format cannot represent it.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<u64, EncodeError> {
        self.encoder.frame(&mut self.batch, frame)
    }

    /// Appends the note of a connection that opened or closed.
    pub fn connection(&mut self, header: &Header, record: &Record, is_open: bool) {
        let note = ConnectionNote {
            time_ns: Some(header.wall_ns),
            snapshot: Some(header.sequence),
            fields: ConnectionFields::Record(record),
        };
        self.note(&if is_open { Note::Open(note) } else { Note::Close(note) });
    }

    /// Sets the fields that the source provides.
    pub fn sampled(&mut self, fields: FieldSet) {
        self.expected.sampled = Some(fields);
    }
}

/// Returns the names of columns separated by commas, which mean the same in every
/// version.
fn names(columns: &Columns) -> String {
    columns.fields().map(|field| field.name).collect::<Vec<_>>().join(",")
}
