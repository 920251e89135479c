// SPDX-License-Identifier: BSD-2-Clause

//! The thread that takes snapshots, so that keys never wait for one.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use tcpstats_source::Sentence;

use super::tracker::{Sampled, Tracker};
use crate::live::Live;

/// What came of a sample.
pub enum Sample {
    /// A snapshot.
    Taken(Sampled),
    /// The source failed; it is tried again if it may come back.
    Failed(Sentence),
    /// The source has no more.
    End,
}

/// Takes the first snapshot now and the others in a thread, one an interval.
/// The thread waits where nobody takes them.
///
/// # Errors
/// A sentence where there is no first snapshot.
pub fn begin(mut live: Live, interval: Duration) -> Result<(Sampled, Receiver<Sample>), Sentence> {
    let mut tracker = Tracker::default();
    let first = live.sample()?.ok_or("the source has no snapshot in it")?;
    let first = tracker.track(first);
    let (sender, samples) = bounded(1);
    let run = move || {
        let mut next = Instant::now() + interval;
        loop {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // A tick that has passed meanwhile is left out.
            next = (next + interval).max(Instant::now());
            let (sample, last) = match live.sample() {
                Ok(Some(snapshot)) => (Sample::Taken(tracker.track(snapshot)), false),
                Ok(None) => (Sample::End, true),
                Err(why) => {
                    // Whether that helps is seen at the next tick.
                    let _ = live.reopen();
                    (Sample::Failed(why), !live.comes_back())
                }
            };
            if sender.send(sample).is_err() || last {
                return;
            }
        }
    };
    thread::Builder::new().name("sampler".into()).spawn(run).map_err(|error| format!("a thread: {error}"))?;
    Ok((first, samples))
}
