// SPDX-License-Identifier: BSD-2-Clause

//! The thread that takes snapshots and hands them to the writer.  With a kernel
//! as its source it never waits for the writer: what the queue does not take is
//! dropped and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use tcpstats::stream::SnapshotBuffer;
use tcpstats_source::{Sample, Sentence, Source, report};

use crate::daemon::Start;
use crate::gap::Gap;
use crate::status::Counters;
use crate::ticks::Ticks;

/// What the writer gets, in the order in which it happened.
pub enum Item {
    /// A snapshot was taken.
    Snapshot(Taken),
    /// The source fails, for that reason, after so many missed ticks.
    SourceLost(Sentence, u64),
    /// The queue did not take the last snapshots.
    Dropped(Gap),
}

/// A snapshot and what happened since the one before.
pub struct Taken {
    /// The snapshot.
    pub snapshot: SnapshotBuffer,
    /// Ticks missed since the start.
    pub missed_ticks: u64,
    /// What the queue did not take.
    pub gap: Option<Gap>,
}

/// Time before a source that failed is tried again; it doubles up to the
/// longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// Takes snapshots until the end.
pub struct Sampler {
    /// Where they come from.
    pub source: Box<dyn Source + Send>,
    /// How many, where that was asked for.
    pub count: Option<u64>,
    /// Where they go.
    pub queue: Sender<Item>,
    /// Buffers that the writer is done with.
    pub done_with: Receiver<SnapshotBuffer>,
    /// Asks for the end.
    pub stop: Receiver<()>,
    /// What to add to.
    pub counters: Arc<Counters>,
    /// Done with the first snapshot.
    pub start: Option<Start>,
}

impl Sampler {
    /// Samples at every tick until the end was asked for or is reached, or
    /// nobody takes the snapshots any more.
    ///
    /// # Errors
    /// A sentence where the source fails before the first snapshot, or is a
    /// file that is damaged.
    pub fn run(mut self, mut ticks: Ticks) -> Result<(), Sentence> {
        let mut snapshot = SnapshotBuffer::new();
        let (mut taken, mut dropped) = (0, None);
        let mut outage: Option<Outage> = None;
        while self.count.is_none_or(|count| taken < count) && ticks.wait(&self.stop) {
            match self.source.sample(&mut snapshot) {
                Ok(Sample::Taken) => {
                    taken += 1;
                    if let Some(start) = self.start.take() {
                        start.went_well();
                    }
                    if outage.take().is_some() {
                        log::warn!("the source gives snapshots again");
                    }
                    match self.hand_over(snapshot, self.missed(&ticks), &mut dropped) {
                        Some(next) => snapshot = next,
                        None => break,
                    }
                }
                Ok(Sample::End) => break,
                Err(error) if taken == 0 || !self.source.comes_back() => return Err(report(&error)),
                Err(error) => {
                    let sentence = report(&error);
                    ticks.miss();
                    let outage = outage.get_or_insert_with(|| {
                        log::warn!("{sentence}; it is tried again until it gives snapshots");
                        Outage { untold: Some(sentence), retry_after: RETRY_FIRST }
                    });
                    if !self.wait_for_source(outage, self.missed(&ticks)) {
                        break;
                    }
                }
            }
            self.counters.missed_ticks.store(self.missed(&ticks), Relaxed);
        }
        if let Some(start) = self.start.take() {
            start.went_well();
        }
        self.counters.missed_ticks.store(self.missed(&ticks), Relaxed);
        // What was dropped last must still be told, however long that takes.
        if let Some(gap) = dropped {
            // Fails where the writer has ended: there is no log to tell it in.
            let _ = self.queue.send(Item::Dropped(gap));
        }
        Ok(())
    }

    /// Ticks missed.  What stands in a file is there at the next tick as well.
    fn missed(&self, ticks: &Ticks) -> u64 {
        if self.source.comes_back() { ticks.missed() } else { 0 }
    }

    /// Gives the snapshot to the writer, and another buffer back; none where
    /// the writer has ended.
    fn hand_over(
        &mut self,
        snapshot: SnapshotBuffer,
        missed_ticks: u64,
        dropped: &mut Option<Gap>,
    ) -> Option<SnapshotBuffer> {
        self.counters.walk_ns.store(snapshot.header().walk_ns, Relaxed);
        let len = snapshot.bytes().len();
        let item = Item::Snapshot(Taken { snapshot, missed_ticks, gap: dropped.take() });
        // A kernel does not wait for a slow log; a file does.
        let sent = if self.source.comes_back() {
            self.queue.try_send(item)
        } else {
            self.queue.send(item).map_err(|refused| TrySendError::Disconnected(refused.0))
        };
        match sent {
            Ok(()) => Some(self.done_with.try_recv().unwrap_or_else(|_| SnapshotBuffer::with_room_for(len))),
            Err(TrySendError::Full(Item::Snapshot(refused))) => {
                self.counters.dropped.fetch_add(1, Relaxed);
                *dropped = refused.gap;
                Gap::widen(dropped, gap_of(&refused.snapshot, "the queue is full"));
                Some(refused.snapshot)
            }
            Err(_) => None,
        }
    }

    /// Waits before the source is tried again; false when the end was asked for.
    fn wait_for_source(&mut self, outage: &mut Outage, missed_ticks: u64) -> bool {
        if let Some(sentence) = outage.untold.take() {
            let lost = Item::SourceLost(sentence, missed_ticks);
            if let Err(TrySendError::Full(Item::SourceLost(sentence, _))) = self.queue.try_send(lost) {
                outage.untold = Some(sentence);
            }
        }
        if self.stop.recv_timeout(outage.retry_after).is_ok() {
            return false;
        }
        outage.retry_after = (2 * outage.retry_after).min(RETRY_LONGEST);
        if let Err(error) = self.source.reopen() {
            log::info!("{}", report(&error));
        }
        true
    }
}

/// While the source fails.
struct Outage {
    /// What the log has not been told yet.
    untold: Option<Sentence>,
    retry_after: Duration,
}

/// The gap that one snapshot leaves.
pub fn gap_of(snapshot: &SnapshotBuffer, why: &str) -> Gap {
    let header = snapshot.header();
    Gap { snapshots: 1, records: header.written, first: header.sequence, last: header.sequence, why: why.into() }
}
