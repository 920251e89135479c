// SPDX-License-Identifier: BSD-2-Clause

//! The thread that writes the log.

use crossbeam_channel::{Receiver, Sender, at, never, select_biased};
use tcpstats::stream::SnapshotBuffer;
use tcpstats_source::Sentence;

use crate::log::Log;
use crate::sampler::Item;

/// Asks for the log to be opened again.
pub struct Reopen;

/// Writes what the sampler gives, until it ends.
pub struct Writer {
    /// Where to.
    pub log: Log,
    /// What.
    pub queue: Receiver<Item>,
    /// Buffers to use again.
    pub done_with: Sender<SnapshotBuffer>,
    /// What comes between two snapshots.
    pub reopen: Receiver<Reopen>,
}

impl Writer {
    /// Writes until the sampler has ended and all is written, with the closing
    /// line.
    ///
    /// # Errors
    /// A sentence where the log cannot go on, or its end cannot be written.
    pub fn run(mut self) -> Result<(), Sentence> {
        match self.run_to_end() {
            Err(_) if self.log.reader_left() => Ok(()),
            ended => ended,
        }
    }

    fn run_to_end(&mut self) -> Result<(), Sentence> {
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

    fn write(&mut self, item: Item) -> Result<(), Sentence> {
        match item {
            Item::Snapshot(mut taken) => {
                self.log.snapshot(&mut taken)?;
                // Fails where the sampler has ended and wants none.
                let _ = self.done_with.send(taken.snapshot);
                Ok(())
            }
            Item::SourceLost(why, missed_ticks) => self.log.source_lost(&why, missed_ticks),
            Item::Dropped(gap) => self.log.dropped(gap),
        }
    }
}
