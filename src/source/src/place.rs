// SPDX-License-Identifier: BSD-2-Clause

//! The name of a file in directories that are kept open, so that the file can
//! be reopened after every other right has been given up.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, fstatat};

/// Only names are looked up in the directory; its list need not be readable.
#[cfg(target_os = "linux")]
const SEARCH: OFlag = OFlag::O_PATH;
#[cfg(target_os = "freebsd")]
const SEARCH: OFlag = OFlag::O_EXEC;

/// Symbolic links that are followed, as the kernels limit them.
const LINKS_MAX: usize = 40;

/// Which file it is, whatever its names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of an open file.
    ///
    /// # Errors
    /// What fstat(2) said.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    #[allow(clippy::useless_conversion, reason = "the members' types differ between systems")]
    fn from(status: &libc::stat) -> Self {
        Self { device: status.st_dev.into(), inode: status.st_ino.into() }
    }
}

/// Whether the directories of a place are still those that its path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are, or the sandbox does not let it be known.
    Current,
    /// Another directory has the path of this one.
    Replaced(PathBuf),
    /// No directory has the path of this one any more.
    Gone(PathBuf),
}

/// A name in an open directory.
struct Hop {
    directory: OwnedFd,
    /// The directory's path, absolute.
    path: PathBuf,
    name: OsString,
    /// Where the name is a symbolic link, its text.
    link: Option<OsString>,
}

impl Hop {
    fn new(directory: OwnedFd, path: PathBuf, name: OsString) -> Self {
        let link = readlinkat(&directory, name.as_os_str()).ok();
        Self { directory, path, name, link }
    }

    /// Follows the link, if it is one that names a file.
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

    /// Looks the directory's path up from the root directory, which is held as
    /// well: Capsicum knows no paths of other beginnings.
    fn standing(&self, root: &OwnedFd) -> Standing {
        let relative = self.path.strip_prefix("/").unwrap_or(&self.path);
        let relative = if relative == Path::new("") { Path::new(".") } else { relative };
        let named = fstatat(root, relative, AtFlags::empty()).map(|status| FileId::from(&status));
        match (self.id(), named) {
            (Some(held), Ok(named)) if held != named => Standing::Replaced(self.path.clone()),
            (_, Err(Errno::ENOENT | Errno::ENOTDIR)) => Standing::Gone(self.path.clone()),
            _ => Standing::Current,
        }
    }

    fn is_unchanged(&self) -> bool {
        readlinkat(&self.directory, self.name.as_os_str()).ok() == self.link
    }
}

/// A file's name, and the directories that lead to the file: more than one
/// where the name is a symbolic link.
pub struct Place {
    path: PathBuf,
    root: OwnedFd,
    hops: Vec<Hop>,
}

impl Place {
    /// Opens the directory that the path lies in and, where it is a symbolic
    /// link, those that the link leads to.
    ///
    /// # Errors
    /// What open(2) said, or that the path names no file.
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
        // The text of a link need not say where it leads: /proc/self/fd has such.
        if let [first, .., last] = &hops[..]
            && first.status(AtFlags::empty()) != last.status(AtFlags::AT_SYMLINK_NOFOLLOW)
        {
            hops.truncate(1);
        }
        Ok(Self { path, root, hops })
    }

    /// Opens the file in the directories that are held, wherever they have been
    /// moved to.
    ///
    /// # Errors
    /// What openat(2) said.
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        // A link is followed here and not by the kernel: Capsicum lets none lead out of its directory.
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

    /// Renames the file, whose directories are held, to its own name with that
    /// ending; returns the new name.
    ///
    /// # Errors
    /// What renameat(2) said, or that the name is taken.
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

    /// Returns whether the directories are still those that the path names.
    #[must_use]
    pub fn standing(&self) -> Standing {
        for hop in &self.hops {
            match hop.standing(&self.root) {
                // Where the link was changed, the directories after it do not matter any more.
                Standing::Current if hop.is_unchanged() => (),
                standing => return standing,
            }
        }
        Standing::Current
    }

    /// Returns which directories these are.
    #[must_use]
    pub fn directory_ids(&self) -> Vec<FileId> {
        self.hops.iter().filter_map(Hop::id).collect()
    }

    /// Returns the first directory that is not one of those.
    #[must_use]
    pub fn beyond(&self, granted: &[FileId]) -> Option<&Path> {
        let is_granted = |hop: &&Hop| hop.id().is_some_and(|id| granted.contains(&id));
        self.hops.iter().find(|hop| !is_granted(hop)).map(|hop| hop.path.as_path())
    }

    /// Returns the path, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directories that the file is opened in; the first is the
    /// name's own.
    pub fn directories(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.hops.iter().map(|hop| hop.directory.as_fd())
    }

    /// Returns the root directory, in which nothing but paths is looked up.
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
