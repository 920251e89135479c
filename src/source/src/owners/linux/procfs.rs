// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Access to /proc without allocation: a readlink(2) of a descriptor takes 2 to 3 µs, so the
//! rest must not cost as much.

use std::ffi::CStr;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, StatxFlags, fstatfs, openat, readlinkat_raw, seek, statx,
};
use rustix::io::{Errno, read};

use super::parse::{Activity, Stat, container, socket_inode};

/// `PROC_SUPER_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0x9fa0;

/// The size of a buffer for directory entries and files.
const BUFFER: usize = 32 * 1024;

/// A path in /proc.
struct Path([u8; 64]);

impl Path {
    fn new(arguments: std::fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; 64];
        // The last byte remains zero.  No path here is longer than 40 bytes.
        _ = (&mut bytes[..63]).write_fmt(arguments);
        Self(bytes)
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

macro_rules! path {
    ($($argument:tt)*) => { Path::new(format_args!($($argument)*)).as_c_str() };
}

/// /proc.
pub struct Proc {
    root: OwnedFd,
    entries: Vec<MaybeUninit<u8>>,
    text: Vec<u8>,
}

/// A process in /proc.  What is read through it is of this process even if another one receives
/// its number meanwhile: the kernel reports an error once the process is gone.
pub struct ProcessDirectory(OwnedFd);

/// The descriptors of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// How many are open, or 0 before Linux 6.2.
    pub number: u64,
    /// The user and group whose processes may read them.
    pub owner: (u32, u32),
}

fn open_directory(at: impl AsFd, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(at, path, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Calls a function with each entry whose name is a number: the number, the name and the inode
/// number of the entry.  Stops at an error of the function.
fn each_number(
    directory: impl AsFd,
    buffer: &mut [MaybeUninit<u8>],
    mut each: impl FnMut(u32, &CStr, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut entries = RawDir::new(directory, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(number) = decimal(name.to_bytes()) {
            each(number, name, entry.ino())?;
        }
    }
    Ok(())
}

/// Returns the names of a directory that are numbers.
fn numbers(directory: impl AsFd, buffer: &mut [MaybeUninit<u8>]) -> Result<Vec<u32>, Errno> {
    let mut numbers = Vec::new();
    each_number(directory, buffer, |number, _, _| {
        numbers.push(number);
        Ok(())
    })?;
    Ok(numbers)
}

fn decimal(text: &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

/// Returns the start of a file's contents.
fn contents<'a>(at: impl AsFd, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // These files are returned by one read(2).
    let len = read(&file, &mut *buffer)?;
    Ok(&buffer[..len])
}

impl Proc {
    /// Opens /proc.
    ///
    /// # Errors
    /// Returns the error of the system, or an error if it is another file system.
    pub fn open() -> Result<Self, io::Error> {
        let root = open_directory(CWD, c"/proc", OFlags::RDONLY)?;
        if u64::try_from(fstatfs(&root)?.f_type) != Ok(MAGIC) {
            return Err(io::Error::other("not mounted"));
        }
        Ok(Self { root, entries: vec![MaybeUninit::uninit(); BUFFER], text: vec![0; BUFFER] })
    }

    /// Calls a function with the number of each process and the inode number of its directory,
    /// which the kernel allocates when it first shows the process, and again if it has dropped
    /// the directory from its cache.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn processes(&mut self, mut each: impl FnMut(u32, u64)) -> Result<(), Errno> {
        seek(&self.root, SeekFrom::Start(0))?;
        each_number(&self.root, &mut self.entries, |pid, _, inode| {
            each(pid, inode);
            Ok(())
        })
    }

    /// Returns how many descriptors a process has open, and who may read them.
    pub fn descriptors(&self, pid: u32) -> Result<Descriptors, Errno> {
        let mask = StatxFlags::SIZE | StatxFlags::UID | StatxFlags::GID;
        let found = statx(&self.root, path!("{pid}/fd"), AtFlags::empty(), mask)?;
        Ok(Descriptors { number: found.stx_size, owner: (found.stx_uid, found.stx_gid) })
    }

    /// Returns the activity of a thread of a process.
    ///
    /// # Errors
    /// Returns an error if it is unknown, or if the thread is gone.
    pub fn activity(&mut self, pid: u32, thread: u32) -> Result<Activity, Errno> {
        let text = if pid == thread {
            contents(&self.root, path!("{pid}/schedstat"), &mut self.text)
        } else {
            contents(&self.root, path!("{pid}/task/{thread}/schedstat"), &mut self.text)
        };
        Activity::parse(text?).ok_or(Errno::NOTSUP)
    }

    /// Returns the threads of a process.
    pub fn threads(&mut self, pid: u32) -> Result<Vec<u32>, Errno> {
        let tasks = open_directory(&self.root, path!("{pid}/task"), OFlags::RDONLY)?;
        numbers(tasks, &mut self.entries)
    }

    /// Returns what stat contains.
    pub fn stat(&mut self, pid: u32) -> Result<Stat, Errno> {
        Stat::parse(contents(&self.root, path!("{pid}/stat"), &mut self.text)?).ok_or(Errno::IO)
    }

    /// Opens the directory of a process.
    pub fn process(&self, pid: u32) -> Result<ProcessDirectory, Errno> {
        open_directory(&self.root, path!("{pid}"), OFlags::PATH).map(ProcessDirectory)
    }

    /// Returns what stat contains.
    pub fn stat_of(&mut self, process: &ProcessDirectory) -> Result<Stat, Errno> {
        Stat::parse(contents(&process.0, c"stat", &mut self.text)?).ok_or(Errno::IO)
    }

    /// Returns the container of a process, see [`container`].
    pub fn container_of(&mut self, process: &ProcessDirectory) -> Option<[u8; 64]> {
        container(contents(&process.0, c"cgroup", &mut self.text).ok()?)
    }

    /// Returns the threads of a process.
    pub fn threads_of(&mut self, process: &ProcessDirectory) -> Result<Vec<u32>, Errno> {
        numbers(open_directory(&process.0, c"task", OFlags::RDONLY)?, &mut self.entries)
    }

    /// Calls a function with each descriptor of a process, or of one of its threads, in
    /// ascending order, and with a function that returns the inode number of the descriptor if it
    /// is a socket.
    ///
    /// # Errors
    /// Returns the error of the system, for example if the descriptors may not be read.
    pub fn each_descriptor(
        &mut self,
        process: &ProcessDirectory,
        thread: Option<u32>,
        mut each: impl FnMut(u32, &dyn Fn() -> Result<Option<u32>, Errno>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let descriptors = match thread {
            Some(thread) => open_directory(&process.0, path!("task/{thread}/fd"), OFlags::RDONLY)?,
            None => open_directory(&process.0, c"fd", OFlags::RDONLY)?,
        };
        each_number(&descriptors, &mut self.entries, |number, name, _| {
            let inode = || {
                // Longer than the link of any socket.
                let mut link = [0; 32];
                match readlinkat_raw(&descriptors, name, &mut link) {
                    Ok(len) => Ok(socket_inode(&link[..len])),
                    // The permission is that to inspect the process.
                    Err(error @ (Errno::ACCESS | Errno::PERM)) => Err(error),
                    // It was closed.
                    Err(_) => Ok(None),
                }
            };
            each(number, &inode)
        })
    }
}

impl ProcessDirectory {
    /// Returns the number of open descriptors of a thread, or 0 before Linux 6.2.
    pub fn descriptors(&self, thread: u32) -> Result<u64, Errno> {
        Ok(statx(&self.0, path!("task/{thread}/fd"), AtFlags::empty(), StatxFlags::SIZE)?.stx_size)
    }
}

/// Returns whether an error means that the process no longer exists.
pub fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
}
