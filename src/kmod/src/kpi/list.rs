// SPDX-License-Identifier: BSD-2-Clause

//! A list of blocks that grows only when it is told to.

use super::memory::{Block, Wait};

/// Blocks in order.  Adding one allocates nothing, so it can be done under a
/// connection's lock.
pub struct List {
    /// Holds `Option<Block>`s: room for as many as [`List::reserve`] was told.
    slots: Option<Block>,
    len: usize,
}

const SLOT: usize = size_of::<Option<Block>>();

impl List {
    pub const fn new() -> Self {
        Self { slots: None, len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    fn room(&self) -> usize {
        self.slots.as_ref().map_or(0, |slots| slots.len() / SLOT)
    }

    fn slots(&self) -> &[Option<Block>] {
        self.slots.as_ref().map_or(&[], |slots| {
            // SAFETY: malloc(9) aligns for pointers; each slot is zero, which is None, or was written as an
            // Option<Block>; the slots are borrowed as long as `self`.
            unsafe { core::slice::from_raw_parts(slots.as_ptr().cast(), slots.len() / SLOT) }
        })
    }

    fn slots_mut(&mut self) -> &mut [Option<Block>] {
        self.slots.as_mut().map_or(&mut [], |slots| {
            // SAFETY: as in `slots`, and `self` is borrowed mutably.
            unsafe { core::slice::from_raw_parts_mut(slots.as_mut_ptr().cast(), slots.len() / SLOT) }
        })
    }

    /// Makes room for so many blocks in all.  The caller must be sleepable.
    pub fn reserve(&mut self, room: usize) {
        if room <= self.room() {
            return;
        }
        let mut wider = Self { slots: Block::new(room * SLOT, Wait::Yes), len: self.len };
        for (to, from) in wider.slots_mut().iter_mut().zip(self.slots_mut()) {
            *to = from.take();
        }
        self.len = 0;
        *self = wider;
    }

    /// Appends a block; gives it back where there is no room.
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

    /// Takes the last block away.
    pub fn pop(&mut self) -> Option<Block> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        self.slots_mut().get_mut(last)?.take()
    }

    pub fn get(&self, at: usize) -> Option<&Block> {
        self.slots().get(at)?.as_ref()
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Block> {
        self.slots_mut().get_mut(at)?.as_mut()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
