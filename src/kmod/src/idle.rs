// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Memory that descriptors of root keep between two snapshots.  Any descriptor can
//! take it when all other memory is in use.

use crate::kpi::{Block, List};

/// The maximum number of descriptors that keep memory.
const ENTRIES: usize = 8;

/// The memory of one descriptor.
struct IdleBlocks {
    /// Identifies the descriptor; 0 if the entry is free.
    id: u64,
    blocks: List,
}

/// The memory of all descriptors.
pub struct IdleMemory {
    entries: [IdleBlocks; ENTRIES],
    last_id: u64,
}

impl IdleMemory {
    pub const fn new() -> Self {
        Self { entries: [const { IdleBlocks { id: 0, blocks: List::new() } }; ENTRIES], last_id: 0 }
    }

    /// Returns an identifier that was never returned before.
    pub const fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Stores blocks under a new identifier.
    ///
    /// # Errors
    /// Returns the blocks if all entries are in use.
    pub fn store(&mut self, id: u64, blocks: List) -> Result<(), List> {
        match self.entries.iter_mut().find(|entry| entry.id == 0 || entry.blocks.len() == 0) {
            Some(entry) => {
                *entry = IdleBlocks { id, blocks };
                Ok(())
            }
            None => Err(blocks),
        }
    }

    /// Removes and returns the blocks that are left under an identifier.
    pub fn reclaim(&mut self, id: u64) -> Option<List> {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id)?;
        Some(core::mem::replace(entry, IdleBlocks { id: 0, blocks: List::new() }).blocks)
    }

    /// Removes and returns one block of any descriptor.
    pub fn pop(&mut self) -> Option<Block> {
        self.entries.iter_mut().find_map(|entry| entry.blocks.pop())
    }
}
