// SPDX-License-Identifier: BSD-2-Clause

//! Connections while a log is read: after a reboot the kernel may give another
//! one the same number and the same ports.

use std::collections::HashMap;

use tcpstats::{Record, key};

use crate::boot::Boot;
use crate::identity::Identity;
use crate::throughput::ByteCounter;

/// What only grows or stays as long as a connection lives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Bytes sent, also those that were not acknowledged.
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
    /// What a connection has for all its time, once it has it; 0 until then.
    constants: [u32; 3],
}

impl Marks {
    /// The names of the fields that they are read from, besides the byte counters.
    #[cfg(feature = "plot")]
    pub const FIELDS: &str = "age,iss,irs,inode,rexmit_bytes,rexmit_packs";

    /// Those of the record.
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

    /// Takes a later record of the connection; what is absent there stays known.
    pub fn see(&mut self, now: &Self) {
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

    /// Whether a later record must be of another connection: what only grows is
    /// less, or what stays is another.
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

/// What is kept of each connection.
pub struct Lifetimes<C> {
    now: HashMap<Identity, Box<Lifetime<C>>>,
    /// Connections of a kernel that was booted again since.
    ended: Vec<(Identity, Box<Lifetime<C>>)>,
    /// Runs of the logger after which the kernel may be another.
    run: u32,
}

struct Lifetime<C> {
    kept: C,
    marks: Marks,
    /// The run in which it was seen last.
    run: u32,
}

impl<C> Default for Lifetimes<C> {
    fn default() -> Self {
        Self { now: HashMap::new(), ended: Vec::new(), run: 0 }
    }
}

impl<C> Lifetimes<C> {
    /// Begins a snapshot: where the kernel is another, all connections end.
    /// `marks` are those of the snapshot's records; `end` is called with each
    /// connection that ends.
    pub fn begin(
        &mut self,
        boot: Boot,
        mut marks: impl Iterator<Item = (Identity, Marks)>,
        mut end: impl FnMut(&mut C),
    ) {
        if boot == Boot::Unsure {
            self.run += 1;
        }
        let is_another = |(identity, marks): (Identity, Marks)| {
            self.now.get(&identity).is_some_and(|before| before.marks.contradict(&marks))
        };
        if boot == Boot::Other || boot == Boot::Unsure && marks.any(is_another) {
            self.now.values_mut().for_each(|lifetime| end(&mut lifetime.kept));
            self.ended.extend(self.now.drain());
        }
    }

    /// The connection that a record is of, which is `new` if it was not there;
    /// `end` is called with another one that had its name.
    pub fn see(
        &mut self,
        identity: Identity,
        marks: &Marks,
        new: impl Fn() -> C,
        mut end: impl FnMut(&mut C),
    ) -> &mut C {
        let run = self.run;
        let new = || Box::new(Lifetime { kept: new(), marks: Marks::default(), run });
        let lifetime = self.now.entry(identity).or_insert_with(new);
        if lifetime.run != run {
            if lifetime.marks.contradict(marks) {
                let mut before = std::mem::replace(lifetime, new());
                end(&mut before.kept);
                self.ended.push((identity, before));
            }
            lifetime.run = run;
        }
        lifetime.marks.see(marks);
        &mut lifetime.kept
    }

    /// The connection of that name, if it is there.
    pub fn get_mut(&mut self, identity: &Identity) -> Option<&mut C> {
        self.now.get_mut(identity).map(|lifetime| &mut lifetime.kept)
    }

    /// The connections that have not ended.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.now.values_mut().map(|lifetime| &mut lifetime.kept)
    }

    /// All connections, in any order; two of one name are of before and after a
    /// reboot.
    pub fn into_all(self) -> impl Iterator<Item = (Identity, C)> {
        self.now.into_iter().chain(self.ended).map(|(identity, lifetime)| (identity, lifetime.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_is_less_is_of_another_connection() {
        let mut before = Record::new();
        before.set(key::acked_bytes, 1000);
        before.set(key::rexmit_packs, 3);
        let is_another = |before: &Record, change: &dyn Fn(&mut Record)| {
            let mut after = before.clone();
            change(&mut after);
            Marks::of(before).contradict(&Marks::of(&after))
        };
        assert!(!is_another(&before, &|_| ()));
        assert!(!is_another(&before, &|record| record.set(key::acked_bytes, 999)), "a FIN is in flight");
        assert!(is_another(&before, &|record| record.set(key::acked_bytes, 900)));
        assert!(is_another(&before, &|record| record.set(key::rexmit_packs, 2)));
        assert!(!is_another(&before, &Record::clear), "what is absent says nothing");
        before.set(key::iss, 1234);
        assert!(is_another(&before, &|record| record.set(key::iss, 1235)));
        assert!(!is_another(&before, &|record| record.set(key::iss, 0)));
    }

    #[test]
    fn what_was_known_stays_known() {
        let mut record = Record::new();
        record.set(key::rexmit_packs, 3);
        record.set(key::iss, 7);
        let mut marks = Marks::of(&record);
        marks.see(&Marks::default());
        record.set(key::rexmit_packs, 2);
        assert!(marks.contradict(&Marks::of(&record)));
    }

    #[test]
    fn one_contradiction_ends_all_connections_of_another_boot() {
        let of = |gencnt| Identity { gencnt: Some(gencnt), ..Identity::default() };
        let total = |packs| Marks { rexmit_packs: Some(packs), ..Marks::default() };
        let after = |boot, packs| {
            let mut lifetimes = Lifetimes::default();
            for gencnt in [1, 2] {
                *lifetimes.see(of(gencnt), &total(10), || 0, |_| ()) += 1;
            }
            let mut ended = 0;
            lifetimes.begin(boot, std::iter::once((of(1), total(packs))), |_| ended += 1);
            *lifetimes.see(of(1), &total(packs), || 0, |_| ()) += 1;
            let mut kept: Vec<_> = lifetimes.into_all().map(|(_, kept)| kept).collect();
            kept.sort_unstable();
            (ended, kept)
        };
        assert_eq!(after(Boot::Same, 11), (0, vec![1, 2]));
        assert_eq!(after(Boot::Unsure, 11), (0, vec![1, 2]));
        assert_eq!(after(Boot::Unsure, 9), (2, vec![1, 1, 1]));
        assert_eq!(after(Boot::Other, 11), (2, vec![1, 1, 1]));
    }
}
