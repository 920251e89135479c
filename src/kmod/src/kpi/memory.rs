// SPDX-License-Identifier: BSD-2-Clause

//! malloc(9), of the type `siftr_cdev`.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use tcpstats::{MODULE_BODY_LEN, MODULE_RECORD_LEN, Record};

use super::raw;

/// Whether an allocation may wait for memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It may, and never fails.  The caller must be sleepable.
    Yes,
    /// It may not; a connection's lock may be held.
    No,
}

fn allocate(len: usize, wait: Wait, flags: u32) -> Option<NonNull<u8>> {
    let wait = if wait == Wait::Yes { raw::M_WAITOK } else { raw::M_NOWAIT };
    // SAFETY: malloc(9) takes any size and these flags; whether it may sleep is the caller's word.
    NonNull::new(unsafe { raw::siftr_cdev_malloc(len, (wait | flags).cast_signed()) }.cast())
}

/// Bytes of memory, zero at first.  Freed on drop, under any lock.
pub struct Block {
    start: NonNull<u8>,
    len: usize,
}

impl Block {
    /// So many bytes, none where there is no memory.
    pub fn new(len: usize, wait: Wait) -> Option<Self> {
        Some(Self { start: allocate(len, wait, raw::M_ZERO)?, len })
    }
}

/// A record as the module keeps and sends it.
pub type KernelRecord = Record<MODULE_BODY_LEN>;

impl Block {
    /// The record at that place of a block that is room for records; none where
    /// the block has no such place.
    #[inline]
    pub fn record_mut(&mut self, at: usize) -> Option<&mut KernelRecord> {
        const { assert!(size_of::<KernelRecord>() == MODULE_RECORD_LEN && align_of::<KernelRecord>() <= 8) };
        if at.checked_add(1)?.checked_mul(MODULE_RECORD_LEN)? > self.len {
            return None;
        }
        // SAFETY: malloc(9) aligns to more than 8 bytes; a record is words and bytes, of which every value
        // is one; the block has so many, and `self` is borrowed mutably.
        Some(unsafe { self.start.cast::<KernelRecord>().add(at).as_mut() })
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` has `len` initialised bytes that are this block's alone.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `start` came from malloc(9) and nothing uses it any more.
        unsafe { raw::siftr_cdev_free(self.start.as_ptr().cast()) }
    }
}

/// A value in memory of its own, at an address that stays.
pub struct Own<T>(NonNull<T>);

impl<T> Own<T> {
    /// Moves the value there; none where there is no memory.
    pub fn new(value: T, wait: Wait) -> Option<Self> {
        const { assert!(align_of::<T>() <= 16, "malloc(9) aligns to 16 bytes") };
        let start: NonNull<T> = allocate(size_of::<T>(), wait, 0)?.cast();
        // SAFETY: `start` has room for a T, is aligned for it, and is not used yet.
        unsafe { start.write(value) };
        Some(Self(start))
    }

    /// Gives the value to the kernel, which gives it back to [`Own::take_back`].
    pub fn give(self) -> *mut T {
        let start = self.0.as_ptr();
        core::mem::forget(self);
        start
    }

    /// Takes back what [`Own::give`] gave.
    ///
    /// # Safety
    /// `start` came from `give`, and is taken back once.
    pub unsafe fn take_back(start: *mut T) -> Option<Self> {
        NonNull::new(start).map(Self)
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value was written in `new` and lives until the drop.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Own<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: the value is dropped once, and its memory came from malloc(9).
        unsafe {
            self.0.drop_in_place();
            raw::siftr_cdev_free(self.0.as_ptr().cast());
        }
    }
}
