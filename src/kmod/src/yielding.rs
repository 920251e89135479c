// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Yields the CPU during a long read.

use core::sync::atomic::Ordering::Relaxed;

use crate::kpi::{self, Sleepable, clock};
use crate::pace::Pace;

/// Returns whether a check is due and another thread wants the CPU.
pub fn must_yield(pace: &mut Pace, now_ns: u64) -> bool {
    if !pace.is_due(now_ns) {
        return false;
    }
    pace.check(now_ns, kpi::switches());
    kpi::wants_to_yield()
}

/// Yields the CPU if a check is due and another thread wants it.
pub fn yield_if_due(pace: &mut Pace, sleepable: &mut Sleepable) {
    if must_yield(pace, clock::uptime_ns()) {
        sleepable.yield_cpu();
        pace.yielded(clock::uptime_ns(), kpi::switches());
    }
}

/// Updates the longest time that a read held the CPU.
pub fn record_hold(pace: &Pace) {
    kpi::counters().hold_max_ns.fetch_max(pace.longest_ns(), Relaxed);
}
