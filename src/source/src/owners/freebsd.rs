// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The owners of connections on FreeBSD, joined as sockstat(1) does.

#[cfg_attr(not(target_os = "freebsd"), allow(dead_code, reason = "tested with a model of the kernel"))]
mod join;
#[cfg(test)]
mod model;
#[cfg(target_os = "freebsd")]
mod sysctl;
#[cfg_attr(not(target_os = "freebsd"), allow(dead_code, reason = "as above"))]
mod tables;

#[cfg(target_os = "freebsd")]
pub use finder::Finder;

#[cfg(target_os = "freebsd")]
mod finder {
    use super::join::Join;
    use super::sysctl::System;
    use crate::Error;
    use crate::owners::{Owners, Socket};

    /// Finds the owners of sockets.
    ///
    /// It needs no privilege, and nothing but sysctl(3) of `kern.file`, `kern.proc.pid`, `kern.boottime` and
    /// `net.inet.tcp.pcblist`, and the system call `jail_get`.  None of them is available in capability mode.
    ///
    /// The kernel does not hide addresses of sockets, but it omits from `kern.file` the processes that this one must not
    /// see (`security.bsd.see_other_uids`, `see_other_gids`, `see_jail_proc`; from within a jail, all others).  Their
    /// sockets have no process here.
    ///
    /// Memory: about 50 bytes for each open socket of the host and 150 for each connection, and the tables of the kernel:
    /// 128 bytes for each open file and, if all had to be read, 744 for each connection.
    pub struct Finder(Join<System>);

    impl Finder {
        /// Opens what the owners are derived from.
        ///
        /// # Errors
        /// Returns the error of the system, or an error if the kernel has other structures.
        pub fn open() -> Result<Self, Error> {
            Ok(Self(Join::new(System::open()?, System::jails())))
        }

        /// Returns the owner of each of these sockets as of now, in their order.
        ///
        /// The sockets must have existed after the previous call returned: call this once for each snapshot, with the
        /// sockets of the snapshot that have not ended, after the snapshot was taken and before the next one is.
        ///
        /// The process is the one with the lowest ID that has the socket open.  It is absent:
        ///
        /// - if no process has the socket open: it was closed, is in a queue of accept(2), or is passed between
        ///   processes at this moment (`SCM_RIGHTS`);
        /// - if the processes that have it open cannot be seen;
        /// - if the socket belongs to another network stack than that of this process;
        /// - until the next call, if the process was created while the files were read, if it has exited since, if the
        ///   socket was passed from a process that was read later to one that was read earlier, or if the clock was
        ///   stepped.
        ///
        /// If these are the sockets of the previous call, and no process has opened, closed or received a socket since,
        /// only a quarter of the processes are read: the command after exec(2) can be late by three calls.
        ///
        /// The name of a jail is absent for the host, and until the second call with a socket of a jail that was created
        /// after [`Finder::open`].
        ///
        /// Every call reads all files of the host.  Of the connections it reads those that are new, and all of them the
        /// first time, and if a known socket is now open only in processes that did not have it open in the previous
        /// call while any socket of the host was created or freed.
        ///
        /// # Errors
        /// Returns the error of the system, or an error if the kernel has other structures.
        pub fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
            self.0.find(sockets)
        }
    }
}
