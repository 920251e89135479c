// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Confining a helper on FreeBSD: it can open no more descriptors, so it can neither use files
//! nor sockets, and cannot start processes.
//!
//! In capability mode, sysctl(3) does not return the files of other processes.  A helper that
//! runs as root could raise its limits again.

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, setrlimit};

use super::Helper;

/// What a helper may do.
pub struct Needs {
    /// The resources of which it needs no more than it has.
    pub limits: &'static [Resource],
}

/// Confines this process.
pub fn confine(helper: &Helper<'_>) -> Result<()> {
    if let Some(identity) = helper.identity {
        identity.assume()?;
    }
    if helper.sandbox {
        for limit in helper.needs.limits {
            setrlimit(*limit, 0, 0).context("cannot confine it with resource limits (--no-sandbox disables this)")?;
        }
    }
    Ok(())
}
