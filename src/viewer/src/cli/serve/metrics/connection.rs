// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The increase of a connection's counters from one record to the next.

use std::sync::Arc;

use tcpstats::{Record, State, key};
use tcpstats_log::{ByteCounter, Monotone};

use super::group::{Increase, LIMITS};
use crate::measures::{End, Limits};

/// A connection, as of its last record.
#[derive(Debug)]
pub struct Connection {
    marks: Monotone,
    sent: Transfer,
    received: Transfer,
    rexmit_bytes: Option<u64>,
    rexmit_packs: Option<u32>,
    /// Whether everything since its beginning has been counted.
    is_complete: bool,
    /// The time of the record in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    limits: Limits,
    can_send: bool,
    limited_us: Option<(u64, u64)>,
    /// The key of its group.
    pub group: Arc<str>,
    /// The number of the last snapshot with the connection.
    pub seen: u64,
}

/// Bytes in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Transfer {
    last: Option<ByteCounter>,
    /// The bytes that were counted.
    counted: u64,
}

impl Transfer {
    /// Returns the bytes since the last record.  `total` is what has been transferred since
    /// the beginning of the connection, if it is known and all of it counts.
    fn add(&mut self, now: Option<ByteCounter>, total: Option<u64>) -> Option<u64> {
        let bytes = match (self.last, now, total) {
            (_, _, Some(total)) => total.saturating_sub(self.counted),
            (_, None, None) => return None,
            // A less preferred counter cannot be compared with the last one.
            (Some(last), Some(now), None) if now.is_less_preferred(last) => return Some(0),
            (Some(last), Some(now), None) => now.since(last).unwrap_or(0),
            (None, Some(_), None) => 0,
        };
        // A total that decreases temporarily is not counted twice.
        if let Some(now) = now
            && self.last.is_none_or(|last| now.since(last) != Some(0))
        {
            self.last = Some(now);
        }
        self.counted = self.counted.saturating_add(bytes);
        Some(bytes)
    }
}

/// Returns how much a counter has increased, and remembers the new value.
fn grow(last: &mut Option<u64>, now: Option<u64>) -> Option<u64> {
    let now = now?;
    let before = last.unwrap_or(now);
    *last = Some(before.max(now));
    Some(now.saturating_sub(before))
}

impl Connection {
    /// Returns a connection before its first record.  If it `began` while its source was
    /// sampled, all of its counters count, otherwise only their increase from this record.
    pub fn new(record: &Record, at_ns: u64, began: bool, group: Arc<str>) -> Self {
        let zero = began.then_some(0);
        Self {
            marks: Monotone::default(),
            sent: Transfer::default(),
            received: Transfer::default(),
            rexmit_bytes: zero.filter(|_| record.get(key::rexmit_bytes).is_some()),
            rexmit_packs: began.then_some(0).filter(|_| record.get(key::rexmit_packs).is_some()),
            is_complete: began,
            at_ns,
            limits: Limits::default(),
            can_send: false,
            limited_us: limited_us(record).map(|now| if began { (0, 0) } else { now }),
            group,
            seen: 0,
        }
    }

    /// Returns whether a record belongs to another connection, after a reboot.
    pub fn contradicts(&self, record: &Record) -> bool {
        self.marks.contradict(&Monotone::of(record))
    }

    /// Adds a record.
    pub fn add(&mut self, record: &Record, at_ns: u64, is_linux: bool) -> Increase {
        let marks = Monotone::of(record);
        let is_final = record.is_final();
        let (mut sent, mut received) = (None, None);
        if self.is_complete {
            let total = marks.sent.and_then(ByteCounter::total);
            (sent, received) = if is_final {
                (marks.sent_bytes.or(total), End::of(record).received)
            } else {
                (total, received_since_start(record))
            };
        }
        let packs = marks.rexmit_packs.map(|now| {
            let before = self.rexmit_packs.unwrap_or(now);
            self.rexmit_packs = Some(before.max(now));
            u64::from(now.saturating_sub(before))
        });
        let increase = Increase {
            opened: 0,
            sent_bytes: self.sent.add(marks.sent, sent),
            received_bytes: self.received.add(marks.received, received),
            rexmit_bytes: grow(&mut self.rexmit_bytes, marks.rexmit_bytes),
            rexmit_packs: packs,
            limited_ns: self.limited(record, at_ns),
        };
        self.marks.update(&marks);
        self.at_ns = self.at_ns.max(at_ns);
        self.limits = Limits::of(record, is_linux);
        self.can_send = matches!(record.get(key::state), Some(State::ESTABLISHED | State::CLOSE_WAIT));
        self.limited_us = limited_us(record).or(self.limited_us);
        increase
    }

    /// Returns the time since the last record during which each limit was in effect.
    fn limited(&self, record: &Record, at_ns: u64) -> [Option<u64>; LIMITS.len()] {
        let passed = at_ns.saturating_sub(self.at_ns);
        let during = |is_limit: Option<bool>| is_limit.map(|is_limit| if is_limit { passed } else { 0 });
        let cwnd = during(self.limits.cwnd);
        let (peer, buffer) = match (self.limited_us, limited_us(record)) {
            (Some(before), Some(now)) => {
                let ns = |before: u64, now: u64| Some(now.saturating_sub(before).saturating_mul(1000));
                (ns(before.0, now.0), ns(before.1, now.1))
            }
            (Some(_), None) => (Some(0), Some(0)),
            (None, _) => (during(self.limits.receiver), during(self.limits.buffer)),
        };
        let others: u64 = [cwnd, peer, buffer].into_iter().flatten().fold(0, u64::saturating_add);
        let application = during(self.limits.cwnd.map(|_| self.can_send)).map(|ns| ns.saturating_sub(others));
        [cwnd, peer, buffer, application]
    }
}

/// Returns Linux's counters of the time limited by the receiver and by the send buffer.
fn limited_us(record: &Record) -> Option<(u64, u64)> {
    record.get(key::rwnd_limited).zip(record.get(key::sndbuf_limited))
}

/// Returns the bytes received by a connection that has received less than 2 GiB.
fn received_since_start(record: &Record) -> Option<u64> {
    if let Some(bytes) = record.get(key::received_bytes) {
        return Some(bytes);
    }
    let has_fin = match record.get(key::state)? {
        State::ESTABLISHED | State::FIN_WAIT_1 | State::FIN_WAIT_2 => 0,
        State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK | State::TIME_WAIT => 1,
        _ => return None,
    };
    let numbers = record.get(key::rcv_nxt)?.wrapping_sub(record.get(key::irs)?);
    let bytes = numbers.checked_sub(1 + has_fin)?;
    (bytes < 1 << 31).then_some(bytes.into())
}
