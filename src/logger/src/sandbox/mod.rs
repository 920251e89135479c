// SPDX-License-Identifier: BSD-2-Clause

//! Giving up every right that the running logger does not need.
//!
//! What stays: to read, create and write files in the log's directory, to read
//! the source, and to reach the syslog daemon that `-l` names.

#[cfg(target_os = "freebsd")]
mod capsicum;
#[cfg(target_os = "linux")]
mod landlock;

use std::os::fd::BorrowedFd;

use tcpstats_source::{Place, Sentence};

use crate::syslog::Target;

/// What the running logger needs.
pub struct Needs<'a> {
    /// The directory that the log is opened again in.
    pub log_directory: Option<BorrowedFd<'a>>,
    /// Where the source is opened again.
    pub source: Option<&'a Place>,
    /// Where records are sent.
    pub syslog: Option<&'a Target>,
}

/// Confines the process for good; gives by what, for the log.
///
/// # Errors
/// A sentence with what the system said.  A system that has no sandbox is no
/// error, but is told.
pub fn confine(needs: &Needs<'_>) -> Result<String, Sentence> {
    #[cfg(target_os = "linux")]
    let confined = landlock::confine(needs);
    #[cfg(target_os = "freebsd")]
    let confined = capsicum::confine(needs);
    confined.map_err(|error| format!("the sandbox cannot be entered: {error}; --no-sandbox goes without"))
}
