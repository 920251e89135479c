// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The running thread: its credential and its flags.  Functions here take no lock.

use core::ptr::NonNull;

use super::raw;

/// Returns the effective user ID of the running thread.
pub fn uid() -> u32 {
    // SAFETY: the credential of a thread does not change while the thread is in the kernel.
    unsafe { raw::siftr_cdev_uid() }
}

/// Returns the ID of the outermost jail of the running thread, 0 for the host.
pub fn outermost_jid() -> u32 {
    // SAFETY: a credential holds a reference to its prison, and a prison to its parent.
    unsafe { raw::siftr_cdev_jid() }
}

/// Returns whether the thread is root on the host: not jailed, and has
/// `PRIV_NETINET_GETCRED`.
pub fn is_host_root() -> bool {
    // SAFETY: priv(9) has no locking requirements.
    unsafe { raw::siftr_cdev_is_host_root() != 0 }
}

/// Returns whether [`Sleepable::check_signals`](super::Sleepable::check_signals) may
/// find a signal.
pub fn signal_is_pending() -> bool {
    // SAFETY: reads a word of the running thread.
    unsafe { raw::siftr_cdev_signal_pending() != 0 }
}

/// Returns whether the thread's process is being killed.
pub fn is_killed() -> bool {
    // SAFETY: reads a word of the running thread's process.
    unsafe { raw::siftr_cdev_killed() != 0 }
}

/// Returns whether the running thread executes a system call of sysctl(3).
pub fn is_in_sysctl() -> bool {
    // SAFETY: reads a word of the running thread.
    unsafe { raw::siftr_cdev_is_sysctl() != 0 }
}

/// A credential.
///
/// # Invariants
/// The pointer is to a credential to which this value owns a reference.
pub struct Credential(NonNull<raw::ucred>);

// SAFETY: a credential does not change, and any thread may drop a reference to it.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

impl Credential {
    /// Returns the credential of the running thread.
    pub fn of_thread() -> Option<Self> {
        // SAFETY: the credential of a thread does not change while the thread is in the kernel.
        let credential = NonNull::new(unsafe { raw::siftr_cdev_cred_hold() })?;
        // INVARIANT: the function has taken a reference.
        Some(Self(credential))
    }

    /// Returns whether it is the credential of the running thread.
    pub fn is_of_thread(&self) -> bool {
        // SAFETY: compares pointers.
        unsafe { raw::siftr_cdev_cred_is_own(self.0.as_ptr()) != 0 }
    }

    pub(super) const fn as_ptr(&self) -> *mut raw::ucred {
        self.0.as_ptr()
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: this value owns a reference, by the type invariant, and is gone after this.
        unsafe { raw::siftr_cdev_cred_free(self.0.as_ptr()) }
    }
}

/// Returns whether the scheduler wants the CPU for another thread.
pub fn wants_to_yield() -> bool {
    // SAFETY: reads a word of the running thread.
    unsafe { raw::siftr_cdev_wants_to_yield() != 0 }
}

/// Returns how many times the thread has lost the CPU.
pub fn switches() -> u64 {
    // SAFETY: reads two words of the running thread.
    unsafe { raw::siftr_cdev_switches() }
}
