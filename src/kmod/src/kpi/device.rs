// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The device node, and the module's messages in dmesg(8).

use core::ffi::CStr;

use super::{Errno, Sleepable, check, raw};

/// Returns the version of the module.
pub fn version() -> &'static str {
    // SAFETY: a constant that ends with a NUL.
    unsafe { CStr::from_ptr((&raw const raw::siftr_cdev_version).cast()) }.to_str().unwrap_or_default()
}

/// Creates the device node.  Called when the module is loaded.
///
/// # Errors
/// EEXIST if another driver has a device of that name.
pub fn make_device(_sleepable: &mut Sleepable) -> Result<(), Errno> {
    // SAFETY: the thread may sleep, by the invariant of the token.
    check(unsafe { raw::siftr_cdev_make_dev() })
}

/// Destroys the device node, if there is one, after all threads have left the device.
pub fn destroy_device(_sleepable: &mut Sleepable) {
    // SAFETY: the thread may sleep, by the invariant of the token.
    unsafe { raw::siftr_cdev_destroy_dev() }
}

/// Logs that the module is loaded.
pub fn log_loaded(record_len: u32) {
    // SAFETY: printf(9) can be called in any context.
    unsafe { raw::siftr_cdev_log_loaded(record_len) }
}

/// Logs why there is no device.
pub fn log_no_device(error: Errno) {
    // SAFETY: printf(9) can be called in any context.
    unsafe { raw::siftr_cdev_log_no_device(error.number()) }
}
