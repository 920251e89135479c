// SPDX-License-Identifier: BSD-2-Clause

//! uio(9): the reader's buffer.

use core::marker::PhantomData;

use super::{Errno, check, raw};

/// A request to read.
pub struct Uio<'a> {
    uio: *mut raw::uio,
    request: PhantomData<&'a mut raw::uio>,
}

impl Uio<'_> {
    /// # Safety
    /// `uio` is a request that the kernel gave to `d_read`, until it returns.
    pub(super) unsafe fn new(uio: *mut raw::uio) -> Self {
        Self { uio, request: PhantomData }
    }

    /// Where in the file the reader wants to read.
    pub fn offset(&self) -> i64 {
        // SAFETY: the request is the kernel's, for this thread alone, as `new` was told.
        unsafe { (*self.uio).uio_offset }
    }

    /// Bytes that the reader has room for.
    pub fn room(&self) -> usize {
        // SAFETY: as in `offset`.
        usize::try_from(unsafe { (*self.uio).uio_resid }).unwrap_or(0)
    }

    /// Copies to the reader as many of the bytes as there is room for, and says
    /// how many.  It can fault, so the caller must be sleepable.
    ///
    /// # Errors
    /// EFAULT where the reader has no such memory.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let before = self.room();
        let len = i32::try_from(before.min(bytes.len())).unwrap_or(i32::MAX);
        // SAFETY: the first `len` bytes can be read, and a request to read does not write to them.
        check(unsafe { raw::uiomove(bytes.as_ptr().cast_mut().cast(), len, self.uio) })?;
        Ok(before.saturating_sub(self.room()))
    }
}
