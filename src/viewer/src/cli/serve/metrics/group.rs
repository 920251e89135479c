// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics of a group of connections.

use tcpstats::{Ending, Record, State, key};

use super::histogram::{BILLION, Buckets, Histogram};
use crate::measures::End;

/// The number of reasons why a connection ends.
pub const REASONS: usize = Ending::ALL.len() + 1;

/// The number of states of live connections.
pub const STATES: usize = State::TIME_WAIT.0 as usize + 1;

/// What a record adds to the counters of its group.  A value is `None` if the source does not
/// have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Increase {
    /// Connections that began.
    pub opened: u64,
    /// Bytes sent, without retransmissions.
    pub sent_bytes: Option<u64>,
    /// Bytes received.
    pub received_bytes: Option<u64>,
    /// Bytes retransmitted.
    pub rexmit_bytes: Option<u64>,
    /// Segments retransmitted.
    pub rexmit_packs: Option<u64>,
    /// Nanoseconds limited by [each limit](LIMITS).
    pub limited_ns: [Option<u64>; LIMITS.len()],
}

impl Increase {
    /// Returns the bytes transferred.
    pub fn bytes(&self) -> u64 {
        self.sent_bytes.unwrap_or(0).saturating_add(self.received_bytes.unwrap_or(0))
    }

    /// Adds another increase.
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        add(&mut self.sent_bytes, other.sent_bytes);
        add(&mut self.received_bytes, other.received_bytes);
        add(&mut self.rexmit_bytes, other.rexmit_bytes);
        add(&mut self.rexmit_packs, other.rexmit_packs);
        for (sum, ns) in self.limited_ns.iter_mut().zip(other.limited_ns) {
            add(sum, ns);
        }
    }
}

/// What can limit sending, as in the label `by`.
pub const LIMITS: [&str; 4] = ["cwnd", "peer_window", "send_buffer", "application"];

fn add(sum: &mut Option<u64>, value: Option<u64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0).saturating_add(value));
    }
}

/// The metrics of a group of connections.
#[derive(Clone, Debug)]
pub struct Group {
    /// The time at which the series were created, in nanoseconds since the Epoch.
    pub created_ns: u64,
    /// The counters.
    pub total: Increase,
    /// Connections that have ended, by reason: those of [`Ending::ALL`], then unknown.
    pub closed: [u64; REASONS],
    /// Whether the source has the reasons.
    pub has_reasons: bool,
    /// Connections in the last snapshot, by state.
    pub states: [u64; STATES],
    /// Connections in the listen queues, and their maximum.
    pub listen: (Option<u64>, Option<u64>),
    /// The smoothed round-trip times.
    pub srtt: Histogram,
    /// The minimum round-trip times.
    pub min_rtt: Histogram,
    /// The durations of connections.
    pub duration: Histogram,
    /// The bytes that connections transferred.
    pub size: Histogram,
    /// The retransmitted shares of the bytes sent.
    pub share: Histogram,
}

impl Group {
    /// Returns an empty group.
    pub fn new(buckets: &Buckets, created_ns: u64) -> Self {
        Self {
            created_ns,
            total: Increase::default(),
            closed: [0; REASONS],
            has_reasons: false,
            states: [0; STATES],
            listen: (None, None),
            srtt: Histogram::new(&buckets.rtt),
            min_rtt: Histogram::new(&buckets.rtt),
            duration: Histogram::new(&buckets.duration),
            size: Histogram::new(&buckets.size),
            share: Histogram::new(&buckets.share),
        }
    }

    /// Removes what only the last snapshot contains.
    pub fn clear_gauges(&mut self) {
        self.states = [0; STATES];
        self.listen = (None, None);
    }

    /// Adds a record of a snapshot to the gauges and to the histogram of srtt.
    pub fn add_sample(&mut self, record: &Record) {
        let state = record.get(key::state);
        if let Some(count) = state.and_then(|state| self.states.get_mut(usize::from(state.0))) {
            *count += 1;
        }
        match state {
            Some(State::LISTEN) => {
                add(&mut self.listen.0, record.get(key::qlen).map(u64::from));
                add(&mut self.listen.1, record.get(key::qlimit).map(u64::from));
            }
            Some(State::CLOSED | State::TIME_WAIT) => (),
            _ => self.add_srtt(record),
        }
    }

    fn add_srtt(&mut self, record: &Record) {
        if let Some(us) = record.get(key::srtt) {
            self.srtt.observe(u64::from(us) * 1000);
        }
    }

    /// Adds a final record.
    pub fn add_final(&mut self, record: &Record) {
        let ending = record.get(key::ending);
        let reason = Ending::ALL.iter().position(|known| ending == Some(tcpstats::name(known.name().as_bytes())));
        self.has_reasons |= ending.is_some();
        self.close(reason);
        self.add_srtt(record);
        let end = End::of(record);
        if let Some(us) = record.get(key::rttmin) {
            self.min_rtt.observe(u64::from(us) * 1000);
        }
        if let Some(ns) = end.duration_ns {
            self.duration.observe(ns);
        }
        let sent = record.get(key::sent_bytes).or(record.get(key::acked_bytes));
        if let Some((sent, received)) = sent.zip(end.received) {
            self.size.observe(sent.saturating_add(received));
        }
        if let Some((once, again)) = sent.zip(record.get(key::rexmit_bytes)) {
            let share = u128::from(again) * u128::from(BILLION) / (u128::from(once) + u128::from(again)).max(1);
            if once > 0 || again > 0 {
                self.share.observe(u64::try_from(share).unwrap_or(BILLION));
            }
        }
    }

    /// Counts a connection that has ended for this reason, by its position in
    /// [`Ending::ALL`].
    pub fn close(&mut self, reason: Option<usize>) {
        if let Some(count) = self.closed.get_mut(reason.unwrap_or(REASONS - 1)) {
            *count += 1;
        }
    }
}
