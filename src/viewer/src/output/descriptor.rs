// SPDX-License-Identifier: BSD-2-Clause

//! Names such as `/dev/stdout` and `/dev/fd/3`, which are not files but
//! descriptors.

use std::fs::{File, canonicalize, read_link};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use super::Stdout;

/// Symbolic links to follow, as the kernel limits them.
const LINKS_MAX: usize = 40;

/// Follows the symbolic links of the last part of a path, also where nothing
/// exists at the end.
///
/// # Errors
/// ELOOP.
pub fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        if number(&path).is_some() {
            return Ok(path);
        }
        match read_link(&path) {
            Ok(to) => path = folder(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// The folder that a path is in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The descriptor of this process that a path names.
pub fn number(path: &Path) -> Option<RawFd> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let folder = canonicalize(folder(path)).ok()?;
    let own = canonicalize("/proc/self/fd").ok();
    (folder == Path::new("/dev/fd") || Some(folder) == own).then_some(number)
}

/// A duplicate of the descriptor.
///
/// # Errors
/// EBADF if it is not open.
pub fn duplicate(number: RawFd) -> io::Result<File> {
    if number == libc::STDOUT_FILENO {
        return Stdout::open()?.file().try_clone();
    }
    // SAFETY: fcntl(2) with F_GETFD takes any number and changes nothing.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and nothing else in the program closes what it did not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(File::from(descriptor.try_clone_to_owned()?))
}
