// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics of a group of connections.

use tcpstats::{Ending, Record, State, key};

use super::histogram::{Buckets, Histogram};
use super::number::{BILLION, Scale};
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

/// What can limit sending, as in the label `limit`.
pub const LIMITS: [&str; 4] = ["cwnd", "peer_window", "send_buffer", "application"];

/// Whose window can be 0, as in the label `direction`: the peer's, and the own one.
pub const WINDOWS: [&str; 2] = ["send", "receive"];

/// The listening sockets of a snapshot.  A value is `None` if there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listen {
    /// Connections in the queues.
    pub length: Option<u64>,
    /// The maximum of these.
    pub limit: Option<u64>,
    /// Sockets whose queue is full.
    pub full: Option<u64>,
}

impl Listen {
    fn add(&mut self, record: &Record, is_linux: bool) {
        let (length, limit) = (record.get(key::qlen).map(u64::from), record.get(key::qlimit).map(u64::from));
        add(&mut self.length, length);
        add(&mut self.limit, limit);
        // sk_acceptq_is_full() of Linux, and solisten_clone() of FreeBSD.
        let full = length.zip(limit).map(|(length, limit)| length > if is_linux { limit } else { 3 * limit / 2 });
        add(&mut self.full, full.map(u64::from));
    }
}

/// What determines the number of series of a group.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The bounds of the histograms.
    pub buckets: Buckets,
    /// Whether the source can have the reasons why connections end.
    pub has_reasons: bool,
}

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
    /// The listening sockets in the last snapshot.
    pub listen: Listen,
    /// Connections with [a window](WINDOWS) of 0 in the last snapshot; `None` if no connection
    /// has the value.
    pub zero_windows: [Option<u64>; WINDOWS.len()],
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
            listen: Listen::default(),
            zero_windows: [None; WINDOWS.len()],
            srtt: Histogram::new(Scale::Billionth, &buckets.srtt),
            min_rtt: Histogram::new(Scale::Billionth, &buckets.min_rtt),
            duration: Histogram::new(Scale::Billionth, &buckets.duration),
            size: Histogram::new(Scale::One, &buckets.size),
            share: Histogram::new(Scale::Billionth, &buckets.share),
        }
    }

    /// Removes what only the last snapshot contains.
    pub fn clear_gauges(&mut self) {
        self.states = [0; STATES];
        self.listen = Listen::default();
        self.zero_windows = [None; WINDOWS.len()];
    }

    /// Adds a record of a snapshot to the gauges and to the histogram of srtt.
    pub fn add_sample(&mut self, record: &Record, is_linux: bool) {
        let state = record.get(key::state);
        if let Some(count) = state.and_then(|state| self.states.get_mut(usize::from(state.0))) {
            *count += 1;
        }
        match state {
            Some(State::LISTEN) => self.listen.add(record, is_linux),
            Some(State::CLOSED | State::TIME_WAIT) => (),
            _ => {
                self.add_srtt(record);
                let windows = [send_window(record), receive_window(record)];
                for (sum, window) in self.zero_windows.iter_mut().zip(windows) {
                    add(sum, window.map(|bytes| u64::from(bytes == 0)));
                }
            }
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

/// Returns the window of the peer, if data can be sent.
fn send_window(record: &Record) -> Option<u32> {
    let can_send = matches!(
        record.get(key::state)?,
        State::ESTABLISHED | State::CLOSE_WAIT | State::FIN_WAIT_1 | State::CLOSING | State::LAST_ACK
    );
    record.get(key::snd_wnd).filter(|_| can_send)
}

/// Returns the window that was offered to the peer, if it can send data.
fn receive_window(record: &Record) -> Option<u32> {
    let can_receive = matches!(record.get(key::state)?, State::ESTABLISHED | State::FIN_WAIT_1 | State::FIN_WAIT_2);
    // On FreeBSD, rcv_wnd is the free space as of the last segment that was received.
    let edge = record.get(key::rcv_adv).zip(record.get(key::rcv_nxt));
    edge.map(|(edge, next)| edge.wrapping_sub(next)).or(record.get(key::rcv_wnd)).filter(|_| can_receive)
}
