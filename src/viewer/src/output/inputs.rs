// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The input files, none of which may be overwritten.

use std::fs::{File, Metadata, metadata};
use std::io::stdin;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// A set of files, identified by device and inode because a file can have
/// several names.
#[derive(Debug, Default)]
pub struct Inputs(Vec<(u64, u64)>);

impl Inputs {
    /// Returns the files at these paths, `-` for standard input.  Paths that do
    /// not exist are ignored; opening them fails later.
    pub fn of(paths: &[PathBuf]) -> Self {
        let of_stdin = || File::from(stdin().as_fd().try_clone_to_owned()?).metadata();
        let files = paths.iter().filter_map(|path| match path.as_os_str() {
            name if name == "-" => of_stdin().ok(),
            _ => metadata(path).ok(),
        });
        Self(files.filter_map(|file| device_and_inode(&file)).collect())
    }

    /// Returns whether a file is an input.
    pub fn contain(&self, file: &Metadata) -> bool {
        device_and_inode(file).is_some_and(|file| self.0.contains(&file))
    }
}

/// Returns `None` for devices such as terminals and `/dev/null`, which can be
/// read and written at the same time.
fn device_and_inode(file: &Metadata) -> Option<(u64, u64)> {
    (!file.file_type().is_char_device()).then(|| (file.dev(), file.ino()))
}
