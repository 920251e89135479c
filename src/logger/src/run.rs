// SPDX-License-Identifier: BSD-2-Clause

//! Samples at fixed times until told to stop.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tcpstats::stream::SnapshotBuffer;

use crate::Sentence;
use crate::log::Log;
use crate::options::Options;
use crate::source::{self, Sample};

/// A signal asked for the end.
struct Stop;

/// Samples and logs as the options say.
///
/// # Errors
/// A sentence; what was logged before is whole.
pub fn run(options: &Options) -> Result<(), Sentence> {
    let stop = stop_signals()?;
    let mut source = source::open(&options.source, options.filter.clone())?;
    let mut log = Log::open(options)?;
    let mut snapshot = SnapshotBuffer::new();
    let mut ticks = Ticks::new(options.interval, options.duration);
    let mut failed = None;
    while options.count.is_none_or(|count| log.snapshots() < count) && ticks.wait(&stop) {
        match source.sample(&mut snapshot) {
            Ok(Sample::Taken) => log.snapshot(&mut snapshot, ticks.missed)?,
            Ok(Sample::End) => break,
            Err(sentence) => {
                failed = Some(sentence);
                break;
            }
        }
    }
    log.close(ticks.missed)?;
    failed.map_or(Ok(()), Err)
}

/// A channel on which SIGINT and SIGTERM arrive.
fn stop_signals() -> Result<Receiver<Stop>, Sentence> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("signals cannot be caught: {error}"))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || signals.forever().try_for_each(|_| sender.send(Stop)));
    Ok(receiver)
}

/// Ticks at absolute times: however long a sample takes, none drifts.
struct Ticks {
    start: Instant,
    interval: Duration,
    /// Ticks there will be, where that is known.
    total: Option<u64>,
    next: u64,
    missed: u64,
}

impl Ticks {
    fn new(interval: Duration, duration: Option<Duration>) -> Self {
        let total = duration.map(|time| ticks_in(time.saturating_sub(Duration::from_nanos(1)), interval) + 1);
        Self { start: Instant::now(), interval, total, next: 0, missed: 0 }
    }

    /// Waits for the next tick; false when there is none or a signal came.
    /// Ticks that passed meanwhile are missed.
    fn wait(&mut self, stop: &Receiver<Stop>) -> bool {
        if self.total.is_some_and(|total| self.next >= total) {
            return false;
        }
        let left = scaled(self.interval, self.next).saturating_sub(self.start.elapsed());
        match stop.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => (),
            Ok(Stop) | Err(RecvTimeoutError::Disconnected) => return false,
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
        let (_sender, stop) = mpsc::channel();
        let mut ticks = ticks(50, 1000);
        ticks.start = Instant::now().checked_sub(Duration::from_millis(275)).unwrap();
        assert!(ticks.wait(&stop));
        assert_eq!((ticks.missed, ticks.next), (5, 6));
        ticks.start = ticks.start.checked_sub(Duration::from_secs(10)).unwrap();
        assert!(!ticks.wait(&stop));
        assert_eq!(ticks.missed + 1, 20, "every tick of the second is taken or missed");
    }

    #[test]
    fn a_signal_ends_the_wait() {
        let (sender, stop) = mpsc::channel();
        let mut ticks = ticks(60_000, 600_000);
        assert!(ticks.wait(&stop));
        sender.send(Stop).unwrap();
        assert!(!ticks.wait(&stop));
    }
}
