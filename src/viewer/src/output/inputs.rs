// SPDX-License-Identifier: BSD-2-Clause

//! The files that are read, so that none of them is written.

use std::fs::{File, Metadata, metadata};
use std::io::stdin;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// Files by device and inode: names can lie.
#[derive(Debug, Default)]
pub struct Inputs(Vec<(u64, u64)>);

impl Inputs {
    /// The files at those paths, `-` for standard input.  Paths without a file
    /// are ignored; opening them is an error later.
    pub fn of(paths: &[PathBuf]) -> Self {
        let of_stdin = || File::from(stdin().as_fd().try_clone_to_owned()?).metadata();
        let files = paths.iter().filter_map(|path| match path.as_os_str() {
            name if name == "-" => of_stdin().ok(),
            _ => metadata(path).ok(),
        });
        Self(files.filter_map(|file| identity(&file)).collect())
    }

    /// Whether that is one of them.
    pub fn contain(&self, file: &Metadata) -> bool {
        identity(file).is_some_and(|file| self.0.contains(&file))
    }
}

/// Device and inode; `None` for devices such as terminals and `/dev/null`, which
/// can be read and written at the same time.
fn identity(file: &Metadata) -> Option<(u64, u64)> {
    (!file.file_type().is_char_device()).then(|| (file.dev(), file.ino()))
}
