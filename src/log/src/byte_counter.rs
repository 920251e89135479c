// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The counters from which throughput is computed, in their order of preference.

use tcpstats::{Record, State, key};

/// The fields that count bytes sent, the preferred one first: bytes acknowledged,
/// bytes sent, and the sequence number, which wraps.
pub const SENT: [&str; 3] = ["acked_bytes", "sent_bytes", "snd_una"];

/// The fields that count bytes received.
pub const RECEIVED: [&str; 2] = ["received_bytes", "rcv_nxt"];

/// How a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Bytes since the start of the connection.
    Total(u64),
    /// Bytes modulo 2^32, from an arbitrary start.
    Sequence(u32),
}

/// The count of bytes in one direction in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteCounter {
    /// The name of the field.
    pub field: &'static str,
    /// Its place in the order of preference, from 0.
    rank: u8,
    count: Count,
}

impl ByteCounter {
    /// Returns the counter of bytes sent.
    #[must_use]
    pub fn sent(record: &Record) -> Option<Self> {
        Self::of_total(&SENT, 0, record.get(key::acked_bytes))
            .or_else(|| Self::of_total(&SENT, 1, record.get(key::sent_bytes)))
            .or_else(|| Self::sequence(&SENT, 2, record, record.get(key::snd_una)))
    }

    /// Returns the counter of bytes received.
    #[must_use]
    pub fn received(record: &Record) -> Option<Self> {
        Self::of_total(&RECEIVED, 0, record.get(key::received_bytes))
            .or_else(|| Self::sequence(&RECEIVED, 1, record, record.get(key::rcv_nxt)))
    }

    fn of_total(fields: &[&'static str], rank: u8, bytes: Option<u64>) -> Option<Self> {
        bytes.map(|bytes| Self { field: fields[usize::from(rank)], rank, count: Count::Total(bytes) })
    }

    /// Returns a sequence number, unless the connection is not established yet:
    /// until then the number jumps.
    fn sequence(fields: &[&'static str], rank: u8, record: &Record, number: Option<u32>) -> Option<Self> {
        let number = number?;
        let is_synchronized = record.get(key::state).is_none_or(|state| state.0 >= State::ESTABLISHED.0);
        let counter = || Self { field: fields[usize::from(rank)], rank, count: Count::Sequence(number) };
        is_synchronized.then(counter)
    }

    /// Returns the bytes since the start of the connection, or `None` if the counter
    /// starts elsewhere.
    #[must_use]
    pub fn total(self) -> Option<u64> {
        match self.count {
            Count::Total(bytes) => Some(bytes),
            Count::Sequence(_) => None,
        }
    }

    /// Returns whether `other`, of the same direction, is preferred to this
    /// counter.
    #[must_use]
    pub fn is_less_preferred(self, other: Self) -> bool {
        self.rank > other.rank
    }

    /// Returns whether the count is less than before, which means that the two
    /// records belong to different connections.
    #[must_use]
    pub fn is_less(self, before: Self) -> bool {
        /// A SYN and a FIN in flight change the count by one each.
        const FLAGS: u64 = 2;
        match (before.count, self.count) {
            _ if self.rank != before.rank => false,
            (Count::Total(before), Count::Total(now)) => now.saturating_add(FLAGS) < before,
            _ => false,
        }
    }

    /// Returns the bytes since an earlier record of the same connection, or
    /// `None` if the two counters cannot be compared.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<u64> {
        match (earlier.count, self.count) {
            _ if self.rank != earlier.rank => None,
            // On FreeBSD, a SYN or a FIN in flight reduces the difference by one for a while.
            (Count::Total(before), Count::Total(now)) => Some(now.saturating_sub(before)),
            (Count::Sequence(before), Count::Sequence(now)) => {
                let bytes = now.wrapping_sub(before);
                (bytes < 1 << 31).then_some(bytes.into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fill: impl FnOnce(&mut Record)) -> Record {
        let mut record = Record::new();
        record.set(key::state, State::ESTABLISHED);
        fill(&mut record);
        record
    }

    fn sent(one: &Record, other: &Record) -> Option<u64> {
        ByteCounter::sent(other)?.since(ByteCounter::sent(one)?)
    }

    #[test]
    fn the_difference_of_totals_is_never_negative() {
        let total = |bytes| record(|record| record.set(key::acked_bytes, bytes));
        assert_eq!(sent(&total(10), &total(17)), Some(7));
        assert_eq!(sent(&total(10), &total(9)), Some(0));
    }

    #[test]
    fn sequence_numbers_may_wrap_but_not_jump() {
        let at = |number| record(|record| record.set(key::snd_una, number));
        assert_eq!(sent(&at(u32::MAX - 9), &at(20)), Some(30));
        assert_eq!(sent(&at(20), &at(10)), None);
        let mut before = at(0);
        before.set(key::state, State::SYN_SENT);
        assert_eq!(sent(&before, &at(4_000_000)), None);
    }

    #[test]
    fn the_preferred_counter_is_used_and_different_counters_are_not_compared() {
        let all = record(|record| {
            record.set(key::acked_bytes, 1);
            record.set(key::sent_bytes, 2);
            record.set(key::snd_una, 3);
            record.set(key::received_bytes, 4);
            record.set(key::rcv_nxt, 5);
        });
        let without = |names: &[&str]| {
            let mut record = record(|_| {});
            for name in SENT.iter().chain(&RECEIVED).filter(|name| !names.contains(name)) {
                let field = tcpstats::Field::by_name(name).unwrap();
                record.set_number(field, all.number(field).unwrap()).unwrap();
            }
            record
        };
        let fields = |record: &Record| {
            (
                ByteCounter::sent(record).map(|counter| counter.field),
                ByteCounter::received(record).map(|counter| counter.field),
            )
        };
        assert_eq!(fields(&all), (Some("acked_bytes"), Some("received_bytes")));
        assert_eq!(fields(&without(&["acked_bytes", "received_bytes"])), (Some("sent_bytes"), Some("rcv_nxt")));
        assert_eq!(
            fields(&without(&["acked_bytes", "sent_bytes", "received_bytes"])),
            (Some("snd_una"), Some("rcv_nxt"))
        );
        assert_eq!(fields(&record(|_| {})), (None, None));
        assert_eq!(sent(&without(&["acked_bytes"]), &all), None);
    }
}
