// SPDX-License-Identifier: BSD-2-Clause

//! A filter's text, as a user gives it.
//!
//! Text that is accepted has one program, which the kernel would accept and
//! which gives the filter back; an error stands where it says.

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
