// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The thread that takes snapshots and queues them for the writer.  If the source
//! is a kernel, it never waits for the writer: snapshots are dropped and counted
//! while the queue is full.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use tcpstats::frame::flag;
use tcpstats::stream::SnapshotBuffer;
use tcpstats_source::{Numbered, Sample, Source, report};

use crate::daemon::Start;
use crate::gap::Gap;
use crate::status::Counters;
use crate::ticks::{Ticks, Wake};

/// An event for the writer, in the order in which events happened.
pub enum Item {
    /// A snapshot was taken.
    Snapshot(Taken),
    /// The source failed: the error, and the number of missed ticks so far.
    SourceLost(String, u64),
    /// The last snapshots were dropped because the queue was full.
    Dropped(Gap),
}

/// A snapshot, and what happened since the previous one.
pub struct Taken {
    /// The snapshot.
    pub snapshot: SnapshotBuffer,
    /// Connections that are gone, if it is a snapshot of changes.
    pub gone: Vec<Numbered>,
    /// Number of ticks missed since the start.
    pub missed_ticks: u64,
    /// Snapshots that were dropped because the queue was full.
    pub gap: Option<Gap>,
}

/// Time before a failed source is tried again, which doubles up to a maximum.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Takes snapshots.
pub struct Sampler {
    /// The source of the snapshots.
    pub source: Box<dyn Source + Send>,
    /// Whether snapshots contain final records.
    pub has_ledger: bool,
    /// Number of snapshots to take, `None` if unlimited.
    pub count: Option<u64>,
    /// The queue of the writer.
    pub queue: Sender<Item>,
    /// Buffers that the writer no longer needs.
    pub done_with: Receiver<SnapshotBuffer>,
    /// A request to stop.
    pub stop: Receiver<()>,
    /// A request for a complete snapshot.
    pub restart: Arc<AtomicBool>,
    /// Counters for the status line.
    pub counters: Arc<Counters>,
    /// The start, which succeeds with the first snapshot.
    pub start: Option<Start>,
}

impl Sampler {
    /// Samples at every tick until the source or the ticks end, a stop is
    /// requested, or the writer exits.  With a ledger, a stop is preceded by a last
    /// sample.
    ///
    /// # Errors
    /// Returns the error of the source if it fails before the first snapshot, or
    /// if it is a file.
    pub fn run(mut self, mut ticks: Ticks) -> anyhow::Result<()> {
        let mut snapshot = SnapshotBuffer::new();
        let (mut taken, mut dropped) = (0, None);
        let mut outage: Option<Outage> = None;
        let mut wake = Wake::Tick;
        while self.count.is_none_or(|count| taken < count) && wake == Wake::Tick {
            wake = ticks.wait(&self.stop);
            // Only another snapshot has the connections that ended since the last tick.
            let is_last = wake == Wake::Stop && self.has_ledger && outage.is_none();
            if wake != Wake::Tick && !is_last {
                break;
            }
            if self.restart.swap(false, Relaxed) {
                self.source.restart_changes();
            }
            let sampled = self.source.sample(&mut snapshot);
            self.source.warnings().iter().for_each(|warning| log::warn!("{warning}"));
            match sampled {
                Ok(Sample::Taken) => {
                    taken += 1;
                    if let Some(start) = self.start.take() {
                        start.succeed();
                    }
                    if outage.take().is_some() {
                        log::warn!("the source works again");
                    }
                    match self.enqueue(snapshot, self.missed(&ticks), &mut dropped) {
                        Some(next) => snapshot = next,
                        None => break,
                    }
                }
                Ok(Sample::End) => break,
                Err(error) if taken == 0 || !self.source.comes_back() => return Err(error.into()),
                Err(error) => {
                    ticks.miss();
                    let outage = outage.get_or_insert_with(|| {
                        let why = report(&error);
                        log::warn!("{why}; retrying");
                        Outage { unlogged: Some(why), retry_after: RETRY_FIRST }
                    });
                    if !self.wait_for_source(outage, self.missed(&ticks)) {
                        break;
                    }
                }
            }
            self.counters.missed_ticks.store(self.missed(&ticks), Relaxed);
        }
        if let Some(start) = self.start.take() {
            start.succeed();
        }
        self.counters.missed_ticks.store(self.missed(&ticks), Relaxed);
        // The last gap must be logged, however long that takes.
        if let Some(gap) = dropped {
            // Fails if the writer has exited; then there is no log.
            let _ = self.queue.send(Item::Dropped(gap));
        }
        Ok(())
    }

    /// Returns the number of missed ticks.  If the source is a file, a missed
    /// tick loses nothing.
    fn missed(&self, ticks: &Ticks) -> u64 {
        if self.source.comes_back() { ticks.missed() } else { 0 }
    }

    /// Queues the snapshot for the writer, and returns another buffer, or `None`
    /// if the writer has exited.
    fn enqueue(
        &mut self,
        snapshot: SnapshotBuffer,
        missed_ticks: u64,
        dropped: &mut Option<Gap>,
    ) -> Option<SnapshotBuffer> {
        self.counters.walk_ns.store(snapshot.header().walk_ns, Relaxed);
        let len = snapshot.bytes().len();
        let gone = self.source.gone();
        let item = Item::Snapshot(Taken { snapshot, gone, missed_ticks, gap: dropped.take() });
        // Only a file can wait for a slow log.
        let sent = if self.source.comes_back() {
            self.queue.try_send(item)
        } else {
            self.queue.send(item).map_err(|refused| TrySendError::Disconnected(refused.0))
        };
        match sent {
            Ok(()) => Some(self.done_with.try_recv().unwrap_or_else(|_| SnapshotBuffer::with_room_for(len))),
            Err(TrySendError::Full(Item::Snapshot(refused))) => {
                self.counters.dropped.fetch_add(1, Relaxed);
                self.source.restart_changes();
                *dropped = refused.gap;
                Gap::widen(dropped, gap_of(&refused.snapshot, "the queue is full"));
                Some(refused.snapshot)
            }
            Err(_) => None,
        }
    }

    /// Waits, and reopens the source.  Returns false if a stop is requested.
    fn wait_for_source(&mut self, outage: &mut Outage, missed_ticks: u64) -> bool {
        if let Some(why) = outage.unlogged.take() {
            let lost = Item::SourceLost(why, missed_ticks);
            if let Err(TrySendError::Full(Item::SourceLost(why, _))) = self.queue.try_send(lost) {
                outage.unlogged = Some(why);
            }
        }
        if self.stop.recv_timeout(outage.retry_after).is_ok() {
            return false;
        }
        outage.retry_after = (2 * outage.retry_after).min(RETRY_MAX);
        if let Err(error) = self.source.reopen() {
            log::info!("{}", report(&error));
        }
        true
    }
}

/// A time during which the source fails.
struct Outage {
    /// The error, until it has been queued for the log.
    unlogged: Option<String>,
    retry_after: Duration,
}

/// Returns the gap that this snapshot leaves if it is lost.
pub fn gap_of(snapshot: &SnapshotBuffer, why: &str) -> Gap {
    let header = snapshot.header();
    Gap {
        snapshots: 1,
        records: header.written,
        // Final records that the source has lost are lost for the log, too.
        ended: (header.flags & flag::LEDGER != 0).then_some(header.ended + header.ended_lost),
        first: header.sequence,
        last: header.sequence,
        why: why.into(),
    }
}
