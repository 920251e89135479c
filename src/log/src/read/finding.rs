// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What is unusual in logs.

/// Something unusual that does not prevent a log from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// The message, which starts with the name of a log in most cases.
    pub message: String,
}

/// The kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A log is not read, or does not continue the one before it.
    Order,
    /// The numbers of snapshots show that a log does not continue the previous one.
    Numbers,
    /// One of several logs is empty.
    Empty,
    /// The only log is empty.
    OnlyEmpty,
    /// The log contains fields that this version does not support.
    UnknownFields,
}

impl Finding {
    /// Creates a finding.
    pub(super) fn new(kind: FindingKind, message: String) -> Self {
        Self { kind, message }
    }
}
