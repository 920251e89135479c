// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Checks that each connection that ended in a log has exactly one final record, or
//! that the log gives a reason why not.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use tcpstats::frame::flag;
use tcpstats::{Header, Record, State, key};
use tcpstats_log::ConnectionId;

use super::counted;

/// The number of connections that are remembered.
const CONNECTIONS_MAX: usize = 1 << 20;

/// The time within which the final record of a connection that is gone must follow.  Linux
/// reports that a socket is destroyed only after the last packet has left the host.
const GRACE_NS: u64 = 10_000_000_000;

/// The connections of a run, by a hash of their numbers.
#[derive(Default)]
pub struct Endings {
    hasher: RandomState,
    /// Established connections, with the number of the last snapshot that has them.
    live: HashMap<u64, u64>,
    /// Connections that are gone and have no final record yet, with the time of day.
    gone: HashMap<u64, u64>,
    /// Connections that have a final record.
    ended: HashSet<u64>,
    /// How many connections have a second one.
    twice: u64,
    /// The final records of the current snapshot.
    finals: u64,
    /// The connections for which the log gives a reason.
    excused: u64,
    /// The time of the last snapshot.
    last_ns: u64,
    /// Whether the log has final records.
    has_ledger: bool,
    /// Whether records of a connection may be missing because of a filter.
    is_partial: bool,
}

impl Endings {
    /// Starts a run whose records may be filtered.
    pub fn start(is_partial: bool) -> Self {
        Self { is_partial, ..Self::default() }
    }

    fn hash(&self, gencnt: Option<u64>, vnet: Option<u64>) -> Option<u64> {
        Some(self.hasher.hash_one((gencnt.filter(|number| *number > 0)?, vnet)))
    }

    /// Processes a record of a snapshot.
    pub fn record(&mut self, record: &Record, snapshot: u64) {
        let is_final = record.is_final();
        self.finals += u64::from(is_final);
        let Some(id) = self.hash(record.get(key::gencnt), record.get(key::vnet)) else {
            return;
        };
        if is_final {
            self.live.remove(&id);
            self.gone.remove(&id);
            self.twice += u64::from(self.ended.len() < CONNECTIONS_MAX && !self.ended.insert(id));
            return;
        }
        // In other states Linux may have replaced the socket with one that has another number.
        let is_established = matches!(
            record.get(key::state),
            Some(State::ESTABLISHED | State::CLOSE_WAIT | State::FIN_WAIT_1 | State::CLOSING | State::LAST_ACK)
        );
        if let Some(last) = self.live.get_mut(&id) {
            *last = snapshot;
        } else if is_established && self.live.len() < CONNECTIONS_MAX && !self.ended.contains(&id) {
            self.gone.remove(&id);
            self.live.insert(id, snapshot);
        }
    }

    /// Processes the note that a connection is gone.
    pub fn close(&mut self, id: &ConnectionId) {
        if let Some(id) = self.hash(id.gencnt, id.vnet)
            && self.live.remove(&id).is_some()
        {
            self.gone.insert(id, self.last_ns);
        }
    }

    /// Ends a snapshot; returns a problem with its final records.
    pub fn snapshot(&mut self, header: &Header) -> Option<String> {
        self.last_ns = header.wall_ns;
        self.has_ledger |= header.flags & flag::LEDGER != 0;
        self.excused = self.excused.saturating_add(header.ended_lost);
        let incomplete = flag::CHANGED_ONLY | flag::INTERRUPTED | flag::TRUNCATED | flag::UNFINISHED;
        if header.flags & incomplete == 0 {
            let gone = self.live.extract_if(|_, last| *last != header.sequence);
            self.gone.extend(gone.map(|(id, _)| (id, header.wall_ns)));
        }
        let (finals, twice) = (std::mem::take(&mut self.finals), std::mem::take(&mut self.twice));
        let number = header.sequence;
        if finals != header.ended && header.flags & flag::LEDGER != 0 {
            return Some(format!(
                "snapshot {number} has {}; expected {}",
                counted(finals, "final record"),
                header.ended
            ));
        }
        if twice > 0 {
            return Some(format!("snapshot {number} repeats the final record of {}", counted(twice, "connection")));
        }
        let lost =
            || format!("snapshot {number} lacks the final record of {}", counted(header.ended_lost, "connection"));
        (header.ended_lost > 0).then(lost)
    }

    /// Excuses connections whose final records are not in the log.
    pub fn excuse(&mut self, connections: Option<u64>) {
        self.excused = self.excused.saturating_add(connections.unwrap_or(u64::MAX));
    }

    /// Ends the run; returns a problem if connections are gone without a final record.
    pub fn end(&mut self) -> Option<String> {
        if !self.has_ledger || self.is_partial {
            return None;
        }
        let is_overdue = |gone_ns: &&u64| gone_ns.saturating_add(GRACE_NS) <= self.last_ns;
        let overdue = self.gone.values().filter(is_overdue).count() as u64;
        let missing = overdue.saturating_sub(self.excused);
        (missing > 0).then(|| format!("gone without a final record: {}", counted(missing, "connection")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn record(gencnt: u64, state: State) -> Record {
        let mut record = Record::new();
        record.set(key::gencnt, gencnt);
        record.set(key::state, state);
        record
    }

    /// Adds a snapshot with these connections every second; returns the problems.
    fn check(snapshots: &[&[(u64, State)]], change: impl Fn(&mut Header), partial: bool) -> Vec<String> {
        let mut endings = Endings::start(partial);
        let mut problems = Vec::new();
        for (number, records) in (1..).zip(snapshots) {
            records.iter().for_each(|(gencnt, state)| endings.record(&record(*gencnt, *state), number));
            let ended = records.iter().filter(|(_, state)| *state == State::ENDED).count() as u64;
            let mut header =
                Header { sequence: number, wall_ns: number * S, flags: flag::LEDGER, ended, ..Header::default() };
            change(&mut header);
            problems.extend(endings.snapshot(&header));
        }
        problems.extend(endings.end());
        problems
    }

    const LIVE: (u64, State) = (1, State::ESTABLISHED);
    const ENDED: (u64, State) = (1, State::ENDED);

    #[test]
    fn a_connection_that_is_gone_needs_a_final_record() {
        let none: &[(u64, State)] = &[];
        let long = |second: &'static [(u64, State)]| {
            let mut all: Vec<&[(u64, State)]> = vec![&[LIVE], second];
            all.resize(14, none);
            all
        };
        let missing = ["gone without a final record: 1 connection".to_owned()];
        assert_eq!(check(&long(&[]), |_| (), false), missing);
        assert!(check(&long(&[]), |_| (), true).is_empty(), "a filter no longer matched");
        assert!(check(&long(&[]), |header| header.flags = 0, false).is_empty(), "there is no ledger");
        assert!(check(&long(&[ENDED]), |_| (), false).is_empty());
        assert!(check(&long(&[])[..5], |_| (), false).is_empty(), "it may follow");
        let lost = check(&long(&[]), |header| header.ended_lost = u64::from(header.sequence == 2), false);
        assert_eq!(lost, ["snapshot 2 lacks the final record of 1 connection"]);
    }

    #[test]
    fn a_connection_has_only_one_final_record_and_all_are_counted() {
        assert_eq!(
            check(&[&[LIVE], &[ENDED], &[ENDED]], |_| (), false),
            ["snapshot 3 repeats the final record of 1 connection"]
        );
        assert_eq!(
            check(&[&[LIVE], &[ENDED]], |header| header.ended = 0, false),
            ["snapshot 2 has 1 final record; expected 0"]
        );
        assert!(check(&[&[ENDED]], |header| (header.ended, header.flags) = (0, flag::UNFINISHED), false).is_empty());
    }
}
