// SPDX-License-Identifier: BSD-2-Clause

//! Which connections are drawn: those that sent most.  The logs are read once
//! for it, and a second time for what is drawn.

use std::fmt;
use std::ops::Range;

use tcpstats::{Filter, Record, State, key};
use tcpstats_log::{ByteCounter, ConnectionId, Entry, Lifetimes, Moment, Monotone, Timeline};
use tcpstats_source::Sentence;

use super::reading::{Again, Damage, Reading};
use super::spacing::Spacing;
use crate::log::Item;

/// What one record says.
struct Sample {
    marks: Monotone,
    is_wanted: bool,
}

/// What the first reading says of a connection.
struct Seen {
    first_ns: u64,
    /// The same by the clock of the day.
    first_wall_ns: u64,
    last_ns: u64,
    records: u64,
    is_wanted: bool,
    sent: u64,
    received: u64,
    before: Monotone,
    /// The moments in which records of its name are its own.
    moments: Range<u64>,
}

impl Seen {
    fn new(entry: &Entry<Sample>, moment: u64) -> Self {
        Self {
            first_ns: entry.time_ns,
            first_wall_ns: entry.wall_ns,
            last_ns: entry.time_ns,
            records: 0,
            is_wanted: false,
            sent: 0,
            received: 0,
            before: Monotone::default(),
            moments: moment..u64::MAX,
        }
    }

    fn add(&mut self, at_ns: u64, sample: &Sample) {
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.records += 1;
        self.is_wanted |= sample.is_wanted;
        let since = |before: Option<ByteCounter>, now: Option<ByteCounter>| now?.since(before?);
        let (before, now) = (&self.before, &sample.marks);
        self.sent = self.sent.saturating_add(since(before.sent, now.sent).unwrap_or(0));
        self.received = self.received.saturating_add(since(before.received, now.received).unwrap_or(0));
        self.before = *now;
    }
}

/// A connection to draw.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// What it is called.
    pub connection: ConnectionId,
    /// The moments in which records of that name are its own: after a reboot they
    /// are another connection's.
    pub moments: Range<u64>,
    /// Which of those of that name it is, from 1, if several are drawn.
    pub number: Option<usize>,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.connection)?;
        self.number.map_or(Ok(()), |number| write!(f, " ({number})"))
    }
}

/// What is drawn, and from where.
#[derive(Debug)]
pub struct Choice {
    /// The connections, that which sent most first.
    pub connections: Vec<Chosen>,
    /// How many there were to choose from.
    pub of: usize,
    /// The first of their records, in time that passed in the logs, in
    /// nanoseconds.
    pub start_ns: u64,
    /// The same by the clock of the day, since the UNIX epoch.
    pub start_wall_ns: u64,
    /// To the last, in nanoseconds.
    pub span_ns: u64,
    /// The time that usually passes between two snapshots of each file, in
    /// nanoseconds, in the order in which they are read.
    pub intervals_ns: Vec<u64>,
    /// What is to be said of a clock that was set.
    pub stepped: Option<String>,
    /// What of the logs could not be read.
    pub damage: Damage,
}

/// What was read of the logs.
struct Choosing {
    timeline: Timeline<Sample>,
    connections: Lifetimes<Seen>,
    spacings: Vec<Spacing>,
    records: u64,
}

impl Choosing {
    fn item(&mut self, file: usize, item: &Item<'_>, columns: Option<&tcpstats::Columns>, filter: Option<&Filter>) {
        match *item {
            Item::Record { time_ns, snapshot, record } => {
                if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                    self.moment(file, moment);
                }
                self.records += 1;
                if is_drawable(record) {
                    let is_wanted = filter.is_none_or(|filter| filter.matches(record));
                    let sample = Sample { marks: Monotone::of(record), is_wanted };
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
        // The format of siftr(4) numbers no snapshots.
        let is_numbered = moment.header.sequence > 0;
        if let Some(spacing) = spacing.as_mut().filter(|_| is_numbered) {
            spacing.see(moment.header.sequence, moment.time_ns);
        }
        let marks = |entry: &Entry<Sample>| entry.sample.as_ref().map(|sample| (entry.id, sample.marks));
        let end = |seen: &mut Seen| seen.moments.end = moment.number;
        self.connections.start_snapshot(moment.boot, moment.entries.iter().filter_map(marks), end);
        for entry in &moment.entries {
            if let Some(sample) = &entry.sample {
                let new = || Seen::new(entry, moment.number);
                let seen = self.connections.record(entry.id, &sample.marks, new, end);
                if let Some(spacing) = spacing.as_mut().filter(|_| !is_numbered) {
                    spacing.add(entry.time_ns.saturating_sub(seen.last_ns));
                }
                seen.add(entry.time_ns, sample);
            }
        }
        self.timeline.give_back(moment.entries);
    }
}

impl Choice {
    /// Reads the logs, and chooses so many of the connections of which the
    /// filter matches a record.
    ///
    /// # Errors
    /// A sentence: a log cannot be read, or nothing in it can be drawn.
    pub fn of(logs: &Again, filter: Option<&Filter>, count: u8) -> Result<Self, Sentence> {
        let mut choosing = Choosing {
            timeline: Timeline::default(),
            connections: Lifetimes::default(),
            spacings: (0..logs.count()).map(|_| Spacing::new()).collect(),
            records: 0,
        };
        let mut damage = Damage::default();
        let (reading, mut last_file) = (if filter.is_some() { Reading::Filter } else { Reading::Choose }, 0);
        logs.each(reading, &mut damage, |file, item, columns| {
            last_file = file;
            choosing.item(file, item, columns.text.as_ref(), filter);
        })?;
        if let Some(moment) = choosing.timeline.unfinished() {
            choosing.moment(last_file, moment);
        }
        let Choosing { timeline, connections, spacings, records } = choosing;
        let all: Vec<_> = connections.into_all().collect();
        let is_wanted = |seen: &Seen| seen.is_wanted && seen.first_ns < seen.last_ns;
        let mut wanted: Vec<_> = all.iter().filter(|(_, seen)| is_wanted(seen)).collect();
        let by = |seen: &Seen| (seen.sent, seen.received, seen.records);
        wanted.sort_by(|(one_name, one), (other_name, other)| {
            let by_name = || one_name.to_string().cmp(&other_name.to_string());
            by(other).cmp(&by(one)).then_with(by_name).then_with(|| one.moments.start.cmp(&other.moments.start))
        });
        let of = wanted.len();
        wanted.truncate(usize::from(count));
        let start = wanted.iter().map(|(_, seen)| (seen.first_ns, seen.first_wall_ns)).min();
        let end_ns = wanted.iter().map(|(_, seen)| seen.last_ns).max();
        let (Some((start_ns, start_wall_ns)), Some(end_ns)) = (start, end_ns) else {
            let why = || why(records, all.len(), filter.is_some());
            return Err(damage.told().unwrap_or_else(|| logs.nothing(&why())));
        };
        let chosen = |(connection, seen): &&(ConnectionId, Seen)| {
            let name = connection.to_string();
            let of_name = || wanted.iter().filter(|(other, _)| other.to_string() == name);
            let before = of_name().filter(|(_, other)| other.moments.start < seen.moments.start).count();
            let number = (of_name().count() > 1).then_some(before + 1);
            Chosen { connection: *connection, moments: seen.moments.clone(), number }
        };
        Ok(Self {
            connections: wanted.iter().map(chosen).collect(),
            of,
            start_ns,
            start_wall_ns,
            span_ns: end_ns - start_ns,
            // Where nothing follows another, nothing is too far apart.
            intervals_ns: spacings.iter().map(|spacing| spacing.usual_ns().unwrap_or(u64::MAX)).collect(),
            stepped: timeline.steps().message(),
            damage,
        })
    }
}

/// Whether a record has anything that a picture shows: a listener has not.
fn is_drawable(record: &Record) -> bool {
    let values = [record.get(key::snd_cwnd), record.get(key::inflight), record.get(key::srtt)];
    values.iter().any(Option::is_some) && record.get(key::state) != Some(State::LISTEN)
}

/// Why nothing was chosen.
fn why(records: u64, connections: usize, is_filtered: bool) -> String {
    match (records, connections) {
        (0, _) => "it has no records".to_owned(),
        (_, 0) => format!("none of the {records} records has a window or a round-trip time"),
        (_, 1..) if is_filtered => {
            format!("of {connections} connections none matches the filter and was seen more than once")
        }
        _ => format!("none of {connections} connections was seen more than once"),
    }
}
