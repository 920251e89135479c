// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A log in a file, in which every write is complete or absent.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};
use tcpstats::{Columns, FieldSet};
use tcpstats_log::{Content, Expected};
use tcpstats_source::system::standard_output_was_closed;
use tcpstats_source::{AnchoredPath, DirectoryState, FileId, InUse, is_standard_output, refuse_in_use, system_error};

use crate::options::Layout;

/// An open log.
pub struct LogFile {
    file: File,
    /// The path from which it is reopened, if it is.
    place: Option<AnchoredPath>,
    name: String,
    mode: Mode,
    layout: Layout,
    in_use: Vec<InUse>,
    /// The directories to which the sandbox restricts the log; `None` without a
    /// sandbox.
    granted: Option<Vec<FileId>>,
    /// Whether it is a regular file: others can be neither truncated nor continued.
    is_regular: bool,
    is_standard_output: bool,
    /// Number of bytes of a failed write at the end of the file, which are going to
    /// be removed.
    torn_bytes: u64,
}

/// The file in which a log continues.
pub struct Next {
    file: File,
    /// Its path, if it could be resolved.
    place: Option<AnchoredPath>,
    /// What it contained.
    pub found: Found,
}

/// What a file contained when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether it contains complete lines or frames, and the header row if the
    /// format has one.
    pub continued: bool,
    /// Number of bytes of a truncated line or frame of an earlier run that were
    /// removed from its end.
    pub torn_bytes: u64,
    /// The columns with which it is continued, if they are not the expected ones.
    pub columns: Option<Columns>,
}

impl LogFile {
    /// Opens the log.  A log that is not empty must be as expected; a damaged log
    /// is moved aside.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened or continued; it is not changed.
    pub fn open(
        path: &Path,
        mode: Mode,
        layout: &Layout,
        expected: &Expected,
        in_use: Vec<InUse>,
    ) -> Result<(Self, Found)> {
        let name = path.display().to_string();
        let failed = |cause: io::Error| Error::new(cause).context(format!("log {name}"));
        let is_standard_output = is_standard_output(path);
        if is_standard_output && standard_output_was_closed() {
            bail!("log {name}: standard output is closed");
        }
        let (file, place, is_regular) = if path == Path::new("-") {
            let mut file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
            let is_regular = file.metadata().map_err(failed)?.is_file();
            if is_regular {
                file.seek(SeekFrom::End(0)).map_err(failed)?;
            }
            (file, None, is_regular)
        } else {
            let place = AnchoredPath::of(path).map_err(failed)?;
            // A FIFO or a device cannot be read, and has nothing to continue.
            if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
                let file = place.open(OFlag::O_WRONLY | OFlag::O_APPEND, mode).map_err(failed)?;
                (file, None, false)
            } else {
                let file = open_regular(&place, mode).map_err(failed)?;
                (file, Some(place), true)
            }
        };
        refuse(&file, &name, &in_use)?;
        let mut log = Self {
            file,
            place,
            name: name.clone(),
            mode,
            layout: layout.clone(),
            in_use,
            granted: None,
            is_regular,
            is_standard_output,
            torn_bytes: 0,
        };
        let mut found = Found::default();
        if let Some(place) = &log.place {
            (log.file, found) = log.take(log.file.try_clone().map_err(failed)?, place, expected)?;
        }
        Ok((log, found))
    }

    /// Opens the file that has the name of the log now, if it is another file.
    ///
    /// # Errors
    /// Returns an error if the log must continue in the old file.
    pub fn open_next(&self, expected: &Expected) -> Result<Option<Next>> {
        let Some(current) = &self.place else {
            return Ok(None);
        };
        let failed = |cause: io::Error| Error::new(cause).context(format!("log {}", self.name));
        // Resolves the path again.  If the sandbox or the permissions prevent that, the file is opened in the current
        // directory.
        let place = match (current.directory_state(), AnchoredPath::of(current.path())) {
            (DirectoryState::Removed(directory), _) => {
                bail!("log {}: directory {} no longer exists", self.name, directory.display());
            }
            (_, Ok(place)) => Some(place),
            (DirectoryState::Current, Err(_)) => None,
            (DirectoryState::Replaced(directory), Err(error)) => {
                return Err(match self.granted {
                    Some(_) => self.outside(&directory),
                    None => failed(error),
                });
            }
        };
        let file = open_regular(place.as_ref().unwrap_or(current), self.mode).map_err(|error| {
            let beyond = match (&self.granted, &place) {
                (Some(granted), Some(place)) => place.first_outside(granted).filter(|_| is_denied(&error)),
                // In Capsicum the target of a link cannot be determined.
                (Some(_), None) => current.path().parent().filter(|_| is_not_capable(&error)),
                (None, _) => None,
            };
            beyond.map_or_else(|| failed(error), |directory| self.outside(directory))
        })?;
        let (old, new) = (FileId::of(&self.file).map_err(failed)?, FileId::of(&file).map_err(failed)?);
        if old == new {
            return Ok(None);
        }
        if !file.metadata().map_err(failed)?.is_file() {
            bail!("log {}: expected a regular file", self.name);
        }
        refuse(&file, &self.name, &self.in_use)?;
        let (file, found) = self.take(file, place.as_ref().unwrap_or(current), expected)?;
        Ok(Some(Next { file, place, found }))
    }

    /// Returns the error that the sandbox does not allow a directory.
    fn outside(&self, directory: &Path) -> Error {
        anyhow!(
            "log {}: the sandbox allows only the directories that the log used at the start, not {}; \
             restart the logger, or use --no-sandbox",
            self.name,
            directory.display()
        )
    }

    /// Registers that a sandbox restricts the log to its current directories.
    pub fn confined(&mut self) {
        self.granted = self.place.as_ref().map(AnchoredPath::directory_ids);
    }

    /// Locks the file and removes a truncated end.  A damaged file is moved aside
    /// and a new one is opened.
    fn take(&self, file: File, place: &AnchoredPath, expected: &Expected) -> Result<(File, Found)> {
        let name = &self.name;
        let failed = |cause: io::Error| Error::new(cause).context(format!("log {name}"));
        lock(&file, name)?;
        let len = file.metadata().map_err(failed)?.len();
        if len == 0 {
            return Ok((file, Found::default()));
        }
        let Some(format) = self.layout.format else {
            return Ok((file, Found::default()));
        };
        match format.inspect(&file, len, expected).map_err(failed)? {
            Content::Log { complete, continued, columns } => {
                if complete < len {
                    file.set_len(complete).map_err(failed)?;
                }
                if let Some(found) = &columns {
                    log::warn!("log {name}: {}", continues_with(found, &expected.columns));
                }
                Ok((file, Found { continued, torn_bytes: len - complete, columns }))
            }
            Content::Damaged(at) => {
                let aside = move_aside(place)
                    .with_context(|| format!("log {name}: damaged at byte {at} and cannot be renamed; move it away"))?;
                log::warn!("log {name}: damaged at byte {at}; renamed to {aside}; starting a new log");
                let file = open_regular(place, self.mode).map_err(failed)?;
                lock(&file, name)?;
                Ok((file, Found::default()))
            }
            Content::Other => Err(anyhow!(
                "log {name}: file exists and cannot be continued; expected {}; name another file or move this one away",
                format.described()
            )),
        }
    }

    /// Continues in another file; returns the old one.
    pub fn replace(&mut self, next: Next) -> File {
        self.torn_bytes = 0;
        if next.place.is_some() {
            self.place = next.place;
        }
        std::mem::replace(&mut self.file, next.file)
    }

    /// Appends all bytes of both parts, or none.
    pub fn append(&mut self, parts: [&[u8]; 2]) -> io::Result<()> {
        self.remove_torn()?;
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
                    // Another process may have made standard output non-blocking.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(error) => return self.give_up(written, error),
                }
            }
        }
        Ok(())
    }

    /// Removes the bytes of a failed write.
    fn give_up(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        if self.is_regular {
            self.torn_bytes = written as u64;
            // If that fails too, the next write tries again.
            let _ = self.remove_torn();
        }
        Err(error)
    }

    fn remove_torn(&mut self) -> io::Result<()> {
        if self.torn_bytes > 0 {
            // Another process may have truncated the file meanwhile.
            let len = self.file.metadata()?.len();
            self.file.set_len(len.saturating_sub(self.torn_bytes))?;
            // Standard output may not be in append mode.
            self.file.seek(SeekFrom::End(0))?;
            self.torn_bytes = 0;
        }
        Ok(())
    }

    /// Syncs the file to disk.
    pub fn sync(&self) -> io::Result<()> {
        if self.is_regular { self.file.sync_data() } else { Ok(()) }
    }

    /// Changes the owner of a log that is still empty to the user that the logger
    /// runs as.
    pub fn give_to(&self, uid: Uid, gid: Gid) -> Result<()> {
        let give = || -> io::Result<()> {
            if self.place.is_some() && self.file.metadata()?.len() == 0 {
                fchown(&self.file, Some(uid), Some(gid))?;
            }
            Ok(())
        };
        give().with_context(|| format!("log {}: cannot change its owner", self.name))
    }

    /// Returns the path from which the log is reopened, if it is.
    pub fn place(&self) -> Option<&AnchoredPath> {
        self.place.as_ref()
    }

    /// Returns whether the log is standard output, whose reader may close it.
    pub fn is_standard_output(&self) -> bool {
        self.is_standard_output
    }

    /// Returns whether the bytes of a failed write can be removed.
    pub fn can_be_cut(&self) -> bool {
        self.is_regular
    }

    /// Returns the path as given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Returns the warning that a log is continued with its own columns.
fn continues_with(found: &Columns, wanted: &Columns) -> String {
    let found = FieldSet::of(found);
    let missing: Vec<_> = wanted.fields().filter(|field| !found.has(field)).map(|field| field.name).collect();
    let without = match missing.as_slice() {
        [] => String::new(),
        missing => format!(" (missing: {})", missing.join(", ")),
    };
    format!("its columns differ from the default; keeping them until the next rotation{without}")
}

fn open_regular(place: &AnchoredPath, mode: Mode) -> io::Result<File> {
    place.open(OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT, mode)
}

/// Locks the file, if its file system supports locks.
fn lock(file: &File, name: &str) -> Result<()> {
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => bail!("log {name}: another siftr_cdev_logger is writing to it"),
        Err(TryLockError::Error(error)) => log::info!("log {name}: cannot lock it: {}", system_error(&error)),
    }
    Ok(())
}

fn refuse(file: &File, name: &str, in_use: &[InUse]) -> Result<()> {
    let id = FileId::of(file).with_context(|| format!("log {name}"))?;
    refuse_in_use(id, in_use).with_context(|| format!("log {name}"))
}

/// Renames a damaged log to an unused name.
fn move_aside(place: &AnchoredPath) -> io::Result<String> {
    let endings = std::iter::once(".damaged".to_owned()).chain((1..1000).map(|number| format!(".damaged.{number}")));
    for ending in endings {
        match place.rename(&ending) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            renamed => return renamed.map(|name| name.display().to_string()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Returns whether permissions are the reason, which includes Landlock.
fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Returns whether Capsicum is the reason.
fn is_not_capable(error: &io::Error) -> bool {
    #[cfg(target_os = "freebsd")]
    return matches!(error.raw_os_error(), Some(libc::ENOTCAPABLE | libc::ECAPMODE));
    #[cfg(not(target_os = "freebsd"))]
    return error.kind() == io::ErrorKind::PermissionDenied;
}
