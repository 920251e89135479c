// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Test Anything Protocol: one line per test, and the reason for a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Counts the tests that have run.
#[derive(Default)]
pub struct Tap {
    run: u32,
    failed: u32,
}

impl Tap {
    /// Runs a test, which fails if it panics.
    pub fn test(&mut self, name: &str, test: impl FnOnce()) {
        self.run += 1;
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        self.failed += u32::from(!passed);
        println!("{}ok {} - {name}", if passed { "" } else { "not " }, self.run);
    }

    /// Prints the plan, and returns whether all tests passed.
    pub fn end(self) -> bool {
        println!("1..{}", self.run);
        println!("# {} passed, {} failed", self.run - self.failed, self.failed);
        self.failed == 0
    }
}
