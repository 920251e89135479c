// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Running in the background.
//!
//! The daemonize crate forks and lets the caller exit.  Here the caller waits
//! until the first snapshot is taken: until then the daemon's standard error is
//! a pipe to the caller, which prints the messages.

use std::fs::File;
use std::io::{Read, Write, stderr, stdin};
use std::os::fd::OwnedFd;
use std::os::raw::c_int;
use std::process::exit;

use anyhow::Context as _;
use daemonize::{Daemonize, Outcome};
use tcpstats_source::system_error;

use crate::diagnostics;
use crate::syslog::Diagnostics as Syslog;

/// The byte that the daemon writes after its messages once it has started.
const READY: u8 = 0;

/// A start that has not succeeded yet.
pub enum Start {
    /// In the foreground; messages stay on standard error.
    Foreground,
    /// In the background; the caller waits.  The connection to syslog is open
    /// already, because the sandbox may not allow connecting.
    Background(Syslog),
}

impl Start {
    /// Forks into the background.  In the calling process this function does
    /// not return.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn background() -> anyhow::Result<Self> {
        const FAILED: &str = "-b: cannot run in the background";
        let (messages, to_caller) = std::io::pipe().context(FAILED)?;
        let to_caller = File::from(OwnedFd::from(to_caller));
        match Daemonize::new().stderr(to_caller).execute() {
            Outcome::Parent(Ok(_)) => exit(relay(messages)),
            Outcome::Child(Ok(_)) => {
                close_inherited();
                Ok(Self::Background(Syslog::connect()))
            }
            Outcome::Parent(Err(error)) | Outcome::Child(Err(error)) => Err(error).context(FAILED),
        }
    }

    /// Reports success to the caller.  From now on messages go to syslog.
    pub fn succeed(self) {
        match self {
            Self::Foreground => (),
            Self::Background(syslog) => {
                diagnostics::to_syslog(syslog);
                // The caller may have exited.  Standard input is /dev/null.
                let reported = stderr().write_all(&[READY]).and(nix::unistd::dup2_stderr(stdin()).map_err(Into::into));
                if let Err(error) = reported {
                    log::warn!("cannot report the start to the caller: {}", system_error(&error));
                }
            }
        }
    }
}

/// Closes the descriptors that the caller left open: if the daemon kept them,
/// pipes, locks and file systems of other programs would stay busy.  The logger's
/// own descriptors have `FD_CLOEXEC`, which inherited descriptors cannot have.
fn close_inherited() {
    for descriptor in open_descriptors().into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: fcntl(2) with F_GETFD takes no pointer, and an unknown descriptor is an error.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags != -1 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: nothing in this process owns the descriptor, because owned
            // descriptors have FD_CLOEXEC.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Returns all descriptors that may be open.
pub fn open_descriptors() -> Vec<c_int> {
    // On FreeBSD /dev/fd lists only the first three, unless fdescfs(5) is mounted.
    if cfg!(target_os = "linux")
        && let Ok(entries) = std::fs::read_dir("/proc/self/fd")
    {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        return names.collect();
    }
    // SAFETY: getdtablesize(3) has no arguments.
    (0..unsafe { libc::getdtablesize() }).collect()
}

/// Prints the daemon's messages until it has started or exited.  Returns the
/// exit status of the caller.
fn relay(mut messages: impl Read) -> i32 {
    let mut buffer = [0; 1024];
    let mut ready = false;
    loop {
        match messages.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                let messages = buffer[..len].strip_suffix(&[READY]);
                ready |= messages.is_some();
                // Standard error may be closed.
                let _ = stderr().write_all(messages.unwrap_or(&buffer[..len]));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => {
                log::error!("cannot read the daemon's messages: {}", system_error(&error));
                break;
            }
        }
    }
    i32::from(!ready)
}
