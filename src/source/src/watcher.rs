// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The privileged part of a source.

#[cfg(target_os = "linux")]
pub use crate::linux::Watcher;

/// The privileged part of a source.  On this system no source has one.
#[cfg(not(target_os = "linux"))]
pub enum Watcher {}

#[cfg(not(target_os = "linux"))]
impl Watcher {
    /// Does nothing.
    pub fn run(self, _source: std::os::fd::OwnedFd) {
        match self {}
    }
}
