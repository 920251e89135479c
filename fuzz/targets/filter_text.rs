// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The text of a filter, as a user types it.
//!
//! Text that is accepted compiles to a program that the kernel accepts and from
//! which the same filter can be read.  An error has a valid position.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::Filter;

fuzz_target!(|text: &str| {
    match Filter::parse(text) {
        Ok(filter) => assert_eq!(Filter::from_bytes(&filter.to_bytes()), Ok(filter)),
        Err(error) => {
            assert!(text[error.position..].starts_with(error.found));
            assert!(error.to_string().starts_with("at position "));
        }
    }
});
