// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of a record that a summary needs.

use tcpstats::{Record, key};
use tcpstats_log::Monotone;

use super::owner::OwnerId;
use crate::measures::{End, Limits};

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
    /// The totals of a final record.
    pub end: Option<End>,
    /// The owner, if connections are grouped by owner.
    pub owner: Option<OwnerId>,
}

impl Sample {
    /// Returns the values of a record.
    pub fn of(record: &Record, is_linux: bool) -> Self {
        Self {
            marks: Monotone::of(record),
            srtt: record.get(key::srtt),
            limits: Limits::of(record, is_linux),
            limited_us: record.get(key::rwnd_limited).zip(record.get(key::sndbuf_limited)),
            end: record.is_final().then(|| End::of(record)),
            owner: None,
        }
    }
}
