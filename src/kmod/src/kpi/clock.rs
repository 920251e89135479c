// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Clocks and constants of the running kernel.

use super::raw;

/// Returns the time since boot in nanoseconds, with the precision of the timecounter.
pub fn uptime_ns() -> u64 {
    // SAFETY: the clock can be read in any context.
    unsafe { raw::siftr_cdev_uptime_ns() }
}

/// Returns the time since the Epoch in nanoseconds.
pub fn wall_ns() -> u64 {
    // SAFETY: the clock can be read in any context.
    unsafe { raw::siftr_cdev_wall_ns() }
}

/// Returns the time since boot as an `sbintime_t`: seconds in the upper 32 bits.
pub fn uptime_sbt() -> i64 {
    // SAFETY: the clock can be read in any context.
    unsafe { raw::siftr_cdev_sbinuptime() }
}

/// Returns the time in ticks.
pub fn ticks() -> u32 {
    // SAFETY: an aligned word that only the clock interrupt writes.
    unsafe { (&raw const raw::ticks).read_volatile() }.cast_unsigned()
}

/// Returns the number of ticks in a second.
pub fn hz() -> u32 {
    // SAFETY: an aligned word that does not change after boot.
    unsafe { (&raw const raw::hz).read() }.cast_unsigned()
}

/// Returns `__FreeBSD_version` of the running kernel.
pub fn osversion() -> u32 {
    // SAFETY: an aligned word that does not change after boot.
    unsafe { (&raw const raw::osreldate).read() }.cast_unsigned()
}
