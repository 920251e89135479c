// SPDX-License-Identifier: BSD-2-Clause

//! Test Anything Protocol: a line a test, and why it failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The tests so far.
#[derive(Default)]
pub struct Tap {
    run: u32,
    failed: u32,
}

impl Tap {
    /// Runs a test, which fails by a panic.
    pub fn test(&mut self, name: &str, test: impl FnOnce()) {
        self.run += 1;
        let good = catch_unwind(AssertUnwindSafe(test)).is_ok();
        self.failed += u32::from(!good);
        println!("{}ok {} - {name}", if good { "" } else { "not " }, self.run);
    }

    /// Prints the plan; whether all was good.
    pub fn end(self) -> bool {
        println!("1..{}", self.run);
        println!("# {} passed, {} failed", self.run - self.failed, self.failed);
        self.failed == 0
    }
}
