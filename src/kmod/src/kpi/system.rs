// SPDX-License-Identifier: BSD-2-Clause

//! Time, the module's sysctls, and its lines in dmesg(8).

use core::ffi::CStr;
use core::sync::atomic::AtomicU64;

use super::{Errno, check, raw};

/// Nanoseconds since the system started, with the precision of the timecounter.
pub fn uptime_ns() -> u64 {
    // SAFETY: reading the clock needs nothing.
    unsafe { raw::siftr_cdev_uptime_ns() }
}

/// Nanoseconds since the UNIX epoch.
pub fn wall_ns() -> u64 {
    // SAFETY: reading the clock needs nothing.
    unsafe { raw::siftr_cdev_wall_ns() }
}

/// Time since the system started as the callouts count it: seconds in the upper
/// 32 bits.
pub fn uptime_sbt() -> i64 {
    // SAFETY: reading the clock needs nothing.
    unsafe { raw::siftr_cdev_sbinuptime() }
}

/// The kernel's clock in ticks.
pub fn ticks() -> u32 {
    // SAFETY: an aligned word that only the clock writes.
    unsafe { (&raw const raw::ticks).read_volatile() }.cast_unsigned()
}

/// Ticks in a second; it does not change.
pub fn hz() -> u32 {
    // SAFETY: an aligned word that is not written after the system started.
    unsafe { (&raw const raw::hz).read() }.cast_unsigned()
}

/// `__FreeBSD_version` of the running kernel.
pub fn osversion() -> u32 {
    // SAFETY: an aligned word that is not written after the system started.
    unsafe { (&raw const raw::osreldate).read() }.cast_unsigned()
}

/// The version of the module.
pub fn version() -> &'static str {
    // SAFETY: a constant that ends with a zero.
    unsafe { CStr::from_ptr((&raw const raw::siftr_cdev_version).cast()) }.to_str().unwrap_or_default()
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> &'static AtomicU64 {
            // SAFETY: a static, aligned u64 that is only ever accessed atomically.
            unsafe { AtomicU64::from_ptr(&raw mut raw::siftr_cdev_counters.$name) }
        }
    )*};
}

counters! {
    /// Snapshots taken.
    snapshots;
    /// Records in all snapshots.
    records;
    /// Bytes read.
    bytes;
    /// Connections without a record.
    missed;
    /// Duration of the last walk.
    walk_last_ns;
    /// Duration of the longest walk.
    walk_max_ns;
    /// Longest time that a read held the CPU between two checks for other threads.
    hold_max_ns;
    /// Open descriptors.
    open;
    /// Memory that snapshots hold.
    memory_bytes;
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident $raw:ident $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> $type {
            // SAFETY: a static, aligned word that a sysctl may write at any time.
            unsafe { (&raw const raw::$raw).read_volatile() }
        }
    )*};
}

limits! {
    /// Most bytes of one snapshot.
    snapshot_bytes_max siftr_cdev_snapshot_bytes_max u64;
    /// Most bytes of all snapshots.
    total_bytes_max siftr_cdev_total_bytes_max u64;
    /// The part of those that is reserved for root of the host.
    reserved_bytes siftr_cdev_reserved_bytes u64;
    /// Maximum bytes for all users of one jail.
    jail_bytes_max siftr_cdev_jail_bytes_max u64;
    /// Maximum bytes for one user.
    user_bytes_max siftr_cdev_user_bytes_max u64;
    /// Most descriptors of a user.
    opens_per_user_max siftr_cdev_opens_per_user_max u32;
    /// Least microseconds between two snapshots of a user.
    interval_min_us siftr_cdev_interval_min_us u32;
    /// Maximum share of one CPU for the walks of one user, in percent.
    walk_percent_max siftr_cdev_walk_percent_max u32;
}

/// Makes the device.  The caller must be sleepable.
///
/// # Errors
/// EEXIST where another driver has one of that name.
pub fn make_device() -> Result<(), Errno> {
    // SAFETY: called once, when the module is loaded.
    check(unsafe { raw::siftr_cdev_make_dev() })
}

/// Takes the device away, when no thread is in it any more.  The caller must be
/// sleepable.
pub fn destroy_device() {
    // SAFETY: called when the module is unloaded; C knows whether there is a device.
    unsafe { raw::siftr_cdev_destroy_dev() }
}

/// Waits until every thread that was running or preempted in the module's code has
/// left it.  The caller must be sleepable.
///
/// # Errors
/// EINTR or ERESTART if a signal arrives.
pub fn quiesce() -> Result<(), Errno> {
    // SAFETY: the caller holds only sx locks.
    check(unsafe { raw::siftr_cdev_quiesce() })
}

/// Says in dmesg(8) that the module is there.
pub fn say_loaded(record_len: u32) {
    // SAFETY: printf(9) can be called anywhere.
    unsafe { raw::siftr_cdev_say_loaded(record_len) }
}

/// Says in dmesg(8) why there is no device.
pub fn say_no_device(error: Errno) {
    // SAFETY: printf(9) can be called anywhere.
    unsafe { raw::siftr_cdev_say_no_device(error.number()) }
}
