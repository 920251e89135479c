// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A list of blocks that allocates memory on request only.

use super::{Block, Sleepable, Wait};

/// A list of blocks.  Adding one does not allocate, so it can be done under the lock
/// of a connection.
///
/// # Invariants
/// `slots` is an array of `Option<Block>`: each slot is zero bytes or was written as
/// such a value.
pub struct List {
    slots: Option<Block>,
    len: usize,
}

const SLOT: usize = size_of::<Option<Block>>();

impl List {
    /// Creates an empty list without room.
    pub const fn new() -> Self {
        Self { slots: None, len: 0 }
    }

    /// Returns the number of blocks.
    pub const fn len(&self) -> usize {
        self.len
    }

    fn room(&self) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.len() / SLOT)
    }

    fn slots(&self) -> &[Option<Block>] {
        self.slots.as_ref().map_or(&[], |slots| {
            // SAFETY: malloc(9) aligns for pointers.  By the type invariant a slot is a value: zero bytes are `None`,
            // since a `Block` has a pointer that is not null.  The slots are borrowed as long as `self`.
            unsafe { core::slice::from_raw_parts(slots.as_ptr().cast(), slots.len() / SLOT) }
        })
    }

    fn slots_mut(&mut self) -> &mut [Option<Block>] {
        self.slots.as_mut().map_or(&mut [], |slots| {
            // SAFETY: as in `slots`; `self` is borrowed mutably.
            unsafe { core::slice::from_raw_parts_mut(slots.as_mut_ptr().cast(), slots.len() / SLOT) }
        })
    }

    /// Makes room for this number of blocks in total.
    pub fn reserve(&mut self, room: usize, sleepable: &mut Sleepable) {
        if room <= self.room() {
            return;
        }
        // INVARIANT: a new block is zero bytes.
        let mut wider = Self { slots: Block::new(room * SLOT, Wait::Yes(sleepable)), len: self.len };
        for (to, from) in wider.slots_mut().iter_mut().zip(self.slots_mut()) {
            *to = from.take();
        }
        self.len = 0;
        *self = wider;
    }

    /// Appends a block.
    ///
    /// # Errors
    /// Returns the block if there is no room.
    pub fn push(&mut self, block: Block) -> Result<(), Block> {
        let len = self.len;
        match self.slots_mut().get_mut(len) {
            Some(slot) => {
                *slot = Some(block);
                self.len += 1;
                Ok(())
            }
            None => Err(block),
        }
    }

    /// Removes and returns the last block.
    pub fn pop(&mut self) -> Option<Block> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        self.slots_mut().get_mut(last)?.take()
    }

    /// Returns the block at an index.
    pub fn get(&self, at: usize) -> Option<&Block> {
        self.slots().get(at)?.as_ref()
    }

    /// Returns the block at an index.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Block> {
        self.slots_mut().get_mut(at)?.as_mut()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
