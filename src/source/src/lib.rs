// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Sources of snapshots, which the logger samples and the viewer shows live.
//! All platform differences are in this crate.

mod anchored_path;
mod device;
mod error;
mod filter;
#[cfg(target_os = "linux")]
mod linux;
mod output;
pub mod system;

use std::ffi::OsStr;
use std::path::Path;

use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter};

pub use crate::anchored_path::{AnchoredPath, DirectoryState, FileId};
pub use crate::error::{Error, report, system_error};
pub use crate::filter::{FilterError, parse_filter};
pub use crate::output::{InUse, SameFile, is_standard_output, refuse_in_use};

/// The source that is used without `-d`.
pub const DEFAULT: &str = if cfg!(target_os = "linux") { SOCK_DIAG } else { "/dev/tcpstats" };

/// The name of Linux's own source.
const SOCK_DIAG: &str = "sock_diag";

/// The result of taking a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A snapshot was taken.
    Taken,
    /// The source has ended: a file of frames was read completely.
    End,
}

/// A source of snapshots.
pub trait Source {
    /// Takes a snapshot of the connections that the filter matches, into a
    /// buffer whose memory is reused.  The frame is complete, including its
    /// header.
    ///
    /// # Errors
    /// Returns the error of the source or the system.
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error>;

    /// Allows the source to omit fields that are not wanted, if that saves
    /// work.  The fields of the filter must be wanted.
    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool);

    /// Adds to each further snapshot the final records of the connections that have
    /// ended since the previous one.  Returns whether the source has them.
    ///
    /// # Errors
    /// Returns the error of the system.
    fn start_ledger(&mut self) -> Result<bool, Error>;

    /// Returns whether a source that failed may work again after
    /// [`Source::reopen`]: a kernel may work again, a damaged file never does.
    fn comes_back(&self) -> bool;

    /// Reopens the source.
    ///
    /// # Errors
    /// Returns the error of the system.  What was open stays open.
    fn reopen(&mut self) -> Result<(), Error>;

    /// Returns the path from which the source is reopened, or `None` if it is
    /// not reopened from a file.
    fn reopen_path(&self) -> Option<&AnchoredPath>;

    /// Returns the file that is read, or `None` for a kernel.
    fn file(&self) -> Option<FileId> {
        None
    }
}

/// Returns the name of the interface of this host with this index.
#[must_use]
pub fn zone_name(zone: u32) -> Option<String> {
    nix::net::if_::if_indextoname(zone).ok()?.into_string().ok()
}

/// Opens the source with this name.
///
/// # Errors
/// Returns the error of the system, or an error if the source is not available
/// on this platform.
pub fn open(name: impl AsRef<OsStr>, filter: Option<Filter>) -> Result<Box<dyn Source + Send>, Error> {
    let name = name.as_ref();
    #[cfg(target_os = "linux")]
    if let Some(open) = linux::opener(name) {
        return open(filter);
    }
    #[cfg(not(target_os = "linux"))]
    if name == SOCK_DIAG {
        return Err(Error::LinuxOnly);
    }
    Ok(Box::new(device::Device::open(Path::new(name), filter)?))
}
