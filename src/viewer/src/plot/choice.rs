// SPDX-License-Identifier: BSD-2-Clause

//! Which connections are drawn: those that sent most.  The logs are read once
//! for it, and a second time for what is drawn.

use std::collections::HashMap;
use std::path::PathBuf;

use tcpstats::{Filter, Record, State, key};
use tcpstats_source::Sentence;

use super::reading::{self, Damage, Fields};
use super::spacing::Spacing;
use crate::identity::Identity;
use crate::log::Item;
use crate::throughput::ByteCounter;

/// What the first reading says of a connection.
struct Seen {
    connection: Identity,
    first_ns: u64,
    last_ns: u64,
    records: u64,
    is_wanted: bool,
    sent: u64,
    received: u64,
    before: (Option<ByteCounter>, Option<ByteCounter>),
}

impl Seen {
    fn of(connection: Identity, at_ns: u64) -> Self {
        let before = (None, None);
        let (sent, received) = (0, 0);
        Self { connection, first_ns: at_ns, last_ns: at_ns, records: 0, is_wanted: false, sent, received, before }
    }

    fn add(&mut self, at_ns: u64, record: &Record) {
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.records += 1;
        let now = (ByteCounter::sent(record), ByteCounter::received(record));
        let since = |before: Option<ByteCounter>, now: Option<ByteCounter>| now?.since(before?);
        self.sent = self.sent.saturating_add(since(self.before.0, now.0).unwrap_or(0));
        self.received = self.received.saturating_add(since(self.before.1, now.1).unwrap_or(0));
        self.before = now;
    }
}

/// A log with something to draw.
#[derive(Debug)]
pub struct Chosen {
    /// Where it is.
    pub path: PathBuf,
    /// The time that usually passes between two of its snapshots, in nanoseconds.
    pub interval_ns: u64,
    /// The time of its first record.
    start_ns: u64,
}

/// What is drawn, and from where.
#[derive(Debug)]
pub struct Choice {
    /// The connections, that which sent most first.
    pub connections: Vec<Identity>,
    /// How many there were to choose from.
    pub of: usize,
    /// From the first of their records, in nanoseconds since the UNIX epoch.
    pub start_ns: u64,
    /// To the last, in nanoseconds.
    pub span_ns: u64,
    /// The logs, the earliest first.
    pub logs: Vec<Chosen>,
    /// What of them could not be read.
    pub damage: Damage,
}

impl Choice {
    /// Reads the logs, and chooses so many of the connections of which the
    /// filter matches a record.
    ///
    /// # Errors
    /// A sentence: a log cannot be read, or nothing in it can be drawn.
    pub fn of(logs: &[PathBuf], filter: Option<&Filter>, count: u8) -> Result<Self, Sentence> {
        let mut connections: HashMap<Identity, Seen> = HashMap::new();
        let mut chosen = Vec::new();
        let mut records = 0u64;
        let mut damage = Damage::default();
        // A filter can ask for any field.
        let fields = if filter.is_some() { Fields::All } else { Fields::Drawn };
        for path in logs {
            let mut start_ns = u64::MAX;
            let mut spacing = Spacing::new();
            reading::each(path, fields, &mut damage, |item| {
                let (time_ns, snapshot, record) = match *item {
                    Item::Record { time_ns, snapshot, record } => (time_ns, snapshot, record),
                    Item::Snapshot(header) => return spacing.see(header.sequence, header.wall_ns),
                    Item::Note(_) => return,
                };
                if snapshot > 0 {
                    spacing.see(snapshot, time_ns);
                }
                records += 1;
                start_ns = start_ns.min(time_ns);
                if is_drawable(record) {
                    let connection = Identity::of(record);
                    let seen = connections.entry(connection).or_insert_with(|| Seen::of(connection, time_ns));
                    // The format of siftr(4) numbers no snapshots.
                    if snapshot == 0 {
                        spacing.add(time_ns.saturating_sub(seen.last_ns));
                    }
                    seen.add(time_ns, record);
                    seen.is_wanted |= filter.is_none_or(|filter| filter.matches(record));
                }
            })?;
            // Where nothing follows another, nothing is too far apart.
            let interval_ns = spacing.usual_ns().unwrap_or(u64::MAX);
            chosen.push(Chosen { path: path.clone(), interval_ns, start_ns });
        }
        chosen.sort_by(|one, other| (one.start_ns, &one.path).cmp(&(other.start_ns, &other.path)));
        let wanted = connections.values().filter(|seen| seen.is_wanted && seen.first_ns < seen.last_ns);
        let mut wanted: Vec<_> = wanted.collect();
        let by = |seen: &Seen| (seen.sent, seen.received, seen.records);
        wanted.sort_by(|one, other| {
            by(other).cmp(&by(one)).then_with(|| one.connection.to_string().cmp(&other.connection.to_string()))
        });
        let of = wanted.len();
        wanted.truncate(usize::from(count));
        let start_ns = wanted.iter().map(|seen| seen.first_ns).min();
        let end_ns = wanted.iter().map(|seen| seen.last_ns).max();
        let (Some(start_ns), Some(end_ns)) = (start_ns, end_ns) else {
            let why = || why(records, connections.len(), filter.is_some());
            return Err(damage.told().unwrap_or_else(|| nothing(logs, &why())));
        };
        Ok(Self {
            connections: wanted.iter().map(|seen| seen.connection).collect(),
            of,
            start_ns,
            span_ns: end_ns - start_ns,
            logs: chosen,
            damage,
        })
    }
}

/// Whether a record has anything that a picture shows: a listener has not.
fn is_drawable(record: &Record) -> bool {
    let values = [record.get(key::snd_cwnd), record.get(key::inflight), record.get(key::srtt)];
    values.iter().any(Option::is_some) && record.get(key::state) != Some(State::LISTEN)
}

/// A sentence for that there is nothing to draw.
pub fn nothing(logs: &[PathBuf], why: &str) -> Sentence {
    let names: Vec<_> = logs.iter().map(|path| path.display().to_string()).collect();
    format!("{}: nothing to draw: {why}", names.join(", "))
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
