// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The processes that have sockets open.
//!
//! A kernel does not record which processes have a socket open, but which files each process
//! has open.  A [`Finder`] reads those, and remembers what it has read.

#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(not(target_os = "linux"), path = "unsupported.rs")]
mod platform;

use crate::Numbered;

pub use self::platform::Finder;

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

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.  If several processes have the socket open, this is the one that created or
    /// accepted it, if known, and otherwise the one with the lowest number.
    pub pid: u32,
    /// Its command, padded with zeros.
    pub command: [u8; 16],
    /// The number of processes that have the socket open, not counting threads.
    pub processes: u32,
}

/// What is known about the owner of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub process: Option<Process>,
    /// The container or control group of the process, on Linux, padded with zeros.
    pub container: Option<[u8; 64]>,
    /// The name of the jail of the process, on FreeBSD, padded with zeros.
    pub jail: Option<[u8; 64]>,
}
