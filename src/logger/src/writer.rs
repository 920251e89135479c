// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The thread that writes the log.

use crossbeam_channel::{Receiver, Sender, at, never, select_biased};
use tcpstats::stream::SnapshotBuffer;

use crate::log::Log;
use crate::sampler::Item;

/// A request to reopen the log.
pub struct Reopen;

/// Writes the events of the sampler to the log.
pub struct Writer {
    /// The log.
    pub log: Log,
    /// The events to log.
    pub queue: Receiver<Item>,
    /// Buffers that the sampler can reuse.
    pub done_with: Sender<SnapshotBuffer>,
    /// Requests to reopen the log, which happens between two snapshots.
    pub reopen: Receiver<Reopen>,
}

impl Writer {
    /// Writes until the sampler has exited and the queue is empty, and then
    /// closes the log.
    ///
    /// # Errors
    /// Returns an error if the log cannot be continued, or cannot be closed.
    pub fn run(mut self) -> anyhow::Result<()> {
        match self.run_to_end() {
            Err(_) if self.log.reader_left() => Ok(()),
            ended => ended,
        }
    }

    fn run_to_end(&mut self) -> anyhow::Result<()> {
        loop {
            let sync_due = self.log.sync_due().map_or_else(never, at);
            select_biased! {
                recv(self.reopen) -> asked => match asked {
                    Ok(Reopen) => self.log.reopen()?,
                    Err(_) => self.reopen = never(),
                },
                recv(sync_due) -> _ => self.log.sync(),
                recv(self.queue) -> item => match item {
                    Ok(item) => self.write(item)?,
                    Err(_) => return self.log.close(),
                },
            }
        }
    }

    fn write(&mut self, item: Item) -> anyhow::Result<()> {
        match item {
            Item::Snapshot(mut taken) => {
                self.log.snapshot(&mut taken)?;
                // Fails if the sampler has exited and needs no more buffers.
                let _ = self.done_with.send(taken.snapshot);
                Ok(())
            }
            Item::SourceLost(why, missed_ticks) => self.log.source_lost(&why, missed_ticks),
            Item::Dropped(gap) => self.log.dropped(gap),
        }
    }
}
