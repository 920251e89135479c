// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Confining a helper on FreeBSD: it can open no more descriptors, so it can neither use files
//! nor sockets, and cannot start processes.
//!
//! In capability mode, sysctl(3) does not return the files of other processes.  A helper that
//! runs as root could raise its limits again.

use std::io;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, setrlimit};

use super::Helper;

/// What a helper may do.
pub struct Needs {
    /// The resources of which it needs no more than it has.
    pub limits: &'static [Resource],
}

/// Confines this process.
pub fn confine(helper: &Helper<'_>) -> Result<()> {
    if let Some(identity) = helper.identity {
        identity.assume()?;
    }
    end_with_parent().context("PROC_PDEATHSIG_CTL")?;
    if helper.sandbox {
        for limit in helper.needs.limits {
            setrlimit(*limit, 0, 0).context("cannot confine it with resource limits (--no-sandbox disables this)")?;
        }
    }
    Ok(())
}

/// Makes the system kill this process when its parent exits, even if this process is stopped and
/// does not notice the end of the socket pair.
fn end_with_parent() -> io::Result<()> {
    let mut signal = libc::SIGKILL;
    // SAFETY: the number 0 is this process, and the operation reads a signal number from the pointer, which is that of
    // a `c_int`.
    let result = unsafe { libc::procctl(libc::P_PID, 0, libc::PROC_PDEATHSIG_CTL, (&raw mut signal).cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
