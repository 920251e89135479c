// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Filters are compared with a reference: random conditions, evaluated as a
//! tree with the numbers and addresses of the standard library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tcpstats::filter::{Ends, Expected, Verdict};
use tcpstats::{Field, Filter, Record, State, ipv4, key, name, option};

/// The values of a record.
#[derive(Clone, Debug)]
struct Facts {
    /// Values of `NUMBERS`, followed by `idle_snd` and `idle_rcv`.
    numbers: [Option<u64>; 6],
    laddr: Option<IpAddr>,
    faddr: Option<IpAddr>,
    cc: Option<&'static str>,
    stack: Option<&'static str>,
    state: Option<u8>,
    options: Option<u16>,
}

/// A condition without `and`, `or` and `not`.  If `equal` is false, the
/// comparison is `!=`.
#[derive(Clone, Debug)]
enum Leaf {
    Number { field: usize, sign: usize, value: u64 },
    Idle { sign: usize, value: u64 },
    Port { equal: bool, value: u64 },
    Address { whose: Whose, equal: bool, address: IpAddr },
    Network { whose: Whose, equal: bool, network: IpAddr, len: u32 },
    Family { six: bool },
    Name { cc: bool, equal: bool, name: &'static str },
    State { equal: bool, state: u8 },
    Options { equal: bool, bit: usize },
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Local,
    Foreign,
    Either,
}

#[derive(Clone, Debug)]
enum Tree {
    Leaf(Leaf),
    Not(Box<Tree>),
    Two(bool, Box<Tree>, Box<Tree>),
}

const NUMBERS: [&str; 4] = ["uid", "lport", "srtt", "snd_cwnd"];
const SIGNS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];
const NAMES: [&str; 4] = ["cubic", "cubi", "rack", "r"];

fn compare(left: u64, sign: usize, right: u64) -> bool {
    [left == right, left != right, left < right, left <= right, left > right, left >= right][sign]
}

fn contains(network: IpAddr, len: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (network.to_bits() ^ address.to_bits()).leading_zeros() >= len,
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits() ^ address.to_bits()).leading_zeros() >= len,
        _ => false,
    }
}

/// Returns the network of this length that contains the address.
fn network_of(address: IpAddr, len: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(address.to_bits() & !u32::MAX.checked_shr(len).unwrap_or(0)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(address.to_bits() & !u128::MAX.checked_shr(len).unwrap_or(0)).into(),
    }
}

fn field_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => ipv4(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Whose {
    /// Returns whether the condition holds.  With `equal`, at least one of the
    /// addresses must match; without it, none may match.
    fn holds(self, facts: &Facts, equal: bool, is: impl Fn(IpAddr) -> bool) -> bool {
        match self {
            Self::Local => facts.laddr.is_some_and(|address| is(address) == equal),
            Self::Foreign => facts.faddr.is_some_and(|address| is(address) == equal),
            Self::Either => facts.laddr.into_iter().chain(facts.faddr).any(is) == equal,
        }
    }
}

impl Leaf {
    fn text(&self) -> String {
        let sign = |equal: bool| if equal { "=" } else { "!=" };
        match *self {
            Self::Number { field, sign, value } => format!("{} {} {value}", NUMBERS[field], SIGNS[sign]),
            Self::Idle { sign, value } => format!("idle {} {value}", SIGNS[sign]),
            Self::Port { equal, value } => format!("port {} {value}", sign(equal)),
            Self::Address { whose, equal, address } => {
                let name = ["laddr", "faddr", "host"][whose as usize];
                format!("{name} {} {address}", sign(equal))
            }
            Self::Network { whose, equal, network, len } => {
                let name = ["lnet", "fnet", "net"][whose as usize];
                format!("{name} {} {network}/{len}", sign(equal))
            }
            Self::Family { six } => if six { "ip6" } else { "ip" }.into(),
            Self::Name { cc, equal, name } => format!("{} {} {name}", if cc { "cc" } else { "stack" }, sign(equal)),
            Self::State { equal, state } => format!("state {} {}", sign(equal), State(state).name().unwrap()),
            Self::Options { equal, bit } => format!("options {} {}", sign(equal), option::NAMES[bit]),
        }
    }

    fn holds(&self, facts: &Facts) -> bool {
        match *self {
            Self::Number { field, sign, value } => facts.numbers[field].is_some_and(|left| compare(left, sign, value)),
            Self::Idle { sign, value } => {
                let idle = facts.numbers[4].into_iter().chain(facts.numbers[5]).min();
                idle.is_some_and(|left| compare(left, sign, value))
            }
            // Records in this test have no foreign port.
            Self::Port { equal, value } => (facts.numbers[1] == Some(value)) == equal,
            Self::Address { whose, equal, address } => whose.holds(facts, equal, |other| other == address),
            Self::Network { whose, equal, network, len } => {
                whose.holds(facts, equal, |address| contains(network, len, address))
            }
            Self::Family { six } => facts.laddr.is_some_and(|address| address.is_ipv6() == six),
            Self::Name { cc, equal, name } => {
                if cc { facts.cc } else { facts.stack }.is_some_and(|known| (known == name) == equal)
            }
            Self::State { equal, state } => facts.state.is_some_and(|known| (known == state) == equal),
            Self::Options { equal, bit } => facts.options.is_some_and(|bits| (bits >> bit & 1 == 1) == equal),
        }
    }
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Leaf(leaf) => leaf.text(),
            Self::Not(tree) => format!("not ({})", tree.text()),
            Self::Two(and, a, b) => format!("({}) {} ({})", a.text(), if *and { "and" } else { "or" }, b.text()),
        }
    }

    fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.holds(facts),
            Self::Not(tree) => !tree.holds(facts),
            Self::Two(true, a, b) => a.holds(facts) && b.holds(facts),
            Self::Two(false, a, b) => a.holds(facts) || b.holds(facts),
        }
    }
}

impl Facts {
    fn fill_identity(&self, record: &mut Record) {
        let [uid, lport, ..] = self.numbers;
        record.set_if(key::uid, uid.map(|uid| u32::try_from(uid).unwrap()));
        record.set_if(key::lport, lport.map(|port| u16::try_from(port).unwrap()));
        record.set_if(key::laddr, self.laddr.map(field_of));
        record.set_if(key::faddr, self.faddr.map(field_of));
        record.set_if(key::cc, self.cc.map(|text| name(text.as_bytes())));
        record.set_if(key::stack, self.stack.map(|text| name(text.as_bytes())));
        record.set_if(key::state, self.state.map(State));
    }

    fn fill_rest(&self, record: &mut Record) {
        let [_, _, srtt, snd_cwnd, idle_snd, idle_rcv] = self.numbers;
        record.set_if(key::srtt, srtt.map(|time| u32::try_from(time).unwrap()));
        record.set_if(key::snd_cwnd, snd_cwnd.map(|size| u32::try_from(size).unwrap()));
        record.set_if(key::idle_snd, idle_snd);
        record.set_if(key::idle_rcv, idle_rcv);
        record.set_if(key::options, self.options);
    }
}

/// A few addresses of both families, so that conditions often hold.
fn near_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0..8_u8).prop_map(|low| Ipv4Addr::new(10, 0, 0, low).into()),
        (0..8_u16).prop_map(|low| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low).into()),
    ]
}

/// Any two addresses with any number of leading bits in common.
fn any_two_addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let four = |bits: u32| IpAddr::from(Ipv4Addr::from(bits));
    // IPv4-mapped addresses count as IPv4, so the address is made one of 2000::/3.
    let six = |bits: u128| IpAddr::from(Ipv6Addr::from(bits >> 3 | 1 << 125));
    prop_oneof![
        (any::<u32>(), any::<u32>(), 0..=32_u32)
            .prop_map(move |(one, other, same)| (four(one), four(one ^ other.checked_shr(same).unwrap_or(0)))),
        (any::<u128>(), any::<u128>(), 0..=128_u32)
            .prop_map(move |(one, other, same)| (six(one), six(one ^ other.checked_shr(same).unwrap_or(0)))),
        (any::<u32>(), any::<u128>()).prop_map(move |(one, other)| (four(one), six(other))),
        (any::<u128>(), any::<u32>()).prop_map(move |(one, other)| (six(one), four(other))),
    ]
}

fn bits_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let whose = || prop::sample::select(&[Whose::Local, Whose::Foreign, Whose::Either][..]);
    let name = || prop::sample::select(&NAMES[..]);
    let equal = any::<bool>;
    prop_oneof![
        3 => (0..4_usize, 0..6_usize, 0..4_u64).prop_map(|(field, sign, value)| Leaf::Number { field, sign, value }),
        1 => (0..6_usize, 0..4_u64).prop_map(|(sign, value)| Leaf::Idle { sign, value }),
        1 => (equal(), 0..4_u64).prop_map(|(equal, value)| Leaf::Port { equal, value }),
        1 => (whose(), equal(), near_address())
            .prop_map(|(whose, equal, address)| Leaf::Address { whose, equal, address }),
        2 => (whose(), equal(), near_address(), prop_oneof![0..=4_u32, Just(u32::MAX)]).prop_map(
            |(whose, equal, address, free)| {
                let len = bits_of(address).saturating_sub(free);
                Leaf::Network { whose, equal, network: network_of(address, len), len }
            }
        ),
        1 => any::<bool>().prop_map(|six| Leaf::Family { six }),
        1 => (any::<bool>(), equal(), name()).prop_map(|(cc, equal, name)| Leaf::Name { cc, equal, name }),
        1 => (equal(), 0..=10_u8).prop_map(|(equal, state)| Leaf::State { equal, state }),
        1 => (equal(), 0..option::NAMES.len()).prop_map(|(equal, bit)| Leaf::Options { equal, bit }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_map(Tree::Leaf).prop_recursive(5, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            (any::<bool>(), inner.clone(), inner).prop_map(|(and, a, b)| Tree::Two(and, Box::new(a), Box::new(b))),
        ]
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    use prop::option::of;
    (
        prop::array::uniform6(of(0..4_u64)),
        of(near_address()),
        of(near_address()),
        of(prop::sample::select(&NAMES[..])),
        of(prop::sample::select(&NAMES[..])),
        of(0..=10_u8),
        of(0..1_u16 << option::NAMES.len()),
    )
        .prop_map(|(numbers, laddr, faddr, cc, stack, state, options)| Facts {
            numbers,
            laddr,
            faddr,
            cc,
            stack,
            state,
            options,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_filter_agrees_with_its_tree(tree in tree(), facts in facts()) {
        let text = tree.text();
        let filter = match Filter::parse(&text) {
            Err(error) if error.expected == Expected::FewerOperations => return Ok(()),
            filter => filter.unwrap(),
        };
        let mut record = Record::new();
        facts.fill_identity(&mut record);
        let early = filter.verdict_by_identity(&record);
        let constant = filter.verdict_by_constants(&record);
        facts.fill_rest(&mut record);
        let holds = tree.holds(&facts);
        prop_assert_eq!(filter.matches(&record), holds, "{}", text);
        prop_assert_eq!(filter.verdict_by_identity(&record), early);
        prop_assert_ne!(early, if holds { Verdict::NoMatch } else { Verdict::Match });
        // In another state of the same connection, the verdict is the same.
        record.set(key::state, State::CLOSING);
        record.set_if(key::srtt, None);
        prop_assert_eq!(filter.verdict_by_constants(&record), constant);
        prop_assert!([Verdict::Unknown, early].contains(&constant));
    }

    #[test]
    fn a_filter_without_some_fields_matches_whatever_the_complete_one_matches(
        tree in tree(),
        facts in facts(),
        unknown in prop::collection::vec(prop::sample::select(&["uid", "lport", "srtt", "laddr", "cc", "state", "idle_rcv"][..]), 0..4),
    ) {
        let Ok(filter) = Filter::parse(&tree.text()) else { return Ok(()) };
        let is_unknown = |field: &Field| unknown.contains(&field.name);
        let weaker = filter.without(is_unknown);
        prop_assert!(!weaker.as_ref().is_some_and(|weaker| weaker.compares(is_unknown)));
        let mut record = Record::new();
        facts.fill_identity(&mut record);
        facts.fill_rest(&mut record);
        let weaker_matches = weaker.as_ref().is_none_or(|weaker| weaker.matches(&record));
        prop_assert!(weaker_matches || !filter.matches(&record), "{} without {:?}", tree.text(), unknown);
        // It is not weaker than necessary.
        let by_known = filter.verdict_by(&record, filter.comparisons(|field| !is_unknown(field)));
        prop_assert!(!weaker_matches || by_known != Verdict::NoMatch, "{} without {:?}", tree.text(), unknown);
        prop_assert_eq!(filter.without(|_| false), Some(filter));
    }

    #[test]
    fn addresses_ports_and_state_exclude_no_record_that_matches(tree in tree(), facts in facts(), state in 0..=10_u8) {
        let Ok(filter) = Filter::parse(&tree.text()) else { return Ok(()) };
        let mut record = Record::new();
        facts.fill_identity(&mut record);
        facts.fill_rest(&mut record);
        let laddr = facts.laddr.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let faddr = facts.faddr.unwrap_or(laddr);
        let (lport, fport) = (facts.numbers[1].map_or(9, |port| u16::try_from(port).unwrap()), 2);
        let ipver = if laddr.is_ipv6() { 6 } else { 4 };
        let ends = Ends { laddr: field_of(laddr), lport, faddr: field_of(faddr), fport, ipver, state: State(state) };
        record.set(key::laddr, ends.laddr);
        record.set(key::lport, lport);
        record.set(key::faddr, ends.faddr);
        record.set(key::fport, fport);
        record.set(key::ipver, ipver);
        record.set(key::state, ends.state);
        let all = filter.comparisons(Ends::has);
        let verdict = filter.verdict_by_ends(&ends, all);
        // A record with the same values, in which the others count as unknown, has the same verdict.
        prop_assert_eq!(verdict, filter.verdict_by(&record, all));
        let matches = filter.matches(&record);
        prop_assert_ne!(verdict, if matches { Verdict::NoMatch } else { Verdict::Match }, "{}", tree.text());
        // Fewer comparisons decide less.
        let fewer = filter.verdict_by_ends(&ends, filter.comparisons(|field| Ends::has(field) && field.is_constant()));
        prop_assert!([Verdict::Unknown, verdict].contains(&fewer));
        // What the other fields contain makes no difference.
        record.set_if::<u32>(key::srtt, None);
        record.set(key::uid, 3);
        prop_assert_eq!(filter.verdict_by(&record, all), verdict);
    }

    #[test]
    fn a_network_contains_the_addresses_that_start_with_its_prefix((network, address) in any_two_addresses(), len in 0..=128_u32) {
        let len = len.min(bits_of(network));
        let text = format!("lnet {}/{len}", network_of(network, len));
        let mut record = Record::new();
        record.set(key::laddr, field_of(address));
        prop_assert_eq!(Filter::parse(&text).unwrap().matches(&record), contains(network, len, address), "{}", text);
    }

    #[test]
    fn a_network_with_bits_after_its_prefix_is_an_error((network, _) in any_two_addresses(), len in 0..=128_u32) {
        let len = len.min(bits_of(network));
        let text = format!("fnet {network}/{len}");
        let expected = Expected::NoHostBits { len: u8::try_from(len).unwrap() };
        let error = Filter::parse(&text).err().map(|error| error.expected);
        prop_assert_eq!(error, (network != network_of(network, len)).then_some(expected), "{}", text);
    }

    #[test]
    fn an_ipv4_mapped_network_is_the_ipv4_network(bits: u32, len in 0..=32_u32) {
        let IpAddr::V4(network) = network_of(Ipv4Addr::from(bits).into(), len) else { unreachable!() };
        let plain = format!("net {network}/{len}");
        let mapped = format!("net {}/{}", network.to_ipv6_mapped(), 96 + len);
        prop_assert_eq!(Filter::parse(&mapped).unwrap(), Filter::parse(&plain).unwrap());
    }
}

#[test]
fn owners_decide_nothing_before_they_are_joined() {
    let mut record = Record::new();
    record.set(key::lport, 443);
    let joined = {
        let mut record = record.clone();
        record.set(key::pid, 812);
        record.set(key::processes, 3);
        record.set(key::command, name(b"nginx"));
        record.set(key::container, name(b"0123456789ab"));
        record.set(key::jail, name(b"www"));
        record.set(key::netns, name(b"blue"));
        record
    };
    for (text, matches, needs_owners) in [
        ("pid 812", true, true),
        ("pid > 811 and pid != 813", true, true),
        ("processes >= 3", true, true),
        ("command nginx", true, true),
        ("not command nginx", false, true),
        ("container = 0123456789ab", true, true),
        ("jail www and port 443", true, true),
        ("jail != www", false, true),
        ("netns blue", true, false),
        ("not netns blue or port 22", false, false),
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.matches(&joined), matches, "{text}");
        assert_eq!(filter.needs_owners(), needs_owners, "{text}");
        assert!(filter.compares(Field::is_joined), "{text}");
        assert_eq!(filter.verdict_by_identity(&record), Verdict::Unknown, "{text}");
        assert_eq!(filter.verdict_by_constants(&record), Verdict::Unknown, "{text}");
        assert!(filter.without(Field::is_joined).is_none_or(|before| before.matches(&record)), "{text}");
    }
    assert_eq!(Filter::parse("port 22 and pid 812").unwrap().verdict_by_identity(&record), Verdict::NoMatch);
}

#[test]
fn a_zone_restricts_an_address_to_one_link() {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut on_two = Record::new();
    on_two.set(key::laddr, address("fe80::1"));
    on_two.set(key::faddr, address("fe80::2"));
    on_two.set(key::zone, 2);
    let mut without = on_two.clone();
    without.set_if::<u32>(key::zone, None);
    for (text, of_two, of_none) in [
        ("host fe80::1", true, true),
        ("host fe80::1%2", true, false),
        ("host fe80::2%2", true, false),
        ("host fe80::1%3", false, false),
        ("host != fe80::1%2", false, true),
        ("host != fe80::1%3", true, true),
        ("laddr fe80::1%2", true, false),
        ("laddr != fe80::1%2", false, true),
        ("faddr fe80::1%2", false, false),
        ("faddr fe80::2%2", true, false),
        ("net fe80::/10 and zone = 2", true, false),
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!((filter.matches(&on_two), filter.matches(&without)), (of_two, of_none), "{text}");
    }
}
