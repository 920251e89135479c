// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The names of the notes.

pub const LOG: &str = "log";
pub const SNAPSHOT: &str = "snapshot";
pub const MISSED: &str = "missed";
pub const GAP: &str = "gap";
pub const SOURCE_LOST: &str = "source_lost";
pub const TORN: &str = "torn";
pub const OPEN: &str = "open";
pub const CLOSE: &str = "close";
pub const ROTATED: &str = "rotated";
pub const END: &str = "end";
pub const CONVERTED: &str = "converted";
pub const HEADER: &str = "header";
pub const SIFTR_ENABLE: &str = "siftr_enable";
pub const SIFTR_DISABLE: &str = "siftr_disable";
