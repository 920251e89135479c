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
    known: HashMap<String, Group>,
    /// The key of the last row.
    pub key: String,
}

impl<'a> Groups<'a> {
    /// Returns no groups.
    pub fn new(grouping: &'a Grouping) -> Self {
        Self { grouping, known: HashMap::new(), key: String::new() }
    }

    /// Adds a connection to its group.
    pub fn add(&mut self, row: &Row) {
        self.grouping.write_key(&row.record, None, &mut self.key);
        if !self.known.contains_key(&self.key) {
            self.known.insert(self.key.clone(), Group { key: self.key.clone(), ..Group::default() });
        }
        if let Some(group) = self.known.get_mut(&self.key) {
            group.totals.add(row);
            group.srtts.extend(row.record.get(key::srtt).filter(|_| !row.record.is_final()));
        }
    }

    /// Returns the number of groups and the first of them, sorted by a column, then by the
    /// number of connections, then by their labels.
    pub fn sorted(self, column: GroupColumn, descending: bool, count: usize) -> (usize, Vec<Group>) {
        let mut groups: Vec<_> = self.known.into_values().collect();
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

#[cfg(test)]
mod tests {
    use tcpstats::Record;
    use tcpstats_log::{Boot, Snapshot};

    use super::super::super::args::By;
    use super::*;
    use crate::list::tracker::Tracker;

    #[test]
    fn groups_are_sorted_and_an_absent_value_is_last() {
        let record = |port: u16, srtt: Option<u32>| {
            let mut record = Record::new();
            record.set(key::gencnt, u64::from(port) << 32 | u64::from(srtt.unwrap_or(0)));
            record.set(key::lport, port);
            record.set_if(key::srtt, srtt);
            record
        };
        let records =
            vec![record(80, Some(5)), record(80, Some(1)), record(80, Some(9)), record(443, Some(7)), record(9, None)];
        let snapshot = Snapshot { header: tcpstats::Header::default(), records, ended: Vec::new(), boot: Boot::Same };
        let rows = Tracker::default().track(snapshot).rows;
        let grouping = Grouping::new(&[By::Lport], 24, 48);
        let sorted = |column, descending, count| {
            let mut groups = Groups::new(&grouping);
            for row in &rows {
                groups.add(row);
            }
            let (total, groups) = groups.sorted(column, descending, count);
            let cell = |group: &Group| (group.key.clone(), GroupColumn::Srtt.value(group).unwrap_or_default());
            (total, groups.iter().map(cell).collect::<Vec<_>>())
        };
        let row = |port: &str, srtt: &str| (port.to_owned(), srtt.to_owned());
        let by_srtt = vec![row("80", "5us"), row("443", "7us"), row("9", "")];
        assert_eq!(sorted(GroupColumn::Srtt, false, 9), (3, by_srtt));
        assert_eq!(sorted(GroupColumn::Srtt, true, 1), (3, vec![row("443", "7us")]));
        let by_port = vec![row("9", ""), row("80", "5us"), row("443", "7us")];
        assert_eq!(sorted(GroupColumn::Label(0), false, 9), (3, by_port), "ports are numbers");
        assert_eq!(sorted(GroupColumn::Send, true, 9).1[0], row("80", "5us"), "by the number of connections");
    }
}
