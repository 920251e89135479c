// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Selection of the connections to plot: those that sent the most data, in a first
//! reading of the logs.

use std::fmt;
use std::ops::Range;

use anyhow::Result;
use tcpstats::{Filter, Record, State, key};
use tcpstats_log::{ByteCounter, ConnectionId, Entry, Lifetimes, Moment, Monotone, Timeline};

use super::reading::{Damage, Purpose, RereadableLogs};
use super::spacing::Spacing;
use crate::log::Item;

/// The values of a record.
struct Sample {
    marks: Monotone,
    matches: bool,
    /// The duration of a connection that has ended, in nanoseconds.
    duration_ns: Option<u64>,
}

/// A connection that may be selected.
struct Candidate {
    first_ns: u64,
    /// The first record as time of day.
    first_wall_ns: u64,
    last_ns: u64,
    records: u64,
    /// Whether the filter matches one of the records.
    matches: bool,
    /// Bytes sent.
    sent: u64,
    /// Bytes received.
    received: u64,
    previous: Monotone,
    /// The range of snapshots in which records of its name belong to it.
    moments: Range<u64>,
}

impl Candidate {
    fn new(entry: &Entry<Sample>, moment: u64) -> Self {
        Self {
            first_ns: entry.time_ns,
            first_wall_ns: entry.wall_ns,
            last_ns: entry.time_ns,
            records: 0,
            matches: false,
            sent: 0,
            received: 0,
            previous: Monotone::default(),
            moments: moment..u64::MAX,
        }
    }

    fn add(&mut self, at_ns: u64, sample: &Sample) {
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.records += 1;
        self.matches |= sample.matches;
        let since = |before: Option<ByteCounter>, now: Option<ByteCounter>| now?.since(before?);
        let (before, now) = (&self.previous, &sample.marks);
        self.sent = self.sent.saturating_add(since(before.sent, now.sent).unwrap_or(0));
        self.received = self.received.saturating_add(since(before.received, now.received).unwrap_or(0));
        if let (Some(duration_ns), 1) = (sample.duration_ns, self.records) {
            // Its only record contains everything that is needed.
            self.first_ns = at_ns.saturating_sub(duration_ns);
            self.first_wall_ns = self.first_wall_ns.saturating_sub(duration_ns);
            self.sent = now.sent.and_then(ByteCounter::total).unwrap_or(0);
            self.received = now.received.and_then(ByteCounter::total).unwrap_or(0);
        }
        self.previous = *now;
    }
}

/// A connection to plot.
#[derive(Clone, Debug)]
pub struct SelectedConnection {
    /// The connection.
    pub connection: ConnectionId,
    /// The range of snapshots in which records of its name belong to it.  After a
    /// reboot, they belong to another connection.
    pub moments: Range<u64>,
    /// A number from 1, if several connections of this name are plotted.
    pub number: Option<usize>,
}

impl fmt::Display for SelectedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.connection)?;
        self.number.map_or(Ok(()), |number| write!(f, " ({number})"))
    }
}

/// The connections to plot, and their time.
#[derive(Debug)]
pub struct Selection {
    /// The connections, ordered by the bytes that they sent.
    pub connections: Vec<SelectedConnection>,
    /// The number of candidates.
    pub candidates: usize,
    /// The time of their first record, in elapsed nanoseconds.
    pub start_ns: u64,
    /// The time of their first record, in nanoseconds since the Epoch.
    pub start_wall_ns: u64,
    /// The time from the first record to the last, in nanoseconds.
    pub span_ns: u64,
    /// The usual interval between two snapshots of each file, in nanoseconds, in the
    /// order in which the files are read.
    pub intervals_ns: Vec<u64>,
    /// The message about steps of the clock, if there were any.
    pub clock_steps: Option<String>,
    /// The damage of the logs.
    pub damage: Damage,
}

/// The state of the first reading.
struct Selector {
    timeline: Timeline<Sample>,
    connections: Lifetimes<Candidate>,
    spacings: Vec<Spacing>,
    records: u64,
}

impl Selector {
    fn item(&mut self, file: usize, item: &Item<'_>, columns: Option<&tcpstats::Columns>, filter: Option<&Filter>) {
        match *item {
            Item::Record { time_ns, snapshot, record } => {
                if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                    self.moment(file, moment);
                }
                self.records += 1;
                if has_values(record) {
                    let matches = filter.is_none_or(|filter| filter.matches(record));
                    let duration_ns = record.get(key::duration).map(|us| us.saturating_mul(1000));
                    let sample = Sample { marks: Monotone::of(record), matches, duration_ns };
                    self.timeline.add(time_ns, ConnectionId::of(record), Some(sample));
                }
            }
            Item::Snapshot(ref header) => {
                self.timeline.snapshot(header).into_iter().flatten().for_each(|moment| self.moment(file, moment));
            }
            Item::Note(ref note) => {
                if let Some(moment) = self.timeline.note(&note.note, columns) {
                    self.moment(file, moment);
                }
            }
        }
    }

    fn moment(&mut self, file: usize, moment: Moment<Sample>) {
        let mut spacing = self.spacings.get_mut(file);
        // The format of siftr(4) does not number snapshots.
        let is_numbered = moment.header.sequence > 0;
        if let Some(spacing) = spacing.as_mut().filter(|_| is_numbered) {
            spacing.add_snapshot(moment.header.sequence, moment.time_ns);
        }
        let marks = |entry: &Entry<Sample>| entry.sample.as_ref().map(|sample| (entry.id, sample.marks));
        let end = |candidate: &mut Candidate| candidate.moments.end = moment.number;
        self.connections.start_snapshot(moment.boot, moment.entries.iter().filter_map(marks), end);
        for entry in &moment.entries {
            if let Some(sample) = &entry.sample {
                let new = || Candidate::new(entry, moment.number);
                let candidate = self.connections.record(entry.id, &sample.marks, new, end);
                if let Some(spacing) = spacing.as_mut().filter(|_| !is_numbered) {
                    spacing.add(entry.time_ns.saturating_sub(candidate.last_ns));
                }
                candidate.add(entry.time_ns, sample);
            }
        }
        self.timeline.give_back(moment.entries);
    }
}

impl Selection {
    /// Reads the logs and selects `count` of the connections of which the filter
    /// matches a record.
    ///
    /// # Errors
    /// Returns an error if a log cannot be read, or if nothing can be drawn.
    pub fn of(logs: &RereadableLogs, filter: Option<&Filter>, count: u8) -> Result<Self> {
        let mut selector = Selector {
            timeline: Timeline::default(),
            connections: Lifetimes::default(),
            spacings: (0..logs.count()).map(|_| Spacing::new()).collect(),
            records: 0,
        };
        let mut damage = Damage::default();
        let (purpose, mut last_file) = (if filter.is_some() { Purpose::Filter } else { Purpose::Select }, 0);
        logs.each(purpose, &mut damage, |file, item, columns| {
            last_file = file;
            selector.item(file, item, columns.text.as_ref(), filter);
        })?;
        if let Some(moment) = selector.timeline.unfinished() {
            selector.moment(last_file, moment);
        }
        let Selector { timeline, connections, spacings, records } = selector;
        let all: Vec<_> = connections.into_all().collect();
        let is_drawable = |candidate: &Candidate| candidate.matches && candidate.first_ns < candidate.last_ns;
        let mut candidates: Vec<_> = all.iter().filter(|(_, candidate)| is_drawable(candidate)).collect();
        let by = |candidate: &Candidate| (candidate.sent, candidate.received, candidate.records);
        candidates.sort_by(|(one_name, one), (other_name, other)| {
            let by_name = || one_name.to_string().cmp(&other_name.to_string());
            by(other).cmp(&by(one)).then_with(by_name).then_with(|| one.moments.start.cmp(&other.moments.start))
        });
        let count_of_candidates = candidates.len();
        candidates.truncate(usize::from(count));
        let selected = candidates;
        let start = selected.iter().map(|(_, candidate)| (candidate.first_ns, candidate.first_wall_ns)).min();
        let end_ns = selected.iter().map(|(_, candidate)| candidate.last_ns).max();
        let (Some((start_ns, start_wall_ns)), Some(end_ns)) = (start, end_ns) else {
            let why = || why(records, all.len(), filter.is_some());
            return Err(damage.into_error().unwrap_or_else(|| logs.nothing_to_draw(&why())));
        };
        let numbered = |(connection, candidate): &&(ConnectionId, Candidate)| {
            let name = connection.to_string();
            let of_name = || selected.iter().filter(|(other, _)| other.to_string() == name);
            let before = of_name().filter(|(_, other)| other.moments.start < candidate.moments.start).count();
            let number = (of_name().count() > 1).then_some(before + 1);
            SelectedConnection { connection: *connection, moments: candidate.moments.clone(), number }
        };
        Ok(Self {
            connections: selected.iter().map(numbered).collect(),
            candidates: count_of_candidates,
            start_ns,
            start_wall_ns,
            span_ns: end_ns - start_ns,
            // If there is only one snapshot, there is no interval.
            intervals_ns: spacings.iter().map(|spacing| spacing.usual_ns().unwrap_or(u64::MAX)).collect(),
            clock_steps: timeline.steps().message(),
            damage,
        })
    }
}

/// Returns whether a record has a value to plot.  A listening socket has none.
fn has_values(record: &Record) -> bool {
    let values = [record.get(key::snd_cwnd), record.get(key::inflight), record.get(key::srtt)];
    values.iter().any(Option::is_some) && record.get(key::state) != Some(State::LISTEN)
}

/// Returns the reason why no connection was selected.
fn why(records: u64, connections: usize, is_filtered: bool) -> String {
    match (records, connections) {
        (0, _) => "no records".to_owned(),
        (_, 0) => "no record has a window or a round-trip time".to_owned(),
        _ if is_filtered => {
            "no connection matches the filter and has two records, or a final record with a duration".to_owned()
        }
        _ => "no connection has two records, or a final record with a duration".to_owned(),
    }
}
