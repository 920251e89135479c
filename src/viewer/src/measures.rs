// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Measures that are derived from several fields of a record.

use tcpstats::{Ending, Record, key, name};

/// The totals of a connection that has ended, `None` if the log lacks them.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// How long it lived, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// The bytes received.
    pub received: Option<u64>,
}

impl End {
    /// Returns the totals in a final record.
    pub fn of(record: &Record) -> Self {
        Self {
            duration_ns: record.get(key::duration).map(|us| us.saturating_mul(1000)),
            received: record.get(key::received_bytes).or_else(|| received_in_sequence(record)),
        }
    }
}

/// Returns the bytes received in order by a connection that has ended, if it received less
/// than 4 GiB.  The SYN and the FIN occupy sequence numbers, too.
fn received_in_sequence(record: &Record) -> Option<u64> {
    let numbers = record.get(key::rcv_nxt)?.wrapping_sub(record.get(key::irs)?);
    let ending = record.get(key::ending)?;
    let fin = [Ending::FinSent, Ending::FinReceived].iter().any(|fin| ending == name(fin.name().as_bytes()));
    numbers.checked_sub(1 + u32::from(fin)).map(u64::from)
}

/// What limits sending at the time of a record; `None` if the record lacks a
/// field that is needed.
#[derive(Clone, Copy, Debug, Default)]
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
    pub fn of(record: &Record, is_linux: bool) -> Self {
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
