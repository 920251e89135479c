// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The changes between snapshots, for a log of changes.
//!
//! A record is compared with the last record of its connection that was logged.
//! The effect of a snapshot can be undone if it could not be written.

use std::collections::HashMap;
use std::time::Duration;

use tcpstats::frame::{Frame, FrameError, Header, flag};
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Compared, Record};

use crate::connection_id::ConnectionId;

/// A connection in the log.
#[derive(Debug)]
struct Logged {
    /// Its last record that was logged.
    record: Record,
    /// The number of the last snapshot that contains it.
    snapshot: u64,
}

/// The part of a snapshot that is logged.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The records.
    pub frame: Frame<'a>,
    /// Connections that are new.
    pub opened: &'a [Record],
    /// The last records of connections that are gone, without those that have a final
    /// record.
    pub closed: &'a [Record],
}

/// Selects the changes to be logged.
#[derive(Debug)]
pub struct Changes {
    compared: Compared,
    keyframe_every: Duration,
    /// The time of the next keyframe, by the monotonic clock of the snapshots;
    /// `None` if the next snapshot is a keyframe.
    keyframe_due_ns: Option<u64>,
    /// `None` before the first snapshot, whose connections are not new.
    logged: Option<HashMap<ConnectionId, Logged>>,
    snapshots: u64,
    selected: SnapshotBuffer,
    opened: Vec<Record>,
    closed: Vec<Record>,
    undo: Undo,
}

/// How to undo the last snapshot.
#[derive(Debug, Default)]
struct Undo {
    replaced: Vec<(ConnectionId, Option<Record>)>,
    keyframe_due_ns: Option<u64>,
    was_first: bool,
}

impl Changes {
    /// Compares records in this way, and logs all records at this interval.
    #[must_use]
    pub fn new(compared: Compared, keyframe_every: Duration) -> Self {
        Self {
            compared,
            keyframe_every,
            keyframe_due_ns: None,
            logged: None,
            snapshots: 0,
            selected: SnapshotBuffer::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            undo: Undo::default(),
        }
    }

    /// Makes the next snapshot a keyframe, in a file that may have other columns.
    pub fn keyframe(&mut self, compared: Compared) {
        self.compared = compared;
        self.keyframe_due_ns = None;
    }

    /// Selects the part of a snapshot to be logged.
    ///
    /// # Errors
    /// Returns an error if the selected records do not fit in a frame.
    pub fn select(&mut self, frame: &Frame<'_>) -> Result<Selected<'_>, FrameError> {
        let now_ns = frame.header.mono_ns;
        let is_keyframe = self.keyframe_due_ns.is_none_or(|due_ns| now_ns >= due_ns);
        self.undo.keyframe_due_ns = self.keyframe_due_ns;
        self.undo.was_first = self.logged.is_none();
        self.undo.replaced.clear();
        if is_keyframe {
            let every_ns = u64::try_from(self.keyframe_every.as_nanos()).unwrap_or(u64::MAX);
            self.keyframe_due_ns = Some(now_ns.saturating_add(every_ns));
        }
        self.snapshots += 1;
        self.selected.clear();
        self.opened.clear();
        self.closed.clear();
        let logged = self.logged.get_or_insert_default();
        for record in frame.records() {
            let connection = ConnectionId::of_this_host(&record);
            if record.is_final() {
                self.selected.push(&record);
                if let Some(before) = logged.remove(&connection) {
                    self.undo.replaced.push((connection, Some(before.record)));
                }
                continue;
            }
            let Some(before) = logged.get_mut(&connection) else {
                self.selected.push(&record);
                if !self.undo.was_first {
                    self.opened.push(record.clone());
                }
                logged.insert(connection, Logged { record, snapshot: self.snapshots });
                self.undo.replaced.push((connection, None));
                continue;
            };
            before.snapshot = self.snapshots;
            let is_same = self.compared.same(&before.record, &record);
            if is_keyframe || !is_same {
                self.selected.push(&record);
            }
            if !is_same {
                self.undo.replaced.push((connection, Some(std::mem::replace(&mut before.record, record))));
            }
        }
        for (connection, gone) in logged.extract_if(|_, before| before.snapshot != self.snapshots) {
            self.closed.push(gone.record.clone());
            self.undo.replaced.push((connection, Some(gone.record)));
        }
        let changed_only = if is_keyframe { 0 } else { flag::CHANGED_ONLY };
        self.selected.finish(&Header { flags: frame.header.flags | changed_only, ..frame.header });
        Ok(Selected { frame: Frame::parse(self.selected.bytes())?, opened: &self.opened, closed: &self.closed })
    }

    /// Undoes the last snapshot, which was not written.
    pub fn undo(&mut self) {
        self.keyframe_due_ns = self.undo.keyframe_due_ns;
        if self.undo.was_first {
            self.logged = None;
            return;
        }
        let logged = self.logged.get_or_insert_default();
        for (connection, before) in self.undo.replaced.drain(..).rev() {
            match before {
                Some(record) => _ = logged.insert(connection, Logged { record, snapshot: self.snapshots }),
                None => _ = logged.remove(&connection),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::{State, key};

    use super::*;

    const EVERY: Duration = Duration::from_mins(1);

    fn record(gencnt: u64, cwnd: u32) -> Record {
        let mut record = Record::new();
        record.set(key::gencnt, gencnt);
        record.set(key::snd_cwnd, cwnd);
        record
    }

    /// Returns the numbers of the connections selected, opened and closed, and
    /// whether the snapshot is a keyframe.
    fn select(changes: &mut Changes, at_s: u64, records: &[Record]) -> (Vec<u64>, Vec<u64>, Vec<u64>, bool) {
        let mut snapshot = SnapshotBuffer::new();
        for record in records {
            snapshot.push(record);
        }
        snapshot.finish(&Header { mono_ns: at_s * 1_000_000_000, ..Header::default() });
        let selected = changes.select(&Frame::parse(snapshot.bytes()).unwrap()).unwrap();
        let numbers = |records: &[Record]| records.iter().filter_map(|record| record.get(key::gencnt)).collect();
        let logged: Vec<_> = selected.frame.records().collect();
        let is_keyframe = selected.frame.header.flags & flag::CHANGED_ONLY == 0;
        (numbers(&logged), numbers(selected.opened), numbers(selected.closed), is_keyframe)
    }

    #[test]
    fn changed_opened_and_closed_connections_are_selected() {
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        assert_eq!(select(&mut changes, 0, &[record(1, 10), record(2, 10)]), (vec![1, 2], vec![], vec![], true));
        assert_eq!(select(&mut changes, 1, &[record(1, 10), record(2, 20)]), (vec![2], vec![], vec![], false));
        assert_eq!(select(&mut changes, 2, &[record(2, 20), record(3, 10)]), (vec![3], vec![3], vec![1], false));
        assert_eq!(select(&mut changes, 60, &[record(2, 20), record(3, 10)]), (vec![2, 3], vec![], vec![], true));
        changes.keyframe(Compared::by_all());
        assert_eq!(select(&mut changes, 61, &[record(2, 20)]), (vec![2], vec![], vec![3], true));
    }

    #[test]
    fn a_final_record_is_always_selected_and_closes_its_connection() {
        let ended = |gencnt| {
            let mut record = record(gencnt, 10);
            record.set(key::state, State::ENDED);
            record
        };
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        assert_eq!(select(&mut changes, 0, &[record(1, 10), record(2, 10)]), (vec![1, 2], vec![], vec![], true));
        // The second was not seen before, and the third ended after it was seen.
        let records = [record(1, 10), record(4, 10), ended(2), ended(3), ended(4)];
        assert_eq!(select(&mut changes, 1, &records), (vec![4, 2, 3, 4], vec![4], vec![], false));
        changes.undo();
        assert_eq!(select(&mut changes, 2, &[record(1, 10), record(2, 10)]), (vec![], vec![], vec![], false));
        assert_eq!(select(&mut changes, 3, &[record(1, 10), ended(2)]), (vec![2], vec![], vec![], false));
        assert_eq!(select(&mut changes, 4, &[record(1, 10)]), (vec![], vec![], vec![], false));
    }

    #[test]
    fn a_snapshot_that_was_not_written_is_selected_again() {
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        let first = (vec![1, 2], vec![], vec![], true);
        assert_eq!(select(&mut changes, 0, &[record(1, 10), record(2, 10)]), first);
        changes.undo();
        assert_eq!(select(&mut changes, 1, &[record(1, 10), record(2, 10)]), first);
        let second = (vec![2, 3], vec![3], vec![1], false);
        assert_eq!(select(&mut changes, 2, &[record(2, 20), record(3, 10)]), second);
        changes.undo();
        assert_eq!(select(&mut changes, 3, &[record(2, 20), record(3, 10)]), second);
        assert_eq!(select(&mut changes, 4, &[record(2, 20), record(3, 10)]), (vec![], vec![], vec![], false));
    }
}
