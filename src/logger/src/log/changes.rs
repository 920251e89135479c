// SPDX-License-Identifier: BSD-2-Clause

//! What changed between snapshots.
//!
//! A record is compared with the one of its connection that was written last.
//! What a snapshot changes here can be taken back, for when it could not be
//! written.

use std::collections::HashMap;
use std::time::Duration;

use tcpstats::frame::{Frame, Header, flag};
use tcpstats::stream::{SnapshotBuffer, seal};
use tcpstats::{Compared, Record, key};

use crate::options::Format;

/// The fields whose changes are changes in a log of that format.
fn compared_by(format: &Format) -> Compared {
    match format {
        Format::Csv(columns) | Format::Json(columns) | Format::Pairs(columns) => Compared::by(columns.fields()),
        Format::Siftr | Format::Bin => Compared::by_all(),
    }
}

/// Which connection a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Connection {
    /// By its number, which is unique in its network stack.
    Numbered { gencnt: u64, vnet: Option<u64> },
    /// By its addresses, where the kernel gives no number.
    Addressed { laddr: Option<[u8; 16]>, lport: Option<u16>, faddr: Option<[u8; 16]>, fport: Option<u16> },
}

impl Connection {
    fn of(record: &Record) -> Self {
        match record.get(key::gencnt) {
            Some(gencnt) => Self::Numbered { gencnt, vnet: record.get(key::vnet) },
            None => Self::Addressed {
                laddr: record.get(key::laddr),
                lport: record.get(key::lport),
                faddr: record.get(key::faddr),
                fport: record.get(key::fport),
            },
        }
    }
}

struct Known {
    /// As it was written last.
    record: Record,
    /// The look at which it was there last.
    seen_at: u64,
}

/// What of a snapshot is to be written.
pub struct Selected<'a> {
    /// The records.
    pub frame: Frame<'a>,
    /// Connections that were not there before.
    pub opened: &'a [Record],
    /// Connections that are gone, as they were written last.
    pub closed: &'a [Record],
}

/// The connections as they stand in the log.
pub struct Changes {
    compared: Compared,
    /// Whether what is kept is written as it is.
    is_binary: bool,
    keyframe_every: Duration,
    /// When, by the snapshots' monotonic clock, everything is due; none where
    /// it is due now.
    keyframe_due_ns: Option<u64>,
    /// None before the first snapshot: what is there then did not open.
    known: Option<HashMap<Connection, Known>>,
    looks: u64,
    kept: SnapshotBuffer,
    opened: Vec<Record>,
    closed: Vec<Record>,
    undo: Undo,
}

/// How to take the last snapshot back.
#[derive(Default)]
struct Undo {
    replaced: Vec<(Connection, Option<Record>)>,
    keyframe_due_ns: Option<u64>,
    was_first: bool,
}

impl Changes {
    /// Compares what that format shows.
    pub fn new(format: &Format, keyframe_every: Duration) -> Self {
        Self {
            compared: compared_by(format),
            is_binary: *format == Format::Bin,
            keyframe_every,
            keyframe_due_ns: None,
            known: None,
            looks: 0,
            kept: SnapshotBuffer::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            undo: Undo::default(),
        }
    }

    /// Has the next snapshot be written whole, in a file that may show other
    /// columns.
    pub fn keyframe(&mut self, format: &Format) {
        self.compared = compared_by(format);
        self.keyframe_due_ns = None;
    }

    /// Selects what of the snapshot is to be written.
    pub fn select(&mut self, frame: &Frame<'_>) -> Result<Selected<'_>, tcpstats::frame::FrameError> {
        let now_ns = frame.header.mono_ns;
        let is_keyframe = self.keyframe_due_ns.is_none_or(|due_ns| now_ns >= due_ns);
        self.undo.keyframe_due_ns = self.keyframe_due_ns;
        self.undo.was_first = self.known.is_none();
        self.undo.replaced.clear();
        if is_keyframe {
            let every_ns = u64::try_from(self.keyframe_every.as_nanos()).unwrap_or(u64::MAX);
            self.keyframe_due_ns = Some(now_ns.saturating_add(every_ns));
        }
        self.looks += 1;
        self.kept.clear();
        self.opened.clear();
        self.closed.clear();
        let known = self.known.get_or_insert_default();
        for record in frame.records() {
            let connection = Connection::of(&record);
            let Some(before) = known.get_mut(&connection) else {
                self.kept.push(&record);
                if !self.undo.was_first {
                    self.opened.push(record.clone());
                }
                known.insert(connection, Known { record, seen_at: self.looks });
                self.undo.replaced.push((connection, None));
                continue;
            };
            before.seen_at = self.looks;
            let is_same = self.compared.same(&before.record, &record);
            if is_keyframe || !is_same {
                self.kept.push(&record);
            }
            if !is_same {
                self.undo.replaced.push((connection, Some(std::mem::replace(&mut before.record, record))));
            }
        }
        for (connection, gone) in known.extract_if(|_, before| before.seen_at != self.looks) {
            self.closed.push(gone.record.clone());
            self.undo.replaced.push((connection, Some(gone.record)));
        }
        let changed_only = if is_keyframe { 0 } else { flag::CHANGED_ONLY };
        self.kept.finish(&Header { flags: frame.header.flags | changed_only, ..frame.header });
        if self.is_binary {
            seal(self.kept.bytes_mut());
        }
        Ok(Selected { frame: Frame::parse(self.kept.bytes())?, opened: &self.opened, closed: &self.closed })
    }

    /// Forgets the last snapshot: it did not come into the log.
    pub fn take_back(&mut self) {
        self.keyframe_due_ns = self.undo.keyframe_due_ns;
        if self.undo.was_first {
            self.known = None;
            return;
        }
        let known = self.known.get_or_insert_default();
        for (connection, before) in self.undo.replaced.drain(..).rev() {
            match before {
                Some(record) => _ = known.insert(connection, Known { record, seen_at: self.looks }),
                None => _ = known.remove(&connection),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(1);

    fn record(gencnt: u64, cwnd: u32) -> Record {
        let mut record = Record::new();
        record.set(key::gencnt, gencnt);
        record.set(key::snd_cwnd, cwnd);
        record
    }

    /// The numbers of the connections written, opened and closed, and whether
    /// it was a keyframe.
    fn look(changes: &mut Changes, at_s: u64, records: &[Record]) -> (Vec<u64>, Vec<u64>, Vec<u64>, bool) {
        let mut snapshot = SnapshotBuffer::new();
        for record in records {
            snapshot.push(record);
        }
        snapshot.finish(&Header { mono_ns: at_s * 1_000_000_000, ..Header::default() });
        let selected = changes.select(&Frame::parse(snapshot.bytes()).unwrap()).unwrap();
        let numbers = |records: &[Record]| records.iter().filter_map(|record| record.get(key::gencnt)).collect();
        let written: Vec<_> = selected.frame.records().collect();
        let is_keyframe = selected.frame.header.flags & flag::CHANGED_ONLY == 0;
        (numbers(&written), numbers(selected.opened), numbers(selected.closed), is_keyframe)
    }

    #[test]
    fn what_changed_opened_and_closed_is_selected() {
        let mut changes = Changes::new(&Format::Bin, EVERY);
        assert_eq!(look(&mut changes, 0, &[record(1, 10), record(2, 10)]), (vec![1, 2], vec![], vec![], true));
        assert_eq!(look(&mut changes, 1, &[record(1, 10), record(2, 20)]), (vec![2], vec![], vec![], false));
        assert_eq!(look(&mut changes, 2, &[record(2, 20), record(3, 10)]), (vec![3], vec![3], vec![1], false));
        assert_eq!(look(&mut changes, 60, &[record(2, 20), record(3, 10)]), (vec![2, 3], vec![], vec![], true));
        changes.keyframe(&Format::Bin);
        assert_eq!(look(&mut changes, 61, &[record(2, 20)]), (vec![2], vec![], vec![3], true));
    }

    #[test]
    fn what_was_not_written_is_selected_again() {
        let mut changes = Changes::new(&Format::Bin, EVERY);
        let first = (vec![1, 2], vec![], vec![], true);
        assert_eq!(look(&mut changes, 0, &[record(1, 10), record(2, 10)]), first);
        changes.take_back();
        assert_eq!(look(&mut changes, 1, &[record(1, 10), record(2, 10)]), first);
        let second = (vec![2, 3], vec![3], vec![1], false);
        assert_eq!(look(&mut changes, 2, &[record(2, 20), record(3, 10)]), second);
        changes.take_back();
        assert_eq!(look(&mut changes, 3, &[record(2, 20), record(3, 10)]), second);
        assert_eq!(look(&mut changes, 4, &[record(2, 20), record(3, 10)]), (vec![], vec![], vec![], false));
    }
}
