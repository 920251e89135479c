// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Logs of all formats as one sequence of items.

mod continuity;
mod finding;
mod log;
mod order;

pub use self::finding::{Finding, FindingKind};
pub use self::log::{Log, OpenOptions};
