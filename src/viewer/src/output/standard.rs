// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Standard output as inherited from the parent process.
//!
//! The standard library hides two kinds of data loss: it opens `/dev/null` in
//! place of a closed descriptor before `main`, and its `Stdout` treats EBADF as
//! success.  Therefore code that runs before `main` records whether the descriptor
//! was closed, and output is written directly to the descriptor.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::fd::AsFd;

use tcpstats_source::system::standard_output_was_closed;

/// The name of standard output in messages.
pub const STANDARD_OUTPUT: &str = "standard output";

/// Standard output, unbuffered.
#[derive(Debug)]
pub struct Stdout(File);

impl Stdout {
    /// Opens standard output.
    ///
    /// # Errors
    /// Returns EBADF if the program was started with standard output closed.
    pub fn open() -> io::Result<Self> {
        if standard_output_was_closed() {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(Self(File::from(stdout().as_fd().try_clone_to_owned()?)))
    }

    /// Returns the underlying file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
