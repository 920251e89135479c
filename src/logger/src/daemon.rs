// SPDX-License-Identifier: BSD-2-Clause

//! Going to the background, where the caller hears all that happens until the
//! first snapshot is taken.
//!
//! The daemonize crate forks and lets the caller end.  Here the caller waits:
//! the daemon's standard error is a pipe to it until all is well.

use std::fs::File;
use std::io::{Read, Write, stderr, stdin};
use std::os::fd::OwnedFd;
use std::os::raw::c_int;
use std::process::exit;

use daemonize::{Daemonize, Outcome};
use tcpstats_source::Sentence;

use crate::diagnostics;
use crate::syslog::Diagnostics as Syslog;

/// What the daemon writes behind its messages when all is well.
const READY: u8 = 0;

/// A start that is not yet known to have gone well.
pub enum Start {
    /// In the foreground; messages stay on standard error.
    Foreground,
    /// In the background; the caller waits.  Syslog is connected to already,
    /// because the sandbox may not let it.
    Background(Syslog),
}

impl Start {
    /// Goes to the background.  The caller does not return from here.
    ///
    /// # Errors
    /// A sentence with what the system said.
    pub fn background() -> Result<Self, Sentence> {
        let said = |error: &dyn std::fmt::Display| format!("-b: the background cannot be reached: {error}");
        let (messages, to_caller) = std::io::pipe().map_err(|error| said(&error))?;
        let to_caller = File::from(OwnedFd::from(to_caller));
        match Daemonize::new().stderr(to_caller).execute() {
            Outcome::Parent(Ok(_)) => exit(relay(messages)),
            Outcome::Child(Ok(_)) => {
                close_inherited();
                Ok(Self::Background(Syslog::connect()))
            }
            Outcome::Parent(Err(error)) | Outcome::Child(Err(error)) => Err(said(&error)),
        }
    }

    /// Tells the caller that all is well; from here on messages go to syslog.
    pub fn went_well(self) {
        match self {
            Self::Foreground => (),
            Self::Background(syslog) => {
                diagnostics::to_syslog(syslog);
                // A caller that has gone does not wait; standard input is /dev/null.
                let told = stderr().write_all(&[READY]).and(nix::unistd::dup2_stderr(stdin()).map_err(Into::into));
                if let Err(error) = told {
                    log::warn!("the caller is not told that the start went well: {error}");
                }
            }
        }
    }
}

/// Closes the descriptors that the caller left open: a daemon that kept them
/// would keep pipes, locks and file systems of others busy.  All that the logger
/// has opened itself are closed at execve(2), which those of the caller cannot be.
fn close_inherited() {
    for descriptor in open_descriptors().into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: fcntl(2) with F_GETFD takes no pointer, and an unknown descriptor is an error.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags != -1 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: nothing here owns it: what does was opened with FD_CLOEXEC.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// The descriptors that may be open.
fn open_descriptors() -> Vec<c_int> {
    // FreeBSD has there only the first three, unless fdescfs(5) is mounted.
    if cfg!(target_os = "linux")
        && let Ok(entries) = std::fs::read_dir("/proc/self/fd")
    {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        return names.collect();
    }
    // SAFETY: getdtablesize(3) takes nothing.
    (0..unsafe { libc::getdtablesize() }).collect()
}

/// Passes the daemon's messages on until it is ready or has ended; gives what
/// the caller exits with.
fn relay(mut messages: impl Read) -> i32 {
    let mut buffer = [0; 1024];
    let mut ready = false;
    loop {
        match messages.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                let told = buffer[..len].strip_suffix(&[READY]);
                ready |= told.is_some();
                // Where standard error is closed nobody is told.
                let _ = stderr().write_all(told.unwrap_or(&buffer[..len]));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => {
                log::error!("the daemon's messages cannot be read: {error}");
                break;
            }
        }
    }
    i32::from(!ready)
}
