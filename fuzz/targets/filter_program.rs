// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The program of a filter, as the kernel receives it in an ioctl.
//!
//! Every program that is accepted has only one form and can be evaluated for
//! any record; a verdict based only on the record's identity agrees with the
//! verdict on the complete record.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::filter::{Ends, FILTER_LEN, Verdict};
use tcpstats::{Field, Filter, PREAMBLE_LEN, RECORD_LEN, Record, key};

/// Returns addresses, ports and state if all are present.
fn ends(record: &Record) -> Option<Ends> {
    Some(Ends {
        laddr: record.get(key::laddr)?,
        lport: record.get(key::lport)?,
        faddr: record.get(key::faddr)?,
        fport: record.get(key::fport)?,
        ipver: record.get(key::ipver)?,
        state: record.get(key::state)?,
    })
}

fuzz_target!(|input: &[u8]| {
    // Zeros at the end may be omitted, so that inputs stay short.
    let mut program = [0; FILTER_LEN];
    for (to, from) in program.iter_mut().zip(input) {
        *to = *from;
    }
    let Ok(filter) = Filter::from_bytes(&program) else {
        return;
    };
    assert_eq!(filter.to_bytes(), program);

    // Repeating the input as a record makes the record contain the filter's own operands.
    let mut any_present: Vec<u8> = input.iter().copied().cycle().take(RECORD_LEN).collect();
    let mut all_present = any_present.clone();
    all_present[8..PREAMBLE_LEN].fill(0xff);
    any_present.rotate_left(8);
    for record in [Record::new(), Record::from_bytes(&any_present, false), Record::from_bytes(&all_present, false)] {
        let verdict = if filter.matches(&record) { Verdict::Match } else { Verdict::NoMatch };
        let by_identity = filter.verdict_by_identity(&record);
        assert!([Verdict::Unknown, verdict].contains(&by_identity));
        assert!([Verdict::Unknown, by_identity].contains(&filter.verdict_by_constants(&record)));
        for is_unknown in [Field::is_joined, Field::is_constant] {
            let without = filter.without(is_unknown);
            assert!(verdict == Verdict::NoMatch || without.is_none_or(|weaker| weaker.matches(&record)));
        }
        if let Some(ends) = ends(&record) {
            let comparisons = filter.comparisons(Ends::has);
            let by_ends = filter.verdict_by_ends(&ends, comparisons);
            assert!([Verdict::Unknown, by_identity].contains(&by_ends));
            assert_eq!(by_ends, filter.verdict_by(&record, comparisons));
        }
    }
});
