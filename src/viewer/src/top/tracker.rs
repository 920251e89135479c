// SPDX-License-Identifier: BSD-2-Clause

//! What only two snapshots tell: rates, and how a connection came to be as it
//! is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tcpstats::{Header, Record, key};
use tcpstats_log::{Boot, ByteCounter, ConnectionId, Monotone, Snapshot};

use crate::units::NO_THRESHOLD;

/// Points that are kept of a connection where memory allows.
const POINTS_MAX: usize = 300;

/// Bytes that all points together may take, as long as each connection has
/// [`POINTS_MIN`].
const POINTS_BYTES: usize = 64 << 20;
const POINTS_MIN: usize = 16;

/// Points before the last one that a trend is measured against.
const TREND_POINTS: usize = 8;

/// How fast a connection's totals grow; none before the second snapshot and
/// where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Payload that the peer has acknowledged, bits a second.
    pub send: Option<f64>,
    /// Payload received in order, bits a second.
    pub receive: Option<f64>,
    /// Segments retransmitted, a second.
    pub rexmit: Option<f64>,
}

/// Where the smoothed round-trip time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// A tenth or more above the last points' mean.
    Rising,
    /// A tenth or more below.
    Falling,
    /// Neither, or not known yet.
    Steady,
}

/// A connection at one instant, for its history.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// See the table of fields.
    pub srtt: Option<u32>,
    /// See the table of fields.
    pub snd_cwnd: Option<u32>,
    /// None also until a loss sets it.
    pub snd_ssthresh: Option<u32>,
    /// See the table of fields.
    pub inflight: Option<u32>,
    /// See [`Rates`].
    pub rates: Rates,
}

/// The last points of a connection, oldest first, which grow in one thread and
/// are looked at in another.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Point>>);

impl History {
    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points up to that time.
    pub fn until(&self, at_ns: u64) -> Vec<Point> {
        self.points().iter().take_while(|point| point.at_ns <= at_ns).copied().collect()
    }
}

/// A connection of a snapshot.
#[derive(Debug)]
pub struct Row {
    /// Which one.
    pub identity: ConnectionId,
    /// When, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// What the source gave.
    pub record: Record,
    /// How fast its totals grow.
    pub rates: Rates,
    /// Where its srtt goes.
    pub trend: Trend,
    /// How it came to be so.
    pub history: Arc<History>,
}

/// A snapshot with what the ones before it add.
#[derive(Debug, Default)]
pub struct Sampled {
    /// The snapshot's header.
    pub header: Header,
    /// Its connections.
    pub rows: Vec<Row>,
}

/// Remembers the last snapshot.
#[derive(Default)]
pub struct Tracker {
    known: HashMap<ConnectionId, Known>,
    snapshots: u64,
}

/// A connection as it was last seen.
struct Known {
    snapshot: u64,
    at_ns: u64,
    totals: Totals,
    marks: Monotone,
    history: Arc<History>,
}

impl Tracker {
    /// Takes the next snapshot.
    pub fn track(&mut self, snapshot: Snapshot) -> Sampled {
        self.snapshots += 1;
        let header = snapshot.header;
        let is_another = |record: &Record| {
            let known = self.known.get(&ConnectionId::of(record));
            known.is_some_and(|known| known.marks.contradict(&Monotone::of(record)))
        };
        let is_booted = match snapshot.boot {
            Boot::Same => false,
            Boot::Unsure => snapshot.records.iter().any(is_another),
            Boot::Other => true,
        };
        if is_booted {
            self.known.clear();
        }
        let points = (POINTS_BYTES / size_of::<Point>() / snapshot.records.len().max(1)).clamp(POINTS_MIN, POINTS_MAX);
        let rows = snapshot.records.into_iter().map(|record| self.row(&header, record, points)).collect();
        self.known.retain(|_, known| known.snapshot == self.snapshots);
        Sampled { header, rows }
    }

    fn row(&mut self, header: &Header, record: Record, points: usize) -> Row {
        let (identity, totals) = (ConnectionId::of(&record), Totals::of(&record));
        let at_ns = header.mono_ns.saturating_add(record.at_ns);
        let mut marks = Monotone::of(&record);
        let (rates, history) = match self.known.get(&identity) {
            None => (Rates::default(), Arc::default()),
            Some(known) => {
                let now = std::mem::replace(&mut marks, known.marks);
                marks.update(&now);
                (totals.since(&known.totals, at_ns.saturating_sub(known.at_ns)), known.history.clone())
            }
        };
        let trend = add_point(&history, &record, at_ns, rates, points);
        self.known.insert(identity, Known { snapshot: self.snapshots, at_ns, totals, marks, history: history.clone() });
        Row { identity, at_ns, record, rates, trend, history }
    }
}

/// Adds to the history of a connection that has one, and says where its srtt
/// goes.
fn add_point(history: &History, record: &Record, at_ns: u64, rates: Rates, most: usize) -> Trend {
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
    let surplus = points.len().saturating_sub(most);
    points.drain(..surplus);
    srtt.map_or(Trend::Steady, |srtt| trend(srtt, &before))
}

/// Compares with the mean of those before.
fn trend(srtt: u32, before: &[u32]) -> Trend {
    let sum: u64 = before.iter().map(|srtt| u64::from(*srtt)).sum();
    let tenths = 10 * u64::from(srtt) * before.len() as u64;
    match () {
        () if tenths > sum * 10 && tenths >= sum * 11 => Trend::Rising,
        () if tenths < sum * 10 && tenths <= sum * 9 => Trend::Falling,
        () => Trend::Steady,
    }
}

/// What grows on a connection.
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

    #[allow(clippy::cast_precision_loss, reason = "a rate is read to three digits")]
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
            boot: Boot::Same,
        }
    }

    fn rates(first: Snapshot, second: Snapshot) -> Rates {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.track(first).rows[0].rates, Rates::default());
        tracker.track(second).rows[0].rates
    }

    #[test]
    fn a_rate_is_what_passed_in_the_time_between() {
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
    fn without_totals_sequence_numbers_tell_also_where_they_wrap() {
        let at = |ms, snd_una, rcv_nxt| {
            record(ms, |record| {
                record.set(key::snd_una, snd_una);
                record.set(key::rcv_nxt, rcv_nxt);
            })
        };
        let passed = rates(at(0, u32::MAX - 499, 100), at(1000, 500, 350));
        assert_eq!((passed.send, passed.receive, passed.rexmit), (Some(8000.0), Some(2000.0), None));
        assert_eq!(rates(at(0, 100, 0), at(1000, 99, 0)).send, None, "back is no rate");
    }

    #[test]
    fn a_handshake_is_no_rate() {
        let syn_sent = record(0, |record| {
            record.set(key::state, State::SYN_SENT);
            record.set(key::rcv_nxt, 0);
        });
        assert_eq!(rates(syn_sent, record(10, |record| record.set(key::rcv_nxt, 3_000_000_000))).receive, None);
    }

    #[test]
    fn another_connection_of_the_same_ports_has_its_own_totals() {
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
        assert_eq!(after(6000, Boot::Unsure), (Some(8000.0), 2), "the logger was started again");
        assert_eq!(after(100, Boot::Unsure), (None, 1));
        assert_eq!(after(6000, Boot::Other), (None, 1));
    }

    #[test]
    fn the_history_is_of_this_connection_and_bounded() {
        let mut tracker = Tracker::default();
        let sampled = (0..400).map(|second| tracker.track(record(second * 1000, |_| ()))).last().unwrap();
        let points = sampled.rows[0].history.until(u64::MAX);
        assert_eq!((points.len(), points[0].at_ns), (POINTS_MAX, 100_000_000_000));
        assert_eq!(sampled.rows[0].history.until(150_000_000_000).len(), 51);
        tracker.track(Snapshot { header: Header::default(), records: Vec::new(), boot: Boot::Same });
        let again = tracker.track(record(401_000, |_| ()));
        assert_eq!(again.rows[0].history.until(u64::MAX).len(), 1, "what was gone is forgotten");
    }

    #[test]
    fn a_trend_is_a_tenth_of_the_mean() {
        assert_eq!(trend(110, &[100, 100]), Trend::Rising);
        assert_eq!(trend(109, &[100, 100]), Trend::Steady);
        assert_eq!(trend(90, &[100]), Trend::Falling);
        assert_eq!(trend(5, &[]), Trend::Steady);
        assert_eq!(trend(0, &[0]), Trend::Steady);
    }
}
