// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The memory of a snapshot, which is charged to the user who opened the descriptor.

use core::sync::atomic::Ordering::Relaxed;

use tcpstats::MODULE_RECORD_LEN;

use crate::kpi::{self, Block, List, Sleepable, Wait, clock};
use crate::limits::{MemoryLimits, Shortage, Who};
use crate::output::Blocks;
use crate::pace::Pace;
use crate::record::KernelRecord;
use crate::registry::REGISTRY;
use crate::yielding::{record_hold, yield_if_due};

/// The number of bytes in a block: the largest size that malloc(9) caches.
const BLOCK_LEN: usize = 64 * 1024;

/// The number of records in a block.
const BLOCK_RECORDS: usize = BLOCK_LEN / MODULE_RECORD_LEN;

/// The maximum number of blocks that a user's descriptor keeps between two
/// snapshots: 1 MB.
const IDLE_BLOCKS: usize = 16;

fn memory_limits() -> MemoryLimits {
    let limits = kpi::limits();
    MemoryLimits {
        total: limits.total_bytes_max.load(Relaxed),
        reserved: limits.reserved_bytes.load(Relaxed),
        jail: limits.jail_bytes_max.load(Relaxed),
        user: limits.user_bytes_max.load(Relaxed),
    }
}

/// Charges memory, and frees idle memory if the charge needs it.  Returns whether there
/// was room.
pub fn charge(owner: Option<Who>, bytes: u64) -> bool {
    loop {
        let (charged, idle) = REGISTRY.with(|registry| {
            let charged = registry.limits.charge(owner, bytes, memory_limits());
            let idle = if charged == Err(Shortage::Total) { registry.idle.pop() } else { None };
            (charged.is_ok(), idle)
        });
        let Some(block) = idle else {
            if charged {
                kpi::counters().memory_bytes.fetch_add(bytes, Relaxed);
            }
            return charged;
        };
        drop(block);
        refund(None, BLOCK_LEN as u64);
    }
}

/// Undoes [`charge`].
pub fn refund(owner: Option<Who>, bytes: u64) {
    REGISTRY.with(|registry| registry.limits.refund(owner, bytes));
    kpi::counters().memory_bytes.fetch_sub(bytes, Relaxed);
}

/// Charges memory that all readers share to the module.  Returns whether there was
/// room.
pub fn charge_shared(bytes: u64) -> bool {
    charge(None, bytes)
}

/// Undoes [`charge_shared`].
pub fn refund_shared(bytes: u64) {
    refund(None, bytes);
}

/// Frees all idle memory, when the system runs low on memory.
pub fn release_idle_memory() {
    while let Some(block) = REGISTRY.with(|registry| registry.idle.pop()) {
        drop(block);
        refund(None, BLOCK_LEN as u64);
    }
}

/// The records of a pass, and memory for those of the next pass.
pub struct Storage {
    /// The user to whom the memory is charged, `None` for root on the host.
    owner: Option<Who>,
    /// Identifies the idle memory; 0 if there is none.
    idle_id: u64,
    blocks: List,
    /// The maximum number of blocks in one snapshot.
    most: usize,
    /// An allocation failed in this pass; no other is attempted.
    is_starved: bool,
    /// The number of full blocks.
    full: usize,
    /// The number of records in the block after those.
    at: usize,
    spare: KernelRecord,
}

impl Storage {
    pub const fn new(owner: Option<Who>) -> Self {
        Self {
            owner,
            idle_id: 0,
            blocks: List::new(),
            most: 0,
            is_starved: false,
            full: 0,
            at: 0,
            spare: KernelRecord::absent(),
        }
    }

    /// Returns the user to whom the memory is charged, `None` for root on the host.
    pub const fn owner(&self) -> Option<Who> {
        self.owner
    }

    /// Returns the number of records.
    pub const fn len(&self) -> usize {
        self.full * BLOCK_RECORDS + self.at
    }

    /// Discards the records, and allows allocations again after a failure.
    pub const fn clear(&mut self) {
        (self.full, self.at, self.is_starved) = (0, 0, false);
    }

    /// Allocates memory for the likely number of records, within the limits, and
    /// prepares for the possible number.  Returns the time that it yielded.
    pub fn make_room(&mut self, likely: usize, possible: usize, sleepable: &mut Sleepable) -> u64 {
        self.reclaim_idle();
        let blocks = |records: usize| (records + records / 8).div_ceil(BLOCK_RECORDS) + 1;
        self.most = usize::try_from(kpi::limits().snapshot_bytes_max.load(Relaxed)).unwrap_or(usize::MAX) / BLOCK_LEN;
        let wanted = blocks(likely).min(self.most);
        self.shrink(wanted.saturating_mul(2).min(self.most));
        self.blocks.reserve(blocks(possible).saturating_mul(2).min(self.most), sleepable);
        let mut pace = Pace::start(clock::uptime_ns(), kpi::switches());
        while self.blocks.len() < wanted && self.grow(Wait::Yes(sleepable)) {
            yield_if_due(&mut pace, sleepable);
        }
        record_hold(&pace);
        pace.yielded_ns()
    }

    /// Returns the place of the next record, and whether the record can be kept.  Without
    /// memory it cannot be kept, but is still made so that it is counted.
    #[inline]
    pub fn next(&mut self) -> (&mut KernelRecord, bool) {
        let has_room = self.full < self.blocks.len() || !self.is_starved && self.grow(Wait::No);
        self.is_starved |= !has_room;
        let room = self.blocks.get_mut(self.full).and_then(|block| block.value_mut(self.at));
        (room.unwrap_or(&mut self.spare), has_room)
    }

    /// Keeps the record at the place that [`Storage::next`] returned.
    #[inline]
    pub const fn keep(&mut self) {
        self.at += 1;
        if self.at == BLOCK_RECORDS {
            (self.full, self.at) = (self.full + 1, 0);
        }
    }

    /// Allocates one more block, and returns whether that was possible.
    fn grow(&mut self, wait: Wait<'_>) -> bool {
        if self.blocks.len() >= self.most || !charge(self.owner, BLOCK_LEN as u64) {
            return false;
        }
        let grown = Block::new(BLOCK_LEN, wait).is_some_and(|block| self.blocks.push(block).is_ok());
        if !grown {
            refund(self.owner, BLOCK_LEN as u64);
        }
        grown
    }

    /// Frees all blocks but a number of them.
    fn shrink(&mut self, keep: usize) {
        while self.blocks.len() > keep && self.blocks.pop().is_some() {
            refund(self.owner, BLOCK_LEN as u64);
        }
    }

    /// Frees the records.  A user's descriptor keeps little memory until the next
    /// snapshot; root's keeps all of it as idle memory, which others can take.
    pub fn release(&mut self) {
        (self.full, self.at) = (0, 0);
        if self.owner.is_some() {
            return self.shrink(IDLE_BLOCKS);
        }
        if self.idle_id != 0 || self.blocks.len() == 0 {
            return;
        }
        let blocks = core::mem::replace(&mut self.blocks, List::new());
        let stored = REGISTRY.with(|registry| {
            let id = registry.idle.new_id();
            registry.idle.store(id, blocks).map(|()| id)
        });
        match stored {
            Ok(id) => self.idle_id = id,
            Err(blocks) => {
                self.blocks = blocks;
                self.shrink(0);
            }
        }
    }

    /// Takes back what is left of the idle memory.
    fn reclaim_idle(&mut self) {
        let id = core::mem::replace(&mut self.idle_id, 0);
        if id != 0
            && let Some(blocks) = REGISTRY.with(|registry| registry.idle.reclaim(id))
        {
            self.blocks = blocks;
        }
    }
}

impl Blocks for Storage {
    fn block(&self, at: usize) -> Option<&[u8]> {
        let records = self.len().checked_sub(at.checked_mul(BLOCK_RECORDS)?)?.min(BLOCK_RECORDS);
        if records == 0 { None } else { self.blocks.get(at)?.get(..records * MODULE_RECORD_LEN) }
    }

    fn interface_name(&self, vnet: u64, index: u32) -> Option<[u8; 16]> {
        kpi::interface_name(vnet, index)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.reclaim_idle();
        self.shrink(0);
    }
}
