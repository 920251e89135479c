// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The ends of connections, which `stacks.c` learns from the TCP stacks.

use core::cell::UnsafeCell;

use super::walk::{Selected, Tireless};
use super::{Errno, Pcb, Sleepable, Visitor, Vnet, check, each_vnet, raw};

/// Receives the ends of connections between [`Calls::start`] and [`Calls::stop`].
pub trait Endings {
    /// Called when a connection ends, with its lock held and before any part of it is
    /// released.  If the connection only changes to another TCP stack,
    /// [`Endings::continued`] follows before it is unlocked.
    fn ended(pcb: &Pcb<'_>, vnet: &Vnet);

    /// Called when a connection that seemed to end continues.
    fn continued(pcb: &Pcb<'_>, vnet: &Vnet);
}

/// The sx(9) lock that serializes starting and stopping the calls of [`Endings`].
///
/// # Invariants
/// `lock` is initialized from before the first call into the module until after the
/// last, and whoever holds it has access to the calls.
#[repr(transparent)]
pub struct LedgerLock {
    lock: UnsafeCell<raw::sx>,
}

// SAFETY: the lock can be used by any thread.
unsafe impl Sync for LedgerLock {}

#[unsafe(export_name = "siftr_cdev_ledger_sx")]
static LEDGER_LOCK: LedgerLock = {
    // SAFETY: a struct sx is integers and pointers, and not used before its initialization.
    let lock = UnsafeCell::new(unsafe { core::mem::zeroed() });
    // INVARIANT: siftr_cdev.c initializes the lock, by SX_SYSINIT.
    LedgerLock { lock }
};

/// The calls of [`Endings`].
///
/// # Invariants
/// This thread holds the lock of the ledger.
pub struct Calls(());

impl LedgerLock {
    /// Calls `change` with the lock held.
    pub fn with<R>(sleepable: &mut Sleepable, change: impl FnOnce(&mut Calls, &mut Sleepable) -> R) -> R {
        // SAFETY: the lock is initialized, by the type invariant.  The thread may sleep, by the invariant of the token,
        // even while it holds an sx(9) lock.  If it holds this one, the call panics.
        unsafe {
            raw::siftr_cdev_sx_lock(LEDGER_LOCK.lock.get());
            // INVARIANT: locked above, and unlocked after the value is gone.
            let result = change(&mut Calls(()), sleepable);
            raw::siftr_cdev_sx_unlock(LEDGER_LOCK.lock.get());
            result
        }
    }
}

#[allow(clippy::unused_self, reason = "the value proves that the lock is held")]
impl Calls {
    /// Starts the calls.
    ///
    /// # Errors
    /// ENFILE if there are too many TCP stacks; then there are no calls.
    pub fn start(&mut self, visitor: &mut impl Visitor, sleepable: &mut Sleepable) -> Result<(), Errno> {
        // SAFETY: the lock is held, by the type invariant.
        check(unsafe { raw::siftr_cdev_endings_start() }).inspect_err(|_| self.stop(visitor, sleepable))
    }

    /// Stops the calls, and waits until every thread has returned from them.  The visitor
    /// decides when the wait yields.
    pub fn stop(&mut self, visitor: &mut impl Visitor, sleepable: &mut Sleepable) {
        // SAFETY: the lock is held, by the type invariant.
        unsafe { raw::siftr_cdev_endings_stop() };
        // A thread in such a call has locked a connection that is in the list, until it returns and unlocks it.
        each_vnet(true, sleepable, |vnet, sleepable| {
            vnet.each_connection(Selected::ALL, sleepable, &mut Tireless(&mut *visitor));
        });
        // SAFETY: the lock is held, by the type invariant, and no thread is in such a call.
        unsafe { raw::siftr_cdev_endings_forget() };
    }
}
