// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The pidfile, which is locked while the process runs.
//!
//! The daemonize crate locks a pidfile only after the fork, when it cannot report
//! to the caller that another instance is running.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, bail};
use tcpstats_source::{FileId, system_error};

/// A locked pidfile.  It is truncated at the end and not removed: a process that
/// has dropped root privileges may not write to its directory, and two instances
/// could run if a locked file lost its name.
pub struct Pidfile {
    name: String,
    file: File,
}

impl Pidfile {
    /// Creates the file unless it exists, and locks it.  An existing file must
    /// be empty or contain a process ID: nothing else is ever overwritten.
    ///
    /// # Errors
    /// Returns the error of the system, or an error if the file contains
    /// something else or another instance, which is named, holds the lock.
    pub fn lock(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let about = || format!("pidfile {name}");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            // Opening a FIFO must not block.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .with_context(about)?;
        if !file.metadata().with_context(about)?.is_file() {
            bail!("pidfile {name}: expected a regular file");
        }
        read_number(&mut file, &name)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { name, file }),
            Err(TryLockError::Error(error)) => Err(error).with_context(about),
            Err(TryLockError::WouldBlock) => match read_number(&mut file, &name)?.as_str() {
                "" => bail!("pidfile {name}: locked by another siftr_cdev_logger, which is starting"),
                number => bail!("pidfile {name}: locked by another siftr_cdev_logger, process {number}"),
            },
        }
    }

    /// Returns the identity of the file.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn id(&self) -> anyhow::Result<FileId> {
        FileId::of(&self.file).with_context(|| format!("pidfile {}", self.name))
    }

    /// Writes the ID of this process.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn write(&mut self) -> anyhow::Result<()> {
        let number = format!("{}\n", std::process::id());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(number.as_bytes()));
        written.with_context(|| format!("pidfile {}", self.name))
    }
}

/// Reads the process ID in the file, an empty string if there is none.
fn read_number(file: &mut File, name: &str) -> anyhow::Result<String> {
    /// More than the length of any process ID with a line break.
    const MAX: u64 = 32;
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(MAX + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("pidfile {name}"))?;
    // A file may contain zeros after a power failure.
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| !is_blank(byte)).collect();
    let has_one = bytes.split(is_blank).filter(|part| !part.is_empty()).count() <= 1;
    match String::from_utf8(digits) {
        Ok(digits) if has_one && bytes.len() as u64 <= MAX && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(digits)
        }
        _ => bail!("pidfile {name}: file exists and does not contain a process ID; name another file"),
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            log::warn!("pidfile {}: {}", self.name, system_error(&error));
        }
    }
}
