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
pub mod owners;
mod stacks;
pub mod system;
mod watcher;

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter};

use crate::owners::User;

pub use crate::anchored_path::{AnchoredPath, DirectoryState, FileId};
pub use crate::error::{Error, report, system_error};
pub use crate::filter::{FilterError, parse_filter};
pub use crate::output::{InUse, SameFile, is_standard_output, refuse_in_use};
pub use crate::stacks::Stacks;
pub use crate::watcher::Watcher;

/// The source that is used without `-d`.
pub const DEFAULT: &str = if cfg!(target_os = "linux") { AUTO } else { "/dev/tcpstats" };

/// The names of the sources that only Linux has.  The first chooses one of the others.
const AUTO: &str = "auto";
const BPF: &str = "bpf";
const SOCK_DIAG: &str = "sock_diag";

/// The result of taking a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A snapshot was taken.
    Taken,
    /// The source has ended: a file of frames was read completely.
    End,
}

/// A connection, by the number that is unique in its network stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numbered {
    /// The number: the field gencnt.
    pub gencnt: u64,
    /// The network stack: the field vnet.  On Linux, numbers are unique in all of them.
    pub vnet: Option<u64>,
}

/// A source of snapshots.
///
/// A source that was opened by [`open_for_changes`] may return snapshots of changes.  The
/// flag [`CHANGED_ONLY`](tcpstats::frame::flag::CHANGED_ONLY) marks them, and the first
/// snapshot is complete.  A connection that is not in a snapshot of changes is unchanged,
/// unless it is among those that [`Source::gone`] returns.
pub trait Source {
    /// Takes a snapshot of the connections that the filter matches, into a
    /// buffer whose memory is reused.  The frame is complete, including its
    /// header.
    ///
    /// # Errors
    /// Returns the error of the source or the system.
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error>;

    /// Returns the connections that are gone, or that the filter no longer matches, as of
    /// the last snapshot of changes.  Some may never have been in a snapshot.
    fn gone(&mut self) -> Vec<Numbered> {
        Vec::new()
    }

    /// Makes the next snapshot complete.
    fn restart_changes(&mut self) {}

    /// Allows the source to omit fields that are not wanted, if that saves
    /// work.  The fields of the filter must be wanted.
    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool);

    /// Adds to each further snapshot the final records of the connections that have
    /// ended since the previous one.  Returns whether the source has them.
    ///
    /// # Errors
    /// Returns the error of the system.
    fn start_ledger(&mut self) -> Result<bool, Error>;

    /// Notes from now on which process opens each connection or, if it is accepted, closes it, if
    /// the source can.  This may need privileges.
    ///
    /// # Errors
    /// Returns the reason why that is not possible although the source supports it.
    fn note_users(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the process that has opened or closed a connection, if it was noted and is not
    /// forgotten.
    fn user(&self, _id: Numbered) -> Option<User> {
        None
    }

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

    /// Returns the part of the source that needs privileges for as long as the source is
    /// used, if there is one, for a process that keeps them.  Without such a process, the
    /// source runs it in a thread from the first snapshot.
    fn watcher(&mut self) -> Option<Watcher> {
        None
    }

    /// Connects the source to its [watcher](Source::watcher), by the other end of the
    /// socket pair whose one end the watcher has.
    fn connect(&mut self, _watcher: OwnedFd) {}

    /// Returns what users must know about the last snapshots, although they were taken.
    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

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

/// A source, and how it was chosen.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source + Send>,
    /// Its name.
    pub name: OsString,
    /// Why a source that would have been preferred cannot be used.
    pub passed_over: Option<Error>,
}

impl Opened {
    fn new(name: impl Into<OsString>, source: impl Source + Send + 'static) -> Self {
        Self { source: Box::new(source), name: name.into(), passed_over: None }
    }
}

/// Opens the source with this name, whose snapshots are complete and have the connections
/// of these network stacks.
///
/// The source applies the filter to its own records, in which fields that are joined later are
/// absent.  If fields are joined, open the source with [`Filter::without`] these fields, and
/// apply the complete filter afterwards.
///
/// # Errors
/// Returns the error of the system, or an error if the source is not available
/// on this platform.
pub fn open(name: impl AsRef<OsStr>, filter: Option<Filter>, stacks: &Stacks) -> Result<Opened, Error> {
    open_source(name.as_ref(), filter, false, stacks)
}

/// Opens the source with this name for a reader that needs only the changes between
/// snapshots.  A device returns them if its ledger is on.
///
/// # Errors
/// As [`open`].
pub fn open_for_changes(name: impl AsRef<OsStr>, filter: Option<Filter>, stacks: &Stacks) -> Result<Opened, Error> {
    open_source(name.as_ref(), filter, true, stacks)
}

fn open_source(name: &OsStr, filter: Option<Filter>, of_changes: bool, stacks: &Stacks) -> Result<Opened, Error> {
    #[cfg(target_os = "linux")]
    if let Some(opened) = linux::open(name, filter.as_ref(), of_changes, stacks) {
        return opened;
    }
    #[cfg(not(target_os = "linux"))]
    if [AUTO, BPF, SOCK_DIAG].iter().any(|linux| name == *linux) {
        return Err(Error::LinuxOnly { name: name.to_string_lossy().into_owned() });
    }
    Ok(Opened::new(name, device::Device::open(Path::new(name), filter, of_changes, stacks)?))
}
