// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Where the bytes of a log come from.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes to be read.
pub type Input = Box<dyn Read + Send>;

/// Observes how far logs have been read.
pub trait Progress: Send + Sync {
    /// A log of this length in bytes will be read; `None` if the length is unknown.
    fn add(&self, len: Option<u64>);

    /// Some bytes were read.
    fn advance(&self, bytes: u64);
}

/// Ignores how far logs have been read.
pub(crate) struct NoProgress;

impl Progress for NoProgress {
    fn add(&self, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

/// The bytes of a log, and the file that they come from.
pub struct Source<'a> {
    /// The bytes, decompressed.
    pub input: Input,
    /// The path, `-` for standard input.
    pub path: &'a Path,
    /// Whether the bytes are compressed in the file.
    pub is_compressed: bool,
    /// The observer of the bytes that are read.
    pub progress: Arc<dyn Progress>,
}
