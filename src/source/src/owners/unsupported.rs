// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Systems on which owners cannot be found.

use super::{Owner, Socket};
use crate::Error;

/// Finds the owners of sockets.
pub struct Finder(());

impl Finder {
    /// Fails, because this system is not supported.
    ///
    /// # Errors
    /// Always returns [`Error::NoOwners`].
    pub fn open() -> Result<Self, Error> {
        Err(Error::NoOwners)
    }

    /// Returns the owner of each of these sockets.
    ///
    /// # Errors
    /// Always returns [`Error::NoOwners`].
    pub fn find(&mut self, _sockets: &[Socket]) -> Result<Vec<Owner>, Error> {
        Err(Error::NoOwners)
    }
}
