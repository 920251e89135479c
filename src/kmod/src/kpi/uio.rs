// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! uio(9): the buffer of a reader.

use core::marker::PhantomData;

use super::{Errno, Sleepable, check, raw};

/// A request to read.
///
/// # Invariants
/// `uio` is a request of the kernel to read (`UIO_READ`), valid for `'a` and used by
/// this thread only.
pub struct Uio<'a> {
    uio: *mut raw::uio,
    request: PhantomData<&'a mut raw::uio>,
}

impl Uio<'_> {
    /// Wraps the argument of `d_read`.
    ///
    /// # Safety
    /// `uio` is that argument, and `d_read` returns after the value is dropped.
    pub(super) const unsafe fn new(uio: *mut raw::uio) -> Self {
        // INVARIANT: the kernel leaves the request to `d_read` until it returns.
        Self { uio, request: PhantomData }
    }

    /// Returns the offset of the read in the file.
    pub fn offset(&self) -> i64 {
        // SAFETY: by the type invariant.
        unsafe { (*self.uio).uio_offset }
    }

    /// Returns the number of bytes for which the reader has room.
    pub fn room(&self) -> usize {
        // SAFETY: by the type invariant.
        usize::try_from(unsafe { (*self.uio).uio_resid }).unwrap_or(0)
    }

    /// Copies bytes to the reader until there is no room, and returns how many.
    ///
    /// # Errors
    /// EFAULT if the buffer is not in the reader's address space.
    pub fn put(&mut self, bytes: &[u8], _sleepable: &mut Sleepable) -> Result<usize, Errno> {
        let before = self.room();
        let len = i32::try_from(before.min(bytes.len())).unwrap_or(i32::MAX);
        // SAFETY: `bytes` has `len` bytes, which a request to read does not modify (type invariant).  The copy can fault:
        // the thread may sleep, by the invariant of the token.
        check(unsafe { raw::uiomove(bytes.as_ptr().cast_mut().cast(), len, self.uio) })?;
        Ok(before.saturating_sub(self.room()))
    }
}
