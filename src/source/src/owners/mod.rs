// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The processes that have sockets open.
//!
//! A kernel does not record which processes have a socket open, but which files each process
//! has open.  A [`Finder`] reads those, and remembers what it has read.

#[cfg(any(target_os = "freebsd", test))]
mod freebsd;
mod join;
#[cfg(target_os = "linux")]
mod linux;
#[allow(clippy::module_inception, reason = "the type Owners")]
mod owners;
mod remote;

use tcpstats::{Field, key};

use crate::Numbered;

#[cfg(target_os = "freebsd")]
pub use self::freebsd::Finder;
pub use self::join::{FindOwners, WithOwners};
#[cfg(target_os = "linux")]
pub use self::linux::Finder;
pub use self::owners::Owners;
pub use self::remote::{Remote, answer};

/// A socket, by the numbers in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    /// The connection.
    pub id: Numbered,
    /// The field inode, on Linux.  It is absent or 0 if no process has the socket open.
    pub inode: Option<u32>,
    /// The field jid, on FreeBSD.
    pub jid: Option<u32>,
}

/// Returns whether the field is needed to find owners.
#[must_use]
pub fn is_needed(field: &Field) -> bool {
    [key::gencnt.field(), key::vnet.field(), key::inode.field(), key::jid.field()]
        .iter()
        .any(|needed| needed.index == field.index)
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its ID.  If several processes have the socket open, this is the lowest one.
    pub pid: u32,
    /// Its command, padded with zeros.
    pub command: [u8; 16],
    /// The number of processes that have the socket open, not counting threads.
    pub processes: u32,
}

/// A process that has used a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its ID.
    pub pid: u32,
    /// Its command at that time, padded with zeros.
    pub command: [u8; 16],
}

/// What is known about the owner of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The process.
    pub process: Option<Process>,
    /// The container or control group of the process, on Linux, padded with zeros.
    pub container: Option<[u8; 64]>,
    /// The name of the jail of the socket's creator, on FreeBSD, padded with zeros.
    pub jail: Option<[u8; 64]>,
}
