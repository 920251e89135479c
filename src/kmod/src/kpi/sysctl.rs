// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The variables of the module's sysctls, which `siftr_cdev.h` declares.  Their
//! members are atomic integers.

use super::raw;

pub use raw::{siftr_cdev_counters as Counters, siftr_cdev_limits as Limits};

/// Returns the read-only sysctls.
pub fn counters() -> &'static Counters {
    let counters = &raw const raw::siftr_cdev_counters;
    // SAFETY: a static of the module.  C accesses it by atomic loads, and the sysctls word by word.
    unsafe { &*counters }
}

/// Returns the read-write sysctls, which can change at any time.
pub fn limits() -> &'static Limits {
    let limits = &raw const raw::siftr_cdev_limits;
    // SAFETY: a static of the module.  Only the sysctls access it in C, word by word.
    unsafe { &*limits }
}
