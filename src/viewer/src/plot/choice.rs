// SPDX-License-Identifier: BSD-2-Clause

//! Which connections are drawn: those that sent most.  The logs are read once
//! for it, and a second time for what is drawn.

use std::collections::HashMap;
use std::path::PathBuf;

use tcpstats::{Filter, Record, State, key};
use tcpstats_source::Sentence;

use super::moved::Moved;
use super::reading::{self, Damage, Fields};
use crate::identity::Identity;
use crate::log::Item;

/// What the first reading says of a connection.
struct Seen {
    connection: Identity,
    first_ns: u64,
    last_ns: u64,
    records: u64,
    is_wanted: bool,
    sent: f64,
    received: f64,
    before: (Option<Moved>, Option<Moved>),
}

impl Seen {
    fn of(connection: Identity, at_ns: u64) -> Self {
        let before = (None, None);
        let (sent, received) = (0.0, 0.0);
        Self { connection, first_ns: at_ns, last_ns: at_ns, records: 0, is_wanted: false, sent, received, before }
    }

    fn add(&mut self, at_ns: u64, record: &Record) {
        self.first_ns = self.first_ns.min(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.records += 1;
        let now = (Moved::sent(at_ns, record), Moved::received(at_ns, record));
        let since = |before: &Option<Moved>, now: &Option<Moved>| now.as_ref()?.since(before.as_ref()?);
        self.sent += since(&self.before.0, &now.0).unwrap_or(0.0);
        self.received += since(&self.before.1, &now.1).unwrap_or(0.0);
        self.before = now;
    }
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
    /// The time between two records of the one with most, in nanoseconds.
    pub interval_ns: u64,
    /// The logs, the earliest first.
    pub logs: Vec<PathBuf>,
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
        let mut starts = Vec::new();
        let mut records = 0u64;
        let mut damage = Damage::default();
        // A filter can ask for any field.
        let fields = if filter.is_some() { Fields::All } else { Fields::Drawn };
        for path in logs {
            let mut start_ns = u64::MAX;
            reading::each(path, fields, &mut damage, |item| {
                let Item::Record { time_ns, record, .. } = *item else { return };
                records += 1;
                start_ns = start_ns.min(time_ns);
                if is_drawable(record) {
                    let connection = Identity::of(record);
                    let seen = connections.entry(connection).or_insert_with(|| Seen::of(connection, time_ns));
                    seen.add(time_ns, record);
                    seen.is_wanted |= filter.is_none_or(|filter| filter.matches(record));
                }
            })?;
            starts.push((start_ns, path.clone()));
        }
        starts.sort();
        let wanted = connections.values().filter(|seen| seen.is_wanted && seen.first_ns < seen.last_ns);
        let mut wanted: Vec<_> = wanted.collect();
        let by = |seen: &Seen| (seen.sent, seen.received, seen.records);
        wanted.sort_by(|one, other| {
            let key = by(other).partial_cmp(&by(one)).unwrap_or(std::cmp::Ordering::Equal);
            key.then_with(|| one.connection.to_string().cmp(&other.connection.to_string()))
        });
        let of = wanted.len();
        wanted.truncate(usize::from(count));
        let start_ns = wanted.iter().map(|seen| seen.first_ns).min();
        let end_ns = wanted.iter().map(|seen| seen.last_ns).max();
        let most = wanted.iter().max_by_key(|seen| seen.records);
        let (Some(start_ns), Some(end_ns), Some(most)) = (start_ns, end_ns, most) else {
            let why = || why(records, connections.len(), filter.is_some());
            return Err(damage.told().unwrap_or_else(|| nothing(logs, &why())));
        };
        Ok(Self {
            connections: wanted.iter().map(|seen| seen.connection).collect(),
            of,
            start_ns,
            span_ns: end_ns - start_ns,
            interval_ns: (most.last_ns - most.first_ns) / most.records.saturating_sub(1).max(1),
            logs: starts.into_iter().map(|(_, path)| path).collect(),
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
