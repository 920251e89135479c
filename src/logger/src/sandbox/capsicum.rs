// SPDX-License-Identifier: BSD-2-Clause

//! Capsicum: capability mode, in which only what is open can be used, and
//! files be opened only below open directories.
//!
//! The licence of the capsicum crate, MPL-2.0, is not one of those that
//! `deny.toml` allows; this module has the part of it that is needed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use tcpstats_source::Place;

use super::{Confinement, Needs};

/// Confines the process.
pub fn confine(needs: &Needs<'_>) -> io::Result<Confinement> {
    if needs.syslog.is_some() {
        // In capability mode no connection to a daemon can be made again.
        return Ok(Confinement::none("none: the syslog daemon must be reachable"));
    }
    for place in needs.log.into_iter().chain(needs.source) {
        // Whether a directory is still the one that its path names.
        limit(place.root(), &[libc::CAP_LOOKUP, libc::CAP_FSTAT])?;
    }
    for directory in needs.log.into_iter().flat_map(Place::directories) {
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
    for directory in needs.source.into_iter().flat_map(Place::directories) {
        let rights = [libc::CAP_LOOKUP, libc::CAP_READ, libc::CAP_IOCTL, libc::CAP_FSTAT, libc::CAP_FCNTL];
        limit(directory, &rights)?;
    }
    // SAFETY: cap_enter(2) takes nothing.
    if unsafe { libc::cap_enter() } == -1 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENOSYS) {
            log::warn!("this kernel has no Capsicum: the logger runs without a sandbox");
            return Ok(Confinement::none("none: this kernel has no Capsicum"));
        }
        return Err(error);
    }
    Ok(Confinement::by("capsicum"))
}

/// Leaves a descriptor, and what is opened below it, these rights only.
fn limit(descriptor: BorrowedFd<'_>, rights: &[u64]) -> io::Result<()> {
    const END: u64 = 0;
    // SAFETY: cap_rights_t is plain numbers, for which all zeros are valid.
    let mut set: libc::cap_rights_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid cap_rights_t; the list of rights is empty and ends with zero.
    unsafe { libc::__cap_rights_init(libc::CAP_RIGHTS_VERSION, &raw mut set, END) };
    for right in rights {
        // SAFETY: `set` was initialized; the list is one right and ends with zero.
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
