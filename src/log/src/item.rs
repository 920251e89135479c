// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What a log consists of, whatever its format.

use std::collections::BTreeSet;

use tcpstats::{Columns, FieldSet, Header, Record};

use crate::columns::known_columns;
use crate::error::{Position, Problem};
use crate::note::Note;

/// A part of a log, in the order of the log.
#[derive(Debug)]
pub enum Item<'a> {
    /// One connection at one instant.  The next [`Item::Snapshot`] is the one that
    /// it belongs to.
    Record {
        /// Nanoseconds since the Epoch.
        time_ns: u64,
        /// The number of the snapshot; 0 in the format of siftr(4), which has none.
        snapshot: u64,
        /// The fields; `at_ns` is 0.
        record: &'a Record,
    },
    /// The end of the snapshot that the records before it belong to.
    Snapshot(Header),
    /// A note other than that of a snapshot.
    Note(LoggedNote<'a>),
}

/// A note, and its text as the log has it.
#[derive(Clone, Copy, Debug)]
pub struct LoggedNote<'a> {
    /// The note.
    pub note: Note<'a>,
    /// Its text, `name key=value …`.
    pub text: &'a str,
}

/// The fields in a log, as far as it has been read.
#[derive(Clone, Debug, Default)]
pub struct LogColumns {
    /// The columns of its text: those of its header row, or those that its first
    /// note names.
    pub text: Option<Columns>,
    /// The fields that its records may have, if the format knows.
    pub present: Option<Columns>,
}

/// An item whose contents are in [`Current`].
#[derive(Debug)]
pub enum Found {
    /// A record.
    Record {
        /// Nanoseconds since the Epoch.
        time_ns: u64,
        /// The number of the snapshot.
        snapshot: u64,
    },
    /// The end of a snapshot.
    Snapshot(Header),
    /// A note.
    Note,
}

/// The item that was read last, in memory that is reused.
#[derive(Debug)]
pub struct Current {
    /// The record.
    pub record: Record,
    /// The text of the note.
    pub note: String,
    /// The columns of the log at this position.
    pub columns: LogColumns,
    /// The fields to read.
    pub wanted: FieldSet,
    /// The fields that this version does not support.
    pub unknown: UnknownFields,
}

impl Current {
    pub(crate) fn new() -> Self {
        Self {
            record: Record::new(),
            note: String::new(),
            columns: LogColumns::default(),
            wanted: FieldSet::ALL,
            unknown: UnknownFields::default(),
        }
    }

    /// Processes the note whose text is in `note`, and returns `None` if it only
    /// names the columns.
    pub(crate) fn take_note(&mut self) -> Result<Option<Found>, Problem> {
        let (columns, found) = match Note::read(&self.note)? {
            Note::Snapshot(header) => return Ok(Some(Found::Snapshot(header))),
            Note::Log(log) => {
                if let (Some(version), Some(_)) = (log.version, log.columns) {
                    version.clone_into(&mut self.unknown.version);
                }
                (log.columns, Some(Found::Note))
            }
            Note::Header { columns } => (columns, None),
            _ => (None, Some(Found::Note)),
        };
        if let Some(columns) = columns {
            self.columns.text = Some(known_columns(columns, |name| self.unknown.add(name))?);
        }
        Ok(found)
    }
}

/// A reader of one format.
pub trait Reader {
    /// Reads the next item, or returns `None` at the end of the log.
    ///
    /// # Errors
    /// Returns what is wrong.  The next call continues after it, or is at the end.
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, Problem>;

    /// Returns the position of the last item.
    fn position(&self) -> Position;
}

/// Names of fields that this version does not support.
#[derive(Debug, Default)]
pub struct UnknownFields {
    /// The version that wrote the log, according to the log.
    version: String,
    names: BTreeSet<String>,
    /// Whether there are names that were not reported.
    pub(crate) is_new: bool,
}

impl UnknownFields {
    /// Adds a name.
    pub(crate) fn add(&mut self, name: &str) {
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
            self.is_new = true;
        }
    }

    /// Returns whether a newer or unknown version wrote the log.
    pub(crate) fn is_newer(&self) -> bool {
        let numbers = |version: &str| version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
        let own = numbers(env!("CARGO_PKG_VERSION"));
        numbers(&self.version).is_none_or(|version| Some(version) > own)
    }

    /// Returns a message about the names, once.
    pub(crate) fn report(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        let plural = if names.len() == 1 { "field" } else { "fields" };
        let by =
            if self.version.is_empty() { String::new() } else { format!("; version {} wrote the log", self.version) };
        Some(format!(
            "skipping {plural} that version {} does not support: {}{by}",
            env!("CARGO_PKG_VERSION"),
            names.join(", ")
        ))
    }
}
