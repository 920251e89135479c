// SPDX-License-Identifier: BSD-2-Clause

//! A log in a file, of which every write is there whole or not at all.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};
use tcpstats_source::{Place, Sentence};

use super::continued::{Content, content};
use crate::options::Format;

/// An open log.
pub struct LogFile {
    file: File,
    /// Where it is opened again, if it is.
    place: Option<Place>,
    name: String,
    mode: Mode,
    /// A pipe, a terminal or a device can neither be cut nor continued.
    is_regular: bool,
    /// Bytes of a write that failed, which stand at the file's end until they
    /// can be cut off.
    torn_bytes: u64,
}

/// What a file held when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether whole lines or frames stand in it, and the header row where the
    /// format has one.
    pub continued: bool,
    /// Bytes of a torn line or frame that an earlier run left at its end, and
    /// that were removed.
    pub torn_bytes: u64,
}

impl LogFile {
    /// Opens the log; one that holds something must be of that format and, in
    /// CSV, have that header row.
    ///
    /// # Errors
    /// A sentence; the file is as it was.
    pub fn open(path: &Path, mode: Mode, format: &Format, header: &str) -> Result<(Self, Found), Sentence> {
        let name = path.display().to_string();
        let said = |error: io::Error| format!("log {name}: {error}");
        if path == Path::new("-") {
            let mut file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(said)?);
            let is_regular = file.metadata().map_err(said)?.is_file();
            if is_regular {
                file.seek(SeekFrom::End(0)).map_err(said)?;
            }
            return Ok((Self { file, place: None, name, mode, is_regular, torn_bytes: 0 }, Found::default()));
        }
        let place = Place::of(path).map_err(said)?;
        // A FIFO or a device cannot be read back, and has nothing to continue.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let file = place.open(OFlag::O_WRONLY | OFlag::O_APPEND, mode).map_err(said)?;
            return Ok((Self { file, place: None, name, mode, is_regular: false, torn_bytes: 0 }, Found::default()));
        }
        let file = open_regular(&place, mode).map_err(said)?;
        let found = take(&file, &name, format, header)?;
        Ok((Self { file, place: Some(place), name, mode, is_regular: true, torn_bytes: 0 }, found))
    }

    /// Opens the file that has the log's name now, if it is another one.
    ///
    /// # Errors
    /// A sentence; the log goes on in the old file.
    pub fn open_next(&self, format: &Format, header: &str) -> Result<Option<(File, Found)>, Sentence> {
        let Some(place) = &self.place else {
            return Ok(None);
        };
        let said = |error: io::Error| format!("log {}: {error}", self.name);
        let file = open_regular(place, self.mode).map_err(said)?;
        let (old, new) = (self.file.metadata().map_err(said)?, file.metadata().map_err(said)?);
        if (old.dev(), old.ino()) == (new.dev(), new.ino()) {
            return Ok(None);
        }
        if !new.is_file() {
            return Err(format!("log {}: what has its name now is no regular file", self.name));
        }
        let found = take(&file, &self.name, format, header)?;
        Ok(Some((file, found)))
    }

    /// Goes on in that file; gives the old one.
    pub fn replace(&mut self, file: File) -> File {
        self.torn_bytes = 0;
        std::mem::replace(&mut self.file, file)
    }

    /// Appends all of the bytes, part by part, or none of them.
    pub fn append(&mut self, parts: [&[u8]; 2]) -> io::Result<()> {
        self.cut_torn()?;
        let mut written = 0;
        for mut rest in parts {
            while !rest.is_empty() {
                match self.file.write(rest) {
                    Ok(0) => return self.give_up(written, io::ErrorKind::WriteZero.into()),
                    Ok(len) => {
                        rest = &rest[len..];
                        written += len;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    // Whoever shares standard output may have made it non-blocking.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(error) => return self.give_up(written, error),
                }
            }
        }
        Ok(())
    }

    /// Removes what was written of a write that failed.
    fn give_up(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        if self.is_regular {
            self.torn_bytes = written as u64;
            // Where that fails too, the next write begins with it.
            let _ = self.cut_torn();
        }
        Err(error)
    }

    fn cut_torn(&mut self) -> io::Result<()> {
        if self.torn_bytes > 0 {
            // Somebody may have truncated the file meanwhile.
            let len = self.file.metadata()?.len();
            self.file.set_len(len.saturating_sub(self.torn_bytes))?;
            // Standard output may not have been opened to append.
            self.file.seek(SeekFrom::End(0))?;
            self.torn_bytes = 0;
        }
        Ok(())
    }

    /// Has what was written reach the disk.
    pub fn sync(&self) -> io::Result<()> {
        if self.is_regular { self.file.sync_data() } else { Ok(()) }
    }

    /// Gives a log that is still empty to the user that the logger becomes.
    pub fn give_to(&self, uid: Uid, gid: Gid) -> Result<(), Sentence> {
        let give = || -> io::Result<()> {
            if self.place.is_some() && self.file.metadata()?.len() == 0 {
                fchown(&self.file, Some(uid), Some(gid))?;
            }
            Ok(())
        };
        give().map_err(|error| format!("log {}: it cannot be given to its user: {error}", self.name))
    }

    /// The directory that the log is opened again in, if it is.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.place.as_ref().map(Place::directory)
    }

    /// Whether what a write that failed has written can be removed again.
    pub fn can_be_cut(&self) -> bool {
        self.is_regular
    }

    /// The path as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn open_regular(place: &Place, mode: Mode) -> io::Result<File> {
    place.open(OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT, mode)
}

/// Locks the file and cuts off what is torn at its end.
fn take(file: &File, name: &str, format: &Format, header: &str) -> Result<Found, Sentence> {
    let said = |error: io::Error| format!("log {name}: {error}");
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => return Err(format!("log {name}: another siftr_cdev_logger writes it")),
        // Not every file system has locks.
        Err(TryLockError::Error(error)) => log::info!("log {name}: it cannot be locked: {error}"),
    }
    let len = file.metadata().map_err(said)?.len();
    if len == 0 {
        return Ok(Found::default());
    }
    let Some(Content { whole, continued }) = content(file, len, format, header).map_err(said)? else {
        return Err(format!(
            "log {name}: it holds something other than the {} asked for, which would not fit behind it; \
             name another file, or move this one away",
            match format {
                Format::Csv(_) => "CSV with the columns",
                Format::Json(_) => "JSON Lines",
                Format::Siftr => "siftr log",
                Format::Bin => "binary frames",
                Format::Pairs(_) => "key=value lines",
            }
        ));
    };
    if whole < len {
        file.set_len(whole).map_err(said)?;
    }
    Ok(Found { continued, torn_bytes: len - whole })
}
