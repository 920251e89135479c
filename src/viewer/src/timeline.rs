// SPDX-License-Identifier: BSD-2-Clause

//! The records of a log by their snapshots, with the time that passed and the
//! kernel that they are from: both are known only when a snapshot ends.

use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats::{Columns, Header};

use crate::boot::{Boot, Boots};
use crate::clock::{Clock, Steps};
use crate::identity::Identity;

/// A record, or the note of a closed connection.
pub struct Entry<T> {
    /// The time that had passed in the log, in nanoseconds.
    pub time_ns: u64,
    /// The same by the clock of the day.
    pub wall_ns: u64,
    /// Whose it is.
    pub identity: Identity,
    /// What was made of the record; `None` if the connection is over.
    pub sample: Option<T>,
}

/// A snapshot that has ended.
#[cfg_attr(not(feature = "plot"), allow(dead_code, reason = "only plot needs all of it"))]
pub struct Moment<T> {
    /// How many snapshots ended before it.
    pub number: u64,
    /// Its header; where its closing line is missing, that of an unfinished one.
    pub header: Header,
    /// Whether the connections are still those of the same kernel.
    pub boot: Boot,
    /// When it began, in time that passed in the log, in nanoseconds.
    pub time_ns: u64,
    /// Its records, and the connections that were closed since the last one.
    pub entries: Vec<Entry<T>>,
}

impl<T> Moment<T> {
    /// Whether the log has all of it.
    #[cfg(any(feature = "plot", test))]
    pub fn is_finished(&self) -> bool {
        self.header.flags & flag::UNFINISHED == 0
    }
}

/// A log while it is read.
pub struct Timeline<T> {
    clock: Clock,
    boots: Boots,
    moments: u64,
    waiting: Vec<Entry<T>>,
    waiting_for: Option<Waiting>,
}

/// The snapshot that is being read.
struct Waiting {
    number: u64,
    /// When its first record is from.
    wall_ns: u64,
    last_wall_ns: u64,
    records: usize,
}

/// Records of a snapshot that wait for its end at most.
const RECORDS_MAX: usize = 1 << 20;

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        let (clock, boots) = (Clock::default(), Boots::default());
        Self { clock, boots, moments: 0, waiting: Vec::new(), waiting_for: None }
    }
}

impl<T> Timeline<T> {
    /// Begins a record of that snapshot; returns the one before it, if it ends
    /// there without a closing line.
    #[inline]
    pub fn record(&mut self, number: u64, wall_ns: u64) -> Option<Moment<T>> {
        match &mut self.waiting_for {
            // The format of siftr(4) numbers no snapshots.
            Some(waiting) if number > 0 && waiting.number == number && waiting.records < RECORDS_MAX => {
                waiting.records += 1;
                waiting.last_wall_ns = wall_ns;
                None
            }
            _ => {
                let moment = self.unfinished();
                self.waiting_for = Some(Waiting { number, wall_ns, last_wall_ns: wall_ns, records: 1 });
                moment
            }
        }
    }

    /// Adds what is needed of the record that was begun; `None` if its
    /// connection is over.
    #[inline]
    pub fn add(&mut self, wall_ns: u64, identity: Identity, sample: Option<T>) {
        self.waiting.push(Entry { time_ns: 0, wall_ns, identity, sample });
    }

    /// Ends a snapshot at its closing line; one that has none may end before it.
    pub fn snapshot(&mut self, header: &Header) -> [Option<Moment<T>>; 2] {
        let is_another = self.waiting_for.as_ref().is_some_and(|waiting| waiting.number != header.sequence);
        let unfinished = if is_another { self.unfinished() } else { None };
        [unfinished, Some(self.end(header))]
    }

    /// Takes a note, in a log of those columns; returns the snapshot that ends
    /// there without a closing line.
    pub fn note(&mut self, note: &NoteText<'_>, columns: Option<&Columns>) -> Option<Moment<T>> {
        let moment = if matches!(note.name, "log" | "end" | "rotated") { self.unfinished() } else { None };
        self.clock.note(note);
        self.boots.note(note);
        if note.name == "close" {
            let last = self.waiting_for.as_ref().map(|waiting| waiting.last_wall_ns);
            if let Some(wall_ns) = note.seconds("time").or(last) {
                for identity in Identity::closed(note, columns) {
                    self.add(wall_ns, identity, None);
                }
            }
        }
        moment
    }

    /// Ends a snapshot whose closing line is not there, at the time of its first
    /// record.
    pub fn unfinished(&mut self) -> Option<Moment<T>> {
        let Waiting { number: sequence, wall_ns, .. } = self.waiting_for.as_ref()?;
        let (sequence, wall_ns) = (*sequence, *wall_ns);
        Some(self.end(&Header { sequence, wall_ns, flags: flag::UNFINISHED, ..Header::default() }))
    }

    /// Takes back the memory of entries, to use it again.
    pub fn give_back(&mut self, mut entries: Vec<Entry<T>>) {
        entries.clear();
        if entries.capacity() > self.waiting.capacity() && self.waiting.is_empty() {
            self.waiting = entries;
        }
    }

    /// The steps of the clock so far.
    pub fn steps(&self) -> Steps {
        self.clock.steps()
    }

    fn end(&mut self, header: &Header) -> Moment<T> {
        self.waiting_for = None;
        let boot = self.boots.snapshot(header);
        let time_ns = self.clock.snapshot(header);
        let mut entries = std::mem::take(&mut self.waiting);
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
    fn records_wait_for_the_end_of_their_snapshot() {
        let mut timeline = Timeline::default();
        assert!(timeline.record(1, 100 * S).is_none());
        timeline.add(100 * S, Identity::default(), Some(7));
        assert!(timeline.record(1, 100 * S).is_none());
        let [None, Some(moment)] = timeline.snapshot(&header(1, 100)) else { panic!("one snapshot") };
        assert_eq!((moment.number, times(&moment)), (0, (0, vec![(0, Some(7))])));
        timeline.give_back(moment.entries);
        assert!(timeline.record(2, 105 * S).is_none());
        timeline.add(105 * S, Identity::default(), Some(8));
        let moment = timeline.record(3, 107 * S).unwrap();
        assert!(!moment.is_finished());
        assert_eq!((moment.number, times(&moment)), (1, (5, vec![(5, Some(8))])));
        timeline.add(107 * S, Identity::default(), Some(9));
        let [Some(before), Some(moment)] = timeline.snapshot(&header(4, 108)) else { panic!("two snapshots") };
        assert_eq!((times(&before), times(&moment)), ((7, vec![(7, Some(9))]), (8, vec![])));
        assert!(timeline.unfinished().is_none());
    }

    #[test]
    fn a_closed_connection_is_an_entry_of_the_next_snapshot() {
        let mut timeline = Timeline::<u8>::default();
        _ = timeline.snapshot(&header(1, 100));
        let note = NoteText::read("close time=101.0 snapshot=2 lport=22").unwrap();
        assert!(timeline.note(&note, None).is_none());
        let [None, Some(moment)] = timeline.snapshot(&header(2, 101)) else { panic!("one snapshot") };
        assert_eq!(times(&moment), (1, vec![(1, None); 2]));
        assert_eq!(moment.entries[0].identity.local.port, Some(22));
    }

    #[test]
    fn records_without_numbers_are_moments_of_their_own() {
        let mut timeline = Timeline::<u8>::default();
        assert!(timeline.record(0, 100 * S).is_none());
        assert_eq!(timeline.record(0, 100 * S).unwrap().number, 0);
        assert_eq!(timeline.record(0, 101 * S).unwrap().number, 1);
        assert_eq!(timeline.unfinished().unwrap().time_ns, S);
    }
}
