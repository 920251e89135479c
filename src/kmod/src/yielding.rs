// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Yields the CPU during a long read.

use core::sync::atomic::Ordering::Relaxed;

use crate::kpi::{self, Sleepable, clock};
use crate::pace::Pace;

/// Yields the CPU if a check is due and another thread wants it.
pub fn yield_if_due(pace: &mut Pace, sleepable: &mut Sleepable) {
    let now = clock::uptime_ns();
    if pace.is_due(now) {
        pace.check(now, kpi::switches());
        if kpi::wants_to_yield() {
            sleepable.yield_cpu();
            pace.yielded(clock::uptime_ns(), kpi::switches());
        }
    }
}

/// Updates the longest time that a read held the CPU.
pub fn record_hold(pace: &Pace) {
    kpi::counters().hold_max_ns.fetch_max(pace.longest_ns(), Relaxed);
}
