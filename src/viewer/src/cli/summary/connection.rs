// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The totals of a connection while a log is read, in bounded memory.

use tcpstats::{Record, State, key};
use tcpstats_log::ByteCounter;

use super::owner::OwnerId;
use super::roundtrips::RoundTrips;
use super::sample::Sample;
use crate::measures::{End, Limits};

/// Returns whether a connection can transfer data: it is neither listening nor
/// closed.
pub fn is_live(record: &Record) -> bool {
    !matches!(record.get(key::state), Some(State::LISTEN | State::CLOSED | State::TIME_WAIT))
}

/// The minimum interval over which the maximum throughput is computed.
const WINDOW_NS: u64 = 1_000_000_000;

/// The first and the last value of a counter of the kernel.
#[derive(Clone, Copy, Default)]
pub struct Total {
    range: Option<(u64, u64)>,
}

impl Total {
    fn add(&mut self, now: Option<u64>) {
        if let Some(now) = now {
            self.range = Some((self.range.map_or(now, |(first, _)| first), now));
        }
    }

    /// Counts from zero, so that the difference is the last value.
    fn count_from_zero(&mut self) {
        self.range = self.range.map(|(_, last)| (0, last));
    }

    /// Returns the difference, or `None` if the counter was absent.
    pub fn grown(&self) -> Option<u64> {
        self.range.map(|(first, last)| last.saturating_sub(first))
    }
}

/// The bytes transferred in one direction.
#[derive(Clone, Copy, Default)]
pub struct Transfer {
    /// The last value of the counter.
    last: Option<ByteCounter>,
    /// The bytes transferred.
    bytes: u64,
    /// The start of the current interval of throughput, and the bytes transferred
    /// before it.
    interval_start: (u64, u64),
    max_per_s: Option<f64>,
}

impl Transfer {
    fn add(&mut self, time_ns: u64, now: Option<ByteCounter>) {
        let Some(now) = now else {
            return;
        };
        match self.last {
            None => self.interval_start = (time_ns, 0),
            // A less preferred counter cannot be compared with it.
            Some(last) if now.is_less_preferred(last) => return,
            Some(last) => self.bytes = self.bytes.saturating_add(now.since(last).unwrap_or(0)),
        }
        // A total that decreases temporarily is not counted twice.
        if self.last.is_none_or(|last| now.since(last) != Some(0)) {
            self.last = Some(now);
        }
        self.end_interval(time_ns);
    }

    /// Ends the interval of throughput if it is long enough.
    fn end_interval(&mut self, time_ns: u64) {
        let (start_ns, before) = self.interval_start;
        let passed = time_ns.saturating_sub(start_ns);
        if passed >= WINDOW_NS {
            let per_s = per_second(self.bytes - before, passed);
            self.max_per_s = Some(self.max_per_s.map_or(per_s, |max| max.max(per_s)));
            self.interval_start = (time_ns, self.bytes);
        }
    }

    /// Adds an idle period.
    fn add_idle(&mut self, from_ns: u64, until_ns: u64) {
        if self.last.is_none() {
            return;
        }
        for time_ns in [self.interval_start.0.saturating_add(WINDOW_NS).max(from_ns), until_ns] {
            if time_ns <= until_ns {
                self.end_interval(time_ns);
            }
        }
    }

    /// Sets the bytes transferred by a connection that began and ended in the log.
    fn end(&mut self, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => self.bytes = bytes,
            // One value of a counter that starts at an arbitrary number is not a total.
            None if self.bytes == 0 => self.last = None,
            None => (),
        }
    }

    /// Returns the bytes transferred, or `None` if there was no counter.
    pub fn bytes(&self) -> Option<u64> {
        self.last.map(|_| self.bytes)
    }

    /// Returns the maximum throughput over intervals of at least a second, or the
    /// mean if the connection was shorter.
    pub fn max_per_s(&self, duration_ns: Option<u64>) -> Option<f64> {
        self.max_per_s.or_else(|| self.mean_per_s(duration_ns))
    }

    /// Returns the mean throughput.
    pub fn mean_per_s(&self, duration_ns: Option<u64>) -> Option<f64> {
        let duration_ns = duration_ns.filter(|ns| *ns > 0)?;
        self.bytes().map(|bytes| per_second(bytes, duration_ns))
    }
}

/// Returns a rate per second.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
pub fn per_second(count: u64, ns: u64) -> f64 {
    count as f64 * 1e9 / ns as f64
}

/// The time spent in a state, or `None` if it is unknown.
#[derive(Clone, Copy, Default)]
pub struct TimeSpent {
    ns: Option<u64>,
}

impl TimeSpent {
    fn add(&mut self, is_active: Option<bool>, ns: u64) {
        if let Some(is_active) = is_active {
            let sum = self.ns.get_or_insert(0);
            *sum = sum.saturating_add(if is_active { ns } else { 0 });
        }
    }

    /// Adds the time of another connection.
    pub fn merge(&mut self, other: Self) {
        if let Some(ns) = other.ns {
            let sum = self.ns.get_or_insert(0);
            *sum = sum.saturating_add(ns);
        }
    }

    /// Returns the time in nanoseconds.
    pub fn ns(&self) -> Option<u64> {
        self.ns
    }
}

/// The last record of a connection, which is valid until the next one.
struct LastRecord {
    time_ns: u64,
    /// The number of snapshots before it.
    snapshots: u64,
    limits: Limits,
    srtt: Option<u32>,
    limited_us: Option<(u64, u64)>,
}

/// A connection in the part of the log that has been read.
pub struct Connection {
    /// Its first record in elapsed time.
    pub first_ns: u64,
    /// Its last record in elapsed time.
    pub last_ns: u64,
    /// Its first and last record as times of day.
    pub wall_ns: (u64, u64),
    /// Bytes sent, without retransmissions.
    pub sent: Total,
    /// Bytes retransmitted.
    pub rexmit_bytes: Total,
    /// Segments retransmitted.
    pub rexmit_packs: Total,
    /// Bytes sent, by the preferred counter.
    pub sends: Transfer,
    /// Bytes received, by the preferred counter.
    pub receives: Transfer,
    /// Smoothed round-trip times.
    pub srtt: RoundTrips,
    /// Time in slow start.
    pub slow_start: TimeSpent,
    /// Time limited by the congestion window.
    pub cwnd_limited: TimeSpent,
    /// Time limited by the receiver.
    pub receiver_limited: TimeSpent,
    /// Time limited by the send buffer.
    pub buffer_limited: TimeSpent,
    /// Its last known owner.
    pub owner: Option<OwnerId>,
    last: Option<LastRecord>,
    /// Whether it began in the log, and not before it.
    began: bool,
    /// Whether its duration is not known, because its final record is the only one.
    is_duration_unknown: bool,
}

/// The position in a log.
#[derive(Clone, Copy, Default)]
pub struct LogContext {
    /// The number of snapshots that have been read.
    pub snapshots: u64,
    /// The time of the last one.
    pub snapshot_ns: u64,
    /// Whether the log omits unchanged records.
    pub changes_only: bool,
}

impl Connection {
    /// Returns a connection whose first record has this time.
    /// `began` is set if the connection was not in the previous snapshot.
    pub fn new(time_ns: u64, wall_ns: u64, began: bool) -> Self {
        Self {
            first_ns: time_ns,
            last_ns: time_ns,
            wall_ns: (wall_ns, wall_ns),
            sent: Total::default(),
            rexmit_bytes: Total::default(),
            rexmit_packs: Total::default(),
            sends: Transfer::default(),
            receives: Transfer::default(),
            srtt: RoundTrips::new(),
            slow_start: TimeSpent::default(),
            cwnd_limited: TimeSpent::default(),
            receiver_limited: TimeSpent::default(),
            buffer_limited: TimeSpent::default(),
            owner: None,
            last: None,
            began,
            is_duration_unknown: false,
        }
    }

    /// Adds a record.
    pub fn add(&mut self, time_ns: u64, wall_ns: u64, sample: &Sample, context: LogContext) {
        self.extend_last(time_ns, context, sample.limited_us);

        self.last_ns = self.last_ns.max(time_ns);
        self.wall_ns.1 = wall_ns;
        self.owner = sample.owner.or(self.owner);
        let marks = &sample.marks;
        self.sent.add(marks.sent_bytes);
        self.rexmit_bytes.add(marks.rexmit_bytes);
        self.rexmit_packs.add(marks.rexmit_packs.map(u64::from));
        self.sends.add(time_ns, marks.sent);
        self.receives.add(time_ns, marks.received);
        let &Sample { limits, srtt, limited_us, .. } = sample;
        self.last = Some(LastRecord { time_ns, snapshots: context.snapshots, limits, srtt, limited_us });
    }

    /// Adds the time from the last record to this time, with Linux's counters at its
    /// end.
    fn extend_last(&mut self, time_ns: u64, context: LogContext, limited_us: Option<(u64, u64)>) {
        let Some(last) = self.last.take() else {
            return;
        };
        if context.changes_only && context.snapshot_ns > last.time_ns {
            self.sends.add_idle(last.time_ns, context.snapshot_ns);
            self.receives.add_idle(last.time_ns, context.snapshot_ns);
        }
        let passed = time_ns.saturating_sub(last.time_ns);
        self.slow_start.add(last.limits.slow_start, passed);
        self.cwnd_limited.add(last.limits.cwnd, passed);
        match (last.limited_us, limited_us) {
            (Some((rwnd_before, sndbuf_before)), Some((rwnd, sndbuf))) => {
                self.receiver_limited.add(Some(true), rwnd.saturating_sub(rwnd_before).saturating_mul(1000));
                self.buffer_limited.add(Some(true), sndbuf.saturating_sub(sndbuf_before).saturating_mul(1000));
            }
            (Some(_), None) => {
                self.receiver_limited.add(Some(true), 0);
                self.buffer_limited.add(Some(true), 0);
            }
            (None, _) => {
                self.receiver_limited.add(last.limits.receiver, passed);
                self.buffer_limited.add(last.limits.buffer, passed);
            }
        }
        let snapshots = if context.changes_only { context.snapshots - last.snapshots } else { 1 };
        if let Some(srtt) = last.srtt {
            self.srtt.add(srtt, snapshots);
        }
    }

    /// Ends the connection.  If the log omits unchanged records, the last record is
    /// valid until this time.
    pub fn leave(&mut self, time_ns: u64, context: LogContext) {
        if self.last.is_none() {
            return;
        }
        let until_ns = if context.changes_only { time_ns } else { self.last_ns };
        self.extend_last(until_ns, context, None);
        self.wall_ns.1 = self.wall_ns.1.saturating_add(until_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(until_ns);
    }

    /// Ends the connection, after its final record was added.  If the connection
    /// began in the log, which starts at `start_ns`, its totals are those of the record.
    pub fn end(&mut self, sample: &Sample, end: &End, start_ns: u64, context: LogContext) {
        let start = end.duration_ns.and_then(|ns| self.last_ns.checked_sub(ns));
        let is_only_record = self.first_ns == self.last_ns;
        if self.began || start.is_some_and(|start| start >= start_ns) {
            for total in [&mut self.sent, &mut self.rexmit_bytes, &mut self.rexmit_packs] {
                total.count_from_zero();
            }
            self.sends.end(sample.marks.sent_bytes.or(sample.marks.sent.and_then(ByteCounter::total)));
            self.receives.end(end.received);
            if let Some(start) = start {
                self.wall_ns.0 = self.wall_ns.1.saturating_sub(self.last_ns - start);
                self.first_ns = start;
            }
            if let (Some((rwnd, sndbuf)), true) = (sample.limited_us, is_only_record) {
                self.receiver_limited.add(Some(true), rwnd.saturating_mul(1000));
                self.buffer_limited.add(Some(true), sndbuf.saturating_mul(1000));
            }
        }
        self.is_duration_unknown = is_only_record && start.is_none();
        // The final record counts once, even in a log of changes.
        self.leave(self.last_ns, LogContext { changes_only: false, ..context });
    }

    /// Returns the time from its beginning or its first record to its last, or `None` if
    /// it is not known.
    pub fn duration_ns(&self) -> Option<u64> {
        (!self.is_duration_unknown).then(|| self.last_ns - self.first_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// Returns a connection with 14 kB in flight, which nothing limits.
    fn record() -> Record {
        let mut record = Record::new();
        record.set(key::snd_cwnd, 60_000);
        record.set(key::snd_ssthresh, 50_000);
        record.set(key::snd_wnd, 65_535);
        record.set(key::maxseg, 1448);
        record.set(key::inflight, 14_000);
        record.set(key::snd_cc, 14_000);
        record.set(key::snd_hiwat, 100_000);
        record
    }

    /// Returns the seconds in slow start, limited by cwnd, by the receiver and by the
    /// buffer, of a connection of two seconds.
    fn limits(change: impl FnOnce(&mut Record), is_linux: bool) -> [Option<u64>; 4] {
        let mut record = record();
        change(&mut record);
        let context = LogContext::default();
        let mut connection = Connection::new(S, S, false);
        let sample = Sample::of(&record, is_linux);
        connection.add(S, S, &sample, context);
        connection.add(3 * S, 3 * S, &sample, context);
        connection.leave(9 * S, context);
        assert_eq!(connection.duration_ns(), Some(2 * S));
        let spent =
            [connection.slow_start, connection.cwnd_limited, connection.receiver_limited, connection.buffer_limited];
        spent.map(|spent| spent.ns().map(|ns| ns / S))
    }

    #[test]
    fn the_limit_is_derived_from_the_windows_and_the_buffer() {
        let free = [Some(0), Some(0), Some(0), Some(0)];
        assert_eq!(limits(|_| (), false), free);
        let slow_start = limits(|record| record.set(key::snd_ssthresh, 70_000), false);
        assert_eq!(slow_start, [Some(2), Some(0), Some(0), Some(0)]);
        let waiting = |record: &mut Record| record.set(key::snd_cc, 50_000);
        let by_cwnd = |record: &mut Record| {
            waiting(record);
            record.set(key::snd_cwnd, 15_000);
        };
        assert_eq!(limits(by_cwnd, false), [Some(2), Some(2), Some(0), Some(0)]);
        let by_receiver = |record: &mut Record| {
            waiting(record);
            record.set(key::snd_wnd, 15_000);
        };
        assert_eq!(limits(by_receiver, false), [Some(0), Some(0), Some(2), Some(0)]);
        let by_buffer = |record: &mut Record| record.set(key::snd_hiwat, 15_000);
        assert_eq!(limits(by_buffer, false), [Some(0), Some(0), Some(0), Some(2)]);
        let idle = |record: &mut Record| {
            record.set(key::inflight, 0);
            record.set(key::snd_cc, 0);
            record.set(key::snd_cwnd, 0);
        };
        assert_eq!(limits(idle, false), free);
    }

    #[test]
    fn values_that_a_log_lacks_are_unknown() {
        assert_eq!(limits(Record::clear, false), [None; 4]);
        let linux = limits(|record| record.set(key::snd_hiwat, 15_000), true);
        assert_eq!(linux, [Some(0), Some(0), Some(0), None], "on Linux, buffer sizes are sizes of memory");
        assert!(RoundTrips::new().quantiles().is_none());
        assert_eq!(Total::default().grown(), None);
    }

    #[test]
    fn the_counters_of_linux_are_preferred() {
        let (mut before, mut after) = (record(), record());
        for (record, us) in [(&mut before, 1_000_000), (&mut after, 4_000_000)] {
            record.set(key::rwnd_limited, us);
            record.set(key::sndbuf_limited, us / 2);
        }
        let mut connection = Connection::new(0, 0, false);
        connection.add(0, 0, &Sample::of(&before, true), LogContext::default());
        connection.add(10 * S, 10 * S, &Sample::of(&after, true), LogContext::default());
        assert_eq!(connection.receiver_limited.ns(), Some(3 * S));
        assert_eq!(connection.buffer_limited.ns(), Some(3 * S / 2));
    }

    #[test]
    fn bytes_are_counted_by_the_preferred_counter_that_is_available() {
        let grown = |records: &[&[(&str, u64)]]| {
            let mut connection = Connection::new(0, 0, false);
            for (number, fields) in (0..).zip(records) {
                let mut record = Record::new();
                record.set(key::state, State::ESTABLISHED);
                for (name, value) in *fields {
                    record.set_number(tcpstats::Field::by_name(name).unwrap(), *value).unwrap();
                }
                connection.add(number * S, number * S, &Sample::of(&record, false), LogContext::default());
            }
            (connection.sends.bytes(), connection.receives.bytes())
        };
        let wrapped = u64::from(u32::MAX) - 99;
        assert_eq!(grown(&[&[("rcv_nxt", wrapped)], &[("rcv_nxt", 100)], &[("rcv_nxt", 150)]]), (None, Some(250)));
        assert_eq!(grown(&[&[("snd_una", 7)], &[("snd_una", 9)], &[("snd_una", 8)]]).0, Some(2), "it cannot decrease");
        let absent: &[_] = &[("snd_una", 5000)];
        assert_eq!(grown(&[&[("acked_bytes", 1)], absent, &[("acked_bytes", 500)]]).0, Some(499));
        assert_eq!(grown(&[absent, &[("acked_bytes", 100)], &[("acked_bytes", 500)]]).0, Some(400));
        assert_eq!(grown(&[&[("acked_bytes", 9)], &[("acked_bytes", 8)], &[("acked_bytes", 10)]]).0, Some(1), "a FIN");
        assert_eq!(grown(&[&[]]), (None, None));
    }

    #[test]
    fn a_record_in_a_log_of_changes_is_valid_until_the_next_one() {
        let mut connection = Connection::new(S, S, false);
        let mut record = record();
        let context = |snapshots| LogContext { snapshots, changes_only: true, snapshot_ns: snapshots * S };
        record.set(key::srtt, 100);
        record.set(key::acked_bytes, 0);
        connection.add(S, S, &Sample::of(&record, false), context(0));
        record.set(key::srtt, 900);
        record.set(key::acked_bytes, 5000);
        connection.add(2 * S, 2 * S, &Sample::of(&record, false), context(1));
        connection.leave(100 * S, context(99));
        assert_eq!(connection.duration_ns(), Some(99 * S));
        assert_eq!(connection.sends.max_per_s(Some(99 * S)), Some(5000.0));
        let [min, median, p95, max] = connection.srtt.quantiles().unwrap();
        let found = [(min, 100.0), (median, 900.0), (p95, 900.0), (max, 900.0)];
        assert!(found.iter().all(|(found, real)| (found - real).abs() <= 0.01 * real), "{found:?}");
    }
}
