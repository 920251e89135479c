// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading of notes.

use tcpstats::note::NoteText;

use super::name;
use super::types::{ConnectionFields, ConnectionNote, GapNote, LogNote, Note, SiftrDisable, SiftrEnable, Totals};

/// Why a text is not a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have the form of one.
    #[error("expected a note: a name and key=value pairs, separated by spaces")]
    Form,
    /// It is the note of a snapshot, and a number is missing.
    #[error("expected all numbers of a snapshot note")]
    Snapshot,
}

impl<'a> Note<'a> {
    /// Reads the text of a note, `name key=value …`.
    ///
    /// # Errors
    /// Returns an error if the text is not a note.
    pub fn read(text: &'a str) -> Result<Self, NoteError> {
        let note = NoteText::read(text).ok_or(NoteError::Form)?;
        let number = |key| note.number(key);
        let time_ns = || note.seconds("time");
        Ok(match note.name {
            name::LOG => Self::Log(LogNote {
                version: note.text("version"),
                time_ns: time_ns(),
                host: note.text("host"),
                system: note.text("system"),
                source: note.text("source"),
                interval_us: note.number("interval_us"),
                columns: note.text("columns"),
                filter: note.text("filter"),
                sandbox: note.text("sandbox"),
                boot: note.text("boot"),
                keyframe_us: note.number("keyframe_us"),
            }),
            name::SNAPSHOT => Self::Snapshot(note.snapshot().ok_or(NoteError::Snapshot)?),
            name::MISSED => Self::Missed { ticks: number("ticks"), total: number("total") },
            name::GAP => Self::Gap(GapNote {
                snapshots: number("snapshots"),
                records: number("records"),
                ended: number("ended"),
                first: number("first"),
                last: number("last"),
                why: note.text("why"),
            }),
            name::SOURCE_LOST => Self::SourceLost {
                time_ns: time_ns(),
                missed_ticks: note.number("missed_ticks"),
                why: note.text("why"),
            },
            name::TORN => Self::Torn { bytes: number("bytes") },
            name::OPEN => Self::Open(ConnectionNote::read(note)),
            name::CLOSE => Self::Close(ConnectionNote::read(note)),
            name::ROTATED => Self::Rotated(Totals::read(note)),
            name::END => Self::End(Totals::read(note)),
            name::CONVERTED => Self::Converted { filter: note.text("filter") },
            name::HEADER => Self::Header { columns: note.text("columns") },
            name::SIFTR_ENABLE => Self::SiftrEnable(SiftrEnable {
                time_ns: siftr_time_ns(note, "enable_time_secs", "enable_time_usecs"),
                system: note.text("sysname"),
                version: note.number("sysver"),
                text: note,
            }),
            name::SIFTR_DISABLE => Self::SiftrDisable(SiftrDisable {
                time_ns: siftr_time_ns(note, "disable_time_secs", "disable_time_usecs"),
                skipped: note.number("total_skipped_tcp_pkts").unwrap_or_default(),
                text: note,
            }),
            _ => Self::Other(note),
        })
    }
}

impl<'a> ConnectionNote<'a> {
    fn read(text: NoteText<'a>) -> Self {
        let fields = ConnectionFields::Text(text);
        Self { time_ns: text.seconds("time"), snapshot: text.number("snapshot"), fields }
    }
}

impl Totals {
    fn read(note: NoteText<'_>) -> Self {
        Self {
            time_ns: note.seconds("time"),
            snapshots: note.number("snapshots"),
            records: note.number("records"),
            missed_ticks: note.number("missed_ticks"),
            dropped: note.number("dropped"),
        }
    }
}

/// Returns the time that siftr(4) writes as two numbers.
fn siftr_time_ns(note: NoteText<'_>, seconds: &str, microseconds: &str) -> Option<u64> {
    let seconds = note.number(seconds)?.checked_mul(1_000_000_000)?;
    seconds.checked_add(note.number(microseconds).unwrap_or_default().checked_mul(1000)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_note_is_an_error() {
        assert_eq!(Note::read("log host=").unwrap_err(), NoteError::Form);
        assert_eq!(Note::read("snapshot snapshot=1").unwrap_err(), NoteError::Snapshot);
    }
}
