// SPDX-License-Identifier: BSD-2-Clause

//! Standard output as it was inherited.
//!
//! The standard library hides two losses.  Before `main` it opens `/dev/null`
//! in place of a closed descriptor, and its `Stdout` takes EBADF for success.
//! So whether the descriptor was closed is asked before that, and writing goes
//! to the descriptor itself.

use std::fs::File;
use std::io::{self, Write, stdout};
use std::os::fd::AsFd;

use tcpstats_source::system::standard_output_was_closed;

/// Standard output, without a buffer.
#[derive(Debug)]
pub struct Stdout(File);

impl Stdout {
    /// Opens standard output.
    ///
    /// # Errors
    /// EBADF if the program was started with standard output closed.
    pub fn open() -> io::Result<Self> {
        if standard_output_was_closed() {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(Self(File::from(stdout().as_fd().try_clone_to_owned()?)))
    }

    /// The file behind it.
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
