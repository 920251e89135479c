// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What the notes of a log contain.

use tcpstats::note::NoteText;
use tcpstats::{Columns, Field, FieldSet, Filter, Header, Record};

use crate::connection_id::ConnectionId;

/// What a log reports between its records.
///
/// Strings in a note that was read are unchanged, with their escapes.  A value
/// that is missing in a note that was read is `None`.
///
/// ```
/// use tcpstats_log::Note;
///
/// let note = Note::read("missed ticks=2 total=7").unwrap();
/// assert!(matches!(note, Note::Missed { ticks: Some(2), total: Some(7) }));
/// assert!(matches!(Note::read("invented key=1"), Ok(Note::Other(text)) if text.name == "invented"));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// A run of the logger starts, or a run continues in another file.
    Log(LogNote<'a>),
    /// The snapshot of the records before it is complete.
    Snapshot(Header),
    /// Ticks at which no snapshot was taken.
    Missed {
        /// Ticks since the last snapshot.
        ticks: Option<u64>,
        /// Ticks since the start of the run.
        total: Option<u64>,
    },
    /// Snapshots were taken and not logged.
    Gap(GapNote<'a>),
    /// The source failed.
    SourceLost {
        /// When it failed, in nanoseconds since the Epoch.
        time_ns: Option<u64>,
        /// Ticks that were missed so far.
        missed_ticks: Option<u64>,
        /// The error.
        why: Option<&'a str>,
    },
    /// A truncated line or frame of an earlier run was removed.
    Torn {
        /// Its length.
        bytes: Option<u64>,
    },
    /// A connection appeared.
    Open(ConnectionNote<'a>),
    /// A connection is gone.
    Close(ConnectionNote<'a>),
    /// The run continues in another file.
    Rotated(Totals),
    /// The run is over.
    End(Totals),
    /// The log was converted, and records were left out.
    Converted {
        /// The filter that selected the records.
        filter: Option<&'a str>,
    },
    /// The columns that follow, in a format without header rows.
    Header {
        /// `basic`, `all`, or a list of fields.
        columns: Option<&'a str>,
    },
    /// The first line of a log of siftr(4).
    SiftrEnable(SiftrEnable<'a>),
    /// The last line of a log of siftr(4).
    SiftrDisable(SiftrDisable<'a>),
    /// A note that this version does not know.
    Other(NoteText<'a>),
}

/// How a log was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogNote<'a> {
    /// The version of the logger.
    pub version: Option<&'a str>,
    /// When the file was started, in nanoseconds since the Epoch.
    pub time_ns: Option<u64>,
    /// The name of the host.
    pub host: Option<&'a str>,
    /// The name of the operating system.
    pub system: Option<&'a str>,
    /// The source of the snapshots.
    pub source: Option<&'a str>,
    /// Microseconds between two ticks.
    pub interval_us: Option<u64>,
    /// The columns: `basic`, `all`, or a list of fields.
    pub columns: Option<&'a str>,
    /// The filter that selects the records, empty if there is none.
    pub filter: Option<&'a str>,
    /// The sandbox of the logger.
    pub sandbox: Option<&'a str>,
    /// An identifier that is unique to this boot of the host.
    pub boot: Option<&'a str>,
    /// Microseconds between two keyframes; `None` if every snapshot is complete.
    pub keyframe_us: Option<u64>,
}

impl LogNote<'_> {
    /// Returns whether a kernel was sampled at each tick.  Frames that were
    /// recorded earlier have an interval of their own.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.source.is_none_or(|source| source == "sock_diag" || source.starts_with("/dev/"))
    }

    /// Returns whether the filter of the logger may omit some records of a connection
    /// and not others.
    #[must_use]
    pub fn may_omit_records(&self) -> bool {
        let filter = self.filter.filter(|filter| !filter.is_empty()).map(Filter::parse);
        filter.is_some_and(|filter| !filter.is_ok_and(|filter| filter.asks_only_for_ends()))
    }
}

/// Snapshots that were taken and not logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapNote<'a> {
    /// The number of snapshots.
    pub snapshots: Option<u64>,
    /// The number of their records.
    pub records: Option<u64>,
    /// The number of connections whose final records are lost with them; `None` without a
    /// ledger.
    pub ended: Option<u64>,
    /// The number of the first snapshot.
    pub first: Option<u64>,
    /// The number of the last snapshot.
    pub last: Option<u64>,
    /// The reason.
    pub why: Option<&'a str>,
}

/// What a run has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// When it was counted, in nanoseconds since the Epoch.
    pub time_ns: Option<u64>,
    /// Snapshots logged.
    pub snapshots: Option<u64>,
    /// Records logged.
    pub records: Option<u64>,
    /// Ticks at which no snapshot was taken.
    pub missed_ticks: Option<u64>,
    /// Snapshots taken and not logged.
    pub dropped: Option<u64>,
}

/// A connection that appeared or is gone.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionNote<'a> {
    /// The time of the snapshot, in nanoseconds since the Epoch.
    pub time_ns: Option<u64>,
    /// The number of the snapshot.
    pub snapshot: Option<u64>,
    /// The fields that identify the connection.
    pub fields: ConnectionFields<'a>,
}

/// The fields in the note of a connection.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionFields<'a> {
    /// Those of a record.
    Record(&'a Record),
    /// Those of a note that was read.
    Text(NoteText<'a>),
}

impl ConnectionNote<'_> {
    /// Returns what the note says about the connection, as far as this version
    /// can read it, and whether that is all.
    #[must_use]
    pub fn record(&self) -> (Record, bool) {
        let text = match self.fields {
            ConnectionFields::Record(record) => return (record.clone(), true),
            ConnectionFields::Text(text) => text,
        };
        let (mut record, mut is_complete) = (Record::new(), true);
        for (key, value) in text.pairs() {
            if let Some(field) = Field::by_name(key) {
                is_complete &= record.set_text(field, value.as_bytes()).is_some();
            }
        }
        (record, is_complete)
    }

    /// Returns the IDs that the connection may have in a log of these columns:
    /// the note always has the complete ID, the records may not.
    #[must_use]
    pub fn ids(&self, columns: Option<&Columns>) -> [ConnectionId; 2] {
        let (complete, _) = self.record();
        let mut logged = complete.clone();
        if let Some(columns) = columns {
            logged.keep(&FieldSet::of(columns));
        }
        [ConnectionId::of(&complete), ConnectionId::of(&logged)]
    }
}

/// The first line of a log of siftr(4).
#[derive(Clone, Copy, Debug)]
pub struct SiftrEnable<'a> {
    /// When siftr(4) was enabled, in nanoseconds since the Epoch.
    pub time_ns: Option<u64>,
    /// The name of the operating system.
    pub system: Option<&'a str>,
    /// Its version as a number.
    pub version: Option<u64>,
    pub(super) text: NoteText<'a>,
}

/// The last line of a log of siftr(4).
#[derive(Clone, Copy, Debug)]
pub struct SiftrDisable<'a> {
    /// When siftr(4) was disabled, in nanoseconds since the Epoch.
    pub time_ns: Option<u64>,
    /// Packets that were not logged.
    pub skipped: u64,
    pub(super) text: NoteText<'a>,
}

impl Note<'_> {
    /// Returns the time in the note, in nanoseconds since the Epoch.
    #[must_use]
    pub fn time_ns(&self) -> Option<u64> {
        match self {
            Self::Log(log) => log.time_ns,
            Self::Snapshot(header) => Some(header.wall_ns),
            Self::SourceLost { time_ns, .. } => *time_ns,
            Self::Open(connection) | Self::Close(connection) => connection.time_ns,
            Self::Rotated(totals) | Self::End(totals) => totals.time_ns,
            Self::SiftrEnable(enable) => enable.time_ns,
            Self::SiftrDisable(disable) => disable.time_ns,
            Self::Other(text) => text.seconds("time"),
            Self::Missed { .. } | Self::Gap(_) | Self::Torn { .. } | Self::Converted { .. } | Self::Header { .. } => {
                None
            }
        }
    }

    /// Returns whether the note precedes the header row of a run.
    #[must_use]
    pub fn is_before_header(&self) -> bool {
        matches!(self, Self::Torn { .. } | Self::Log(_) | Self::Converted { .. })
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::{ipv4, key};

    use super::*;

    #[test]
    fn a_closing_note_names_a_connection_even_if_the_log_has_fewer_columns() {
        let Ok(Note::Close(note)) = Note::read("close gencnt=7 laddr=192.0.2.1 lport=22 uid=0 jid=3") else {
            panic!("a closing note")
        };
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        record.set(key::lport, 22);
        let columns = Columns::parse("gencnt,lport,srtt").unwrap();
        assert_eq!(note.ids(Some(&columns))[1], ConnectionId::of(&record));
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::jid, 3);
        assert_eq!(note.ids(None), [ConnectionId::of(&record); 2]);
        assert_eq!(note.ids(Some(&columns))[0], ConnectionId::of(&record));
    }
}
