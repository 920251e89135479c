// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Permission to sleep, as a value.
//!
//! The kernel forbids sleeping while a mutex or the lock of a connection is held.
//! Here a function that can sleep takes `&mut Sleepable`, of which an entry point
//! of the module gets exactly one:
//!
//! - A walk borrows it mutably while it calls its visitor, so a function that
//!   sleeps cannot be called with a connection locked.
//! - [`Mutex::with`](super::Mutex::with) takes a closure that is [`Send`], which
//!   no closure that captures a `Sleepable` is.
//! - An entry point that the kernel calls with locks held gets none.
//!
//! An sx(9) lock may be held while sleeping: locking one takes the token and does
//! not keep it.  `tests/kmod/test_rules.py` checks that violations do not compile.

use core::marker::PhantomData;

use super::{Errno, check, raw};

/// A token: the running thread may sleep.
///
/// # Invariants
/// While a reference to the token exists that is not borrowed from, the running
/// thread holds no lock but sx(9) locks, and is in no critical section.  The token
/// stays on the thread that it was created on, since it is neither [`Send`] nor
/// [`Sync`].
pub struct Sleepable(PhantomData<*mut ()>);

#[allow(clippy::unused_self, reason = "the token is the permission")]
impl Sleepable {
    /// Creates the token of an entry point.
    ///
    /// # Safety
    /// The running thread holds no lock but sx(9) locks and is in no critical
    /// section, the same is true whenever the token is used, and no other token is
    /// in use on this thread.
    pub(super) const unsafe fn new() -> Self {
        // INVARIANT: the caller promises it.
        Self(PhantomData)
    }

    /// Yields the CPU to other threads.
    pub fn yield_cpu(&mut self) {
        // SAFETY: the thread may sleep, by the type invariant.
        unsafe { raw::siftr_cdev_yield() }
    }

    /// Sleeps for a tick of the clock.
    pub fn pause_tick(&mut self) {
        // SAFETY: the thread may sleep, by the type invariant.
        unsafe { raw::siftr_cdev_pause_tick() }
    }

    /// Sleeps.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives first.
    pub fn pause_ns(&mut self, ns: u64) -> Result<(), Errno> {
        // SAFETY: the thread may sleep, by the type invariant.
        check(unsafe { raw::siftr_cdev_pause_ns(ns) })
    }

    /// Stops the thread if its process is to be stopped, and returns whether a signal
    /// interrupts the system call.
    ///
    /// # Errors
    /// EINTR or ERESTART.
    pub fn check_signals(&mut self) -> Result<(), Errno> {
        // SAFETY: the thread may sleep, by the type invariant.
        check(unsafe { raw::sig_intr() })
    }

    /// Waits until every thread that was running or preempted in the module's code has
    /// left it.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives.
    pub fn quiesce(&mut self) -> Result<(), Errno> {
        // SAFETY: the thread may sleep, by the type invariant.
        check(unsafe { raw::siftr_cdev_quiesce() })
    }
}
