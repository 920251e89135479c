// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The thread that takes snapshots, so that keys are handled without delay.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use crossbeam_channel::{Receiver, bounded};

use crate::list::tracker::{TrackedSnapshot, Tracker};
use crate::live::Live;

/// The result of a sample.
pub enum Sample {
    /// A snapshot.
    Taken(TrackedSnapshot),
    /// Something that users must know about the last snapshot.
    Warning(String),
    /// The source failed.  Sampling is retried if the source may work again.
    Failed(Error),
    /// The source has no more snapshots.
    End,
}

/// Takes the first snapshot now and the others in a thread, one per interval.  The
/// thread waits until each snapshot is received.
///
/// # Errors
/// Returns an error if there is no first snapshot.
pub fn start(mut live: Live, interval: Duration) -> Result<(TrackedSnapshot, Receiver<Sample>)> {
    let mut tracker = Tracker::default();
    let first = live.sample()?.context("the source has no snapshot")?;
    let first = tracker.track(first);
    let (sender, samples) = bounded(1);
    let run = move || {
        let mut next = Instant::now() + interval;
        loop {
            for text in live.warnings() {
                if sender.send(Sample::Warning(text)).is_err() {
                    return;
                }
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // Ticks that have passed in the meantime are skipped.
            next = (next + interval).max(Instant::now());
            let (sample, last) = match live.sample() {
                Ok(Some(snapshot)) => (Sample::Taken(tracker.track(snapshot)), false),
                Ok(None) => (Sample::End, true),
                Err(error) => {
                    // If this fails, so does the next sample.
                    let _ = live.reopen();
                    (Sample::Failed(error), !live.comes_back())
                }
            };
            if sender.send(sample).is_err() || last {
                return;
            }
        }
    };
    thread::Builder::new().name("sampler".into()).spawn(run).context("cannot create a thread")?;
    Ok((first, samples))
}
