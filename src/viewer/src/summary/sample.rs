// SPDX-License-Identifier: BSD-2-Clause

//! What one record says of a connection, as far as a summary needs it.

use tcpstats::{Record, key};
use tcpstats_log::Monotone;

/// What one record says of a connection.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    pub marks: Monotone,
    pub srtt: Option<u32>,
    pub limits: Limits,
    /// Linux's own counts of time limited by receiver and buffer, microseconds.
    pub counted: Option<(u64, u64)>,
}

impl Sample {
    /// That of the record.
    pub fn of(record: &Record, is_linux: bool) -> Self {
        Self {
            marks: Monotone::of(record),
            srtt: record.get(key::srtt),
            limits: Limits::of(record, is_linux),
            counted: record.get(key::rwnd_limited).zip(record.get(key::sndbuf_limited)),
        }
    }
}

/// What limits sending, judged by one record.
#[derive(Clone, Copy, Default)]
pub struct Limits {
    pub slow_start: Option<bool>,
    pub cwnd: Option<bool>,
    pub receiver: Option<bool>,
    pub buffer: Option<bool>,
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
