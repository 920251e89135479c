// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The changes between snapshots, for a log of changes.
//!
//! A record is compared with the last record of its connection that was logged.  A source
//! may leave out connections that have not changed: then the cost follows the number of
//! those that have.  The effect of a snapshot can be undone if it could not be written.

use std::time::Duration;

use foldhash::HashMap;
use tcpstats::frame::{Header, flag};
use tcpstats::stream::{SnapshotBuffer, clear};
use tcpstats::{Compared, Record, key};

use crate::connection_id::ConnectionId;

/// A connection of this host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum HostConnection {
    /// The number that the kernel gives to it, which stays the same while the addresses
    /// change, and the network stack in which the number is unique.
    Numbered(u64, Option<u64>),
    /// A connection without a number.
    Ends(Box<ConnectionId>),
}

impl HostConnection {
    fn of(record: &Record) -> Self {
        match record.get(key::gencnt) {
            Some(gencnt) => Self::Numbered(gencnt, record.get(key::vnet)),
            None => Self::Ends(Box::new(ConnectionId::of(record))),
        }
    }
}

/// A connection in the log.
#[derive(Debug)]
struct Logged {
    /// Its last record.  In the compared fields, it is the same as in the log.
    record: Box<Record>,
    /// The number of the last snapshot that contains it.
    snapshot: u64,
    /// Whether the record is in the log.
    in_log: bool,
    /// Whether the log says that the connection exists.
    is_announced: bool,
}

/// What a log says about connections besides their records.
#[derive(Debug)]
pub struct Selected<'a> {
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
    logged: Option<HashMap<HostConnection, Logged>>,
    snapshots: u64,
    opened: Vec<Record>,
    closed: Vec<Record>,
    undo: Undo,
}

/// How to undo the last snapshot.
#[derive(Debug, Default)]
struct Undo {
    /// Connections whose current records were not in the log, and those that it did not
    /// contain at all.
    changed: Vec<HostConnection>,
    added: Vec<HostConnection>,
    removed: Vec<(HostConnection, Logged)>,
    keyframe_due_ns: Option<u64>,
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
            opened: Vec::new(),
            closed: Vec::new(),
            undo: Undo::default(),
        }
    }

    /// Makes the next snapshot a keyframe, in a file that may have other columns.  If it is
    /// not complete, the connections that it leaves out are unchanged, and are logged
    /// without the fields that always move.
    pub fn keyframe(&mut self, compared: Compared) {
        self.compared = compared;
        self.keyframe_due_ns = None;
    }

    /// Returns whether the next snapshot should be complete, as a keyframe was due at the
    /// time of this one.
    #[must_use]
    pub fn awaits_complete(&self, header: &Header) -> bool {
        header.flags & flag::CHANGED_ONLY != 0 && self.is_overdue(header)
    }

    fn is_overdue(&self, header: &Header) -> bool {
        self.keyframe_due_ns.is_some_and(|due_ns| header.mono_ns >= due_ns)
    }

    /// Removes what is not logged from a snapshot.  In a complete snapshot, connections
    /// that are missing are gone.  In one of changes they are unchanged, unless they are
    /// among `gone`, which may contain others: the fields gencnt and vnet.
    pub fn select(
        &mut self,
        snapshot: &mut SnapshotBuffer,
        gone: impl IntoIterator<Item = (u64, Option<u64>)>,
    ) -> Selected<'_> {
        let before = *snapshot.header();
        let is_complete = before.flags & flag::CHANGED_ONLY == 0;
        let is_keyframe = self.keyframe_due_ns.is_none() || (is_complete && self.is_overdue(&before));
        self.undo.keyframe_due_ns = self.keyframe_due_ns;
        clear(&mut self.undo.changed);
        clear(&mut self.undo.added);
        clear(&mut self.undo.removed);
        if is_keyframe {
            let every_ns = u64::try_from(self.keyframe_every.as_nanos()).unwrap_or(u64::MAX);
            self.keyframe_due_ns = Some(before.mono_ns.saturating_add(every_ns));
        }
        self.snapshots += 1;
        clear(&mut self.opened);
        clear(&mut self.closed);
        let is_first = self.logged.is_none();
        let logged = self.logged.get_or_insert_default();
        snapshot.retain(|record| {
            let connection = HostConnection::of(record);
            if record.is_final() {
                self.undo.removed.extend(logged.remove(&connection).map(|before| (connection, before)));
                return true;
            }
            let Some(before) = logged.get_mut(&connection) else {
                if !is_first {
                    self.opened.push(record.clone());
                    self.undo.added.push(connection.clone());
                }
                self.undo.changed.push(connection.clone());
                let record = Box::new(record.clone());
                let logged_now = Logged { record, snapshot: self.snapshots, in_log: true, is_announced: true };
                logged.insert(connection, logged_now);
                return true;
            };
            if !before.is_announced {
                before.is_announced = true;
                self.opened.push(record.clone());
                self.undo.added.push(connection.clone());
            }
            before.snapshot = self.snapshots;
            let is_same = before.in_log && self.compared.same(&before.record, record);
            if !is_same {
                before.in_log = true;
                self.undo.changed.push(connection);
            }
            // If a later snapshot leaves out the connection, this is still its current record.
            if !is_same || is_keyframe || !is_complete {
                *before.record = record.clone();
            }
            is_keyframe || !is_same
        });
        let mut close = |connection, gone: Logged| {
            if gone.is_announced {
                self.closed.push((*gone.record).clone());
            }
            self.undo.removed.push((connection, gone));
        };
        if is_complete {
            logged
                .extract_if(|_, before| before.snapshot != self.snapshots)
                .for_each(|(connection, gone)| close(connection, gone));
        } else {
            for (gencnt, vnet) in gone {
                let connection = HostConnection::Numbered(gencnt, vnet);
                if let Some(gone) = logged.remove(&connection) {
                    close(connection, gone);
                }
            }
        }
        if is_keyframe && !is_complete {
            for (connection, left_out) in logged.iter_mut().filter(|(_, left)| left.snapshot != self.snapshots) {
                if !left_out.in_log {
                    left_out.in_log = true;
                    self.undo.changed.push(connection.clone());
                }
                if !left_out.is_announced {
                    left_out.is_announced = true;
                    self.opened.push((*left_out.record).clone());
                    self.undo.added.push(connection.clone());
                }
                let mut record = (*left_out.record).clone();
                record.at_ns = 0;
                record.forget_moving();
                snapshot.push(&record);
            }
        }
        let changed_only = if is_keyframe { 0 } else { flag::CHANGED_ONLY };
        let flags = before.flags & !flag::CHANGED_ONLY | changed_only;
        let mut header = Header { flags, ..before };
        if !is_complete {
            // Those that the source has left out still exist.
            header.matched = logged.len() as u64;
            header.seen = header.seen.max(header.matched);
        }
        snapshot.finish(&header);
        Selected { opened: &self.opened, closed: &self.closed }
    }

    /// Undoes the last snapshot, which was not written.
    pub fn undo(&mut self) {
        self.keyframe_due_ns = self.undo.keyframe_due_ns;
        let logged = self.logged.get_or_insert_default();
        for (connection, removed) in self.undo.removed.drain(..) {
            logged.insert(connection, Logged { snapshot: self.snapshots, ..removed });
        }
        // After that, as one that was added may have ended in the same snapshot.
        for connection in self.undo.changed.drain(..) {
            if let Some(changed) = logged.get_mut(&connection) {
                changed.in_log = false;
            }
        }
        for connection in self.undo.added.drain(..) {
            if let Some(added) = logged.get_mut(&connection) {
                added.is_announced = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::State;
    use tcpstats::frame::Frame;

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
        select_from(changes, at_s, records, None)
    }

    /// As `select`, from a snapshot of changes in which these connections are gone.
    fn select_changes(
        changes: &mut Changes,
        at_s: u64,
        records: &[Record],
        gone: &[u64],
    ) -> (Vec<u64>, Vec<u64>, Vec<u64>, bool) {
        select_from(changes, at_s, records, Some(gone))
    }

    fn select_from(
        changes: &mut Changes,
        at_s: u64,
        records: &[Record],
        gone: Option<&[u64]>,
    ) -> (Vec<u64>, Vec<u64>, Vec<u64>, bool) {
        let mut snapshot = SnapshotBuffer::new();
        for record in records {
            snapshot.push(record);
        }
        let flags = if gone.is_some() { flag::CHANGED_ONLY } else { 0 };
        snapshot.finish(&Header { mono_ns: at_s * 1_000_000_000, flags, ..Header::default() });
        let gone = gone.unwrap_or_default().iter().map(|gencnt| (*gencnt, None));
        let selected = changes.select(&mut snapshot, gone);
        let numbers = |records: &[Record]| records.iter().filter_map(|record| record.get(key::gencnt)).collect();
        let logged: Vec<_> = Frame::parse(snapshot.bytes()).unwrap().records().collect();
        let is_keyframe = snapshot.header().flags & flag::CHANGED_ONLY == 0;
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
    fn a_connection_is_the_same_when_its_addresses_change_if_it_has_a_number() {
        let ends = |fport| {
            let mut record = Record::new();
            record.set(key::lport, 22);
            record.set(key::fport, fport);
            record
        };
        let numbered = |fport| {
            let mut record = ends(fport);
            record.set(key::gencnt, 7);
            record
        };
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        select(&mut changes, 0, &[numbered(1), ends(1)]);
        let (_, opened, closed, _) = select(&mut changes, 1, &[numbered(2), ends(1)]);
        assert!(opened.is_empty() && closed.is_empty());
        let mut snapshot = SnapshotBuffer::new();
        snapshot.push(&numbered(2));
        snapshot.push(&ends(2));
        let Selected { opened, closed } = changes.select(&mut snapshot, []);
        assert_eq!((opened, closed), (&[ends(2)][..], &[ends(1)][..]));
    }

    #[test]
    fn connections_that_a_snapshot_of_changes_leaves_out_stay() {
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        let first = [record(1, 10), record(2, 10), record(3, 10)];
        assert_eq!(select(&mut changes, 0, &first), (vec![1, 2, 3], vec![], vec![], true));
        // The second is unchanged, the fourth new, the third gone, and the ninth was never there.
        let some = [record(2, 10), record(4, 10)];
        assert_eq!(select_changes(&mut changes, 1, &some, &[3, 9]), (vec![4], vec![4], vec![3], false));
        changes.undo();
        assert_eq!(select_changes(&mut changes, 2, &[], &[]), (vec![], vec![], vec![], false));
        assert_eq!(select(&mut changes, 3, &[record(1, 10), record(2, 10)]), (vec![], vec![], vec![3], false));
    }

    #[test]
    fn the_first_snapshot_is_a_keyframe_even_if_it_is_written_later() {
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        select(&mut changes, 0, &[record(1, 10), record(2, 10)]);
        changes.undo();
        // The connection that is left out is unchanged, and none of the three has opened before.
        let second = select_changes(&mut changes, 1, &[record(2, 20), record(3, 10)], &[]);
        assert_eq!(second, (vec![2, 3, 1], vec![3], vec![], true));
        changes.undo();
        // One that nobody has heard of is not closed.
        assert_eq!(select_changes(&mut changes, 2, &[], &[2, 3]), (vec![1], vec![], vec![2], true));
        assert_eq!(select(&mut changes, 3, &[record(1, 10)]), (vec![], vec![], vec![], false));
    }

    #[test]
    fn a_keyframe_that_is_due_waits_for_a_complete_snapshot() {
        let mut changes = Changes::new(Compared::by_all(), EVERY);
        let at = |at_s: u64, flags| Header { mono_ns: at_s * 1_000_000_000, flags, ..Header::default() };
        select(&mut changes, 0, &[record(1, 10)]);
        assert!(!changes.awaits_complete(&at(59, flag::CHANGED_ONLY)));
        assert!(changes.awaits_complete(&at(60, flag::CHANGED_ONLY)) && !changes.awaits_complete(&at(60, 0)));
        assert_eq!(select_changes(&mut changes, 60, &[record(1, 20)], &[]), (vec![1], vec![], vec![], false));
        assert_eq!(select(&mut changes, 61, &[record(1, 20)]), (vec![1], vec![], vec![], true));
        assert!(!changes.awaits_complete(&at(62, flag::CHANGED_ONLY)));
    }

    #[test]
    fn a_file_starts_with_a_keyframe_without_values_that_are_not_known() {
        let mut changes = Changes::new(Compared::by(std::iter::once(key::snd_cwnd.field())), EVERY);
        let with = |gencnt, cwnd, idle, srtt| {
            let mut record = record(gencnt, cwnd);
            record.set(key::idle_snd, idle);
            record.set(key::srtt, srtt);
            record
        };
        select(&mut changes, 0, &[with(1, 10, 5, 100), with(2, 10, 5, 100)]);
        // Only a field that is not compared changes.
        select_changes(&mut changes, 1, &[with(1, 10, 6, 200)], &[]);
        changes.keyframe(Compared::by_all());
        let mut snapshot = SnapshotBuffer::new();
        snapshot.push(&with(2, 20, 7, 300));
        let header = Header { mono_ns: 2_000_000_000, flags: flag::CHANGED_ONLY, ..Header::default() };
        snapshot.finish(&header);
        changes.select(&mut snapshot, []);
        let header = snapshot.header();
        assert_eq!((header.flags, header.matched, header.written), (0, 2, 2));
        let found: Vec<_> = Frame::parse(snapshot.bytes()).unwrap().records().collect();
        let values = |record: &Record| (record.get(key::gencnt), record.get(key::srtt), record.get(key::idle_snd));
        assert_eq!(
            found.iter().map(values).collect::<Vec<_>>(),
            [(Some(2), Some(300), Some(7)), (Some(1), Some(200), None)]
        );
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
