// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! mutex(9) and sx(9) locks with the values that they protect.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use super::{Errno, Own, Pcb, Sleepable, Wait, check, raw};

/// A value protected by a mtx(9) lock, in a static that [`mutex!`](super::mutex)
/// defines.
///
/// # Invariants
/// `lock` is initialized from before the first call into the module until after
/// the last.  `value` is accessed only by the thread that holds `lock`, and through
/// one reference at a time.
#[repr(C)]
pub struct Mutex<T> {
    // The first member: C initializes it at the address of the static.
    lock: UnsafeCell<raw::mtx>,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time has access to the value, by the type invariant, and the value may be used on any.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Use [`mutex!`](super::mutex), which calls this.
    ///
    /// # Safety
    /// The mutex is a static whose lock `siftr_cdev.c` initializes when the module is
    /// loaded.
    #[doc(hidden)]
    pub const unsafe fn new(value: T) -> Self {
        // SAFETY: a struct mtx is integers and pointers, and not used before its initialization.
        let lock = UnsafeCell::new(unsafe { core::mem::zeroed() });
        // INVARIANT: C initializes the lock, as the caller promises, and no reference to the value exists.
        Self { lock, value: UnsafeCell::new(value) }
    }

    /// Calls `access` with the mutex locked.  This thread must not hold it already, but
    /// may hold the lock of a connection.
    ///
    /// `access` cannot sleep: it is [`Send`], so it does not capture a [`Sleepable`].
    pub fn with<R>(&self, access: impl FnOnce(&mut T) -> R + Send) -> R {
        // SAFETY: the lock is initialized, by the type invariant.  If this thread holds it, the call panics: no other
        // reference to the value exists.  `access` returns before the lock is released, and the module does not unwind.
        unsafe {
            raw::siftr_cdev_mtx_lock(self.lock.get());
            let result = access(&mut *self.value.get());
            raw::siftr_cdev_mtx_unlock(self.lock.get());
            result
        }
    }
}

impl<T> Mutex<T> {
    /// Like [`Mutex::with`], for a closure that needs a connection, whose lock is held.
    pub fn with_pcb<R>(&self, pcb: &Pcb<'_>, access: impl FnOnce(&mut T, &Pcb<'_>) -> R + Send) -> R {
        // SAFETY: as in `with`.
        unsafe {
            raw::siftr_cdev_mtx_lock(self.lock.get());
            let result = access(&mut *self.value.get(), pcb);
            raw::siftr_cdev_mtx_unlock(self.lock.get());
            result
        }
    }
}

/// Defines the static of a mutex: `mutex!(pub static registry NAME: Type = value)`.
///
/// `siftr_cdev.c` initializes the locks of two mutexes, `registry` and `ledger`, by
/// `MTX_SYSINIT`.  A third does not compile, and one that is defined twice does not
/// link: it would have the same symbol.
macro_rules! mutex {
    ($(#[$doc:meta])* $visibility:vis static registry $name:ident: $type:ty = $value:expr) => {
        $crate::kpi::mutex!(@ "siftr_cdev_mutex" $(#[$doc])* $visibility $name: $type = $value);
    };
    ($(#[$doc:meta])* $visibility:vis static ledger $name:ident: $type:ty = $value:expr) => {
        $crate::kpi::mutex!(@ "siftr_cdev_ledger_mutex" $(#[$doc])* $visibility $name: $type = $value);
    };
    (@ $symbol:literal $(#[$doc:meta])* $visibility:vis $name:ident: $type:ty = $value:expr) => {
        $(#[$doc])*
        #[allow(unsafe_code, reason = "the macro upholds the conditions")]
        #[unsafe(export_name = $symbol)]
        $visibility static $name: $crate::kpi::Mutex<$type> = {
            const VALUE: $type = $value;
            // SAFETY: it is the static with that symbol.
            unsafe { $crate::kpi::Mutex::new(VALUE) }
        };
    };
}
pub(crate) use mutex;

/// A value protected by an sx(9) lock.  The thread that holds it may sleep.
///
/// # Invariants
/// `lock` is initialized, and its address does not change: an `Sx` exists only in
/// an [`Own`].  `value` is accessed only through the [`SxGuard`] of the thread that
/// holds `lock` exclusively, or through `&mut Sx`.
pub struct Sx<T> {
    lock: UnsafeCell<raw::sx>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock can be used by any thread; the value goes with the `Sx`.
unsafe impl<T: Send> Send for Sx<T> {}
// SAFETY: one thread at a time has access to the value, by the type invariant, and the value may be used on any.
unsafe impl<T: Send> Sync for Sx<T> {}

impl<T> Sx<T> {
    /// Allocates a value and its lock.
    pub fn new(value: T, sleepable: &mut Sleepable) -> Option<Own<Self>> {
        // SAFETY: a struct sx is integers and pointers, and not used before its initialization.
        let lock = UnsafeCell::new(unsafe { core::mem::zeroed() });
        // An allocation that waits does not fail, so this is not dropped before the lock is initialized.
        let own = Own::new(Self { lock, value: UnsafeCell::new(value) }, Wait::Yes(sleepable))?;
        // SAFETY: the lock is at its final address, and no other thread has access to it.
        unsafe { raw::siftr_cdev_sx_init(own.lock.get()) };
        // INVARIANT: the lock is initialized, and no guard exists.
        Some(own)
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives first; EDEADLK if this thread holds it.
    pub fn lock(&self, _sleepable: &mut Sleepable) -> Result<SxGuard<'_, T>, Errno> {
        // SAFETY: the lock is initialized, by the type invariant, and the thread may sleep, by that of `Sleepable`.
        check(unsafe { raw::siftr_cdev_sx_lock_sig(self.lock.get()) })?;
        // INVARIANT: this thread locked it, and did not hold it before.
        Ok(SxGuard { sx: self, stays: PhantomData })
    }
}

impl<T> Sx<T> {
    /// Returns the value of a lock that no other thread can use.
    pub const fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Drop for Sx<T> {
    fn drop(&mut self) {
        // SAFETY: the lock is initialized, by the type invariant.  It is not held: a guard would borrow `self`.
        unsafe { raw::siftr_cdev_sx_destroy(self.lock.get()) }
    }
}

/// Access to the value of an [`Sx`]; releases the lock on drop.
///
/// # Invariants
/// This thread holds the lock exclusively, and no other guard of the same `Sx`
/// exists.  The guard stays on the thread, since it is not [`Send`].
pub struct SxGuard<'a, T> {
    sx: &'a Sx<T>,
    stays: PhantomData<*mut ()>,
}

impl<T> Deref for SxGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the type invariant no other guard exists, and this one is borrowed.
        unsafe { &*self.sx.value.get() }
    }
}

impl<T> DerefMut for SxGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by the type invariant no other guard exists, and this one is borrowed mutably.
        unsafe { &mut *self.sx.value.get() }
    }
}

impl<T> Drop for SxGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds the lock, by the type invariant, and the guard is gone after this.
        unsafe { raw::siftr_cdev_sx_unlock(self.sx.lock.get()) }
    }
}
