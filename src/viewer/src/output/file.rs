// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Files to write, which appear complete or not at all.
//!
//! The bytes go to a temporary file in the same directory.  When it is complete
//! and on disk, it is renamed to the file.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, metadata};
#[cfg(feature = "convert")]
use std::io::IsTerminal;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::descriptor;
use super::error::OutputError;
use super::inputs::Inputs;
use super::interrupt;
use super::standard::{STANDARD_OUTPUT, Stdout};

/// A file that is going to be written.
pub struct OutputFile {
    name: String,
    file: File,
    /// The target of the temporary file, or `None` if the output is written
    /// directly.
    target: Option<Target>,
}

/// The path to which a temporary file is renamed.
struct Target {
    path: PathBuf,
    /// Whether an existing file may be replaced.
    replace: bool,
}

/// An output that is being written and must be [finished](Self::finish).
pub struct PendingOutput {
    name: String,
    target: Option<Target>,
    /// The first error of the writer.
    error: Arc<Mutex<Option<io::Error>>>,
    /// The same file as the writer's.
    file: File,
}

/// A writer that records its first error.
struct ErrorRecorder {
    file: File,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl OutputFile {
    /// Prepares to write to this path, `-` for standard output.  An existing file
    /// is not changed before [`PendingOutput::finish`].
    ///
    /// # Errors
    /// Returns an error if the path is one of the inputs, if it exists and
    /// `force` is not given, or if the system refuses.
    pub fn create(path: &Path, inputs: &Inputs, force: bool) -> Result<Self, OutputError> {
        let is_stdout = path.as_os_str() == "-";
        let name = if is_stdout { STANDARD_OUTPUT.to_owned() } else { path.display().to_string() };
        let system = |cause: io::Error| OutputError::System { name: name.clone(), cause };
        let direct = |file: File| {
            let is_input = file.metadata().is_ok_and(|found| inputs.contain(&found));
            let name = name.clone();
            if is_input { Err(OutputError::IsInput { name }) } else { Ok(Self { name, file, target: None }) }
        };
        if is_stdout {
            return direct(Stdout::open().and_then(|stdout| stdout.file().try_clone()).map_err(system)?);
        }
        let path = descriptor::follow(path).map_err(system)?;
        if let Some(number) = descriptor::number(&path) {
            return direct(descriptor::duplicate(number).map_err(system)?);
        }
        let existing = match metadata(&path) {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(system(error)),
        };
        if let Some(existing) = &existing {
            let kind = existing.file_type();
            if inputs.contain(existing) {
                return Err(OutputError::IsInput { name });
            }
            if kind.is_dir() {
                return Err(OutputError::IsDirectory { name });
            }
            if kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
                return direct(OpenOptions::new().write(true).open(&path).map_err(system)?);
            }
            if !force {
                return Err(OutputError::Exists { name });
            }
            // rename(2) does not check whether the file is writable.
            let file = OpenOptions::new().write(true).open(&path).map_err(system)?;
            if kind.is_block_device() {
                return direct(file);
            }
        }
        let file =
            create_temporary(descriptor::directory(&path), existing.as_ref()).map_err(|cause| match cause.kind() {
                ErrorKind::NotFound => system(cause),
                _ => OutputError::Temporary { name: name.clone(), cause },
            })?;
        Ok(Self { name, file, target: Some(Target { path, replace: force }) })
    }

    /// Returns whether the output is a terminal.
    #[cfg(feature = "convert")]
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Starts writing.  Returns a buffered writer, and what must be
    /// [finished](PendingOutput::finish) after it.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn start(mut self) -> Result<(Box<dyn Write + Send>, PendingOutput), OutputError> {
        let copy = || self.file.try_clone().map_err(|cause| OutputError::System { name: self.name.clone(), cause });
        let (file, same) = (copy()?, copy()?);
        let error = Arc::new(Mutex::new(None));
        let (name, target) = (std::mem::take(&mut self.name), self.target.take());
        let pending = PendingOutput { name, target, error: error.clone(), file: same };
        Ok((Box::new(BufWriter::with_capacity(256 * 1024, ErrorRecorder { file, error })), pending))
    }

    /// Writes the complete file.
    ///
    /// # Errors
    /// Returns the error of the system.
    #[cfg(feature = "plot")]
    pub fn write(self, bytes: &[u8]) -> Result<ExitCode, OutputError> {
        let (mut to, pending) = self.start()?;
        // The pending output records the error.
        let _ = to.write_all(bytes).and_then(|()| to.flush());
        drop(to);
        pending.finish(Ok(ExitCode::SUCCESS))
    }
}

/// Removes the temporary file, unless it was renamed.
impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.target.is_some() {
            interrupt::discard();
        }
    }
}

/// Creates a temporary file, with the permissions and the owner of the file that
/// it is going to replace.
fn create_temporary(directory: &Path, replaced: Option<&Metadata>) -> io::Result<File> {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let file = loop {
        let path = directory.join(format!(".tcpstats-{}-{seed:08x}.tmp", std::process::id()));
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path);
        match interrupt::create(&path, create) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => seed = seed.wrapping_add(0x9e37_79b9),
            created => break created?,
        }
    };
    if let Some(replaced) = replaced {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
            // Only root can change the owner; otherwise the file belongs to its writer.
            let _ = fchown(&file, Some(replaced.uid()), Some(replaced.gid()));
        }
        file.set_permissions(Permissions::from_mode(replaced.mode() & 0o777))?;
    }
    Ok(file)
}

impl Write for ErrorRecorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(copy);
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingOutput {
    /// Renames the temporary file to the target if all of it was written.
    ///
    /// `result` is the result of what was written, and is returned unless the
    /// output itself failed.  A reader that closes a pipe early is not an error.
    ///
    /// # Errors
    /// Returns the error of `result` or of the system.
    pub fn finish<E: From<OutputError>>(self, result: Result<ExitCode, E>) -> Result<ExitCode, E> {
        let system = |cause: io::Error| OutputError::System { name: self.name.clone(), cause };
        if let Some(error) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return if error.kind() == ErrorKind::BrokenPipe {
                Ok(ExitCode::SUCCESS)
            } else {
                Err(system(error).into())
            };
        }
        let Some(target) = &self.target else {
            return result;
        };
        self.file.sync_all().map_err(system)?;
        let renamed = interrupt::keep(|temporary| rename(temporary, target));
        renamed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => OutputError::Exists { name: self.name.clone() },
            _ => system(error),
        })?;
        result
    }
}

impl Drop for PendingOutput {
    fn drop(&mut self) {
        if self.target.is_some() {
            interrupt::discard();
        }
    }
}

/// Renames the temporary file to the target.
fn rename(temporary: &Path, target: &Target) -> io::Result<()> {
    if target.replace {
        return fs::rename(temporary, &target.path);
    }
    match fs::hard_link(temporary, &target.path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no hard links.
        Err(_) if fs::symlink_metadata(&target.path).is_err() => fs::rename(temporary, &target.path),
        Err(_) => Err(ErrorKind::AlreadyExists.into()),
    }
}
