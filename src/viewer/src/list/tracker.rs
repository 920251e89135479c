// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Values that need several snapshots: rates, trends and the history of a
//! connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tcpstats::{Header, Record, key};
use tcpstats_log::{Boot, ByteCounter, ConnectionId, Monotone, Snapshot};

use crate::units::NO_THRESHOLD;

/// The maximum number of points in the history of a connection.
const POINTS_MAX: usize = 300;

/// The maximum memory for all points in bytes, unless [`POINTS_MIN`] points for each
/// connection need more.
const POINTS_BYTES: usize = 64 << 20;
const POINTS_MIN: usize = 16;

/// The number of previous points with which the trend compares the last one.
const TREND_POINTS: usize = 8;

/// The rates of a connection, `None` in the first snapshot or if the kernel has no
/// counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bits per second of payload that the peer acknowledged.
    pub send: Option<f64>,
    /// Bits per second of payload received in order.
    pub receive: Option<f64>,
    /// Segments per second retransmitted.
    pub rexmit: Option<f64>,
}

/// The trend of the smoothed round-trip time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// At least a tenth above the mean of the previous points.
    Rising,
    /// At least a tenth below it.
    Falling,
    /// Neither, or unknown.
    Steady,
}

/// A point in the history of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The time in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The smoothed round-trip time.
    pub srtt: Option<u32>,
    /// The congestion window.
    pub snd_cwnd: Option<u32>,
    /// The slow start threshold, once a loss has set it.
    pub snd_ssthresh: Option<u32>,
    /// The bytes in flight.
    pub inflight: Option<u32>,
    /// The rates.
    pub rates: Rates,
}

/// The history of a connection, oldest point first.  One thread extends it while
/// another reads it.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Point>>);

impl History {
    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the points up to this time.
    pub fn until(&self, at_ns: u64) -> Vec<Point> {
        self.points().iter().take_while(|point| point.at_ns <= at_ns).copied().collect()
    }
}

/// The time for which a connection that has ended is shown, and the maximum number of
/// such connections.
const ENDED_FOR_NS: u64 = 10_000_000_000;
const ENDED_MAX: usize = 1000;

/// A connection of a snapshot, or one that has ended recently.
#[derive(Clone, Debug)]
pub struct Row {
    /// The connection.
    pub identity: ConnectionId,
    /// The time in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// The record.
    pub record: Record,
    /// The rates.
    pub rates: Rates,
    /// The trend of srtt.
    pub trend: Trend,
    /// The history.
    pub history: Arc<History>,
}

/// A snapshot with the rates and the history of each connection.
#[derive(Debug, Default)]
pub struct TrackedSnapshot {
    /// The snapshot's header.
    pub header: Header,
    /// Its connections, and those that have ended recently.
    pub rows: Vec<Row>,
}

/// Compares each snapshot with the previous one.
#[derive(Default)]
pub struct Tracker {
    connections: HashMap<ConnectionId, TrackedConnection>,
    /// Connections that have ended, the oldest first, without rates.
    ended: VecDeque<Row>,
    snapshots: u64,
}

/// A connection in the previous snapshot.
struct TrackedConnection {
    snapshot: u64,
    at_ns: u64,
    totals: Totals,
    marks: Monotone,
    history: Arc<History>,
}

impl Tracker {
    /// Adds the next snapshot.
    pub fn track(&mut self, snapshot: Snapshot) -> TrackedSnapshot {
        self.snapshots += 1;
        let header = snapshot.header;
        let is_another = |record: &Record| {
            let known = self.connections.get(&ConnectionId::of(record));
            known.is_some_and(|known| known.marks.contradict(&Monotone::of(record)))
        };
        let is_rebooted = match snapshot.boot {
            Boot::Same => false,
            Boot::Unsure => snapshot.records.iter().any(is_another),
            Boot::Other => true,
        };
        if is_rebooted {
            self.connections.clear();
            self.ended.clear();
        }
        let points = (POINTS_BYTES / size_of::<Point>() / snapshot.records.len().max(1)).clamp(POINTS_MIN, POINTS_MAX);
        let mut rows: Vec<_> = snapshot.records.into_iter().map(|record| self.row(&header, record, points)).collect();
        self.ended.retain(|row| row.at_ns.saturating_add(ENDED_FOR_NS) > header.mono_ns);
        rows.extend(self.ended.iter().cloned());
        for record in snapshot.ended {
            let row = self.row(&header, record, points);
            self.ended.push_back(Row { rates: Rates::default(), trend: Trend::Steady, ..row.clone() });
            rows.push(row);
        }
        self.ended.drain(..self.ended.len().saturating_sub(ENDED_MAX));
        let ended: HashSet<_> = self.ended.iter().map(|row| row.identity).collect();
        self.connections.retain(|id, known| known.snapshot == self.snapshots && !ended.contains(id));
        TrackedSnapshot { header, rows }
    }

    fn row(&mut self, header: &Header, record: Record, points: usize) -> Row {
        let (identity, totals) = (ConnectionId::of(&record), Totals::of(&record));
        let at_ns = header.mono_ns.wrapping_add(record.at_ns);
        let mut marks = Monotone::of(&record);
        let (rates, history) = match self.connections.get(&identity) {
            None => (Rates::default(), Arc::default()),
            Some(known) => {
                let now = std::mem::replace(&mut marks, known.marks);
                marks.update(&now);
                (totals.since(&known.totals, at_ns.saturating_sub(known.at_ns)), known.history.clone())
            }
        };
        let trend = add_point(&history, &record, at_ns, rates, points);
        self.connections.insert(
            identity,
            TrackedConnection { snapshot: self.snapshots, at_ns, totals, marks, history: history.clone() },
        );
        Row { identity, at_ns, record, rates, trend, history }
    }
}

/// Adds a point to the history if the connection has a congestion window, and
/// returns the trend of srtt.
fn add_point(history: &History, record: &Record, at_ns: u64, rates: Rates, max: usize) -> Trend {
    let Some(snd_cwnd) = record.get(key::snd_cwnd) else {
        return Trend::Steady;
    };
    let mut points = history.points();
    let srtt = record.get(key::srtt);
    let before: Vec<_> = points.iter().rev().take(TREND_POINTS).filter_map(|point| point.srtt).collect();
    points.push_back(Point {
        at_ns,
        srtt,
        snd_cwnd: Some(snd_cwnd),
        snd_ssthresh: record.get(key::snd_ssthresh).filter(|threshold| *threshold < NO_THRESHOLD),
        inflight: record.get(key::inflight),
        rates,
    });
    let surplus = points.len().saturating_sub(max);
    points.drain(..surplus);
    srtt.map_or(Trend::Steady, |srtt| trend(srtt, &before))
}

/// Compares a round-trip time with the mean of previous ones.
fn trend(srtt: u32, before: &[u32]) -> Trend {
    let sum: u64 = before.iter().map(|srtt| u64::from(*srtt)).sum();
    let tenths = 10 * u64::from(srtt) * before.len() as u64;
    match () {
        () if tenths > sum * 10 && tenths >= sum * 11 => Trend::Rising,
        () if tenths < sum * 10 && tenths <= sum * 9 => Trend::Falling,
        () => Trend::Steady,
    }
}

/// The counters of a connection.
#[derive(Clone, Copy)]
struct Totals {
    sent: Option<ByteCounter>,
    received: Option<ByteCounter>,
    rexmit_packs: Option<u32>,
}

impl Totals {
    fn of(record: &Record) -> Self {
        Self {
            sent: ByteCounter::sent(record),
            received: ByteCounter::received(record),
            rexmit_packs: record.get(key::rexmit_packs),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
    fn since(&self, before: &Self, ns: u64) -> Rates {
        if ns == 0 {
            return Rates::default();
        }
        let seconds = ns as f64 / 1e9;
        let bits =
            |before: Option<ByteCounter>, now: Option<ByteCounter>| Some(8.0 * now?.since(before?)? as f64 / seconds);
        let rexmit = self.rexmit_packs.zip(before.rexmit_packs).map(|(now, before)| now.wrapping_sub(before));
        Rates {
            send: bits(before.sent, self.sent),
            receive: bits(before.received, self.received),
            rexmit: rexmit.map(|segments| f64::from(segments) / seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::State;

    use super::*;

    fn record(at_ms: u64, set: impl FnOnce(&mut Record)) -> Snapshot {
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        record.set(key::lport, 5001);
        record.set(key::state, State::ESTABLISHED);
        record.set(key::snd_cwnd, 14480);
        set(&mut record);
        Snapshot {
            header: Header { mono_ns: at_ms * 1_000_000, ..Header::default() },
            records: vec![record],
            ended: Vec::new(),
            boot: Boot::Same,
        }
    }

    fn rates(first: Snapshot, second: Snapshot) -> Rates {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.track(first).rows[0].rates, Rates::default());
        tracker.track(second).rows[0].rates
    }

    #[test]
    fn a_rate_is_the_difference_divided_by_the_time() {
        let at = |ms, acked, received, rexmit| {
            record(ms, |record| {
                record.set(key::acked_bytes, acked);
                record.set(key::received_bytes, received);
                record.set(key::rexmit_packs, rexmit);
            })
        };
        let rates = rates(at(1000, 1000, 50, u32::MAX), at(1500, 126_000, 50, 2));
        assert_eq!(rates, Rates { send: Some(2_000_000.0), receive: Some(0.0), rexmit: Some(6.0) });
    }

    #[test]
    fn sequence_numbers_are_used_without_totals_and_may_wrap() {
        let at = |ms, snd_una, rcv_nxt| {
            record(ms, |record| {
                record.set(key::snd_una, snd_una);
                record.set(key::rcv_nxt, rcv_nxt);
            })
        };
        let passed = rates(at(0, u32::MAX - 499, 100), at(1000, 500, 350));
        assert_eq!((passed.send, passed.receive, passed.rexmit), (Some(8000.0), Some(2000.0), None));
        assert_eq!(rates(at(0, 100, 0), at(1000, 99, 0)).send, None, "a decrease has no rate");
    }

    #[test]
    fn a_handshake_has_no_rate() {
        let syn_sent = record(0, |record| {
            record.set(key::state, State::SYN_SENT);
            record.set(key::rcv_nxt, 0);
        });
        assert_eq!(rates(syn_sent, record(10, |record| record.set(key::rcv_nxt, 3_000_000_000))).receive, None);
    }

    #[test]
    fn another_connection_with_the_same_ports_has_its_own_totals() {
        let at = |ms, gencnt| {
            record(ms, |record| {
                record.set(key::gencnt, gencnt);
                record.set(key::acked_bytes, 1 << 40);
            })
        };
        assert_eq!(rates(at(0, 1), at(1000, 2)), Rates::default());
        assert_eq!(rates(at(0, 1), at(0, 1)), Rates::default(), "no time has passed");
    }

    #[test]
    fn a_rebooted_kernel_has_other_connections() {
        let at = |ms, acked, boot| {
            let snapshot = record(ms, |record| record.set(key::acked_bytes, acked));
            Snapshot { boot, ..snapshot }
        };
        let after = |acked, boot| {
            let mut tracker = Tracker::default();
            tracker.track(at(0, 5000, Boot::Same));
            let sampled = tracker.track(at(1000, acked, boot));
            (sampled.rows[0].rates.send, sampled.rows[0].history.until(u64::MAX).len())
        };
        assert_eq!(after(6000, Boot::Unsure), (Some(8000.0), 2), "the logger was restarted");
        assert_eq!(after(100, Boot::Unsure), (None, 1));
        assert_eq!(after(6000, Boot::Other), (None, 1));
    }

    #[test]
    fn the_history_belongs_to_one_connection_and_is_bounded() {
        let mut tracker = Tracker::default();
        let sampled = (0..400).map(|second| tracker.track(record(second * 1000, |_| ()))).last().unwrap();
        let points = sampled.rows[0].history.until(u64::MAX);
        assert_eq!((points.len(), points[0].at_ns), (POINTS_MAX, 100_000_000_000));
        assert_eq!(sampled.rows[0].history.until(150_000_000_000).len(), 51);
        tracker.track(Snapshot { records: Vec::new(), ..record(400_500, |_| ()) });
        let again = tracker.track(record(401_000, |_| ()));
        assert_eq!(again.rows[0].history.until(u64::MAX).len(), 1, "the history of a closed connection is dropped");
    }

    #[test]
    fn a_connection_that_has_ended_is_shown_for_a_while() {
        let mut tracker = Tracker::default();
        let total = |ms, bytes| record(ms, |record| record.set(key::acked_bytes, bytes));
        let ended = |ms: u64, gencnt, bytes| {
            let mut snapshot = total(ms, bytes);
            let mut last = snapshot.records.remove(0);
            last.set(key::gencnt, gencnt);
            last.set(key::state, State::ENDED);
            // Half a second before the snapshot.
            last.at_ns = 500_000_000_u64.wrapping_neg();
            snapshot.ended.push(last);
            snapshot
        };
        tracker.track(total(1000, 0));
        let rows = tracker.track(ended(2000, 7, 1000)).rows;
        assert_eq!((rows.len(), rows[0].at_ns, rows[0].rates.send), (1, 1_500_000_000, Some(16_000.0)));
        // The other was never seen.
        let rows = tracker.track(ended(3000, 8, 5)).rows;
        let sends: Vec<_> = rows.iter().map(|row| (row.record.get(key::gencnt), row.rates.send)).collect();
        assert_eq!(sends, [(Some(7), None), (Some(8), None)]);
        let rows = tracker.track(total(11_600, 0)).rows;
        let shown: Vec<_> = rows.iter().map(|row| row.record.get(key::state)).collect();
        assert_eq!(shown, [Some(State::ESTABLISHED), Some(State::ENDED)]);
    }

    #[test]
    fn a_difference_of_a_tenth_from_the_mean_is_a_trend() {
        assert_eq!(trend(110, &[100, 100]), Trend::Rising);
        assert_eq!(trend(109, &[100, 100]), Trend::Steady);
        assert_eq!(trend(90, &[100]), Trend::Falling);
        assert_eq!(trend(5, &[]), Trend::Steady);
        assert_eq!(trend(0, &[0]), Trend::Steady);
    }
}
