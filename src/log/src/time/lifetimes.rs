// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Connections while a log is read.  After a reboot another connection may have
//! the same number and the same ports.

use std::collections::HashMap;

use tcpstats::{Record, key};

use super::boot::Boot;
use crate::byte_counter::ByteCounter;
use crate::connection_id::ConnectionId;

/// Values that never decrease, or never change, in the lifetime of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotone {
    /// Bytes sent, including those not acknowledged yet.
    pub sent_bytes: Option<u64>,
    /// The preferred counter of bytes sent.
    pub sent: Option<ByteCounter>,
    /// The preferred counter of bytes received.
    pub received: Option<ByteCounter>,
    /// Bytes retransmitted.
    pub rexmit_bytes: Option<u64>,
    /// Segments retransmitted.
    pub rexmit_packs: Option<u32>,
    age_us: Option<u64>,
    /// Values that do not change once they are set; 0 until then.
    constants: [u32; 3],
}

impl Monotone {
    /// The names of the fields that are used besides the byte counters.
    pub const FIELDS: &str = "age,iss,irs,inode,rexmit_bytes,rexmit_packs";

    /// Returns the values in a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            sent_bytes: record.get(key::sent_bytes),
            sent: ByteCounter::sent(record),
            received: ByteCounter::received(record),
            rexmit_bytes: record.get(key::rexmit_bytes),
            rexmit_packs: record.get(key::rexmit_packs),
            age_us: record.get(key::age),
            constants: [key::iss, key::irs, key::inode].map(|key| record.get(key).unwrap_or(0)),
        }
    }

    /// Updates the values from a later record of the connection; values that are
    /// absent there are kept.
    pub fn update(&mut self, now: &Self) {
        self.sent_bytes = now.sent_bytes.or(self.sent_bytes);
        self.sent = now.sent.or(self.sent);
        self.received = now.received.or(self.received);
        self.rexmit_bytes = now.rexmit_bytes.or(self.rexmit_bytes);
        self.rexmit_packs = now.rexmit_packs.or(self.rexmit_packs);
        self.age_us = now.age_us.or(self.age_us);
        for (constant, now) in self.constants.iter_mut().zip(now.constants) {
            *constant = if now == 0 { *constant } else { now };
        }
    }

    /// Returns whether a later record belongs to another connection: a value that
    /// cannot decrease or change has done so.
    #[must_use]
    pub fn contradict(&self, now: &Self) -> bool {
        let less = |before: Option<u64>, now: Option<u64>| before.zip(now).is_some_and(|(before, now)| now < before);
        let is_less = |before: Option<ByteCounter>, now: Option<ByteCounter>| {
            before.zip(now).is_some_and(|(before, now)| now.is_less(before))
        };
        let differ = |(before, now): (&u32, &u32)| *before != 0 && *now != 0 && before != now;
        self.constants.iter().zip(&now.constants).any(differ)
            || less(self.sent_bytes, now.sent_bytes)
            || is_less(self.sent, now.sent)
            || is_less(self.received, now.received)
            || less(self.rexmit_bytes, now.rexmit_bytes)
            || less(self.rexmit_packs.map(u64::from), now.rexmit_packs.map(u64::from))
            || less(self.age_us, now.age_us)
    }
}

/// The state of each connection in a log.
#[derive(Debug)]
pub struct Lifetimes<C> {
    current: HashMap<ConnectionId, Box<Lifetime<C>>>,
    /// Connections that have ended.
    ended: Vec<(ConnectionId, Box<Lifetime<C>>)>,
    /// The number of points at which the host may have been rebooted.
    run: u32,
}

#[derive(Debug)]
struct Lifetime<C> {
    state: C,
    values: Monotone,
    /// The value of [`Lifetimes::run`] at its last record.
    run: u32,
}

impl<C> Default for Lifetimes<C> {
    fn default() -> Self {
        Self { current: HashMap::new(), ended: Vec::new(), run: 0 }
    }
}

impl<C> Lifetimes<C> {
    /// Starts a snapshot.  After a reboot all connections end.  `values` are from
    /// the records of the snapshot; `end` is called for each connection that ends.
    pub fn start_snapshot(
        &mut self,
        boot: Boot,
        mut values: impl Iterator<Item = (ConnectionId, Monotone)>,
        mut end: impl FnMut(&mut C),
    ) {
        if boot == Boot::Unsure {
            self.run += 1;
        }
        let is_another = |(id, values): (ConnectionId, Monotone)| {
            self.current.get(&id).is_some_and(|before| before.values.contradict(&values))
        };
        if boot == Boot::Other || boot == Boot::Unsure && values.any(is_another) {
            self.current.values_mut().for_each(|lifetime| end(&mut lifetime.state));
            self.ended.extend(self.current.drain());
        }
    }

    /// Returns the state of the connection of a record, which is `new` for a new
    /// connection.  `end` is called for another connection that had the same ID.
    pub fn record(
        &mut self,
        id: ConnectionId,
        values: &Monotone,
        new: impl Fn() -> C,
        mut end: impl FnMut(&mut C),
    ) -> &mut C {
        let run = self.run;
        let new = || Box::new(Lifetime { state: new(), values: Monotone::default(), run });
        let lifetime = self.current.entry(id).or_insert_with(new);
        if lifetime.run != run {
            if lifetime.values.contradict(values) {
                let mut before = std::mem::replace(lifetime, new());
                end(&mut before.state);
                self.ended.push((id, before));
            }
            lifetime.run = run;
        }
        lifetime.values.update(values);
        &mut lifetime.state
    }

    /// Returns the state of a connection, if it is known.
    pub fn get_mut(&mut self, id: &ConnectionId) -> Option<&mut C> {
        self.current.get_mut(id).map(|lifetime| &mut lifetime.state)
    }

    /// Ends a connection: a later record with its ID belongs to another one.
    pub fn end(&mut self, id: &ConnectionId) {
        self.ended.extend(self.current.remove_entry(id));
    }

    /// Returns the states of the connections that have not ended.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.current.values_mut().map(|lifetime| &mut lifetime.state)
    }

    /// Returns all connections, in any order.  An ID may occur again, after a reboot or
    /// the end of its connection.
    pub fn into_all(self) -> impl Iterator<Item = (ConnectionId, C)> {
        self.current.into_iter().chain(self.ended).map(|(id, lifetime)| (id, lifetime.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_decreased_belongs_to_another_connection() {
        let mut before = Record::new();
        before.set(key::acked_bytes, 1000);
        before.set(key::rexmit_packs, 3);
        let is_another = |before: &Record, change: &dyn Fn(&mut Record)| {
            let mut after = before.clone();
            change(&mut after);
            Monotone::of(before).contradict(&Monotone::of(&after))
        };
        assert!(!is_another(&before, &|_| ()));
        assert!(!is_another(&before, &|record| record.set(key::acked_bytes, 999)), "a FIN is in flight");
        assert!(is_another(&before, &|record| record.set(key::acked_bytes, 900)));
        assert!(is_another(&before, &|record| record.set(key::rexmit_packs, 2)));
        assert!(!is_another(&before, &Record::clear), "absent values do not contradict");
        before.set(key::iss, 1234);
        assert!(is_another(&before, &|record| record.set(key::iss, 1235)));
        assert!(!is_another(&before, &|record| record.set(key::iss, 0)));
    }

    #[test]
    fn absent_values_are_kept() {
        let mut record = Record::new();
        record.set(key::rexmit_packs, 3);
        record.set(key::iss, 7);
        let mut values = Monotone::of(&record);
        values.update(&Monotone::default());
        record.set(key::rexmit_packs, 2);
        assert!(values.contradict(&Monotone::of(&record)));
    }

    #[test]
    fn one_contradiction_ends_all_connections_of_another_boot() {
        let of = |gencnt| ConnectionId { gencnt: Some(gencnt), ..ConnectionId::default() };
        let total = |packs| Monotone { rexmit_packs: Some(packs), ..Monotone::default() };
        let after = |boot, packs| {
            let mut lifetimes = Lifetimes::default();
            for gencnt in [1, 2] {
                *lifetimes.record(of(gencnt), &total(10), || 0, |_| ()) += 1;
            }
            let mut ended = 0;
            lifetimes.start_snapshot(boot, std::iter::once((of(1), total(packs))), |_| ended += 1);
            *lifetimes.record(of(1), &total(packs), || 0, |_| ()) += 1;
            let mut states: Vec<_> = lifetimes.into_all().map(|(_, state)| state).collect();
            states.sort_unstable();
            (ended, states)
        };
        assert_eq!(after(Boot::Same, 11), (0, vec![1, 2]));
        assert_eq!(after(Boot::Unsure, 11), (0, vec![1, 2]));
        assert_eq!(after(Boot::Unsure, 9), (2, vec![1, 1, 1]));
        assert_eq!(after(Boot::Other, 11), (2, vec![1, 1, 1]));
    }
}
