// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! malloc(9), with the malloc type `siftr_cdev`.

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::{Sleepable, raw};

/// The alignment of malloc(9).
const ALIGNMENT: usize = align_of::<*mut ()>();

/// Whether an allocation waits for memory.
pub enum Wait<'a> {
    /// It waits until there is memory, and does not fail.
    Yes(#[allow(dead_code, reason = "its presence is the permission")] &'a mut Sleepable),
    /// It fails if there is no free memory.  The lock of a connection may be held.
    No,
}

/// Allocates memory, aligned to [`ALIGNMENT`].
#[allow(clippy::needless_pass_by_value, reason = "the call uses up the permission")]
fn allocate(len: usize, wait: Wait<'_>, flags: u32) -> Option<NonNull<u8>> {
    let wait = match wait {
        Wait::Yes(_) => raw::M_WAITOK,
        Wait::No => raw::M_NOWAIT,
    };
    // SAFETY: malloc(9) takes any size and these flags; with M_WAITOK the thread may sleep, by the invariant of the token.
    NonNull::new(unsafe { raw::siftr_cdev_malloc(len, (wait | flags).cast_signed()) }.cast())
}

/// A type whose values are plain bytes.
///
/// # Safety
/// Every sequence of bytes that is as long as the type is a value of the type, and
/// no byte of a value is padding.
pub unsafe trait Plain: Sized {}

// SAFETY: an integer has no padding, and any eight bytes are a valid u64.
unsafe impl Plain for u64 {}

/// A block of memory, initially zero; freed on drop, under any lock.
///
/// # Invariants
/// `start` is `len` initialized bytes from malloc(9) that this block owns.
pub struct Block {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the block owns the memory, by the type invariant, and malloc(9) ties it to no thread.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    /// Allocates a block, or returns `None` if there is no memory.
    pub fn new(len: usize, wait: Wait<'_>) -> Option<Self> {
        // INVARIANT: M_ZERO initializes the bytes, and nothing else has their address.
        Some(Self { start: allocate(len, wait, raw::M_ZERO)?, len })
    }

    /// Returns the value at an index of the block as an array, or `None` if the index
    /// is beyond the end.
    #[inline]
    pub fn value_mut<T: Plain>(&mut self, at: usize) -> Option<&mut T> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        if at.checked_add(1)?.checked_mul(size_of::<T>())? > self.len {
            return None;
        }
        // SAFETY: by the type invariant the bytes are initialized and this block's alone.  They are in the block, and
        // malloc(9) aligns them.  Any bytes are a value, and any value is initialized bytes, as `Plain` promises.
        Some(unsafe { self.start.cast::<T>().add(at).as_mut() })
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: by the type invariant; `self` is borrowed.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: by the type invariant; `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the block owns the memory, by the type invariant, and is gone after this.
        unsafe { raw::siftr_cdev_free(self.start.as_ptr().cast()) }
    }
}

/// A value in memory of its own, which does not move.
///
/// # Invariants
/// The pointer is to an initialized `T` in memory from malloc(9), and this `Own`
/// owns both.
pub struct Own<T>(NonNull<T>);

// SAFETY: an `Own` owns the value, by the type invariant, and malloc(9) ties the memory to no thread.
unsafe impl<T: Send> Send for Own<T> {}
// SAFETY: a shared `Own` gives shared access to the value only.
unsafe impl<T: Sync> Sync for Own<T> {}

impl<T> Own<T> {
    /// Moves a value to memory of its own.  Drops it and returns `None` if there is no
    /// memory.
    pub fn new(value: T, wait: Wait<'_>) -> Option<Self> {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        let start: NonNull<T> = allocate(size_of::<T>(), wait, 0)?.cast();
        // SAFETY: `start` has room for a T and is aligned for it, and nothing else has its address.
        unsafe { start.write(value) };
        // INVARIANT: the value was written above.
        Some(Self(start))
    }

    /// Releases the value to the kernel, which passes it to [`Own::from_raw`].
    pub(super) fn into_raw(self) -> NonNull<T> {
        let start = self.0;
        core::mem::forget(self);
        start
    }

    /// Takes a value back from the kernel.
    ///
    /// # Safety
    /// `start` is from [`Own::into_raw`], and is passed here once.
    pub(super) unsafe fn from_raw(start: NonNull<T>) -> Self {
        // INVARIANT: `into_raw` released an `Own` without dropping it, as the caller promises.
        Self(start)
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the type invariant; `self` is borrowed.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Own<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the type invariant; `self` is borrowed mutably.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        // SAFETY: the `Own` owns the value and its memory, by the type invariant, and is gone after this.
        unsafe {
            self.0.drop_in_place();
            raw::siftr_cdev_free(self.0.as_ptr().cast());
        }
    }
}
