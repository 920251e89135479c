// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The terminal from which the logger was started.
//!
//! SIGHUP reopens the log.  The kernel or the shell sends the same signal when
//! the terminal is closed; then a logger in the foreground exits, as other
//! programs do.

use std::fs::OpenOptions;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use libc::SIGHUP;

/// The terminal whose closing makes the logger exit, if there is one.
pub struct Terminal(Option<OwnedFd>);

impl Terminal {
    /// Finds the controlling terminal, or else a terminal among the standard
    /// streams.  There is none after nohup(1), which ignores SIGHUP.
    pub fn find() -> Self {
        if ignores_hangup() {
            return Self::none();
        }
        let controlling = OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").ok();
        Self(controlling.map(OwnedFd::from).or_else(among_standard_streams))
    }

    /// Returns no terminal, for a logger in the background.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Returns whether the terminal has been closed.
    pub fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(|terminal| !terminal.is_terminal())
    }
}

fn among_standard_streams() -> Option<OwnedFd> {
    fn open(stream: &(impl IsTerminal + AsFd)) -> Option<OwnedFd> {
        stream.is_terminal().then(|| stream.as_fd().try_clone_to_owned().ok()).flatten()
    }
    open(&stdin()).or_else(|| open(&stderr())).or_else(|| open(&stdout()))
}

fn ignores_hangup() -> bool {
    // SAFETY: the members of sigaction are numbers and pointers, for which zero is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action sigaction(2) only writes the old one to `action`.
    let result = unsafe { libc::sigaction(SIGHUP, ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}
