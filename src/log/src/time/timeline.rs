// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The records of a log, grouped by snapshot, with the time that passed and
//! whether the host was rebooted: both are known only at the end of a snapshot.

use tcpstats::frame::flag;
use tcpstats::{Columns, Header};

use super::boot::{Boot, Boots};
use super::clock::{Clock, Steps};
use crate::connection_id::ConnectionId;
use crate::note::Note;

/// A record, or the note of a closed connection.
#[derive(Debug)]
pub struct Entry<T> {
    /// The time that had passed in the log, in nanoseconds.
    pub time_ns: u64,
    /// The time of day, in nanoseconds since the Epoch.
    pub wall_ns: u64,
    /// The connection.
    pub id: ConnectionId,
    /// What the caller extracted from the record; `None` if the connection is
    /// gone.
    pub sample: Option<T>,
}

/// A snapshot that has ended.
#[derive(Debug)]
pub struct Moment<T> {
    /// The number of snapshots before it.
    pub number: u64,
    /// Its header, with [`flag::UNFINISHED`] if its closing line is missing.
    pub header: Header,
    /// Whether the host was rebooted before it.
    pub boot: Boot,
    /// The time that had passed in the log when it started, in nanoseconds.
    pub time_ns: u64,
    /// Its records, and the connections that were closed since the previous one.
    pub entries: Vec<Entry<T>>,
}

impl<T> Moment<T> {
    /// Returns whether the log contains its closing line.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header.flags & flag::UNFINISHED == 0
    }
}

/// Groups the records of a log by snapshot while it is read.
#[derive(Debug)]
pub struct Timeline<T> {
    clock: Clock,
    boots: Boots,
    moments: u64,
    entries: Vec<Entry<T>>,
    open: Option<OpenSnapshot>,
}

/// The snapshot that is being read.
#[derive(Debug)]
struct OpenSnapshot {
    number: u64,
    /// The time of its first record.
    wall_ns: u64,
    last_wall_ns: u64,
    records: usize,
}

/// Maximum number of records that are held until the end of their snapshot.
const RECORDS_MAX: usize = 1 << 20;

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        let (clock, boots) = (Clock::default(), Boots::default());
        Self { clock, boots, moments: 0, entries: Vec::new(), open: None }
    }
}

impl<T> Timeline<T> {
    /// Starts a record of a snapshot, and returns the previous snapshot if it ends
    /// here without a closing line.
    #[inline]
    pub fn record(&mut self, number: u64, wall_ns: u64) -> Option<Moment<T>> {
        match &mut self.open {
            // Snapshots in the format of siftr(4) have no numbers.
            Some(open) if number > 0 && open.number == number && open.records < RECORDS_MAX => {
                open.records += 1;
                open.last_wall_ns = wall_ns;
                None
            }
            _ => {
                let moment = self.unfinished();
                self.open = Some(OpenSnapshot { number, wall_ns, last_wall_ns: wall_ns, records: 1 });
                moment
            }
        }
    }

    /// Adds what the caller extracted from the record that was started; `None` if
    /// its connection is gone.
    #[inline]
    pub fn add(&mut self, wall_ns: u64, id: ConnectionId, sample: Option<T>) {
        self.entries.push(Entry { time_ns: 0, wall_ns, id, sample });
    }

    /// Ends a snapshot at its closing line.  A snapshot without one may end
    /// before it.
    pub fn snapshot(&mut self, header: &Header) -> [Option<Moment<T>>; 2] {
        let is_another = self.open.as_ref().is_some_and(|open| open.number != header.sequence);
        let unfinished = if is_another { self.unfinished() } else { None };
        [unfinished, Some(self.end(header))]
    }

    /// Processes a note, in a log of these columns, and returns the snapshot that
    /// ends here without a closing line.
    pub fn note(&mut self, note: &Note<'_>, columns: Option<&Columns>) -> Option<Moment<T>> {
        let moment = match note {
            Note::Log(_) | Note::End(_) | Note::Rotated(_) => self.unfinished(),
            _ => None,
        };
        self.clock.note(note);
        self.boots.note(note);
        if let Note::Close(closed) = note {
            let last = self.open.as_ref().map(|open| open.last_wall_ns);
            if let Some(wall_ns) = closed.time_ns.or(last) {
                for id in closed.ids(columns) {
                    self.add(wall_ns, id, None);
                }
            }
        }
        moment
    }

    /// Ends a snapshot whose closing line is missing, at the time of its first
    /// record.
    pub fn unfinished(&mut self) -> Option<Moment<T>> {
        let OpenSnapshot { number: sequence, wall_ns, .. } = self.open.as_ref()?;
        let (sequence, wall_ns) = (*sequence, *wall_ns);
        Some(self.end(&Header { sequence, wall_ns, flags: flag::UNFINISHED, ..Header::default() }))
    }

    /// Takes back the memory of entries to reuse it.
    pub fn give_back(&mut self, mut entries: Vec<Entry<T>>) {
        entries.clear();
        if entries.capacity() > self.entries.capacity() && self.entries.is_empty() {
            self.entries = entries;
        }
    }

    /// Returns the steps of the clock so far.
    #[must_use]
    pub fn steps(&self) -> Steps {
        self.clock.steps()
    }

    fn end(&mut self, header: &Header) -> Moment<T> {
        self.open = None;
        let boot = self.boots.snapshot(header);
        let time_ns = self.clock.snapshot(header);
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            entry.time_ns = self.clock.at(entry.wall_ns);
        }
        let number = self.moments;
        self.moments += 1;
        Moment { number, header: *header, boot, time_ns, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn header(sequence: u64, wall_s: u64) -> Header {
        Header { sequence, wall_ns: wall_s * S, ..Header::default() }
    }

    fn times(moment: &Moment<u8>) -> (u64, Vec<(u64, Option<u8>)>) {
        let entries = moment.entries.iter().map(|entry| (entry.time_ns / S, entry.sample)).collect();
        (moment.time_ns / S, entries)
    }

    #[test]
    fn records_are_returned_at_the_end_of_their_snapshot() {
        let mut timeline = Timeline::default();
        assert!(timeline.record(1, 100 * S).is_none());
        timeline.add(100 * S, ConnectionId::default(), Some(7));
        assert!(timeline.record(1, 100 * S).is_none());
        let [None, Some(moment)] = timeline.snapshot(&header(1, 100)) else { panic!("one snapshot") };
        assert_eq!((moment.number, times(&moment)), (0, (0, vec![(0, Some(7))])));
        timeline.give_back(moment.entries);
        assert!(timeline.record(2, 105 * S).is_none());
        timeline.add(105 * S, ConnectionId::default(), Some(8));
        let moment = timeline.record(3, 107 * S).unwrap();
        assert!(!moment.is_finished());
        assert_eq!((moment.number, times(&moment)), (1, (5, vec![(5, Some(8))])));
        timeline.add(107 * S, ConnectionId::default(), Some(9));
        let [Some(before), Some(moment)] = timeline.snapshot(&header(4, 108)) else { panic!("two snapshots") };
        assert_eq!((times(&before), times(&moment)), ((7, vec![(7, Some(9))]), (8, vec![])));
        assert!(timeline.unfinished().is_none());
    }

    #[test]
    fn a_closed_connection_is_an_entry_in_the_next_snapshot() {
        let mut timeline = Timeline::<u8>::default();
        _ = timeline.snapshot(&header(1, 100));
        let note = Note::read("close time=101.0 snapshot=2 lport=22").unwrap();
        assert!(timeline.note(&note, None).is_none());
        let [None, Some(moment)] = timeline.snapshot(&header(2, 101)) else { panic!("one snapshot") };
        assert_eq!(times(&moment), (1, vec![(1, None); 2]));
        assert_eq!(moment.entries[0].id.local.port, Some(22));
    }

    #[test]
    fn each_record_without_a_number_is_a_snapshot() {
        let mut timeline = Timeline::<u8>::default();
        assert!(timeline.record(0, 100 * S).is_none());
        assert_eq!(timeline.record(0, 100 * S).unwrap().number, 0);
        assert_eq!(timeline.record(0, 101 * S).unwrap().number, 1);
        assert_eq!(timeline.unfinished().unwrap().time_ns, S);
    }
}
