// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The state that descriptors share.

use tcpstats::Columns;

use crate::idle::IdleMemory;
use crate::kpi;
use crate::limits::Limits;

/// The state that descriptors share.
pub struct Registry {
    pub limits: Limits,
    /// The columns of text for descriptors that did not choose their own; `None` for
    /// the basic ones.
    pub columns: Option<Columns>,
    pub idle: IdleMemory,
    /// A descriptor was destroyed outside of close(2), for example by revoke(2).
    /// `destroy_dev`(9) does not wait for the thread that does that.
    pub has_lost_files: bool,
}

kpi::mutex! {
    /// The state that descriptors share.
    pub static registry REGISTRY: Registry = Registry {
        limits: Limits::new(),
        columns: None,
        idle: IdleMemory::new(),
        has_lost_files: false,
    }
}
