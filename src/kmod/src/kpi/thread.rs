// SPDX-License-Identifier: BSD-2-Clause

//! The running thread: who it is, and its signals.

use super::{Errno, check, raw};
use crate::limits::Who;

/// The thread's user and outermost jail.
pub fn who() -> Who {
    // SAFETY: a thread's credential stays while the thread is in the kernel.
    unsafe { Who { uid: raw::siftr_cdev_uid(), jid: raw::siftr_cdev_jid() } }
}

/// Whether the thread is root of the host: `PRIV_NETINET_GETCRED`, not jailed.
pub fn is_host_root() -> bool {
    // SAFETY: priv(9) can be asked anywhere.
    unsafe { raw::siftr_cdev_is_host_root() != 0 }
}

/// Whether [`check_signals`] has something to look at.  Takes no lock.
pub fn signal_is_pending() -> bool {
    // SAFETY: it reads a word of the running thread.
    unsafe { raw::siftr_cdev_signal_pending() != 0 }
}

/// Returns whether the thread's process is being killed.  Takes no lock.
pub fn is_killed() -> bool {
    // SAFETY: it reads a word of the running thread's process.
    unsafe { raw::siftr_cdev_killed() != 0 }
}

/// Returns whether the scheduler wants the CPU for another thread.  Takes no lock.
pub fn wants_to_yield() -> bool {
    // SAFETY: it reads a word of the running thread.
    unsafe { raw::siftr_cdev_wants_to_yield() != 0 }
}

/// Returns how many times the thread has lost the CPU.  Takes no lock.
pub fn switches() -> u64 {
    // SAFETY: it reads two words of the running thread.
    unsafe { raw::siftr_cdev_switches() }
}

/// Yields the CPU to other threads.  The caller must be sleepable.
pub fn yield_cpu() {
    // SAFETY: the caller holds only sx locks.
    unsafe { raw::siftr_cdev_yield() }
}

/// Lets the thread be stopped, and tells whether a signal ends the system call.
/// The caller must be sleepable.
///
/// # Errors
/// EINTR or ERESTART.
pub fn check_signals() -> Result<(), Errno> {
    // SAFETY: no lock is held, as the caller promises.
    check(unsafe { raw::sig_intr() })
}

/// Sleeps.  The caller must be sleepable.
///
/// # Errors
/// EINTR or ERESTART when a signal comes first.
pub fn pause_ns(ns: u64) -> Result<(), Errno> {
    // SAFETY: no lock but sx locks is held, as the caller promises.
    check(unsafe { raw::siftr_cdev_pause_ns(ns) })
}
