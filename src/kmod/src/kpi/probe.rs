// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The probes of the provider `siftr_cdev`, for dtrace(1).  They can fire under any
//! lock.

use core::ffi::CStr;

use super::{Pcb, raw};

/// Fires `siftr_cdev:::snapshot-start`.
pub fn snapshot_start(sequence: u64, expected: u64) {
    // SAFETY: a probe reads its arguments only.
    unsafe { raw::siftr_cdev_probe_start(sequence, expected) }
}

/// Fires `siftr_cdev:::snapshot-done`.
pub fn snapshot_done(sequence: u64, seen: u64, written: u64, missed: u64, walk_ns: u64) {
    // SAFETY: a probe reads its arguments only.
    unsafe { raw::siftr_cdev_probe_done(sequence, seen, written, missed, walk_ns) }
}

/// Fires `siftr_cdev:::record-skip`, with the connection if it has a pcb.
pub fn record_skip(pcb: Option<&Pcb<'_>>, why: i32) {
    let inp = pcb.map_or(core::ptr::null_mut(), Pcb::as_ptr);
    // SAFETY: the connection, if any, is locked, by the invariant of `Pcb`.
    unsafe { raw::siftr_cdev_probe_skip(inp, why) }
}

/// Fires `siftr_cdev:::connection-ended`.
pub fn connection_ended(pcb: &Pcb<'_>, ending: &CStr) {
    // SAFETY: the connection is locked, by the invariant of `Pcb`; a probe reads its arguments only.
    unsafe { raw::siftr_cdev_probe_ended(pcb.as_ptr(), ending.as_ptr()) }
}
