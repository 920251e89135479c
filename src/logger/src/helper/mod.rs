// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Helper processes, which keep privileges that the logger drops.
//!
//! A helper is forked before the logger drops its privileges.  It has nothing of the logger
//! except one end of a socket pair: no log, no terminal, no signals.  It is confined to its
//! task, and exits with the logger.  If it exits first, the logger reads the end of the socket
//! pair, and continues without it.

#[cfg_attr(target_os = "freebsd", path = "freebsd.rs")]
#[cfg_attr(target_os = "linux", path = "linux.rs")]
mod confine;
#[cfg(target_os = "linux")]
pub mod namespaces;
pub mod owners;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, read, write};
use tcpstats_source::report;

pub use self::confine::Needs;
#[cfg(target_os = "linux")]
pub use self::confine::Rule;
use crate::daemon::open_descriptors;
use crate::privileges::Identity;

/// A helper process.
pub struct Helper<'a> {
    /// The name of the process, at most 15 bytes.
    pub name: &'static CStr,
    /// What it may do.
    pub needs: Needs,
    /// The user to run as; `None` for that of the logger.
    pub identity: Option<&'a Identity>,
    /// Whether the socket pair keeps packets apart.  It never does so on FreeBSD 15.
    pub has_packets: bool,
    /// Whether it is confined to its needs.
    pub sandbox: bool,
}

/// What the helper sends once it is confined; otherwise, it sends an error.
const READY: &[u8] = b"\0";

/// The maximum length of an error in bytes.
const ERROR_MAX: usize = 1024;

impl Helper<'_> {
    /// Forks, and runs the work in the helper, with what `begin` returns there before the
    /// helper is confined, and with its end of the socket pair.  Returns the other end.
    ///
    /// # Errors
    /// Returns the error of `begin` or of the system, also if the helper cannot be confined.
    pub fn start<T>(&self, begin: impl FnOnce() -> Result<T>, work: impl FnOnce(T, OwnedFd)) -> Result<OwnedFd> {
        let about = || format!("cannot start the process {}", self.name.to_string_lossy());
        if !is_single_threaded().context("/proc/self/task").with_context(about)? {
            bail!("{}: other threads are running", about());
        }
        let kind = if self.has_packets { SockType::SeqPacket } else { SockType::Stream };
        let pair = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC);
        let (ours, theirs) = pair.with_context(about)?;
        // SAFETY: this is the only thread, so no other one can hold a lock that the child
        // needs.
        match unsafe { fork() }.with_context(about)? {
            ForkResult::Parent { .. } => {
                drop(theirs);
                // The system removes a helper that exits first, so that it is not a zombie.
                // SAFETY: no handler is installed.
                unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.with_context(about)?;
                let answer = first_packet(&ours).with_context(about)?;
                match answer.as_slice() {
                    READY => Ok(ours),
                    [] => bail!("{}: it has exited", about()),
                    error => bail!("{}: {}", about(), String::from_utf8_lossy(error)),
                }
            }
            ForkResult::Child => {
                // Exits even if something panics.
                let exit = Exit;
                match self.prepare(&theirs, begin) {
                    Ok(begun) if send(&theirs, READY).is_ok() => work(begun, theirs),
                    Ok(_) => (),
                    Err(error) => _ = send(&theirs, report(error.as_ref()).as_bytes()),
                }
                drop(exit);
                unreachable!("the process has exited");
            }
        }
    }

    /// Drops everything that the helper does not need.
    fn prepare<T>(&self, socket: &OwnedFd, begin: impl FnOnce() -> Result<T>) -> Result<T> {
        // Those of a terminal or of timeout(1) are for the logger, with which the helper ends.
        SigSet::all().thread_set_mask()?;
        let null = File::options().read(true).write(true).open("/dev/null").context("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        drop(null);
        close_others(socket);
        let begun = begin()?;
        confine::confine(self)?;
        Ok(begun)
    }
}

/// Exits without running destructors, which belong to the logger.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        // SAFETY: _exit(2) has no preconditions.
        unsafe { libc::_exit(0) }
    }
}

/// Closes all descriptors except the standard streams and this one.
fn close_others(keep: &OwnedFd) {
    for descriptor in open_descriptors() {
        if descriptor > 2 && descriptor != keep.as_raw_fd() {
            // SAFETY: the objects of the logger that own the descriptors are not used in the
            // helper, which exits without dropping them.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Returns whether this process has only one thread, as far as the system reports.
fn is_single_threaded() -> io::Result<bool> {
    Ok(cfg!(not(target_os = "linux")) || std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Sends a packet.  A confined helper may not be able to duplicate the descriptor.
fn send(socket: &OwnedFd, packet: &[u8]) -> nix::Result<usize> {
    write(socket, packet.get(..ERROR_MAX).unwrap_or(packet))
}

/// Returns the first packet; an empty one is the end.
fn first_packet(socket: &OwnedFd) -> nix::Result<Vec<u8>> {
    let mut packet = [0; ERROR_MAX];
    loop {
        match read(socket, &mut packet) {
            Err(Errno::EINTR) => (),
            len => return Ok(packet[..len?].to_vec()),
        }
    }
}
