// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of a record that a summary needs.

use tcpstats::{Record, key};
use tcpstats_log::Monotone;

/// The values of a record that a summary needs.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// The counters, and the values that identify the connection.
    pub marks: Monotone,
    /// The smoothed round-trip time in microseconds.
    pub srtt: Option<u32>,
    /// What limits sending.
    pub limits: Limits,
    /// Linux's counters of the time limited by the receiver and by the send buffer,
    /// in microseconds.
    pub limited_us: Option<(u64, u64)>,
}

impl Sample {
    /// Returns the values of a record.
    pub fn of(record: &Record, is_linux: bool) -> Self {
        Self {
            marks: Monotone::of(record),
            srtt: record.get(key::srtt),
            limits: Limits::of(record, is_linux),
            limited_us: record.get(key::rwnd_limited).zip(record.get(key::sndbuf_limited)),
        }
    }
}

/// What limits sending at the time of a record; `None` if the record lacks a
/// field that is needed.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    /// Whether the connection is in slow start.
    pub slow_start: Option<bool>,
    /// Whether the congestion window limits it.
    pub cwnd: Option<bool>,
    /// Whether the receiver's window limits it.
    pub receiver: Option<bool>,
    /// Whether the send buffer limits it.
    pub buffer: Option<bool>,
}

impl Limits {
    /// Compares the windows, the bytes in flight, and the send buffer.
    fn of(record: &Record, is_linux: bool) -> Self {
        let (cwnd, wnd) = (record.get(key::snd_cwnd), record.get(key::snd_wnd));
        let (Some(cwnd), Some(inflight)) = (cwnd, record.get(key::inflight)) else {
            return Self::default();
        };
        let buffered = record.get(key::snd_cc);
        let segment = record.get(key::maxseg).unwrap_or(1).max(1);
        let is_busy = inflight > 0 || buffered.is_some_and(|bytes| bytes > 0);
        // Data that has not been sent is waiting for something.
        let is_waiting = buffered.is_none_or(|bytes| bytes > inflight);
        let fills = |window: u32| is_busy && is_waiting && u64::from(inflight) + u64::from(segment) > u64::from(window);
        let by_cwnd = fills(cwnd) && wnd.is_none_or(|wnd| cwnd <= wnd);
        let by_receiver = wnd.map(|wnd| wnd < cwnd && fills(wnd));
        // On Linux, the size of a buffer is that of its memory, not of the data in it.
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
