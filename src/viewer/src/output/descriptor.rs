// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Names such as `/dev/stdout` and `/dev/fd/3`, which are descriptors and not
//! files.

use std::fs::{File, canonicalize, read_link};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use super::standard::Stdout;

/// The maximum number of symbolic links to follow, as in the kernel.
const LINKS_MAX: usize = 40;

/// Follows the symbolic links of the last component of a path, even if the file
/// they point to does not exist.
///
/// # Errors
/// Returns ELOOP if there are too many links.
pub fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        if number(&path).is_some() {
            return Ok(path);
        }
        match read_link(&path) {
            Ok(to) => path = directory(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Returns the directory that contains a path.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the descriptor of this process that a path names.
pub fn number(path: &Path) -> Option<RawFd> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let directory = canonicalize(directory(path)).ok()?;
    let own = canonicalize("/proc/self/fd").ok();
    (directory == Path::new("/dev/fd") || Some(directory) == own).then_some(number)
}

/// Returns a duplicate of a descriptor.
///
/// # Errors
/// Returns EBADF if the descriptor is not open.
pub fn duplicate(number: RawFd) -> io::Result<File> {
    if number == libc::STDOUT_FILENO {
        return Stdout::open()?.file().try_clone();
    }
    // SAFETY: fcntl(2) with F_GETFD accepts any number and changes nothing.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and no part of the program closes a descriptor that it did not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(File::from(descriptor.try_clone_to_owned()?))
}
