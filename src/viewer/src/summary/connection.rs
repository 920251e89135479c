// SPDX-License-Identifier: BSD-2-Clause

//! What is kept of a connection while a log is read, however long the log is.

use tcpstats::{Record, State, key};
use tcpstats_log::ByteCounter;

use super::roundtrips::RoundTrips;
use super::sample::{Limits, Sample};

/// Whether a record is of a connection over which data can go: no listener,
/// and none that is over.
pub fn is_live(record: &Record) -> bool {
    !matches!(record.get(key::state), Some(State::LISTEN | State::CLOSED | State::TIME_WAIT))
}

/// The shortest time over which a throughput is taken.
const WINDOW_NS: u64 = 1_000_000_000;

/// A total of the kernel's, as it was first and last.
#[derive(Clone, Copy, Default)]
pub struct Total {
    range: Option<(u64, u64)>,
}

impl Total {
    fn see(&mut self, now: Option<u64>) {
        if let Some(now) = now {
            self.range = Some((self.range.map_or(now, |(first, _)| first), now));
        }
    }

    /// How much it grew.
    pub fn grown(&self) -> Option<u64> {
        self.range.map(|(first, last)| last.saturating_sub(first))
    }
}

/// Bytes of one direction.
#[derive(Clone, Copy, Default)]
pub struct Bytes {
    /// The counter as it was last.
    last: Option<ByteCounter>,
    /// How much it grew.
    grown: u64,
    /// Where the time began over which the next throughput is taken, and what
    /// it had grown by then.
    begin: (u64, u64),
    max_per_s: Option<f64>,
}

impl Bytes {
    fn see(&mut self, time_ns: u64, now: Option<ByteCounter>) {
        let Some(now) = now else {
            return;
        };
        match self.last {
            None => self.begin = (time_ns, 0),
            // One that is less preferred cannot be compared with it.
            Some(last) if now.is_less_preferred(last) => return,
            Some(last) => self.grown = self.grown.saturating_add(now.since(last).unwrap_or(0)),
        }
        // A total that is less for a while is counted once.
        if self.last.is_none_or(|last| now.since(last) != Some(0)) {
            self.last = Some(now);
        }
        self.pass(time_ns);
    }

    /// Takes a throughput where the time for one has passed.
    fn pass(&mut self, time_ns: u64) {
        let (begin_ns, before) = self.begin;
        let passed = time_ns.saturating_sub(begin_ns);
        if passed >= WINDOW_NS {
            let per_s = per_second(self.grown - before, passed);
            self.max_per_s = Some(self.max_per_s.map_or(per_s, |max| max.max(per_s)));
            self.begin = (time_ns, self.grown);
        }
    }

    /// Says that nothing was added between those times.
    fn hold(&mut self, from_ns: u64, until_ns: u64) {
        if self.last.is_none() {
            return;
        }
        for time_ns in [self.begin.0.saturating_add(WINDOW_NS).max(from_ns), until_ns] {
            if time_ns <= until_ns {
                self.pass(time_ns);
            }
        }
    }

    /// How many, `None` if nothing counted them.
    pub fn grown(&self) -> Option<u64> {
        self.last.map(|_| self.grown)
    }

    /// The greatest throughput over at least a second; that of all its time
    /// where it was shorter.
    pub fn max_per_s(&self, duration_ns: u64) -> Option<f64> {
        self.max_per_s.or_else(|| self.mean_per_s(duration_ns))
    }

    /// The throughput over all its time.
    pub fn mean_per_s(&self, duration_ns: u64) -> Option<f64> {
        self.grown().filter(|_| duration_ns > 0).map(|bytes| per_second(bytes, duration_ns))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
pub fn per_second(count: u64, ns: u64) -> f64 {
    count as f64 * 1e9 / ns as f64
}

/// Time that was spent in some way; none where that cannot be told.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    ns: Option<u64>,
}

impl Spent {
    fn add(&mut self, is_so: Option<bool>, ns: u64) {
        if let Some(is_so) = is_so {
            let sum = self.ns.get_or_insert(0);
            *sum = sum.saturating_add(if is_so { ns } else { 0 });
        }
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Self) {
        if let Some(ns) = other.ns {
            let sum = self.ns.get_or_insert(0);
            *sum = sum.saturating_add(ns);
        }
    }

    /// Nanoseconds.
    pub fn ns(&self) -> Option<u64> {
        self.ns
    }
}

/// A record that holds until the next one of its connection.
struct Held {
    time_ns: u64,
    /// How many snapshots had been read.
    at: u64,
    limits: Limits,
    srtt: Option<u32>,
    counted: Option<(u64, u64)>,
}

/// A connection, as far as the log is read.
pub struct Connection {
    /// When it was seen first and last, in time that passed in the log.
    pub first_ns: u64,
    pub last_ns: u64,
    /// The same by the clock of the day.
    pub wall_ns: (u64, u64),
    pub sent: Total,
    pub rexmit_bytes: Total,
    pub rexmit_packs: Total,
    pub sends: Bytes,
    pub receives: Bytes,
    pub srtt: RoundTrips,
    pub slow_start: Spent,
    pub cwnd_limited: Spent,
    pub receiver_limited: Spent,
    pub buffer_limited: Spent,
    held: Option<Held>,
}

/// How a log is to be understood at some place.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// Snapshots that have been read, and when the last one was.
    pub snapshots: u64,
    pub snapshot_ns: u64,
    /// Whether records that did not change are left out.
    pub changes_only: bool,
}

impl Connection {
    /// One that is seen at that time first.
    pub fn new(time_ns: u64, wall_ns: u64) -> Self {
        Self {
            first_ns: time_ns,
            last_ns: time_ns,
            wall_ns: (wall_ns, wall_ns),
            sent: Total::default(),
            rexmit_bytes: Total::default(),
            rexmit_packs: Total::default(),
            sends: Bytes::default(),
            receives: Bytes::default(),
            srtt: RoundTrips::new(),
            slow_start: Spent::default(),
            cwnd_limited: Spent::default(),
            receiver_limited: Spent::default(),
            buffer_limited: Spent::default(),
            held: None,
        }
    }

    /// Adds a record.
    pub fn see(&mut self, time_ns: u64, wall_ns: u64, sample: &Sample, place: Place) {
        self.pass(time_ns, place, sample.counted);

        self.last_ns = self.last_ns.max(time_ns);
        self.wall_ns.1 = wall_ns;
        let marks = &sample.marks;
        self.sent.see(marks.sent_bytes);
        self.rexmit_bytes.see(marks.rexmit_bytes);
        self.rexmit_packs.see(marks.rexmit_packs.map(u64::from));
        self.sends.see(time_ns, marks.sent);
        self.receives.see(time_ns, marks.received);
        let &Sample { limits, srtt, counted, .. } = sample;
        self.held = Some(Held { time_ns, at: place.snapshots, limits, srtt, counted });
    }

    /// Says that the record that was seen last held until that time.
    fn pass(&mut self, time_ns: u64, place: Place, counted: Option<(u64, u64)>) {
        let Some(held) = self.held.take() else {
            return;
        };
        if place.changes_only && place.snapshot_ns > held.time_ns {
            self.sends.hold(held.time_ns, place.snapshot_ns);
            self.receives.hold(held.time_ns, place.snapshot_ns);
        }
        let passed = time_ns.saturating_sub(held.time_ns);
        self.slow_start.add(held.limits.slow_start, passed);
        self.cwnd_limited.add(held.limits.cwnd, passed);
        match (held.counted, counted) {
            (Some((rwnd_before, sndbuf_before)), Some((rwnd, sndbuf))) => {
                self.receiver_limited.add(Some(true), rwnd.saturating_sub(rwnd_before).saturating_mul(1000));
                self.buffer_limited.add(Some(true), sndbuf.saturating_sub(sndbuf_before).saturating_mul(1000));
            }
            (Some(_), None) => {
                self.receiver_limited.add(Some(true), 0);
                self.buffer_limited.add(Some(true), 0);
            }
            (None, _) => {
                self.receiver_limited.add(held.limits.receiver, passed);
                self.buffer_limited.add(held.limits.buffer, passed);
            }
        }
        let snapshots = if place.changes_only { place.snapshots - held.at } else { 1 };
        if let Some(srtt) = held.srtt {
            self.srtt.see(srtt, snapshots);
        }
    }

    /// Says that the connection is gone, or that nothing more is known of it.
    /// Where records that did not change are left out, it was there until then.
    pub fn leave(&mut self, time_ns: u64, place: Place) {
        if self.held.is_none() {
            return;
        }
        let until_ns = if place.changes_only { time_ns } else { self.last_ns };
        self.pass(until_ns, place, None);
        self.wall_ns.1 = self.wall_ns.1.saturating_add(until_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(until_ns);
    }

    /// How long it was in the log.
    pub fn duration_ns(&self) -> u64 {
        self.last_ns - self.first_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// A connection with 14 kB in flight, all that its buffer has, and room everywhere.
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

    /// Seconds in slow start, limited by cwnd, by the receiver, by the buffer, of two.
    fn limits(change: impl FnOnce(&mut Record), is_linux: bool) -> [Option<u64>; 4] {
        let mut record = record();
        change(&mut record);
        let place = Place::default();
        let mut connection = Connection::new(S, S);
        let sample = Sample::of(&record, is_linux);
        connection.see(S, S, &sample, place);
        connection.see(3 * S, 3 * S, &sample, place);
        connection.leave(9 * S, place);
        assert_eq!(connection.duration_ns(), 2 * S);
        let spent =
            [connection.slow_start, connection.cwnd_limited, connection.receiver_limited, connection.buffer_limited];
        spent.map(|spent| spent.ns().map(|ns| ns / S))
    }

    #[test]
    fn what_limits_is_told_by_windows_and_buffer() {
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
    fn what_a_log_does_not_tell_is_not_known() {
        assert_eq!(limits(Record::clear, false), [None; 4]);
        let linux = limits(|record| record.set(key::snd_hiwat, 15_000), true);
        assert_eq!(linux, [Some(0), Some(0), Some(0), None], "Linux's buffer sizes count memory");
        assert!(RoundTrips::new().quantiles().is_none());
        assert_eq!(Total::default().grown(), None);
    }

    #[test]
    fn what_linux_counted_itself_is_taken() {
        let (mut before, mut after) = (record(), record());
        for (record, us) in [(&mut before, 1_000_000), (&mut after, 4_000_000)] {
            record.set(key::rwnd_limited, us);
            record.set(key::sndbuf_limited, us / 2);
        }
        let mut connection = Connection::new(0, 0);
        connection.see(0, 0, &Sample::of(&before, true), Place::default());
        connection.see(10 * S, 10 * S, &Sample::of(&after, true), Place::default());
        assert_eq!(connection.receiver_limited.ns(), Some(3 * S));
        assert_eq!(connection.buffer_limited.ns(), Some(3 * S / 2));
    }

    #[test]
    fn bytes_are_those_of_the_preferred_counter_that_there_was() {
        let grown = |records: &[&[(&str, u64)]]| {
            let mut connection = Connection::new(0, 0);
            for (number, fields) in (0..).zip(records) {
                let mut record = Record::new();
                record.set(key::state, State::ESTABLISHED);
                for (name, value) in *fields {
                    record.set_number(tcpstats::Field::by_name(name).unwrap(), *value).unwrap();
                }
                connection.see(number * S, number * S, &Sample::of(&record, false), Place::default());
            }
            (connection.sends.grown(), connection.receives.grown())
        };
        let wrapped = u64::from(u32::MAX) - 99;
        assert_eq!(grown(&[&[("rcv_nxt", wrapped)], &[("rcv_nxt", 100)], &[("rcv_nxt", 150)]]), (None, Some(250)));
        assert_eq!(grown(&[&[("snd_una", 7)], &[("snd_una", 9)], &[("snd_una", 8)]]).0, Some(2), "it cannot go back");
        let absent: &[_] = &[("snd_una", 5000)];
        assert_eq!(grown(&[&[("acked_bytes", 1)], absent, &[("acked_bytes", 500)]]).0, Some(499));
        assert_eq!(grown(&[absent, &[("acked_bytes", 100)], &[("acked_bytes", 500)]]).0, Some(400));
        assert_eq!(grown(&[&[("acked_bytes", 9)], &[("acked_bytes", 8)], &[("acked_bytes", 10)]]).0, Some(1), "a FIN");
        assert_eq!(grown(&[&[]]), (None, None));
    }

    #[test]
    fn a_record_of_a_log_of_changes_holds_until_the_next() {
        let mut connection = Connection::new(S, S);
        let mut record = record();
        let place = |snapshots| Place { snapshots, changes_only: true, snapshot_ns: snapshots * S };
        record.set(key::srtt, 100);
        record.set(key::acked_bytes, 0);
        connection.see(S, S, &Sample::of(&record, false), place(0));
        record.set(key::srtt, 900);
        record.set(key::acked_bytes, 5000);
        connection.see(2 * S, 2 * S, &Sample::of(&record, false), place(1));
        connection.leave(100 * S, place(99));
        assert_eq!(connection.duration_ns(), 99 * S);
        assert_eq!(connection.sends.max_per_s(99 * S), Some(5000.0));
        let [least, median, p95, greatest] = connection.srtt.quantiles().unwrap();
        let found = [(least, 100.0), (median, 900.0), (p95, 900.0), (greatest, 900.0)];
        assert!(found.iter().all(|(found, real)| (found - real).abs() <= 0.01 * real), "{found:?}");
    }
}
