// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Evaluating a filter for a record.

use super::program::{Comparison, Filter, Op, field_at, first_bits, number_of};
use crate::field::Field;
use crate::record::{Record, Value, mapped_ipv4};
use crate::state::State;
use crate::table::key;

/// The result of a filter for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record matches the filter.
    Match,
    /// The record does not match the filter.
    NoMatch,
    /// The result depends on fields that are not known yet.
    Unknown,
}

/// The values of the fields that a filter compares.  Fields are numbered as in operations.
trait Values {
    fn number(&self, field: u8) -> Option<u64>;
    fn bytes(&self, field: u8) -> Option<&[u8]>;

    /// Returns the time since data was last sent or received, in microseconds.
    fn idle(&self) -> Option<u64>;
}

impl<const BODY: usize> Values for Record<BODY> {
    #[inline]
    fn number(&self, field: u8) -> Option<u64> {
        self.number(field_at(field)?)
    }

    #[inline]
    fn bytes(&self, field: u8) -> Option<&[u8]> {
        self.bytes(field_at(field)?)
    }

    fn idle(&self) -> Option<u64> {
        [self.get(key::idle_snd), self.get(key::idle_rcv)].into_iter().flatten().min()
    }
}

/// What a source can know about a connection before it makes a record: addresses, ports
/// and state.  The fields of a record have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of a record")]
pub struct Ends {
    pub laddr: [u8; 16],
    pub lport: u16,
    pub faddr: [u8; 16],
    pub fport: u16,
    pub ipver: u8,
    pub state: State,
}

/// Defines constants for patterns: the numbers of fields in operations.
macro_rules! numbers {
    ($($name:ident $field:ident)*) => {$(
        #[allow(clippy::cast_possible_truncation, reason = "program.rs asserts that fields have one byte")]
        const $name: u8 = key::$field.bit as u8;
    )*};
}

numbers! { LADDR laddr LPORT lport FADDR faddr FPORT fport IPVER ipver STATE state }

impl Ends {
    /// Returns whether this is one of the fields.
    #[must_use]
    pub fn has(field: &Field) -> bool {
        [LADDR, LPORT, FADDR, FPORT, IPVER, STATE].contains(&number_of(field))
    }
}

impl Values for Ends {
    #[inline]
    fn number(&self, field: u8) -> Option<u64> {
        match field {
            LPORT => Some(self.lport.into()),
            FPORT => Some(self.fport.into()),
            IPVER => Some(self.ipver.into()),
            STATE => Some(self.state.0.into()),
            _ => None,
        }
    }

    #[inline]
    fn bytes(&self, field: u8) -> Option<&[u8]> {
        match field {
            LADDR => Some(&self.laddr),
            FADDR => Some(&self.faddr),
            _ => None,
        }
    }

    fn idle(&self) -> Option<u64> {
        None
    }
}

/// Some of the comparisons of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparisons(u64);

impl Comparisons {
    /// Returns whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The stack of truth values of a running filter.  The lowest bits are the top
/// of the stack.  An unknown value has both bits set.
#[derive(Clone, Copy, Default)]
struct Stack {
    can_hold: u32,
    can_fail: u32,
}

impl Stack {
    fn push(&mut self, can_hold: bool, can_fail: bool) {
        self.can_hold = self.can_hold << 1 | u32::from(can_hold);
        self.can_fail = self.can_fail << 1 | u32::from(can_fail);
    }

    fn pop(&mut self) -> (bool, bool) {
        let top = self.top();
        self.can_hold >>= 1;
        self.can_fail >>= 1;
        top
    }

    fn top(self) -> (bool, bool) {
        (self.can_hold & 1 == 1, self.can_fail & 1 == 1)
    }
}

impl Comparison {
    #[inline]
    fn holds<T: Ord + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

/// Returns whether an address is in a network.  IPv4-mapped addresses are in
/// IPv4 networks only: a prefix shorter than 96 bits is an IPv6 network and
/// does not contain them.
fn in_network(address: [u8; 16], len: u8, network: [u8; 16]) -> bool {
    first_bits(address, len) == u128::from_be_bytes(network) && (len >= 96 || mapped_ipv4(address).is_none())
}

impl Op {
    /// Returns the field that is compared, if there is exactly one.
    pub(super) fn field(self) -> Option<&'static Field> {
        match self {
            Self::Number { field, .. }
            | Self::Options { field, .. }
            | Self::Prefix { field, .. }
            | Self::Name { field, .. } => field_at(field),
            Self::Idle { .. } | Self::And | Self::Or | Self::Not => None,
        }
    }

    /// Returns whether the identity of the record decides the comparison.
    pub(super) fn is_of_identity(self) -> bool {
        self.field().is_some_and(Field::is_identity)
    }

    /// Returns whether the comparison holds.  A comparison with an absent field
    /// never holds.
    #[inline]
    fn holds(self, values: &impl Values) -> bool {
        match self {
            Self::Number { field, comparison, number } => {
                values.number(field).is_some_and(|value| comparison.holds(value, number))
            }
            Self::Idle { comparison, number } => values.idle().is_some_and(|value| comparison.holds(value, number)),
            Self::Options { field, comparison, bits } => {
                values.number(field).is_some_and(|value| comparison.holds(value & u64::from(bits) != 0, true))
            }
            Self::Prefix { field, comparison, len, address } => values
                .bytes(field)
                .is_some_and(|value| comparison.holds(in_network(<[u8; 16]>::take(value), len, address), true)),
            Self::Name { field, comparison, name } => values.bytes(field).is_some_and(|value| {
                // The name in a filter has 32 bytes, padded with zeros; the
                // name in a field has 16, 32 or 64.
                let padded = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
                let same = (0..value.len().max(name.len())).all(|at| padded(value, at) == padded(&name, at));
                comparison.holds(same, true)
            }),
            Self::And | Self::Or | Self::Not => false,
        }
    }
}

impl Filter {
    /// Returns whether the record matches the filter.  A comparison with an
    /// absent field never holds, not even `!=`.
    #[must_use]
    pub fn matches<const BODY: usize>(&self, record: &Record<BODY>) -> bool {
        self.run(record, u64::MAX) == Verdict::Match
    }

    /// Returns what the identity of the record decides.  All other fields count
    /// as unknown, even if they are present.
    ///
    /// This lets a source skip a record that cannot match before filling it.
    /// All fields of the identity that the record will have must already be
    /// set.
    #[must_use]
    pub fn verdict_by_identity<const BODY: usize>(&self, record: &Record<BODY>) -> Verdict {
        self.run(record, self.of_identity())
    }

    /// Returns what is decided by the fields that never change while the connection exists,
    /// see [`Field::is_constant`], without those that are joined later.  They must be set.
    #[must_use]
    pub fn verdict_by_constants<const BODY: usize>(&self, record: &Record<BODY>) -> Verdict {
        self.verdict_by(record, self.comparisons(|field| field.is_constant() && !field.is_joined()))
    }

    /// Returns the comparisons with one of these fields.
    #[must_use]
    pub fn comparisons(&self, is_known: impl Fn(&Field) -> bool) -> Comparisons {
        let is_decided = |op: &Op| op.field().is_some_and(&is_known);
        Comparisons(self.ops().iter().rev().fold(0, |bits, op| bits << 1 | u64::from(is_decided(op))))
    }

    /// Returns what these comparisons decide.  Their fields must be set.
    ///
    /// ```
    /// use tcpstats::filter::Verdict;
    /// use tcpstats::{Filter, Record, key};
    ///
    /// let filter = Filter::parse("lport 443 and srtt > 100ms").unwrap();
    /// let by_port = filter.comparisons(|field| field.name == "lport");
    /// let mut record = Record::new();
    /// record.set(key::lport, 22);
    /// assert_eq!(filter.verdict_by(&record, by_port), Verdict::NoMatch);
    /// record.set(key::lport, 443);
    /// assert_eq!(filter.verdict_by(&record, by_port), Verdict::Unknown);
    /// ```
    #[must_use]
    pub fn verdict_by<const BODY: usize>(&self, record: &Record<BODY>, comparisons: Comparisons) -> Verdict {
        self.run(record, comparisons.0)
    }

    /// Returns what these comparisons decide, which must be with fields of [`Ends`].
    ///
    /// This costs less than [`Filter::verdict_by`], which needs a record.
    #[must_use]
    pub fn verdict_by_ends(&self, ends: &Ends, comparisons: Comparisons) -> Verdict {
        self.run(ends, comparisons.0)
    }

    /// Evaluates the operations in Kleene's three-valued logic.  The bits of
    /// `known` select the comparisons that the record decides.
    fn run(&self, values: &impl Values, mut known: u64) -> Verdict {
        if self.ops().is_empty() {
            return Verdict::Match;
        }
        let mut stack = Stack::default();
        for &op in self.ops() {
            match op {
                Op::Not => {
                    let (can_hold, can_fail) = stack.pop();
                    stack.push(can_fail, can_hold);
                }
                Op::And => {
                    let (right, left) = (stack.pop(), stack.pop());
                    stack.push(left.0 && right.0, left.1 || right.1);
                }
                Op::Or => {
                    let (right, left) = (stack.pop(), stack.pop());
                    stack.push(left.0 || right.0, left.1 && right.1);
                }
                _ if known & 1 == 1 => {
                    let holds = op.holds(values);
                    stack.push(holds, !holds);
                }
                _ => stack.push(true, true),
            }
            known >>= 1;
        }
        match stack.top() {
            (true, false) => Verdict::Match,
            (true, true) => Verdict::Unknown,
            (false, _) => Verdict::NoMatch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ipv4, name};
    use crate::state::{State, option};

    fn record() -> Record {
        let mut record = Record::new();
        record.set(key::laddr, ipv4([10, 1, 2, 3]));
        record.set(key::faddr, ipv4([192, 0, 2, 1]));
        record.set(key::lport, 443);
        record.set(key::fport, 50000);
        record.set(key::state, State::ESTABLISHED);
        record.set(key::cc, name(b"cubic"));
        record.set(key::options, option::SACK | option::TIMESTAMPS);
        record.set(key::srtt, 100_001);
        record.set(key::rexmit_bytes, (1 << 20) + 1);
        record.set(key::idle_snd, 2_000_000);
        record.set(key::idle_rcv, 500_000);
        record
    }

    #[test]
    fn conditions_match_the_expected_records() {
        for (text, holds) in [
            ("port 443 and not state listen", true),
            ("net 10.0.0.0/8 and srtt > 100ms", true),
            ("(lport 22 or fport 22) and idle < 1s and uid != 0", false),
            ("cc cubic and rexmit_bytes > 1M", true),
            ("cc cubi", false),
            ("cc != cubi", true),
            ("idle < 1s", true),
            ("idle > 1s", false),
            ("port != 22", true),
            ("port != 443", false),
            ("options sack", true),
            ("options != sack", false),
            ("options != ecn", true),
            ("uid != 0", false),
            ("not uid = 0", true),
            ("ip", true),
            ("ip6", false),
            ("net 0.0.0.0/0", true),
            ("net ::/0", false),
            ("lnet 10.1.2.3/32", true),
            ("lnet 10.1.2.2/32", false),
            ("lnet 10.1.2.2/31", true),
            ("lnet ::ffff:10.0.0.0/104", true),
            ("fnet != 10.0.0.0/8", true),
            ("host 192.0.2.1", true),
            ("faddr ::ffff:192.0.2.1", true),
            ("host != 192.0.2.1", false),
            ("ip or ip6 and uid 1", true),
            ("(ip or ip6) and uid 1", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().matches(&record()), holds, "{text}");
        }
        let mut six = Record::new();
        six.set(key::laddr, "2001:db8::1".parse::<core::net::Ipv6Addr>().unwrap().octets());
        for (text, holds) in [
            ("ip", false),
            ("ip6", true),
            ("net ::/0", true),
            ("net 0.0.0.0/0", false),
            ("lnet 2001:db8::1/128", true),
            ("lnet 2001:db8::/128", false),
            ("laddr 2001:db8::1", true),
            ("idle 0", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().matches(&six), holds, "{text}");
        }
    }
}
