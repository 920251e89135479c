// SPDX-License-Identifier: BSD-2-Clause

//! How much a connection moved between two records, from what they have.

use tcpstats::{Record, State, key};

use super::bins::seconds;

/// What a record tells of the bytes moved so far.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// So many.
    Total(u64),
    /// Up to this sequence number, which wraps.
    Sequence(u32),
    /// That many a second, at that time.
    Rate(f64),
}

/// What a record tells of the bytes moved in one direction, and when.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    at_ns: u64,
    told: Told,
    /// The fields it is from.
    pub from: &'static str,
}

impl Moved {
    /// Of what was sent: bytes acknowledged, else sent, else what fits into a
    /// round trip.
    pub fn sent(at_ns: u64, record: &Record) -> Option<Self> {
        let (told, from) = if let Some(bytes) = record.get(key::acked_bytes) {
            (Told::Total(bytes), "acked_bytes")
        } else if let Some(number) = record.get(key::snd_una).filter(|_| is_synchronized(record)) {
            (Told::Sequence(number), "snd_una")
        } else if let Some(bytes) = record.get(key::sent_bytes) {
            (Told::Total(bytes), "sent_bytes")
        } else {
            let srtt_us = record.get(key::srtt).filter(|srtt| *srtt > 0)?;
            let rate = f64::from(record.get(key::inflight)?) / f64::from(srtt_us) * 1e6;
            (Told::Rate(rate), "inflight / srtt")
        };
        Some(Self { at_ns, told, from })
    }

    /// Of what was received.
    pub fn received(at_ns: u64, record: &Record) -> Option<Self> {
        let (told, from) = if let Some(bytes) = record.get(key::received_bytes) {
            (Told::Total(bytes), "received_bytes")
        } else {
            let number = record.get(key::rcv_nxt).filter(|_| is_synchronized(record))?;
            (Told::Sequence(number), "rcv_nxt")
        };
        Some(Self { at_ns, told, from })
    }

    /// Bytes moved since an earlier record of the same connection; none where
    /// the two cannot be compared.
    pub fn since(&self, earlier: &Self) -> Option<f64> {
        match (earlier.told, self.told) {
            // What is acknowledged of FreeBSD's count can go back by a SYN.
            (Told::Total(before), Told::Total(now)) => Some(as_f64(now.saturating_sub(before))),
            (Told::Sequence(before), Told::Sequence(now)) => {
                let bytes = now.wrapping_sub(before);
                i32::try_from(bytes).is_ok().then_some(f64::from(bytes))
            }
            (Told::Rate(before), Told::Rate(_)) => Some(before * seconds(self.at_ns.saturating_sub(earlier.at_ns))),
            _ => None,
        }
    }
}

/// Whether the record's sequence numbers are those of the connection: before
/// it is established they jump.
fn is_synchronized(record: &Record) -> bool {
    record.get(key::state).is_none_or(|state| state.0 >= State::ESTABLISHED.0)
}

#[expect(clippy::cast_precision_loss, reason = "a picture shows three digits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
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

    fn sent(one: &Record, other: &Record) -> Option<(f64, &'static str)> {
        let (one, other) = (Moved::sent(0, one)?, Moved::sent(500_000_000, other)?);
        Some((other.since(&one)?, other.from))
    }

    #[test]
    fn totals_are_subtracted_and_never_negative() {
        let total = |bytes| record(|record| record.set(key::acked_bytes, bytes));
        assert_eq!(sent(&total(10), &total(17)), Some((7.0, "acked_bytes")));
        assert_eq!(sent(&total(10), &total(9)), Some((0.0, "acked_bytes")));
    }

    #[test]
    fn sequence_numbers_wrap_and_do_not_jump() {
        let at = |number| record(|record| record.set(key::snd_una, number));
        assert_eq!(sent(&at(u32::MAX - 9), &at(20)), Some((30.0, "snd_una")));
        assert_eq!(sent(&at(20), &at(10)), None);
        let mut before = at(0);
        before.set(key::state, State::SYN_SENT);
        assert_eq!(sent(&before, &at(4_000_000)), None);
    }

    #[test]
    fn without_a_count_the_window_and_the_round_trip_tell() {
        let window = record(|record| {
            record.set(key::inflight, 50_000);
            record.set(key::srtt, 100_000);
        });
        assert_eq!(sent(&window, &window), Some((250_000.0, "inflight / srtt")));
        assert!(Moved::sent(0, &record(|record| record.set(key::inflight, 1))).is_none());
    }

    #[test]
    fn what_was_received_is_told_alike() {
        let linux = record(|record| record.set(key::received_bytes, 5));
        let freebsd = record(|record| record.set(key::rcv_nxt, 5));
        assert_eq!(Moved::received(0, &linux).unwrap().from, "received_bytes");
        assert_eq!(Moved::received(0, &freebsd).unwrap().from, "rcv_nxt");
        assert!(Moved::received(0, &record(|_| {})).is_none());
    }
}
