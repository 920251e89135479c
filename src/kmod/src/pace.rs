// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Measures how long a read holds the CPU without checking whether another thread
//! wants it.

/// The maximum time between two checks in nanoseconds, not counting the connection or
/// piece of output in progress.
pub const HOLD_NS: u64 = 200_000;

/// The time since the last check, on a clock of the caller's choice.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    since_ns: u64,
    switches: u64,
    longest_ns: u64,
    yielded_ns: u64,
}

impl Pace {
    /// Creates a pace that starts now; `switches` is how many times the thread has lost
    /// the CPU.
    #[must_use]
    pub const fn start(now_ns: u64, switches: u64) -> Self {
        Self { since_ns: now_ns, switches, longest_ns: 0, yielded_ns: 0 }
    }

    /// Returns whether a check is due.
    #[must_use]
    pub const fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= HOLD_NS
    }

    /// Records a check, due or not.  If the thread has lost the CPU since the last
    /// one, the time in between does not count as held.
    pub fn check(&mut self, now_ns: u64, switches: u64) {
        if switches == self.switches {
            self.longest_ns = self.longest_ns.max(now_ns.saturating_sub(self.since_ns));
        }
        (self.since_ns, self.switches) = (now_ns, switches);
    }

    /// Records that the thread yielded from the last check until now.
    pub fn yielded(&mut self, now_ns: u64, switches: u64) {
        self.yielded_ns += now_ns.saturating_sub(self.since_ns);
        (self.since_ns, self.switches) = (now_ns, switches);
    }

    /// Returns the longest time between two checks.
    #[must_use]
    pub const fn longest_ns(&self) -> u64 {
        self.longest_ns
    }

    /// Returns the total time that the thread yielded.
    #[must_use]
    pub const fn yielded_ns(&self) -> u64 {
        self.yielded_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_due_after_the_maximum_hold_time() {
        let mut pace = Pace::start(1000, 0);
        assert!(!pace.is_due(1000 + HOLD_NS - 1));
        assert!(pace.is_due(1000 + HOLD_NS));
        pace.check(1000 + HOLD_NS, 0);
        assert!(!pace.is_due(1000 + HOLD_NS));
        pace.check(1000 + 3 * HOLD_NS, 0);
        assert_eq!(pace.longest_ns(), 2 * HOLD_NS);
    }

    #[test]
    fn time_yielded_to_other_threads_does_not_count_as_held() {
        let mut pace = Pace::start(0, 0);
        pace.check(HOLD_NS, 0);
        pace.yielded(10 * HOLD_NS, 1);
        assert_eq!(pace.yielded_ns(), 9 * HOLD_NS);
        assert!(!pace.is_due(10 * HOLD_NS + 5));
        pace.check(10 * HOLD_NS + 5, 1);
        assert_eq!(pace.longest_ns(), HOLD_NS);
    }

    #[test]
    fn a_preempted_thread_did_not_hold_the_cpu() {
        let mut pace = Pace::start(0, 7);
        pace.check(100 * HOLD_NS, 8);
        assert_eq!(pace.longest_ns(), 0);
        pace.check(101 * HOLD_NS, 8);
        assert_eq!(pace.longest_ns(), HOLD_NS);
    }

    #[test]
    fn a_clock_that_stops_or_steps_back_counts_as_no_time() {
        let mut pace = Pace::start(500, 0);
        assert!(!pace.is_due(500) && !pace.is_due(0));
        pace.yielded(0, 0);
        assert_eq!((pace.yielded_ns(), pace.longest_ns()), (0, 0));
    }
}
