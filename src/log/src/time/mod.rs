// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Time in a log: how much of it passed, across steps of the clock and reboots,
//! and which connections are the same before and after.

mod boot;
mod clock;
mod lifetimes;
mod timeline;

pub use self::boot::{Boot, Boots};
pub use self::clock::{Clock, Steps, late_ns, seconds, slewed_ns};
pub use self::lifetimes::{Lifetimes, Monotone};
pub use self::timeline::{Entry, Moment, Timeline};
