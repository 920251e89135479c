// SPDX-License-Identifier: BSD-2-Clause

//! A filter's program, as an ioctl hands it to the kernel.
//!
//! Whatever is accepted has no second form and can be evaluated on any record;
//! what the record's identity decides is what the whole record says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::filter::{FILTER_LEN, Verdict};
use tcpstats::{Filter, PREAMBLE_LEN, RECORD_LEN, Record};

fuzz_target!(|input: &[u8]| {
    // Zeros at the end may be left out, so that inputs stay short.
    let mut program = [0; FILTER_LEN];
    for (to, from) in program.iter_mut().zip(input) {
        *to = *from;
    }
    let Ok(filter) = Filter::from_bytes(&program) else {
        return;
    };
    assert_eq!(filter.to_bytes(), program);

    // The input over and over as a record holds the filter's own operands.
    let mut some: Vec<u8> = input.iter().copied().cycle().take(RECORD_LEN).collect();
    let mut every = some.clone();
    every[8..PREAMBLE_LEN].fill(0xff);
    some.rotate_left(8);
    for record in [Record::new(), Record::from_bytes(&some, false), Record::from_bytes(&every, false)] {
        let whole = if filter.matches(&record) { Verdict::Match } else { Verdict::NoMatch };
        assert!([Verdict::Unknown, whole].contains(&filter.verdict_by_identity(&record)));
    }
});
