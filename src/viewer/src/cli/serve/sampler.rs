// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The thread that takes snapshots and publishes the metrics.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use tcpstats_log::Snapshot;
use tcpstats_source::report;
use tcpstats_source::system::wall_ns;

use super::metrics::{Metrics, Origin};
use super::page::Feed;
use super::published::Published;
use crate::live::Live;
use crate::output;

/// How often the metrics are published while a log is read.
const PUBLISH: Duration = Duration::from_millis(200);

/// Sleeps until this time.  Not with [`thread::sleep`]: it calls clock_nanosleep(2), which is not
/// permitted in Capsicum's capability mode.
fn wait_until(time: Instant) {
    loop {
        let rest = time.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        // It can also return early.
        thread::park_timeout(rest);
    }
}

/// Takes snapshots and publishes the metrics.
pub struct Sampler {
    /// The source.
    pub live: Live,
    /// Whether the filter can leave out some records of a connection.
    pub is_partial: bool,
    /// The metrics.
    pub metrics: Metrics,
    /// Where they are published.
    pub published: Arc<Published>,
    /// Where snapshots are passed on to the page, if there is one.
    pub feed: Option<Arc<Feed>>,
}

impl Sampler {
    /// Takes a snapshot, and returns whether there was one.
    ///
    /// # Errors
    /// Returns an error that names the source.
    pub fn sample(&mut self) -> Result<bool> {
        let Some(snapshot) = self.live.sample()? else {
            return Ok(false);
        };
        self.add(&snapshot);
        if let Some(feed) = &self.feed {
            feed.offer(snapshot);
        }
        Ok(true)
    }

    fn add(&mut self, snapshot: &Snapshot) {
        let is_partial = self.is_partial || self.live.is_partial();
        let origin = Origin { is_linux: self.live.is_linux(), is_partial };
        self.metrics.add(snapshot, origin, wall_ns());
    }

    /// Publishes the metrics.
    pub fn publish(&self) {
        self.published.publish(self.metrics.view());
    }

    fn failed(&mut self, error: &Error) {
        self.metrics.source_failed();
        let text = report(error.as_ref());
        output::warn(&text);
        if let Some(feed) = &self.feed {
            feed.fail(text);
        }
        self.publish();
    }

    /// Takes further snapshots, one per interval, until the source ends.
    pub fn run(mut self, interval: Duration) {
        if matches!(self.live, Live::Log(_)) {
            return self.replay();
        }
        let mut next = Instant::now() + interval;
        loop {
            wait_until(next);
            match self.sample() {
                Ok(true) => self.publish(),
                Ok(false) => return,
                Err(error) => {
                    self.failed(&error);
                    if !self.live.comes_back() {
                        return;
                    }
                    // If this fails, so does the next sample.
                    let _ = self.live.reopen();
                }
            }
            for text in self.live.warnings() {
                output::warn(&text);
            }
            let late = Instant::now().saturating_duration_since(next).as_nanos() / interval.as_nanos().max(1);
            let missed = u32::try_from(late).unwrap_or(u32::MAX);
            self.metrics.health.missed_ticks += u64::from(missed);
            next += interval.saturating_mul(missed.saturating_add(1));
        }
    }

    /// Reads a log to its end, as fast as possible.
    fn replay(mut self) {
        let mut last = Instant::now();
        loop {
            match self.sample() {
                Ok(true) => (),
                Ok(false) => break self.publish(),
                // It continues after the damage.
                Err(error) => self.failed(&error),
            }
            if last.elapsed() >= PUBLISH {
                last = Instant::now();
                self.publish();
            }
        }
        if let Some(feed) = &self.feed {
            feed.end();
        }
        output::inform("end of the log; its final state remains available");
    }
}
