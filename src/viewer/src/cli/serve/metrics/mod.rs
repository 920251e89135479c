// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics: counters, gauges and histograms of groups of connections, accumulated from
//! snapshots.

mod connection;
mod families;
mod family;
mod format;
mod group;
mod groups;
mod health;
mod histogram;
mod key;
mod native;
mod number;
mod protobuf;
#[cfg(test)]
mod tests;
mod text;
mod view;

use foldhash::{HashMap, HashMapExt};
use tcpstats::frame::flag;
use tcpstats::{Record, State, key as field};
use tcpstats_log::{Boot, ConnectionId, Snapshot};

use self::connection::Connection;
pub use self::format::Format;
pub use self::group::Shape;
use self::groups::Groups;
pub use self::health::Health;
pub use self::histogram::Buckets;
pub use self::key::{Grouping, SEPARATOR};
pub use self::view::{Body, View, every_metric, series_of_group, series_of_health};

/// The maximum number of connections without a final record that are remembered after they
/// have disappeared, and for how long.
const MISSING_MAX: usize = 1 << 16;
const MISSING_NS: u64 = 3600 * 1_000_000_000;

/// What is known about the source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// Whether its records are those of Linux.
    pub is_linux: bool,
    /// Whether a filter can leave out some records of a connection, so that its first
    /// record says nothing about its beginning.
    pub is_partial: bool,
}

/// The metrics of the connections in the snapshots so far.
pub struct Metrics {
    connections: HashMap<ConnectionId, Connection>,
    groups: Groups,
    /// The time of the last snapshot that has every connection, in nanoseconds of the monotonic
    /// clock.
    complete_ns: Option<u64>,
    /// Whether this is the last snapshot.
    was_complete: bool,
    snapshots: u64,
    /// The metrics of the program itself.
    pub health: Health,
    key: String,
}

impl Metrics {
    /// Returns empty metrics.  Up to `groups_max` groups have series of their own.
    pub fn new(grouping: Grouping, shape: Shape, groups_max: usize, now_ns: u64) -> Self {
        Self {
            connections: HashMap::new(),
            groups: Groups::new(grouping, shape, groups_max, now_ns),
            complete_ns: None,
            was_complete: false,
            snapshots: 0,
            health: Health::new(groups_max, now_ns),
            key: String::new(),
        }
    }

    /// Adds a snapshot at the time `now_ns`, in nanoseconds since the Epoch.
    pub fn add(&mut self, snapshot: &Snapshot, origin: Origin, now_ns: u64) {
        let header = &snapshot.header;
        self.snapshots += 1;
        let is_another = |record: &Record| {
            let known = self.connections.get(&ConnectionId::of(record));
            known.is_some_and(|known| known.contradicts(record))
        };
        let is_rebooted = match snapshot.boot {
            Boot::Same => false,
            Boot::Unsure => snapshot.records.iter().chain(&snapshot.ended).any(is_another),
            Boot::Other => true,
        };
        if is_rebooted {
            self.connections.clear();
            self.complete_ns = None;
        }
        let complete_ns = self.complete_ns.take();
        // A connection that is not in a complete snapshot began after it.
        let began = complete_ns.is_some() && self.was_complete && snapshot.boot == Boot::Same && !origin.is_partial;
        self.was_complete =
            header.missed == 0 && header.flags & (flag::TRUNCATED | flag::INTERRUPTED | flag::CHANGED_ONLY) == 0;
        self.complete_ns = if self.was_complete { Some(header.mono_ns) } else { complete_ns };
        self.groups.start_snapshot(header.mono_ns, now_ns);
        if self.groups.has_room() {
            self.give_series(snapshot, now_ns);
        }
        for record in &snapshot.records {
            self.add_record(record, header.mono_ns.wrapping_add(record.at_ns), began, origin);
        }
        for record in &snapshot.ended {
            let at_ns = header.mono_ns.wrapping_add(record.at_ns);
            let start = record.get(field::duration).and_then(|us| at_ns.checked_sub(us.saturating_mul(1000)));
            let began = start.map_or(began, |start| complete_ns.is_some_and(|complete_ns| start >= complete_ns));
            self.add_final(record, at_ns, began, origin);
        }
        self.health.has_ledger |= header.flags & flag::LEDGER != 0 || !snapshot.ended.is_empty();
        self.forget(header.mono_ns, origin);
        self.groups.end_snapshot();
        self.health.add(header);
    }

    /// Gives series to the largest new groups.
    fn give_series(&mut self, snapshot: &Snapshot, now_ns: u64) {
        let mut sizes = HashMap::<String, u64>::new();
        for record in snapshot.records.iter().chain(&snapshot.ended) {
            let last = record.is_final().then(|| self.connections.get(&ConnectionId::of(record))).flatten();
            self.groups.grouping.write_key(record, last.map(|last| &*last.group), &mut self.key);
            if !self.groups.is_without_series(&self.key) {
                continue;
            }
            let bytes = [field::acked_bytes, field::received_bytes].map(|bytes| record.get(bytes).unwrap_or(0));
            let size = bytes.into_iter().fold(1, u64::saturating_add);
            match sizes.get_mut(&self.key) {
                Some(sum) => *sum = sum.saturating_add(size),
                None => _ = sizes.insert(self.key.clone(), size),
            }
        }
        self.groups.give_series(sizes, now_ns);
    }

    fn add_record(&mut self, record: &Record, at_ns: u64, began: bool, origin: Origin) {
        self.groups.grouping.write_key(record, None, &mut self.key);
        let id = ConnectionId::of(record);
        let known = self.connections.get_mut(&id);
        // A connection in TIME_WAIT has its own number on Linux, and no counters.
        let is_counted = match record.get(field::state) {
            Some(State::LISTEN | State::CLOSED) => false,
            Some(State::TIME_WAIT) => known.is_some(),
            _ => true,
        };
        if !is_counted {
            self.groups.get(&self.key, 0).add_sample(record, origin.is_linux);
            return;
        }
        let is_new = known.is_none();
        let connection = match known {
            Some(known) => known,
            None => self.connections.entry(id).or_insert(Connection::new(record, at_ns, began, "".into())),
        };
        let mut increase = connection.add(record, at_ns, origin.is_linux);
        increase.opened = u64::from(is_new && began);
        let group = self.groups.get(&self.key, increase.bytes());
        connection.seen = self.snapshots;
        group.total.add(&increase);
        group.add_sample(record, origin.is_linux);
        if *connection.group != *self.key {
            connection.group = self.groups.key(&self.key);
        }
    }

    fn add_final(&mut self, record: &Record, at_ns: u64, began: bool, origin: Origin) {
        let known = self.connections.remove(&ConnectionId::of(record));
        self.groups.grouping.write_key(record, known.as_ref().map(|known| &*known.group), &mut self.key);
        let opened = u64::from(known.is_none() && began);
        let mut connection = known.unwrap_or_else(|| Connection::new(record, at_ns, began, "".into()));
        let increase = connection.add(record, at_ns, origin.is_linux);
        let group = self.groups.get(&self.key, increase.bytes());
        group.total.add(&increase);
        group.total.opened += opened;
        group.add_final(record);
    }

    /// Forgets the connections that have disappeared without a final record.  One can follow
    /// later, when the last process closes its socket.
    fn forget(&mut self, mono_ns: u64, origin: Origin) {
        if !self.was_complete {
            return;
        }
        let (snapshots, has_ledger, groups) = (self.snapshots, self.health.has_ledger, &mut self.groups);
        let missing = self.connections.values().filter(|connection| connection.seen < snapshots).count();
        let is_full = missing > MISSING_MAX;
        self.connections.retain(|_, connection| {
            let is_old = if has_ledger {
                is_full || mono_ns.saturating_sub(connection.at_ns) > MISSING_NS
            } else {
                connection.seen + 1 < snapshots
            };
            if connection.seen == snapshots || !is_old {
                return true;
            }
            if !origin.is_partial {
                groups.get(&connection.group, 0).close(None);
            }
            false
        });
    }

    /// Removes the gauges, because the source has failed.
    pub fn source_failed(&mut self) {
        self.groups.clear_gauges();
        self.health.source_failed();
    }

    /// Returns a copy for a scrape.
    pub fn view(&self) -> View {
        View::new(&self.groups, self.health.clone())
    }
}
