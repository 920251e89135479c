// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The groups of connections on the page.

use std::cmp::Ordering;
use std::collections::HashMap;

use tcpstats::key;

use super::super::metrics::{Grouping, SEPARATOR};
use crate::list::column::{SortKey, per_second};
use crate::list::tracker::Row;
use crate::units;

/// The totals of connections.  A value is `None` if none of them has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// The number of connections that have not ended.
    pub connections: usize,
    /// Bits per second sent.
    pub send: Option<f64>,
    /// Bits per second received.
    pub receive: Option<f64>,
    /// Segments per second retransmitted.
    pub rexmit: Option<f64>,
}

impl Totals {
    /// Adds a connection.
    pub fn add(&mut self, row: &Row) {
        let add = |sum: &mut Option<f64>, rate: Option<f64>| {
            if let Some(rate) = rate {
                *sum = Some(sum.unwrap_or(0.0) + rate);
            }
        };
        self.connections += usize::from(!row.record.is_final());
        add(&mut self.send, row.rates.send);
        add(&mut self.receive, row.rates.receive);
        add(&mut self.rexmit, row.rates.rexmit);
    }
}

/// A group of connections.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The values of its labels.
    pub key: String,
    /// The totals of its connections.
    pub totals: Totals,
    srtts: Vec<u32>,
    /// The median of their smoothed round-trip times.
    srtt: Option<u32>,
}

/// A column of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupColumn {
    /// A label, by its position.
    Label(usize),
    /// The number of connections.
    Connections,
    /// Bits per second sent.
    Send,
    /// Bits per second received.
    Receive,
    /// Segments per second retransmitted.
    Rexmit,
    /// The median of the smoothed round-trip times.
    Srtt,
}

impl GroupColumn {
    /// The columns after those of the labels.
    pub const VALUES: [Self; 5] = [Self::Connections, Self::Send, Self::Receive, Self::Rexmit, Self::Srtt];

    /// Returns the name, which has no spaces, the title and the meaning.
    pub fn description(self) -> [&'static str; 3] {
        match self {
            Self::Label(_) => ["", "", ""],
            Self::Connections => ["connections", "connections", "connections that have not ended"],
            Self::Send => ["send", "send b/s", "payload acknowledged by the peers, in bits per second"],
            Self::Receive => ["receive", "recv b/s", "payload received, in bits per second"],
            Self::Rexmit => ["rexmit", "rexm/s", "segments retransmitted per second"],
            Self::Srtt => ["srtt", "srtt", "median of the smoothed round-trip times"],
        }
    }

    /// Returns the text of a value, or `None` if it is absent.
    pub fn value(self, group: &Group) -> Option<String> {
        let totals = &group.totals;
        match self {
            Self::Label(at) => label(group, at).filter(|value| !value.is_empty()).map(str::to_owned),
            Self::Connections => Some(totals.connections.to_string()),
            Self::Send => totals.send.map(units::bits),
            Self::Receive => totals.receive.map(units::bits),
            Self::Rexmit => totals.rexmit.map(per_second),
            Self::Srtt => group.srtt.map(|us| units::time(us.into())),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "no snapshot has that many connections")]
    fn sort_key(self, group: &Group) -> SortKey<'_> {
        let number = |number: Option<f64>| number.map_or(SortKey::Absent, SortKey::Number);
        match self {
            Self::Label(at) => match label(group, at) {
                Some(text) if !text.is_empty() => {
                    // Ports are numbers.
                    text.parse::<u32>().map_or(SortKey::Bytes(text.as_bytes()), |number| SortKey::Number(number.into()))
                }
                _ => SortKey::Absent,
            },
            Self::Connections => SortKey::Number(group.totals.connections as f64),
            Self::Send => number(group.totals.send),
            Self::Receive => number(group.totals.receive),
            Self::Rexmit => number(group.totals.rexmit),
            Self::Srtt => number(group.srtt.map(f64::from)),
        }
    }
}

fn label(group: &Group, at: usize) -> Option<&str> {
    group.key.split(SEPARATOR).nth(at)
}

/// Groups of connections, in one pass over them.
pub struct Groups<'a> {
    grouping: &'a Grouping,
    groups: HashMap<String, Group>,
    /// The key of the last row.
    pub key: String,
}

impl<'a> Groups<'a> {
    /// Returns no groups.
    pub fn new(grouping: &'a Grouping) -> Self {
        Self { grouping, groups: HashMap::new(), key: String::new() }
    }

    /// Adds a connection to its group.
    pub fn add(&mut self, row: &Row) {
        self.grouping.write_key(&row.record, None, &mut self.key);
        if !self.groups.contains_key(&self.key) {
            self.groups.insert(self.key.clone(), Group { key: self.key.clone(), ..Group::default() });
        }
        if let Some(group) = self.groups.get_mut(&self.key) {
            group.totals.add(row);
            group.srtts.extend(row.record.get(key::srtt).filter(|_| !row.record.is_final()));
        }
    }

    /// Returns the number of groups and the first of them, sorted by a column, then by the
    /// number of connections, then by their labels.
    pub fn sorted(self, column: GroupColumn, descending: bool, count: usize) -> (usize, Vec<Group>) {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        for group in &mut groups {
            let middle = group.srtts.len() / 2;
            group.srtt = (middle < group.srtts.len()).then(|| *group.srtts.select_nth_unstable(middle).1);
        }
        groups.sort_unstable_by(|one, other| {
            let order = match (column.sort_key(one), column.sort_key(other)) {
                // A label can have numbers and names.
                (SortKey::Number(_), SortKey::Bytes(_)) => Ordering::Less,
                (SortKey::Bytes(_), SortKey::Number(_)) => Ordering::Greater,
                (one, other) => one.order(other, descending),
            };
            order
                .then_with(|| other.totals.connections.cmp(&one.totals.connections))
                .then_with(|| one.key.cmp(&other.key))
        });
        let total = groups.len();
        groups.truncate(count);
        (total, groups)
    }
}
