// SPDX-License-Identifier: BSD-2-Clause

//! A file's name in a directory that is kept open, so that it can be opened
//! again after every other right has been given up.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// Only names are looked up in the directory; its list need not be readable.
#[cfg(target_os = "linux")]
const SEARCH: OFlag = OFlag::O_PATH;
#[cfg(target_os = "freebsd")]
const SEARCH: OFlag = OFlag::O_EXEC;

/// A name in an open directory.
pub struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Place {
    /// Opens the directory that the path lies in.
    ///
    /// # Errors
    /// What open(2) said, or that the path names no file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::IsADirectory))?.to_owned();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = open(parent, SEARCH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { directory, name })
    }

    /// Opens the file, wherever its directory has gone meanwhile.
    ///
    /// # Errors
    /// What openat(2) said.
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        Ok(openat(&self.directory, self.name.as_os_str(), flags, mode)?.into())
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
