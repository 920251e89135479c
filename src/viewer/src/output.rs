// SPDX-License-Identifier: BSD-2-Clause

//! The end of what is written to standard output.

use std::io::{self, ErrorKind, Write, stdout};
use std::process::ExitCode;

use tcpstats_source::Sentence;

/// Writes all of it.
pub fn write(bytes: &[u8]) -> Result<ExitCode, Sentence> {
    let mut to = stdout().lock();
    end(to.write_all(bytes).and_then(|()| to.flush()))
}

/// What came of writing: a reader that went away has seen enough.
pub fn end(written: io::Result<()>) -> Result<ExitCode, Sentence> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(format!("standard output: {error}")),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}
