// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

extern crate std;
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::record::Record;

const SOURCES: [&str; 8] = [
    "port 443 and not state listen",
    "net 10.0.0.0/8 and srtt > 100ms",
    "(lport 22 or fport 22) and idle < 1s and uid != 0",
    "cc cubic and rexmit_bytes > 1M",
    "options sack or stack rack",
    "ip6",
    "host 2001:db8::1 || fnet 2001:db8::/32",
    "idle 5 or t_flags 0x20 or ! age <= 7",
];

fn bytes(text: &str) -> [u8; FILTER_LEN] {
    Filter::parse(text).unwrap().to_bytes()
}

fn changed(text: &str, at: usize, value: u8) -> Result<Filter, Invalid> {
    let mut bytes = bytes(text);
    bytes[at] = value;
    Filter::from_bytes(&bytes)
}

#[test]
fn a_filter_survives_the_wire_format() {
    for text in SOURCES {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(Filter::from_bytes(&filter.to_bytes()), Ok(filter), "{text}");
    }
}

#[test]
fn the_wire_format_fits_in_an_ioctl() {
    assert_eq!(FILTER_LEN, 2568);
    const { assert!(FILTER_LEN < 0x1fff) };
    let bytes = bytes("lport 22");
    assert_eq!(bytes[..2], 1_u16.to_ne_bytes());
    assert_eq!(bytes[2..8], [1_u16, 0, 0].map(u16::to_ne_bytes).concat());
    let lport = u8::try_from(Field::by_name("lport").unwrap().bit).unwrap();
    assert_eq!(bytes[8..16], [4, lport, 1, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[16..24], 22_u64.to_ne_bytes());
    assert!(bytes[24..].iter().all(|byte| *byte == 0));
}

#[test]
fn every_byte_is_checked() {
    let index = |name| u8::try_from(Field::by_name(name).unwrap().bit).unwrap();
    assert_eq!(Filter::from_bytes(&bytes("ip")[1..]), Err(Invalid::Length));
    assert_eq!(Filter::from_bytes(&[]), Err(Invalid::Length));
    assert_eq!(changed("ip", 0, 9), Err(Invalid::Version));
    assert_eq!(
        Filter::from_bytes(&{
            let mut b = bytes("ip");
            b[2..4].fill(0);
            b
        }),
        Err(Invalid::Count)
    );
    assert_eq!(
        Filter::from_bytes(&{
            let mut b = bytes("ip");
            b[2..4].fill(255);
            b
        }),
        Err(Invalid::Count)
    );
    assert_eq!(changed("ip", 7, 1), Err(Invalid::NotZero), "reserved");
    assert_eq!(changed("ip", HEADER_LEN + OP_LEN, 1), Err(Invalid::NotZero), "not used");
    assert_eq!(changed("ip", FILTER_LEN - 1, 1), Err(Invalid::NotZero), "not used");
    assert_eq!(changed("lport 1", 8, 0), Err(Invalid::Op(0)), "code");
    assert_eq!(changed("lport 1", 8, 9), Err(Invalid::Op(0)), "code");
    assert_eq!(changed("lport 1", 9, 255), Err(Invalid::Op(0)), "field");
    assert_eq!(changed("lport 1", 9, index("laddr")), Err(Invalid::Op(0)), "kind");
    assert_eq!(changed("lport 1", 10, 0), Err(Invalid::Op(0)), "comparison");
    assert_eq!(changed("lport 1", 10, 7), Err(Invalid::Op(0)), "comparison");
    assert_eq!(changed("lport 1", 11, 1), Err(Invalid::Op(0)), "prefix of a number");
    assert_eq!(changed("lport 1", 12, 1), Err(Invalid::Op(0)), "reserved");
    assert_eq!(changed("lport 1", 19, 1), Err(Invalid::Op(0)), "too large");
    assert_eq!(changed("lport 1", 24, 1), Err(Invalid::Op(0)), "after the number");
    assert_eq!(changed("state listen", 10, 3), Err(Invalid::Op(0)), "states have no order");
    assert_eq!(changed("lnet 10.0.0.0/8", 10, 5), Err(Invalid::Op(0)), "addresses have no order");
    assert_eq!(changed("lnet 10.0.0.0/8", 11, 129), Err(Invalid::Op(0)), "prefix");
    assert_eq!(changed("lnet 10.0.0.0/8", 31, 1), Err(Invalid::Op(0)), "host bits");
    assert_eq!(changed("cc cubic", 16, 0), Err(Invalid::Op(0)), "no name");
    assert_eq!(changed("cc cubic", 47, b'x'), Err(Invalid::Op(0)), "after the name");
    assert_eq!(changed("stack abcdefghijklmnopq", 9, index("cc")), Err(Invalid::Op(0)), "too long");
    assert_eq!(changed("options ts", 16, 0), Err(Invalid::Op(0)), "no bit");
    assert_eq!(changed("idle 1", 9, 1), Err(Invalid::Op(0)), "idle has no field");
    assert_eq!(changed("not ip", HEADER_LEN + OP_LEN, 1), Err(Invalid::Stack(1)), "and for not");
    assert_eq!(Invalid::Stack(1).to_string(), "operation 1 of the filter has too few truth values or leaves too many");
    let mut two = bytes("ip");
    two[2..4].copy_from_slice(&2_u16.to_ne_bytes());
    two.copy_within(HEADER_LEN..HEADER_LEN + OP_LEN, HEADER_LEN + OP_LEN);
    assert_eq!(Filter::from_bytes(&two), Err(Invalid::Unfinished));
}

#[test]
fn the_stack_is_bounded() {
    let deep = |depth: usize| {
        let mut filter = Filter::everything();
        let push = Op::Idle { comparison: Comparison::Eq, number: 0 };
        for op in core::iter::repeat_n(push, depth).chain(core::iter::repeat_n(Op::Or, depth - 1)) {
            assert!(filter.push(op));
        }
        Filter::from_bytes(&filter.to_bytes())
    };
    assert!(!deep(MAX_DEPTH).unwrap().matches(&Record::new()));
    assert_eq!(deep(MAX_DEPTH).unwrap().len(), 63);
}

#[test]
fn the_operation_that_overflows_the_stack_is_reported() {
    let mut filter = Filter::everything();
    for _ in 0..=MAX_DEPTH {
        assert!(filter.push(Op::Idle { comparison: Comparison::Eq, number: 0 }));
    }
    assert_eq!(Filter::from_bytes(&filter.to_bytes()), Err(Invalid::Stack(MAX_DEPTH)));
}

fn check(bytes: &[u8]) {
    if let Ok(filter) = Filter::from_bytes(bytes) {
        assert_eq!(filter.to_bytes()[..], *bytes, "a filter has only one wire format");
        let _ = (filter.matches(&Record::new()), filter.verdict_by_identity(&Record::new()));
    }
}

proptest! {
    #[test]
    fn parsing_does_not_panic_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..FILTER_LEN + 8)) {
        check(&bytes);
    }

    #[test]
    fn parsing_does_not_panic_on_plausible_bytes(
        count in 0..70u16,
        ops in prop::collection::vec((0..10u8, 0..24u8, 0..8u8, 0..130u8, any::<[u8; 2]>()), 0..MAX_OPS),
    ) {
        let mut bytes = [0; FILTER_LEN];
        bytes[..2].copy_from_slice(&VERSION.to_ne_bytes());
        bytes[2..4].copy_from_slice(&count.to_ne_bytes());
        for (to, (code, field, comparison, len, operand)) in bytes[HEADER_LEN..].chunks_exact_mut(OP_LEN).zip(ops) {
            let used: &[u8] = match code {
                1..=3 => &[code],
                7 => &[code, field, comparison, len],
                5 => &[code, 0, comparison, 0, 0, 0, 0, 0, operand[0]],
                _ => &[code, field, comparison, 0, 0, 0, 0, 0, operand[0], operand[1]],
            };
            to[..used.len()].copy_from_slice(used);
        }
        check(&bytes);
    }

    #[test]
    fn parsing_does_not_panic_on_changed_programs(
        which in 0..SOURCES.len(),
        changes in prop::collection::vec((0..HEADER_LEN + 8 * OP_LEN, any::<u8>()), 1..4),
        small: bool,
    ) {
        let mut bytes: Vec<u8> = bytes(SOURCES[which]).to_vec();
        for (at, value) in changes {
            bytes[at] = if small { value % 10 } else { value };
            check(&bytes);
        }
    }
}
