// SPDX-License-Identifier: BSD-2-Clause

//! sx(9) and mtx(9) with what they guard.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use tcpstats::Columns;

use super::{Errno, Own, Wait, check, raw};
use crate::idle::IdleMemory;
use crate::limits::Limits;

/// A value behind an sx(9) lock, whose holder may sleep.
pub struct Sleepable<T> {
    lock: UnsafeCell<raw::sx>,
    value: UnsafeCell<T>,
}

impl<T> Sleepable<T> {
    /// Moves the value behind a new lock.  The caller must be sleepable.
    pub fn new(value: T) -> Option<Own<Self>> {
        // SAFETY: an sx is plain data, and not used before sx_init.
        let lock = UnsafeCell::new(unsafe { core::mem::zeroed() });
        let own = Own::new(Self { lock, value: UnsafeCell::new(value) }, Wait::Yes)?;
        // SAFETY: the lock is at the address where it stays, and no other thread knows it.
        unsafe { raw::siftr_cdev_sx_init(own.lock.get()) };
        Some(own)
    }

    /// Waits for the lock.  The caller must be sleepable.
    ///
    /// # Errors
    /// EINTR or ERESTART when a signal comes first.
    pub fn lock(&self) -> Result<Guard<'_, T>, Errno> {
        // SAFETY: the lock was initialised in `new` and lives as long as `self`.
        check(unsafe { raw::siftr_cdev_sx_lock_sig(self.lock.get()) })?;
        Ok(Guard(self))
    }
}

impl<T> Drop for Sleepable<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds the lock: a guard would borrow `self`.
        unsafe { raw::siftr_cdev_sx_destroy(self.lock.get()) }
    }
}

/// The value, as long as its lock is held.
pub struct Guard<'a, T>(&'a Sleepable<T>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held exclusively.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held exclusively, and the guard is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard stands for one acquisition of the lock by this thread.
        unsafe { raw::siftr_cdev_sx_unlock(self.0.lock.get()) }
    }
}

/// What all descriptors share.
pub struct Shared {
    /// What users may do.
    pub limits: Limits,
    /// The columns of text where a descriptor chose none; none for the basic ones.
    pub columns: Option<Columns>,
    /// Memory that descriptors keep between two snapshots.
    pub idle: IdleMemory,
    /// A descriptor was destroyed outside of close(2), as after revoke(2).
    /// `destroy_dev`(9) does not wait for the thread that did that.
    pub has_lost_files: bool,
}

struct Registry(UnsafeCell<Shared>);

// SAFETY: `registry` alone touches it, with the mutex held.
unsafe impl Sync for Registry {}

static REGISTRY: Registry = Registry(UnsafeCell::new(Shared {
    limits: Limits::new(),
    columns: None,
    idle: IdleMemory::new(),
    has_lost_files: false,
}));

/// Lends what all descriptors share, with the module's mutex held; `use_them` must
/// not sleep, nor come here again.
pub fn registry<R>(use_them: impl FnOnce(&mut Shared) -> R) -> R {
    // SAFETY: the mutex is initialised before the module is loaded; it is held around the only reference.
    unsafe {
        raw::siftr_cdev_registry_lock();
        let result = use_them(&mut *REGISTRY.0.get());
        raw::siftr_cdev_registry_unlock();
        result
    }
}
