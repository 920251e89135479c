// SPDX-License-Identifier: BSD-2-Clause

//! The file that says which process runs, locked while it lives.
//!
//! The daemonize crate locks one too, but after the fork, where the caller
//! does not hear that another instance runs, and it does not say which.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tcpstats_source::{FileId, Sentence};

/// A locked pidfile.  It is emptied at the end, not removed: who has given up
/// root may not write in its directory, and a name that is taken from under a
/// lock would let two instances run.
pub struct Pidfile {
    name: String,
    file: File,
}

impl Pidfile {
    /// Creates it, unless it exists, and locks it.  A file that exists must be
    /// empty or hold a process id: nothing else is ever written over.
    ///
    /// # Errors
    /// A sentence; where another instance holds the lock, with its number.
    pub fn lock(path: &Path) -> Result<Self, Sentence> {
        let name = path.display().to_string();
        let said = |error: io::Error| format!("pidfile {name}: {error}");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            // A FIFO is refused, and not waited for.
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(said)?;
        if !file.metadata().map_err(said)?.is_file() {
            return Err(format!("pidfile {name}: expected a regular file"));
        }
        read_number(&mut file, &name)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { name, file }),
            Err(TryLockError::Error(error)) => Err(said(error)),
            Err(TryLockError::WouldBlock) => Err(match read_number(&mut file, &name)?.as_str() {
                "" => format!("another siftr_cdev_logger is starting; it holds the pidfile {name}"),
                number => format!("another siftr_cdev_logger runs as process {number}; it holds the pidfile {name}"),
            }),
        }
    }

    /// Returns which file it is.
    ///
    /// # Errors
    /// A sentence with what the system said.
    pub fn id(&self) -> Result<FileId, Sentence> {
        FileId::of(&self.file).map_err(|error| format!("pidfile {}: {error}", self.name))
    }

    /// Writes this process's number.
    ///
    /// # Errors
    /// A sentence with what the system said.
    pub fn write(&mut self) -> Result<(), Sentence> {
        let number = format!("{}\n", std::process::id());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(number.as_bytes()));
        written.map_err(|error| format!("pidfile {}: {error}", self.name))
    }
}

/// Reads the process id in the file, empty where there is none.
fn read_number(file: &mut File, name: &str) -> Result<String, Sentence> {
    /// More than any process id and line break have.
    const MAX: u64 = 32;
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("pidfile {name}: {error}"))?;
    // Zeros are what a power cut leaves of a file.
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let digits: Vec<u8> = bytes.iter().copied().filter(|byte| !is_blank(byte)).collect();
    let has_one = bytes.split(is_blank).filter(|part| !part.is_empty()).count() <= 1;
    match String::from_utf8(digits) {
        Ok(digits) if has_one && bytes.len() as u64 <= MAX && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(digits)
        }
        _ => Err(format!(
            "pidfile {name}: the file exists and holds something other than a process id; name another file"
        )),
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            log::warn!("pidfile {}: {error}", self.name);
        }
    }
}
