// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Outputs: the names of standard output, and files that must not be written
//! because the program uses them for something else.

use std::path::Path;

use thiserror::Error;

use crate::FileId;

/// The names of standard output.
const STANDARD_OUTPUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Returns whether the path is a name of standard output.
#[must_use]
pub fn is_standard_output(path: &Path) -> bool {
    STANDARD_OUTPUT.iter().any(|name| path == Path::new(name))
}

/// A file that the program uses for something else, so that it must not be
/// written.
pub struct InUse {
    /// The identity of the file.
    pub id: FileId,
    /// The use of the file and its name, for messages.
    pub what: String,
}

/// An output is a file that the program uses for something else.
#[derive(Debug, Error)]
#[error("same file as {0}; name another file")]
pub struct SameFile(String);

/// Checks that a file is not one of those in use.
///
/// # Errors
/// Returns [`SameFile`] if it is.
pub fn refuse_in_use(id: FileId, in_use: &[InUse]) -> Result<(), SameFile> {
    match in_use.iter().find(|other| other.id == id) {
        Some(other) => Err(SameFile(other.what.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_output_has_several_names() {
        assert!(["-", "/dev/stdout", "/dev/fd/1"].into_iter().all(|name| is_standard_output(Path::new(name))));
        assert!(["./-", "/dev/fd/2", "x.log"].into_iter().all(|name| !is_standard_output(Path::new(name))));
    }

    #[test]
    fn a_file_in_use_is_found_under_any_name() {
        let id = |path: &str| FileId::of_metadata(&Path::new(path).metadata().unwrap());
        let in_use = [InUse { id: id("/dev"), what: "the source".into() }];
        let error = refuse_in_use(id("/dev/."), &in_use).unwrap_err();
        assert_eq!(error.to_string(), "same file as the source; name another file");
        assert!(refuse_in_use(id("/"), &in_use).is_ok());
    }
}
