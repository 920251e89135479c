// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A log as a source of snapshots.

use std::path::Path;

use tcpstats::Filter;
use tcpstats_log::{Error, FullSnapshots, Snapshot};

use crate::log::{self, Watch};

/// The snapshots of a log.
pub struct Replay {
    snapshots: FullSnapshots,
    #[cfg_attr(not(feature = "top"), allow(dead_code, reason = "only top hides progress"))]
    watch: Watch,
}

impl Replay {
    /// Opens the log at a path, `-` for standard input.
    ///
    /// # Errors
    /// Returns an error if the log cannot be opened or is not a log.
    pub fn open(path: &Path, filter: Option<Filter>) -> Result<Self, Error> {
        let (log, watch) = log::open(path)?;
        Ok(Self { snapshots: FullSnapshots::new(log, filter), watch })
    }

    /// Stops showing progress and printing warnings.
    #[cfg(feature = "top")]
    pub fn quiet(&mut self) {
        self.watch.quiet();
    }

    /// Returns whether the records are those of Linux.
    #[cfg(feature = "serve")]
    pub fn is_linux(&self) -> bool {
        self.snapshots.is_linux()
    }

    /// Returns whether the filter of the logger can leave out some records of a connection.
    #[cfg(feature = "serve")]
    pub fn is_partial(&self) -> bool {
        self.snapshots.is_partial()
    }

    /// Returns the next complete snapshot, or `None` at the end.
    ///
    /// # Errors
    /// Returns an error with the position in the log.
    pub fn next(&mut self) -> Result<Option<Snapshot>, Error> {
        self.snapshots.next()
    }

    /// Returns the final records of the log and its last header, or `None` if there is
    /// no complete snapshot.
    ///
    /// # Errors
    /// Returns an error with the position in the log.
    pub fn all_ended(&mut self) -> Result<Option<Snapshot>, Error> {
        self.snapshots.all_ended()
    }

    /// Returns the last complete snapshot, or `None` if there is none.
    ///
    /// # Errors
    /// Returns an error with the position in the log.
    pub fn last(&mut self) -> Result<Option<Snapshot>, Error> {
        self.snapshots.last()
    }
}
