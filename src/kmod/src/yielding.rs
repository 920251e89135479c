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

/// Calls `pause`, which yields the CPU or sleeps.  That time does not count as held.
/// `now_ns` reads the clock of the pace.
pub fn pause_on(
    pace: &mut Pace,
    mut now_ns: impl FnMut() -> u64,
    pause: fn(&mut Sleepable),
    sleepable: &mut Sleepable,
) {
    pace.check(now_ns(), kpi::switches());
    pause(sleepable);
    pace.yielded(now_ns(), kpi::switches());
}

/// Yields the CPU if a check is due and another thread wants it.
pub fn yield_if_due(pace: &mut Pace, sleepable: &mut Sleepable) {
    if must_yield(pace, clock::uptime_ns()) {
        pause_on(pace, clock::uptime_ns, Sleepable::yield_cpu, sleepable);
    }
}

/// Updates the longest time that a read held the CPU.
pub fn record_hold(pace: &Pace) {
    kpi::counters().hold_max_ns.fetch_max(pace.longest_ns(), Relaxed);
}
