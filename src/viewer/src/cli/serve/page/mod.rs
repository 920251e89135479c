// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The page: what it shows, computed from the snapshots that the sampler passes on.

mod event;
mod feed;
mod groups;
mod query;
mod source;

pub use self::event::event;
pub use self::feed::{Feed, Viewer};
pub use self::query::{Mistake, Query};
pub use self::source::Source;
