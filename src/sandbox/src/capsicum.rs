// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Capsicum: in capability mode a process can use only descriptors that are
//! open, and can open files only below open directories.
//!
//! The licence of the capsicum crate, MPL-2.0, is not one of those that
//! `deny.toml` allows, so this module implements the part that is needed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use tcpstats_source::AnchoredPath;

use super::{Confinement, Needs};

/// Confines the process.
pub fn confine(needs: &Needs<'_>) -> io::Result<Confinement> {
    if needs.daemon.is_some() {
        // Capability mode does not allow reconnecting to a daemon.
        return Ok(Confinement::none("none: the syslog daemon must be reachable"));
    }
    for path in needs.log.into_iter().chain(needs.source) {
        // To check whether a path still leads to the open directory.
        limit(path.root(), &[libc::CAP_LOOKUP, libc::CAP_FSTAT])?;
    }
    for directory in needs.log.into_iter().flat_map(AnchoredPath::directories) {
        let rights = [
            libc::CAP_LOOKUP,
            libc::CAP_CREATE,
            libc::CAP_READ,
            libc::CAP_WRITE,
            libc::CAP_SEEK,
            libc::CAP_FSTAT,
            libc::CAP_FCNTL,
            libc::CAP_FLOCK,
            libc::CAP_FSYNC,
            libc::CAP_FTRUNCATE,
        ];
        limit(directory, &rights)?;
    }
    for directory in needs.source.into_iter().flat_map(AnchoredPath::directories) {
        let rights = [libc::CAP_LOOKUP, libc::CAP_READ, libc::CAP_IOCTL, libc::CAP_FSTAT, libc::CAP_FCNTL];
        limit(directory, &rights)?;
    }
    // SAFETY: cap_enter(2) has no arguments.
    if unsafe { libc::cap_enter() } == -1 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOSYS) {
            return Ok(Confinement::lacking("Capsicum"));
        }
        return Err(error);
    }
    Ok(Confinement::by("capsicum"))
}

/// Limits a descriptor, and files opened below it, to these rights.
fn limit(descriptor: BorrowedFd<'_>, rights: &[u64]) -> io::Result<()> {
    const END: u64 = 0;
    // SAFETY: all members of cap_rights_t are numbers, for which zero is valid.
    let mut set: libc::cap_rights_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid cap_rights_t; the list of rights is empty and ends with zero.
    unsafe { libc::__cap_rights_init(libc::CAP_RIGHTS_VERSION, &raw mut set, END) };
    for right in rights {
        // SAFETY: `set` was initialized; the list has one right and ends with zero.
        unsafe { libc::__cap_rights_set(&raw mut set, *right, END) };
    }
    // SAFETY: the descriptor is open, and `set` outlives the call.
    let result = unsafe { libc::cap_rights_limit(descriptor.as_raw_fd(), &raw const set) };
    match result {
        -1 if io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
