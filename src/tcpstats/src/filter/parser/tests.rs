// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

extern crate std;
use proptest::prelude::*;
use std::format;
use std::string::{String, ToString};

use super::*;
use crate::table::FIELDS;

fn message(text: &str) -> String {
    Filter::parse(text).unwrap_err().to_string()
}

#[test]
fn every_field_can_be_named() {
    for field in &FIELDS {
        let value = match field.kind {
            Kind::Address => "::1",
            Kind::State => "listen",
            Kind::Options => "sack",
            _ => "1",
        };
        for sign in ["", "=", "==", "!="] {
            Filter::parse(&format!("{} {sign} {value}", field.name)).unwrap();
        }
        assert_eq!(Filter::parse(&format!("{} < {value}", field.name)).is_ok(), field.kind.is_number());
    }
}

#[test]
fn errors_report_the_position_and_what_was_expected() {
    for (text, expected) in [
        ("", "at position 1 (the end): expected a condition, such as port 443 or srtt > 100ms"),
        ("ip and", "at position 7 (the end): expected a condition, such as port 443 or srtt > 100ms"),
        ("é rtt", "at position 1 (\"é\"): expected a condition, such as port 443 or srtt > 100ms"),
        ("cc é", "at position 4 (\"é\"): expected a name of at most 16 ASCII characters"),
        ("cc \"\"", "at position 4 (\"\\\"\\\"\"): expected a name of at most 16 ASCII characters"),
        ("cc \"a", "at position 4 (\"\\\"a\"): expected a name of at most 16 ASCII characters"),
        ("\"cc\" a", "at position 1 (\"\\\"cc\\\"\"): expected a condition, such as port 443 or srtt > 100ms"),
        ("ip ip6", "at position 4 (\"ip6\"): expected and, or, or the end of the filter"),
        ("(ip", "at position 4 (the end): expected and, or, or )"),
        ("port < 5", "at position 6 (\"<\"): expected = or !=, because values of port have no order"),
        ("port 65536", "at position 6 (\"65536\"): expected at most 65535, the maximum of port"),
        (
            "srtt > 5k",
            "at position 9 (\"k\"): expected a time for srtt, in microseconds or with the suffix us, ms or s",
        ),
        ("srtt > 1.5us", "at position 9 (\".5us\"): expected a whole number of microseconds"),
        ("snd_cwnd 1.5k", "at position 11 (\".5k\"): expected a whole number"),
        (
            "age 18446744073709551616",
            "at position 5 (\"18446744073709551616\"): expected at most 18446744073709551615, the maximum of age",
        ),
        ("host 10.0.0", "at position 6 (\"10.0.0\"): expected an IPv4 or IPv6 address"),
        (
            "host 10.0.0.1%1",
            "at position 15 (\"1\"): expected no zone, because only link-local and interface-local addresses have one",
        ),
        ("host fe80::1%em9", "at position 14 (\"em9\"): expected the name or number of an interface of this host"),
        ("laddr fe80::1%", "at position 7 (\"fe80::1%\"): expected the name or number of an interface of this host"),
        ("net 10.0.0.0", "at position 5 (\"10.0.0.0\"): expected a network, such as 10.0.0.0/8 or 2001:db8::/32"),
        ("net 10.0.0.0/33", "at position 14 (\"33\"): expected a prefix length of at most 32"),
        ("net 10.0.0.1/8", "at position 5 (\"10.0.0.1/8\"): expected a network whose bits after the first 8 are zero"),
        ("state open", "at position 7 (\"open\"): expected a state, such as listen, established or time_wait"),
        ("options x", "at position 9 (\"x\"): expected an option, one of ts sack wscale ecn accecn tfo toe"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn a_name_in_quotes_can_contain_spaces_and_operators() {
    let matches = |text: &str, command: &[u8]| {
        let mut record = crate::Record::new();
        record.set(key::command, name(command));
        Filter::parse(text).unwrap().matches(&record)
    };
    for (text, command) in [
        ("command \"tmux: server\"", &b"tmux: server"[..]),
        ("command=\"(sd-pam)\"", b"(sd-pam)"),
        ("(command \"and\" or pid 1)", b"and"),
        ("command \"nginx\"", b"nginx"),
        ("not command != \"a=b\"", b"a=b"),
    ] {
        assert!(matches(text, command) && !matches(text, b"other"), "{text}");
    }
}

#[test]
fn nesting_and_length_are_limited() {
    let nested = |depth| format!("{}ip{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(MAX_NESTING)).is_ok());
    assert_eq!(Filter::parse(&nested(MAX_NESTING + 1)).unwrap_err().expected, Expected::LessNesting);
    assert_eq!(Filter::parse(&"ip or (".repeat(40)).unwrap_err().expected, Expected::LessNesting);
    assert_eq!(Filter::parse(&"ip or ip and (".repeat(20)).unwrap_err().expected, Expected::LessNesting);
    let long = |count: usize| format!("ip{}", " or ip".repeat(count - 1));
    assert_eq!(Filter::parse(&long(32)).unwrap().len(), 63);
    assert_eq!(Filter::parse(&long(33)).unwrap_err().expected, Expected::FewerOperations);
    assert_eq!(Filter::parse(&format!("{}ip", "not ".repeat(1001))).unwrap().len(), 2);
}

#[test]
fn suffixes_scale_numbers() {
    for (one, other) in [
        ("srtt 1.5ms", "srtt = 1500"),
        ("srtt 2 s", "srtt == 2000000us"),
        ("snd_cwnd 0x10k", "snd_cwnd 16384"),
        ("idle < 0.25s", "idle < 250000"),
        ("sent_bytes 3 G", "sent_bytes 3221225472"),
        ("!ip&&ip6||uid 1", "((not ip) and ip6) or uid 1"),
        ("ip or ip6 and uid 1", "ip or (ip6 and uid 1)"),
    ] {
        assert_eq!(Filter::parse(one), Filter::parse(other), "{one}");
        assert!(Filter::parse(one).is_ok(), "{one}");
    }
}

fn check(text: &str) {
    match Filter::parse(text) {
        Ok(filter) => assert_eq!(Filter::from_bytes(&filter.to_bytes()), Ok(filter)),
        Err(error) => {
            assert!(text.get(error.position..).unwrap().starts_with(error.found));
            assert!(!error.to_string().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn the_parser_does_not_panic_on_any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn the_parser_does_not_panic_on_any_tokens(tokens in prop::collection::vec(prop::sample::select(&[
        "and", "or", "not", "(", ")", "!", "<", "=", "!=", "port", "22", "srtt", "100ms", "1.", "0x", "s", "k",
        "host", "net", "::/0", "fe80::1%1", "10.0.0.0/8", "10.0.0.1/", "cc", "cubic", "\"", "\"a b\"", "é", "&", "idle", "ip", "state", "listen",
    ][..]), 0..60), space: bool) {
        check(&tokens.join(if space { " " } else { "" }));
    }
}
