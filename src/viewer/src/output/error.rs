// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Errors of files to write.

use std::io;

use thiserror::Error;

/// Why a file cannot be written.
///
/// It is displayed without its cause; [`tcpstats_source::report`] prints both.
#[derive(Debug, Error)]
pub enum OutputError {
    /// A system call failed.
    #[error("{name}")]
    System {
        /// The output.
        name: String,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The temporary file cannot be created.
    #[error("{name}: cannot create a temporary file in its directory")]
    Temporary {
        /// The output.
        name: String,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The output is also an input.
    #[error("{name}: is also an input; cannot overwrite a log that is being read")]
    IsInput {
        /// The output.
        name: String,
    },
    /// The output is a directory.
    #[error("{name}: is a directory; expected the name of a file")]
    IsDirectory {
        /// The output.
        name: String,
    },
    /// The file exists and must not be replaced.
    #[error("{name}: file exists; use -f to overwrite")]
    Exists {
        /// The output.
        name: String,
    },
}

/// For code whose errors are text.
impl From<OutputError> for String {
    fn from(error: OutputError) -> Self {
        tcpstats_source::report(&error)
    }
}
