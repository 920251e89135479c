// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Logs of TCP statistics, which the logger writes and the viewer reads: their
//! formats, their notes, and what a log says about connections and time.
//! Everything that depends on the format of a log is in its [`Format`], and
//! everything that a log says besides its records is a [`Note`].
//!
//! ```
//! use tcpstats::{Columns, Record, key};
//! use tcpstats_log::{Batch, EncoderOptions, Item, Log, OpenOptions, by_name};
//!
//! let format = by_name("csv").unwrap();
//! let columns = Columns::parse("lport").unwrap();
//! let mut encoder = format.encoder(EncoderOptions { columns: Some(columns.clone()), ..Default::default() });
//! let (mut batch, mut record) = (Batch::default(), Record::new());
//! record.set(key::lport, 443);
//! encoder.header(&mut batch, &columns).unwrap();
//! encoder.record(&mut batch, 1_764_000_000_000_000_000, 1, &record).unwrap();
//!
//! let path = std::env::temp_dir().join(format!("tcpstats_log.{}.csv", std::process::id()));
//! std::fs::write(&path, batch.filled()).unwrap();
//! let mut log = Log::open(&path, OpenOptions::default()).unwrap();
//! let Ok(Some(Item::Record { record, .. })) = log.next() else { panic!("a record") };
//! assert_eq!(record.get(key::lport), Some(443));
//! # std::fs::remove_file(&path).unwrap();
//! ```

#![forbid(unsafe_code)]

mod batch;
mod byte_counter;
mod changes;
mod columns;
mod connection_id;
mod error;
mod format;
mod full_snapshots;
mod input;
mod item;
mod note;
mod read;
mod time;
mod write;

pub use crate::batch::Batch;
pub use crate::byte_counter::{ByteCounter, RECEIVED, SENT};
pub use crate::changes::{Changes, Selected};
pub use crate::connection_id::{ConnectionId, End, ZonedEnd};
pub use crate::error::{EncodeError, Error, Position, Problem};
pub use crate::format::{
    Content, Encoder, EncoderOptions, Expected, FORMATS, Format, Pairs, by_extension, by_name, compared, extensions,
    names,
};
pub use crate::full_snapshots::{FullSnapshots, Snapshot};
pub use crate::input::{Input, Progress, Source, name};
pub use crate::item::{Current, Found, Item, LogColumns, LoggedNote, Reader, UnknownFields};
pub use crate::note::{
    ConnectionFields, ConnectionNote, GapNote, LogNote, Note, NoteError, SiftrDisable, SiftrEnable, Totals,
};
pub use crate::read::{Finding, FindingKind, Log, OpenOptions};
pub use crate::time::{
    Boot, Boots, Clock, Entry, Lifetimes, Moment, Monotone, Steps, Timeline, late_ns, seconds, slewed_ns,
};
pub use crate::write::{LogWriter, WriteError};
