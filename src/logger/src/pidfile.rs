// SPDX-License-Identifier: BSD-2-Clause

//! The file that says which process runs, locked while it lives.
//!
//! The daemonize crate locks one too, but after the fork, where the caller
//! does not hear that another instance runs, and it does not say which.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tcpstats_source::Sentence;

/// A locked pidfile.  It is emptied at the end, not removed: who has given up
/// root may not write in its directory, and a name that is taken from under a
/// lock would let two instances run.
pub struct Pidfile {
    name: String,
    file: File,
}

impl Pidfile {
    /// Creates it where it is not there, and locks it.
    ///
    /// # Errors
    /// A sentence; where another instance holds the lock, with its number.
    pub fn lock(path: &Path) -> Result<Self, Sentence> {
        let name = path.display().to_string();
        let said = |error: std::io::Error| format!("pidfile {name}: {error}");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)
            .map_err(said)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { name, file }),
            Err(TryLockError::Error(error)) => Err(said(error)),
            Err(TryLockError::WouldBlock) => {
                let mut number = String::new();
                file.read_to_string(&mut number).map_err(said)?;
                Err(match number.trim() {
                    "" => format!("another siftr_cdev_logger is starting; it holds the pidfile {name}"),
                    number => {
                        format!("another siftr_cdev_logger runs as process {number}; it holds the pidfile {name}")
                    }
                })
            }
        }
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

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            log::warn!("pidfile {}: {error}", self.name);
        }
    }
}
