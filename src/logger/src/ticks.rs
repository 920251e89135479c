// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Ticks at absolute times, which do not drift however long a sample takes.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

/// Why a wait for the next tick is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It is time for a sample.
    Tick,
    /// A stop is requested.
    Stop,
    /// The last tick has passed.
    End,
}

/// The schedule of the samples, and the number of missed ticks.
pub struct Ticks {
    start: Instant,
    interval: Duration,
    /// Total number of ticks, `None` if unlimited.
    total: Option<u64>,
    next: u64,
    missed: u64,
}

impl Ticks {
    /// Starts ticking now, for the duration or without end.
    pub fn new(interval: Duration, duration: Option<Duration>) -> Self {
        let total = duration.map(|time| ticks_in(time.saturating_sub(Duration::from_nanos(1)), interval) + 1);
        Self { start: Instant::now(), interval, total, next: 0, missed: 0 }
    }

    /// Returns the number of ticks at which no snapshot was taken.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Counts the current tick as missed, because its sample failed.
    pub fn miss(&mut self) {
        self.missed += 1;
    }

    /// Waits for the next tick.  Ticks that have already passed are missed.
    pub fn wait(&mut self, stop: &Receiver<()>) -> Wake {
        if self.total.is_some_and(|total| self.next >= total) {
            return Wake::End;
        }
        let left = scaled(self.interval, self.next).saturating_sub(self.start.elapsed());
        match stop.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Wake::Stop,
        }
        let now = self.reached(self.start.elapsed());
        self.missed += now.saturating_sub(self.next);
        self.next = now + 1;
        if self.total.is_none_or(|total| now < total) { Wake::Tick } else { Wake::End }
    }

    /// Returns the last tick that is due after the elapsed time: at least the
    /// next tick, and `total` if the end has passed.
    fn reached(&self, elapsed: Duration) -> u64 {
        let now = ticks_in(elapsed, self.interval).max(self.next);
        self.total.map_or(now, |total| now.min(total))
    }
}

/// Returns the number of complete intervals in a time.
fn ticks_in(time: Duration, interval: Duration) -> u64 {
    u64::try_from(time.as_nanos() / interval.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns `count` intervals.
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
    fn ticks_that_have_passed_are_counted_as_missed() {
        let (_sender, stop) = bounded(1);
        let mut ticks = ticks(50, 1000);
        ticks.start = Instant::now().checked_sub(Duration::from_millis(275)).unwrap();
        assert_eq!(ticks.wait(&stop), Wake::Tick);
        assert_eq!((ticks.missed, ticks.next), (5, 6));
        ticks.start = ticks.start.checked_sub(Duration::from_secs(10)).unwrap();
        assert_eq!(ticks.wait(&stop), Wake::End);
        assert_eq!(ticks.missed + 1, 20, "every tick of the second is taken or missed");
    }

    #[test]
    fn a_request_to_stop_ends_the_wait() {
        let (sender, stop) = bounded(1);
        let mut ticks = ticks(60_000, 600_000);
        assert_eq!(ticks.wait(&stop), Wake::Tick);
        sender.send(()).unwrap();
        assert_eq!(ticks.wait(&stop), Wake::Stop);
    }
}
