// SPDX-License-Identifier: BSD-2-Clause

//! Ticks at absolute times: however long a sample takes, none drifts.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

/// When to sample next, and how many ticks came too late for that.
pub struct Ticks {
    start: Instant,
    interval: Duration,
    /// Ticks there will be, where that is known.
    total: Option<u64>,
    next: u64,
    missed: u64,
}

impl Ticks {
    /// Ticks from now on, for that long where a duration is given.
    pub fn new(interval: Duration, duration: Option<Duration>) -> Self {
        let total = duration.map(|time| ticks_in(time.saturating_sub(Duration::from_nanos(1)), interval) + 1);
        Self { start: Instant::now(), interval, total, next: 0, missed: 0 }
    }

    /// Ticks at which no snapshot could be taken.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Counts the tick that was waited for as missed: its sample failed.
    pub fn miss(&mut self) {
        self.missed += 1;
    }

    /// Waits for the next tick; false when there is none or the end was asked
    /// for.  Ticks that passed meanwhile are missed.
    pub fn wait(&mut self, stop: &Receiver<()>) -> bool {
        if self.total.is_some_and(|total| self.next >= total) {
            return false;
        }
        let left = scaled(self.interval, self.next).saturating_sub(self.start.elapsed());
        match stop.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return false,
        }
        let now = self.reached(self.start.elapsed());
        self.missed += now.saturating_sub(self.next);
        let take = self.total.is_none_or(|total| now < total);
        self.next = now + 1;
        take
    }

    /// The last tick that is due after so long, at least the next one, and one
    /// past the end where the end has passed.
    fn reached(&self, elapsed: Duration) -> u64 {
        let now = ticks_in(elapsed, self.interval).max(self.next);
        self.total.map_or(now, |total| now.min(total))
    }
}

/// Whole intervals in a time.
fn ticks_in(time: Duration, interval: Duration) -> u64 {
    u64::try_from(time.as_nanos() / interval.as_nanos()).unwrap_or(u64::MAX)
}

fn scaled(interval: Duration, count: u64) -> Duration {
    let ns = interval.as_nanos().saturating_mul(count.into());
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    fn ticks(interval_ms: u64, duration_ms: u64) -> Ticks {
        Ticks::new(Duration::from_millis(interval_ms), Some(Duration::from_millis(duration_ms)))
    }

    #[test]
    fn a_duration_has_the_ticks_that_are_due_before_its_end() {
        assert_eq!(ticks(50, 10_000).total, Some(200));
        assert_eq!(ticks(50, 10_001).total, Some(201));
        assert_eq!(ticks(50, 1).total, Some(1));
    }

    #[test]
    fn ticks_that_passed_are_neither_taken_nor_forgotten() {
        let (_sender, stop) = bounded(1);
        let mut ticks = ticks(50, 1000);
        ticks.start = Instant::now().checked_sub(Duration::from_millis(275)).unwrap();
        assert!(ticks.wait(&stop));
        assert_eq!((ticks.missed, ticks.next), (5, 6));
        ticks.start = ticks.start.checked_sub(Duration::from_secs(10)).unwrap();
        assert!(!ticks.wait(&stop));
        assert_eq!(ticks.missed + 1, 20, "every tick of the second is taken or missed");
    }

    #[test]
    fn the_end_that_is_asked_for_ends_the_wait() {
        let (sender, stop) = bounded(1);
        let mut ticks = ticks(60_000, 600_000);
        assert!(ticks.wait(&stop));
        sender.send(()).unwrap();
        assert!(!ticks.wait(&stop));
    }
}
