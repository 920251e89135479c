// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The sandbox, which takes away every right that the running logger does not
//! need.
//!
//! The logger can still read, create and write files in the log's directory and,
//! if the log is a symbolic link, in the directories to which the link leads; it
//! can read the source, and reach the syslog daemon of `-l`.

#[cfg(target_os = "freebsd")]
mod capsicum;
#[cfg(target_os = "linux")]
mod landlock;

use anyhow::Context as _;
use tcpstats_source::AnchoredPath;

use crate::syslog::Target;

/// The resources that the running logger needs.
pub struct Needs<'a> {
    /// The path from which the log is reopened.
    pub log: Option<&'a AnchoredPath>,
    /// The path from which the source is reopened.
    pub source: Option<&'a AnchoredPath>,
    /// The daemon to which records are sent.
    pub syslog: Option<&'a Target>,
}

/// The result of entering the sandbox.
pub struct Confinement {
    /// The sandbox, or why there is none, for the log.
    pub text: String,
    /// Whether the process is confined.
    pub is_entered: bool,
}

impl Confinement {
    /// Returns the result for a process that is not confined.
    pub fn none(why: &str) -> Self {
        Self { text: why.into(), is_entered: false }
    }

    /// Returns the result for a process that this sandbox confines.
    fn by(what: &str) -> Self {
        Self { text: what.into(), is_entered: true }
    }
}

/// Confines the process permanently.
///
/// # Errors
/// Returns the error of the system.  If the system has no sandbox, a warning is
/// logged instead.
pub fn confine(needs: &Needs<'_>) -> anyhow::Result<Confinement> {
    #[cfg(target_os = "linux")]
    let confined = landlock::confine(needs);
    #[cfg(target_os = "freebsd")]
    let confined = capsicum::confine(needs);
    confined.context("cannot enter the sandbox (--no-sandbox disables it)")
}
