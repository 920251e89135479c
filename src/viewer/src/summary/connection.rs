// SPDX-License-Identifier: BSD-2-Clause

//! What is kept of a connection while a log is read: about one and a half
//! kilobytes, however long the log is.

use sketches_ddsketch::{Config, DDSketch};
use tcpstats::{Key, Record, State, key};

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
    pub total: Total,
    /// Where the time began over which the next throughput is taken.
    begin: Option<(u64, u64)>,
    max_per_s: Option<f64>,
}

impl Bytes {
    fn see(&mut self, time_ns: u64, now: Option<u64>) {
        self.total.see(now);
        let Some(now) = now else {
            return;
        };
        let (begin_ns, before) = *self.begin.get_or_insert((time_ns, now));
        let passed = time_ns.saturating_sub(begin_ns);
        if passed >= WINDOW_NS {
            let per_s = per_second(now.saturating_sub(before), passed);
            self.max_per_s = Some(self.max_per_s.map_or(per_s, |max| max.max(per_s)));
            self.begin = Some((time_ns, now));
        }
    }

    /// Says that nothing was added between those times.
    fn hold(&mut self, from_ns: u64, until_ns: u64) {
        let Some(((_, now), (begin_ns, _))) = self.total.range.zip(self.begin) else {
            return;
        };
        for time_ns in [begin_ns.saturating_add(WINDOW_NS).max(from_ns), until_ns] {
            if time_ns <= until_ns {
                self.see(time_ns, Some(now));
            }
        }
    }

    /// The greatest throughput over at least a second; that of all its time
    /// where it was shorter.
    pub fn max_per_s(&self, duration_ns: u64) -> Option<f64> {
        self.max_per_s.or_else(|| self.mean_per_s(duration_ns))
    }

    /// The throughput over all its time.
    pub fn mean_per_s(&self, duration_ns: u64) -> Option<f64> {
        self.total.grown().filter(|_| duration_ns > 0).map(|bytes| per_second(bytes, duration_ns))
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

/// What limits sending, judged by one record.
#[derive(Clone, Copy, Default)]
struct Limits {
    slow_start: Option<bool>,
    cwnd: Option<bool>,
    receiver: Option<bool>,
    buffer: Option<bool>,
}

impl Limits {
    /// Judges by the windows, what is in flight, and the send buffer.
    fn of(record: &Record, is_linux: bool) -> Self {
        let (cwnd, wnd) = (record.get(key::snd_cwnd), record.get(key::snd_wnd));
        let (Some(cwnd), Some(inflight)) = (cwnd, record.get(key::inflight)) else {
            return Self::default();
        };
        let buffered = record.get(key::snd_cc);
        let segment = record.get(key::maxseg).unwrap_or(1).max(1);
        let is_busy = inflight > 0 || buffered.is_some_and(|bytes| bytes > 0);
        // Data that is not sent yet waits for something.
        let waits = buffered.is_none_or(|bytes| bytes > inflight);
        let fills = |window: u32| is_busy && waits && u64::from(inflight) + u64::from(segment) > u64::from(window);
        let by_cwnd = fills(cwnd) && wnd.is_none_or(|wnd| cwnd <= wnd);
        let by_receiver = wnd.map(|wnd| wnd < cwnd && fills(wnd));
        // Linux counts the memory of a buffer, not the data in it.
        let buffer = record.get(key::snd_hiwat).filter(|_| !is_linux).zip(buffered);
        let by_buffer = buffer.map(|(size, bytes)| {
            is_busy && !by_cwnd && by_receiver != Some(true) && u64::from(bytes) + u64::from(segment) > u64::from(size)
        });
        Self {
            slow_start: record.get(key::snd_ssthresh).map(|ssthresh| is_busy && cwnd < ssthresh),
            cwnd: Some(by_cwnd),
            receiver: by_receiver,
            buffer: by_buffer,
        }
    }
}

/// A record that holds until the next one of its connection.
struct Held {
    time_ns: u64,
    /// How many snapshots had been read.
    at: u64,
    limits: Limits,
    srtt: Option<u32>,
    /// Linux's own counts of time limited by receiver and buffer, microseconds.
    counted: Option<(u64, u64)>,
}

/// Round-trip times, each as often as there are snapshots in which it held.
pub struct RoundTrips {
    sketch: DDSketch,
    /// What comes again and again is added once.
    last: Option<(u32, u64)>,
}

impl RoundTrips {
    /// None yet.
    pub fn new() -> Self {
        Self { sketch: DDSketch::new(Config::defaults()), last: None }
    }

    fn see(&mut self, srtt: u32, count: u64) {
        match &mut self.last {
            Some((last, seen)) if *last == srtt => *seen += count,
            _ => {
                self.flush();
                self.last = Some((srtt, count));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((srtt, count)) = self.last.take().filter(|(_, count)| *count > 0) {
            self.sketch.add_with_count(srtt.into(), count);
        }
    }

    /// Adds another's, which is not added to any more.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same configuration, without which merging fails.
        let _ = self.sketch.merge(&other.sketch);
    }

    /// Microseconds: the least, the median, that of 95 %, and the greatest; the
    /// middle ones within 1 %.
    pub fn quantiles(&self) -> Option<[f64; 4]> {
        let at = |q| self.sketch.quantile(q).ok().flatten();
        let (least, greatest) = self.sketch.min().zip(self.sketch.max())?;
        Some([least, at(0.5)?.clamp(least, greatest), at(0.95)?.clamp(least, greatest), greatest])
    }
}

/// A connection, as far as the log is read.
pub struct Connection {
    pub first_ns: u64,
    pub last_ns: u64,
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
    /// Whether Linux wrote it.
    pub is_linux: bool,
}

impl Connection {
    /// One that is seen at that time first.
    pub fn new(time_ns: u64) -> Self {
        Self {
            first_ns: time_ns,
            last_ns: time_ns,
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
    pub fn see(&mut self, time_ns: u64, record: &Record, place: Place) {
        let get = |key: Key<u64>| record.get(key);
        let counted = get(key::rwnd_limited).zip(get(key::sndbuf_limited));
        self.pass(time_ns, place, counted);

        self.last_ns = self.last_ns.max(time_ns);
        let sent = get(key::sent_bytes);
        self.sent.see(sent);
        self.rexmit_bytes.see(get(key::rexmit_bytes));
        self.rexmit_packs.see(record.get(key::rexmit_packs).map(u64::from));
        self.sends.see(time_ns, get(key::acked_bytes).or(sent));
        self.receives.see(time_ns, get(key::received_bytes));
        let limits = Limits::of(record, place.is_linux);
        self.held = Some(Held { time_ns, at: place.snapshots, limits, srtt: record.get(key::srtt), counted });
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
        self.last_ns = self.last_ns.max(until_ns);
        self.srtt.flush();
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
        let place = Place { is_linux, ..Place::default() };
        let mut connection = Connection::new(S);
        connection.see(S, &record, place);
        connection.see(3 * S, &record, place);
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
        let mut connection = Connection::new(0);
        connection.see(0, &before, Place::default());
        connection.see(10 * S, &after, Place::default());
        assert_eq!(connection.receiver_limited.ns(), Some(3 * S));
        assert_eq!(connection.buffer_limited.ns(), Some(3 * S / 2));
    }

    #[test]
    fn a_record_of_a_log_of_changes_holds_until_the_next() {
        let mut connection = Connection::new(S);
        let mut record = record();
        let place = |snapshots| Place { snapshots, changes_only: true, snapshot_ns: snapshots * S, is_linux: false };
        record.set(key::srtt, 100);
        record.set(key::acked_bytes, 0);
        connection.see(S, &record, place(0));
        record.set(key::srtt, 900);
        record.set(key::acked_bytes, 5000);
        connection.see(2 * S, &record, place(1));
        connection.leave(100 * S, place(99));
        assert_eq!(connection.duration_ns(), 99 * S);
        assert_eq!(connection.sends.max_per_s(99 * S), Some(5000.0));
        let [least, median, p95, greatest] = connection.srtt.quantiles().unwrap();
        let found = [(least, 100.0), (median, 900.0), (p95, 900.0), (greatest, 900.0)];
        assert!(found.iter().all(|(found, real)| (found - real).abs() <= 0.01 * real), "{found:?}");
    }
}
