// SPDX-License-Identifier: BSD-2-Clause

//! Giving up every right that the running logger does not need.
//!
//! What stays: to read, create and write files in the log's directory and in
//! those that the log leads to as a symbolic link, to read the source, and to reach the syslog daemon that `-l` names.

#[cfg(target_os = "freebsd")]
mod capsicum;
#[cfg(target_os = "linux")]
mod landlock;

use tcpstats_source::{Place, Sentence};

use crate::syslog::Target;

/// What the running logger needs.
pub struct Needs<'a> {
    /// Where the log is opened again.
    pub log: Option<&'a Place>,
    /// Where the source is opened again.
    pub source: Option<&'a Place>,
    /// Where records are sent.
    pub syslog: Option<&'a Target>,
}

/// What became of the process.
pub struct Confinement {
    /// What confines it, or why nothing does, for the log.
    pub text: String,
    /// Whether anything does.
    pub is_entered: bool,
}

impl Confinement {
    /// Nothing confines the process.
    pub fn none(why: &str) -> Self {
        Self { text: why.into(), is_entered: false }
    }

    fn by(what: &str) -> Self {
        Self { text: what.into(), is_entered: true }
    }
}

/// Confines the process for good.
///
/// # Errors
/// A sentence with what the system said.  A system that has no sandbox is not
/// an error; a warning is logged.
pub fn confine(needs: &Needs<'_>) -> Result<Confinement, Sentence> {
    #[cfg(target_os = "linux")]
    let confined = landlock::confine(needs);
    #[cfg(target_os = "freebsd")]
    let confined = capsicum::confine(needs);
    confined.map_err(|error| format!("the sandbox cannot be entered: {error}; --no-sandbox goes without"))
}
