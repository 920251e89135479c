// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The notes of a log: the only place that knows their names and keys.

mod name;
mod read;
mod types;
mod write;

pub use self::name::{LOG, ROTATED, SIFTR_DISABLE, SIFTR_ENABLE, SNAPSHOT, TORN};
pub use self::read::NoteError;
pub use self::types::{ConnectionFields, ConnectionNote, GapNote, LogNote, Note, SiftrDisable, SiftrEnable, Totals};
