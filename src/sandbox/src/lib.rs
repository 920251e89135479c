// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The sandbox, which takes away every right that a running program does not need.
//!
//! Descriptors that are open remain usable, so a server can still accept connections.

#[cfg(target_os = "freebsd")]
mod capsicum;
#[cfg(target_os = "linux")]
mod landlock;

use anyhow::Context as _;
use tcpstats_source::AnchoredPath;

/// The resources that a running program needs, besides those that are open.
#[derive(Default)]
pub struct Needs<'a> {
    /// The path at which files are opened, created and written: those in its directory and, if
    /// it is a symbolic link, in the directories to which the link leads.
    pub log: Option<&'a AnchoredPath>,
    /// The path from which a source is reopened.
    pub source: Option<&'a AnchoredPath>,
    /// The daemon to which the program connects again.
    pub daemon: Option<Daemon>,
}

/// A daemon, by what connecting to it needs.
#[derive(Clone, Copy, Debug)]
pub enum Daemon {
    /// A TCP port.
    Tcp(u16),
    /// A local or a UDP socket.
    Other,
}

/// The result of entering the sandbox.
pub struct Confinement {
    /// The sandbox, or why there is none, for the log.
    pub text: String,
    /// Whether the process is confined.
    pub is_entered: bool,
    /// The sandbox that this kernel lacks.
    pub lacks: Option<&'static str>,
}

impl Confinement {
    /// Returns the result for a process that is not confined.
    #[must_use]
    pub fn none(why: &str) -> Self {
        Self { text: why.into(), is_entered: false, lacks: None }
    }

    /// Returns the result for a kernel without this sandbox.
    fn lacking(sandbox: &'static str) -> Self {
        Self { lacks: Some(sandbox), ..Self::none(&format!("none: this kernel has no {sandbox}")) }
    }

    /// Returns the result for a process that this sandbox confines.
    fn by(what: &str) -> Self {
        Self { text: what.into(), is_entered: true, lacks: None }
    }
}

/// Confines this thread and the threads that it starts, permanently; on FreeBSD, the
/// process.
///
/// # Errors
/// Returns the error of the system.  A system without a sandbox is not an error.
pub fn confine(needs: &Needs<'_>) -> anyhow::Result<Confinement> {
    #[cfg(target_os = "linux")]
    let confined = landlock::confine(needs);
    #[cfg(target_os = "freebsd")]
    let confined = capsicum::confine(needs);
    confined.context("cannot enter the sandbox (--no-sandbox disables it)")
}
