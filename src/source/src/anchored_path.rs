// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Paths whose directories are kept open, so that a file can be reopened after
//! privileges have been dropped.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, fstatat};

/// Directories are only opened for looking up names, so they need not be
/// readable.
#[cfg(target_os = "linux")]
const SEARCH: OFlag = OFlag::O_PATH;
#[cfg(target_os = "freebsd")]
const SEARCH: OFlag = OFlag::O_EXEC;

/// Maximum number of symbolic links to follow, as in the kernels.
const LINKS_MAX: usize = 40;

/// The identity of a file, independent of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of an open file.
    ///
    /// # Errors
    /// Returns the error of fstat(2).
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::of_metadata(&file.metadata()?))
    }

    /// Returns the identity of the file with this metadata.
    #[must_use]
    pub fn of_metadata(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    #[allow(clippy::useless_conversion, reason = "the members' types differ between systems")]
    fn from(status: &libc::stat) -> Self {
        Self { device: status.st_dev.into(), inode: status.st_ino.into() }
    }
}

/// Whether an [`AnchoredPath`] still leads through the directories that are
/// open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// It does, or the sandbox does not allow the check.
    Current,
    /// The path of a directory now leads to another directory.
    Replaced(PathBuf),
    /// The path of a directory no longer exists.
    Removed(PathBuf),
}

/// A name in an open directory.
struct Hop {
    directory: OwnedFd,
    /// The absolute path of the directory.
    path: PathBuf,
    name: OsString,
    /// The target, if the name is a symbolic link.
    link: Option<OsString>,
}

impl Hop {
    fn new(directory: OwnedFd, path: PathBuf, name: OsString) -> Self {
        let link = readlinkat(&directory, name.as_os_str()).ok();
        Self { directory, path, name, link }
    }

    /// Follows the symbolic link, if the name is one and its target names a
    /// file.
    fn next(&self) -> io::Result<Option<Self>> {
        let Some(link) = self.link.as_deref().map(Path::new) else {
            return Ok(None);
        };
        let Some(name) = link.file_name() else {
            return Ok(None);
        };
        let parent = parent_of(link);
        let directory = openat(&self.directory, parent, search(), Mode::empty())?;
        Ok(Some(Self::new(directory, self.path.join(parent), name.to_owned())))
    }

    fn id(&self) -> Option<FileId> {
        fstat(&self.directory).ok().map(|status| FileId::from(&status))
    }

    fn status(&self, flags: AtFlags) -> nix::Result<FileId> {
        fstatat(&self.directory, self.name.as_os_str(), flags).map(|status| FileId::from(&status))
    }

    /// Looks up the path of the directory from the root directory, which is
    /// open too, because Capsicum does not allow absolute paths.
    fn directory_state(&self, root: &OwnedFd) -> DirectoryState {
        let relative = self.path.strip_prefix("/").unwrap_or(&self.path);
        let relative = if relative == Path::new("") { Path::new(".") } else { relative };
        let named = fstatat(root, relative, AtFlags::empty()).map(|status| FileId::from(&status));
        match (self.id(), named) {
            (Some(open), Ok(named)) if open != named => DirectoryState::Replaced(self.path.clone()),
            (_, Err(Errno::ENOENT | Errno::ENOTDIR)) => DirectoryState::Removed(self.path.clone()),
            _ => DirectoryState::Current,
        }
    }

    fn is_unchanged(&self) -> bool {
        readlinkat(&self.directory, self.name.as_os_str()).ok() == self.link
    }
}

/// The path of a file, and the open directories that lead to the file: more than
/// one if the path is a symbolic link.
pub struct AnchoredPath {
    path: PathBuf,
    root: OwnedFd,
    hops: Vec<Hop>,
}

impl AnchoredPath {
    /// Opens the directory of the path and, if the path is a symbolic link, the
    /// directories to which the link leads.
    ///
    /// # Errors
    /// Returns the error of open(2), or an error if the path does not name a
    /// file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::IsADirectory))?;
        let parent = parent_of(&path);
        let root = open("/", search(), Mode::empty())?;
        let directory = open(parent, search(), Mode::empty())?;
        let mut hops = vec![Hop::new(directory, parent.to_owned(), name.to_owned())];
        while hops.len() <= LINKS_MAX
            && let Some(next) = hops.last().and_then(|hop| hop.next().transpose())
        {
            match next {
                Ok(hop) => hops.push(hop),
                Err(_) => break,
            }
        }
        // The text of a link need not be a path, for example in /proc/self/fd.
        if let [first, .., last] = &hops[..]
            && first.status(AtFlags::empty()) != last.status(AtFlags::AT_SYMLINK_NOFOLLOW)
        {
            hops.truncate(1);
        }
        Ok(Self { path, root, hops })
    }

    /// Opens the file in the directories that are open, even if they have been
    /// moved.
    ///
    /// # Errors
    /// Returns the error of openat(2).
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        // Links are followed here and not by the kernel, because Capsicum does
        // not allow a link to leave its directory.
        for hop in self.hops.iter().filter(|_| self.hops.len() > 1) {
            match openat(&hop.directory, hop.name.as_os_str(), flags | OFlag::O_NOFOLLOW, mode) {
                Err(Errno::ELOOP | Errno::EMLINK) if hop.is_unchanged() => (),
                Err(Errno::ELOOP | Errno::EMLINK) => break,
                opened => return Ok(opened?.into()),
            }
        }
        let first = &self.hops[0];
        Ok(openat(&first.directory, first.name.as_os_str(), flags, mode)?.into())
    }

    /// Appends `ending` to the name of the file and returns the new name.  The
    /// directories stay open.
    ///
    /// # Errors
    /// Returns the error of renameat(2), or an error if the name exists.
    pub fn rename(&self, ending: &str) -> io::Result<OsString> {
        let Some(Hop { directory, name, .. }) = self.hops.last() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut to = name.clone();
        to.push(ending);
        match fstatat(directory, to.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => (),
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        nix::fcntl::renameat(directory, name.as_os_str(), directory, to.as_os_str())?;
        Ok(to)
    }

    /// Returns whether the path still leads to the directories that are open.
    #[must_use]
    pub fn directory_state(&self) -> DirectoryState {
        for hop in &self.hops {
            match hop.directory_state(&self.root) {
                // If the link was changed, the directories after it no longer matter.
                DirectoryState::Current if hop.is_unchanged() => (),
                state => return state,
            }
        }
        DirectoryState::Current
    }

    /// Returns the identities of the directories.
    #[must_use]
    pub fn directory_ids(&self) -> Vec<FileId> {
        self.hops.iter().filter_map(Hop::id).collect()
    }

    /// Returns the path of the first directory that is not in `granted`.
    #[must_use]
    pub fn first_outside(&self, granted: &[FileId]) -> Option<&Path> {
        let is_granted = |hop: &&Hop| hop.id().is_some_and(|id| granted.contains(&id));
        self.hops.iter().find(|hop| !is_granted(hop)).map(|hop| hop.path.as_path())
    }

    /// Returns the absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directories in which the file is opened.  The first is the
    /// directory of the name itself.
    pub fn directories(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.hops.iter().map(|hop| hop.directory.as_fd())
    }

    /// Returns the root directory, which is only used to look up paths.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn search() -> OFlag {
    SEARCH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(OsStr::new(".")))
}
