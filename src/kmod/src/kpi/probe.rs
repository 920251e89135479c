// SPDX-License-Identifier: BSD-2-Clause

//! The probes of provider `siftr_cdev`, for dtrace(1).  They can be fired under
//! any lock.

use tcpstats::Header;

use super::connection::Pcb;
use super::raw;

/// Why a connection has no record; the numbers are `record-skip`'s.
#[derive(Clone, Copy)]
pub enum Skip {
    /// The reader may not see it.
    Hidden = 1,
    /// The filter does not match.
    Filtered = 2,
    /// There was no memory.
    NoMemory = 3,
}

/// `siftr_cdev:::snapshot-start`
pub fn snapshot_start(sequence: u64, expected: u64) {
    // SAFETY: a probe reads its numbers.
    unsafe { raw::siftr_cdev_probe_start(sequence, expected) }
}

/// `siftr_cdev:::snapshot-done`
pub fn snapshot_done(header: &Header) {
    // SAFETY: a probe reads its numbers.
    unsafe {
        raw::siftr_cdev_probe_done(header.sequence, header.seen, header.written, header.missed, header.walk_ns);
    }
}

/// `siftr_cdev:::record-skip`; no connection for an entry of the SYN cache.
pub fn record_skip(pcb: Option<&Pcb<'_>>, why: Skip) {
    let inp = pcb.map_or(core::ptr::null_mut(), Pcb::as_ptr);
    // SAFETY: the connection, if any, is locked.
    unsafe { raw::siftr_cdev_probe_skip(inp, why as i32) }
}
