// SPDX-License-Identifier: BSD-2-Clause

//! Files to write, which appear complete or not at all.
//!
//! The bytes go to a temporary file in the same folder, which takes the name of
//! the file when all of it is on the disk.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, metadata};
#[cfg(feature = "convert")]
use std::io::IsTerminal;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tcpstats_source::Sentence;

use super::{Inputs, Stdout, descriptor, interrupt};
use crate::log::{name, said};

/// A file that is going to be written.
pub struct OutputFile {
    name: String,
    file: File,
    /// Where the temporary file goes; `None` if what is written is not a file.
    target: Option<Target>,
}

/// The place of a file.
struct Target {
    path: PathBuf,
    /// Whether a file that is there may be replaced.
    replace: bool,
}

/// What became of an output while it was written, shared with the writer of its
/// bytes.
pub struct Outcome {
    name: String,
    target: Option<Target>,
    error: Arc<Mutex<Option<io::Error>>>,
    /// The same file as the writer's.
    file: File,
}

/// Bytes on their way into the file; remembers what went wrong.
struct Watched {
    file: File,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl OutputFile {
    /// Prepares to write to that path, `-` for standard output.  What is there
    /// is not touched before [`Outcome::finish`].
    ///
    /// # Errors
    /// A message that names the path: it is one of the inputs, it exists and
    /// `force` is not given, or the system refuses.
    pub fn create(path: &Path, inputs: &Inputs, force: bool) -> Result<Self, Sentence> {
        let name = if path.as_os_str() == "-" { "standard output".into() } else { name(path) };
        Self::open(&name, path, inputs, force).map_err(|what| format!("{name}: {what}"))
    }

    fn open(name: &str, path: &Path, inputs: &Inputs, force: bool) -> Result<Self, String> {
        let system = |error: io::Error| said(&error);
        let direct = |file: File| {
            let is_input = file.metadata().is_ok_and(|found| inputs.contain(&found));
            if is_input { Err(INPUT.into()) } else { Ok(Self { name: name.into(), file, target: None }) }
        };
        if path.as_os_str() == "-" {
            return direct(Stdout::open().and_then(|stdout| stdout.file().try_clone()).map_err(system)?);
        }
        let path = descriptor::follow(path).map_err(system)?;
        if let Some(number) = descriptor::number(&path) {
            return direct(descriptor::duplicate(number).map_err(system)?);
        }
        let there = match metadata(&path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(said(&error)),
        };
        if let Some(there) = &there {
            let kind = there.file_type();
            if inputs.contain(there) {
                return Err(INPUT.into());
            }
            if kind.is_dir() {
                return Err("is a directory; expected the name of a file".into());
            }
            if kind.is_char_device() || kind.is_fifo() || kind.is_socket() {
                return direct(OpenOptions::new().write(true).open(&path).map_err(system)?);
            }
            if !force {
                return Err(EXISTS.into());
            }
            // Renaming would not ask whether this file may be written.
            let file = OpenOptions::new().write(true).open(&path).map_err(system)?;
            if kind.is_block_device() {
                return direct(file);
            }
        }
        let file = temporary(descriptor::folder(&path), there.as_ref()).map_err(|error| match error.kind() {
            ErrorKind::NotFound => said(&error),
            _ => format!("cannot create a temporary file in its folder: {}", said(&error)),
        })?;
        Ok(Self { name: name.into(), file, target: Some(Target { path, replace: force }) })
    }

    /// Whether it is a terminal.
    #[cfg(feature = "convert")]
    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Starts writing: a buffered writer, and what has to be
    /// [finished](Outcome::finish) after it.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(mut self) -> Result<(Box<dyn Write + Send>, Outcome), Sentence> {
        let copy = || self.file.try_clone().map_err(|error| format!("{}: {}", self.name, said(&error)));
        let (file, same) = (copy()?, copy()?);
        let error = Arc::new(Mutex::new(None));
        let (name, target) = (std::mem::take(&mut self.name), self.target.take());
        let outcome = Outcome { name, target, error: error.clone(), file: same };
        Ok((Box::new(BufWriter::with_capacity(256 * 1024, Watched { file, error })), outcome))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// A message that names the file.
    #[cfg(feature = "plot")]
    pub fn write(self, bytes: &[u8]) -> Result<ExitCode, Sentence> {
        let (mut to, outcome) = self.start()?;
        // The outcome knows the error.
        let _ = to.write_all(bytes).and_then(|()| to.flush());
        drop(to);
        outcome.finish(Ok(ExitCode::SUCCESS))
    }
}

/// A temporary file that was not put into its place goes away.
impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.target.is_some() {
            interrupt::discard();
        }
    }
}

const INPUT: &str = "is also an input; cannot write over the log that is read";
const EXISTS: &str = "file exists; use -f to overwrite";

/// Creates a temporary file, with the rights and the owner of the file that it
/// is going to replace.
fn temporary(folder: &Path, replaced: Option<&Metadata>) -> io::Result<File> {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let file = loop {
        let path = folder.join(format!(".tcpstats-{}-{seed:08x}.tmp", std::process::id()));
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path);
        match interrupt::create(&path, create) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => seed = seed.wrapping_add(0x9e37_79b9),
            created => break created?,
        }
    };
    if let Some(replaced) = replaced {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
            // Only root can give files away; without that it belongs to its writer.
            let _ = fchown(&file, Some(replaced.uid()), Some(replaced.gid()));
        }
        file.set_permissions(Permissions::from_mode(replaced.mode() & 0o777))?;
    }
    Ok(file)
}

impl Write for Watched {
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

impl Outcome {
    /// Puts the file into its place, if all of it could be written; `done` is
    /// what came of the rest, and decides where the output did not fail.  A
    /// reader that closed a pipe has seen enough: that is not an error.
    ///
    /// # Errors
    /// That of `done`, or a message that names the file.
    pub fn finish(self, done: Result<ExitCode, Sentence>) -> Result<ExitCode, Sentence> {
        let said = |error: &io::Error| format!("{}: {}", self.name, said(error));
        if let Some(error) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return if error.kind() == ErrorKind::BrokenPipe { Ok(ExitCode::SUCCESS) } else { Err(said(&error)) };
        }
        let Some(target) = &self.target else {
            return done;
        };
        self.file.sync_all().map_err(|error| said(&error))?;
        let placed = interrupt::keep(|temporary| place(temporary, target));
        placed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{}: {EXISTS}", self.name),
            _ => said(&error),
        })?;
        done
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        if self.target.is_some() {
            interrupt::discard();
        }
    }
}

/// Gives the temporary file its name.
fn place(temporary: &Path, target: &Target) -> io::Result<()> {
    if target.replace {
        return fs::rename(temporary, &target.path);
    }
    match fs::hard_link(temporary, &target.path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Not every file system has hard links.
        Err(_) if fs::symlink_metadata(&target.path).is_err() => fs::rename(temporary, &target.path),
        Err(_) => Err(ErrorKind::AlreadyExists.into()),
    }
}
