// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The bytes of a log: opened, decompressed, and with their start inspected.

mod compression;
pub mod lines;
mod source;

use std::fs::File;
use std::io::{self, Read, stdin};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use self::compression::{Compression, MAGIC_LEN};
use self::lines::BOM;
pub(crate) use self::source::NoProgress;
pub use self::source::{Input, Progress, Source};
use crate::error::Problem;

/// A reader that reports its bytes as progress.
struct Counted<R> {
    reader: R,
    progress: Arc<dyn Progress>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// Returns whether the path denotes standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Returns the name of a path in messages.
#[must_use]
pub fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

/// Reports a file, which must exist, to the observer.
pub fn announce(path: &Path, progress: &dyn Progress) -> Result<(), Problem> {
    if is_stdin(path) {
        progress.add(None);
        return Ok(());
    }
    let metadata = File::open(path).and_then(|file| file.metadata()).map_err(Problem::System)?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    progress.add(metadata.is_file().then_some(metadata.len()));
    Ok(())
}

/// Opens a log; returns its first bytes, without what may precede the first
/// line, and its source.
pub fn open<'a>(path: &'a Path, progress: &Arc<dyn Progress>) -> Result<(Vec<u8>, Source<'a>), Problem> {
    let file: Input = if is_stdin(path) {
        // A duplicate of the descriptor is not locked, so that any thread can read it.
        Box::new(File::from(stdin().as_fd().try_clone_to_owned().map_err(Problem::System)?))
    } else {
        Box::new(File::open(path).map_err(Problem::System)?)
    };
    let counted = Counted { reader: file, progress: Arc::clone(progress) };
    let (first, input) = peek(Box::new(counted), |first| first.len() >= MAGIC_LEN)?;
    let compression = Compression::of(&first);
    let input = match compression {
        Some(compression) => compression.decompress(input)?,
        None => input,
    };
    let (first, input) = peek(input, |first| first.len() >= BLANK_MAX || without_blank(first).len() >= PEEKED)?;
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return Err(Problem::Utf16);
    }
    let source = Source { input, path, is_compressed: compression.is_some(), progress: Arc::clone(progress) };
    Ok((without_blank(&first).to_vec(), source))
}

/// Returns a text without the byte order mark and the blank lines before it,
/// which other programs may have added.
fn without_blank(text: &[u8]) -> &[u8] {
    text.strip_prefix(BOM).unwrap_or(text).trim_ascii_start()
}

/// Maximum number of blank bytes that are read before the first line.
const BLANK_MAX: usize = 4096;

/// Number of bytes that are sufficient to detect a format.
const PEEKED: usize = 32;

/// Reads until the first bytes are sufficient; returns them, and a reader that
/// starts with them again.
fn peek(mut input: Input, is_sufficient: impl Fn(&[u8]) -> bool) -> Result<(Vec<u8>, Input), Problem> {
    let mut first = Vec::new();
    while !is_sufficient(&first) {
        // A pipe may stay open for a long time: read no more than needed.
        let missing = (PEEKED - first.len() % PEEKED) as u64;
        if input.by_ref().take(missing).read_to_end(&mut first).map_err(Problem::System)? == 0 {
            break;
        }
    }
    Ok((first.clone(), Box::new(io::Cursor::new(first).chain(input))))
}
