// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Translating a filter to another form, such as the bytecode of a kernel.

use super::eval::Verdict;
use super::program::{Comparison, Filter, Op};
use crate::field::Field;
use crate::record::Record;
use crate::table::key;

/// What a comparison of a filter requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A port from `least` to `most`, inclusive; no port if `least` is greater.
    Port {
        /// Whether this is the local port, not the foreign one.
        is_local: bool,
        /// The lowest port.
        least: u16,
        /// The highest port.
        most: u16,
    },
    /// An address whose first `len` bits are those of `address`.  IPv4-mapped
    /// addresses are not in networks of fewer than 96 bits.
    Network {
        /// Whether this is the local address, not the foreign one.
        is_local: bool,
        /// Length of the prefix in bits.
        len: u8,
        /// The network, with zeros after the prefix.
        address: [u8; 16],
    },
    /// Anything else.
    Other,
}

/// Operations that leave one truth value, or `None` for a constant.
type Program = Option<Vec<Op>>;

/// The bounds of an empty range of ports.
const NONE: (u16, u16) = (u16::MAX, 0);

impl Op {
    /// Returns the fields that are compared.
    fn fields(self) -> impl Iterator<Item = &'static Field> {
        let idle = [key::idle_snd.field(), key::idle_rcv.field()];
        self.field().into_iter().chain(idle.into_iter().filter(move |_| matches!(self, Self::Idle { .. })))
    }

    /// Returns what the comparison requires, and whether it must hold (`true`)
    /// or must not hold (`false`).
    fn condition(self) -> (Condition, bool) {
        let is = |field: u8, key: &'static Field| usize::from(field) == key.bit;
        match self {
            Self::Number { field, comparison, number }
                if is(field, key::lport.field()) || is(field, key::fport.field()) =>
            {
                let is_local = is(field, key::lport.field());
                let port = u16::try_from(number).unwrap_or(u16::MAX);
                let (least, most) = match comparison {
                    Comparison::Eq | Comparison::Ne => (port, port),
                    Comparison::Lt => port.checked_sub(1).map_or(NONE, |most| (0, most)),
                    Comparison::Le => (0, port),
                    Comparison::Gt => port.checked_add(1).map_or(NONE, |least| (least, u16::MAX)),
                    Comparison::Ge => (port, u16::MAX),
                };
                let condition = Condition::Port { is_local, least, most };
                (condition, comparison != Comparison::Ne)
            }
            Self::Prefix { field, comparison, len, address } => {
                let is_local = is(field, key::laddr.field());
                (Condition::Network { is_local, len, address }, comparison != Comparison::Ne)
            }
            _ => (Condition::Other, true),
        }
    }
}

impl Filter {
    /// Translates the filter, or returns `None` if it is the filter that
    /// matches everything.
    ///
    /// `leaf` translates a comparison; `not`, `and` and `or` combine the
    /// results.
    pub fn fold<T>(
        &self,
        leaf: impl Fn(Condition) -> T,
        not: impl Fn(T) -> T,
        and: impl Fn(T, T) -> T,
        or: impl Fn(T, T) -> T,
    ) -> Option<T> {
        let mut stack = Vec::new();
        for op in self.ops() {
            let value = match op {
                Op::Not => not(stack.pop()?),
                Op::And | Op::Or => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    if *op == Op::And { and(left, right) } else { or(left, right) }
                }
                comparison => match comparison.condition() {
                    (condition, true) => leaf(condition),
                    (condition, false) => not(leaf(condition)),
                },
            };
            stack.push(value);
        }
        stack.pop()
    }

    /// Returns whether the filter compares one of these fields.
    #[must_use]
    pub fn compares(&self, is_of: impl Fn(&Field) -> bool) -> bool {
        self.ops().iter().any(|op| op.fields().any(&is_of))
    }

    /// Returns whether the filter compares a field of a socket's owner, so that it can only be
    /// applied after the owners have been joined to the records.
    ///
    /// ```
    /// use tcpstats::Filter;
    /// assert!(Filter::parse("port 443 and not command nginx").unwrap().needs_owners());
    /// assert!(!Filter::parse("port 443 and uid 80").unwrap().needs_owners());
    /// ```
    #[must_use]
    pub fn needs_owners(&self) -> bool {
        self.compares(Field::is_of_owner)
    }

    /// Returns the strictest filter that does not compare these fields and matches every record
    /// that this filter matches, whatever their values are.  `None` is the filter that matches
    /// everything.
    ///
    /// ```
    /// use tcpstats::{Field, Filter};
    /// let without = |text| Filter::parse(text).unwrap().without(Field::is_joined);
    /// assert_eq!(without("port 443 and not pid 812"), Filter::parse("port 443").ok());
    /// assert_eq!(without("port 443 or not pid 812"), None);
    /// ```
    #[must_use]
    pub fn without(&self, is_unknown: impl Fn(&Field) -> bool) -> Option<Self> {
        // For each operand, a program that holds whenever the operand can hold, and one that
        // holds only if the operand must hold.  `None` always holds or never holds, respectively.
        let mut stack: Vec<(Program, Program)> = Vec::new();
        let both =
            |one: Program, other: Program, op| one.zip(other).map(|(one, other)| [one, other, vec![op]].concat());
        let either = |one: Program, other: Program, op| match (one, other) {
            (Some(one), Some(other)) => Some([one, other, vec![op]].concat()),
            (one, other) => one.or(other),
        };
        for &op in self.ops() {
            let program = match op {
                Op::Not => {
                    let (most, least) = stack.pop()?;
                    let not = |program: Program| program.map(|program| [program, vec![op]].concat());
                    (not(least), not(most))
                }
                Op::And | Op::Or => {
                    let ((right_most, right_least), (left_most, left_least)) = (stack.pop()?, stack.pop()?);
                    if op == Op::And {
                        (either(left_most, right_most, op), both(left_least, right_least, op))
                    } else {
                        (both(left_most, right_most, op), either(left_least, right_least, op))
                    }
                }
                _ if op.fields().any(&is_unknown) => (None, None),
                _ => (Some(vec![op]), Some(vec![op])),
            };
            stack.push(program);
        }
        let (most, _) = stack.pop()?;
        let mut filter = Self::everything();
        // There are not more operations than before.
        most?.into_iter().all(|op| filter.push(op)).then_some(filter)
    }

    /// Returns whether the filter asks only for ports and networks, so that it matches
    /// all records of a connection or none.
    #[must_use]
    pub fn asks_only_for_ends(&self) -> bool {
        self.fold(|condition| condition != Condition::Other, |not| not, |a, b| a && b, |a, b| a && b).unwrap_or(true)
    }

    /// Returns whether a record can match the filter if only its field `known`
    /// is known.
    #[must_use]
    pub fn can_match_by(&self, record: &Record, known: &Field) -> bool {
        self.verdict_by(record, self.comparisons(|field| field.bit == known.bit)) != Verdict::NoMatch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    /// Returns the filter as text with all parentheses.
    fn words(text: &str) -> String {
        let condition = |condition| match condition {
            Condition::Port { is_local, least, most } => format!("{}{least}-{most}", if is_local { "l" } else { "f" }),
            Condition::Network { is_local, len, .. } => format!("{}net/{len}", if is_local { "l" } else { "f" }),
            Condition::Other => "?".to_owned(),
        };
        let filter = Filter::parse(text).unwrap();
        filter
            .fold(condition, |a| format!("!{a}"), |a, b| format!("({a} & {b})"), |a, b| format!("({a} | {b})"))
            .unwrap()
    }

    #[test]
    fn fold_visits_a_filter_in_its_logical_order() {
        for (text, expected) in [
            ("lport 22", "l22-22"),
            ("fport != 22", "!f22-22"),
            ("lport < 1", "l0-0"),
            ("lport < 0", "l65535-0"),
            ("lport > 65535", "l65535-0"),
            ("fport > 1023 and not lport >= 8080", "(f1024-65535 & !l8080-65535)"),
            ("fnet 10.0.0.0/8 or srtt > 1s", "(fnet/104 | ?)"),
            ("port 443", "(l443-443 | f443-443)"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert!(Filter::everything().fold(|_| (), |()| (), |(), ()| (), |(), ()| ()).is_none());
    }

    #[test]
    fn a_filter_of_ports_and_networks_matches_all_records_of_a_connection() {
        for (text, only) in [
            ("port 443", true),
            ("not (net 10.0.0.0/8 or lport > 1023)", true),
            ("port 443 and srtt > 1s", false),
            ("state established", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().asks_only_for_ends(), only, "{text}");
        }
        assert!(Filter::everything().asks_only_for_ends());
    }

    #[test]
    fn one_field_can_exclude_a_record() {
        let mut record = Record::new();
        record.set(key::state, State::LISTEN);
        for (text, can) in [
            ("not state listen", false),
            ("state listen", true),
            ("state established and port 1", false),
            ("state established or port 1", true),
            ("port 1", true),
            ("uid 7", true),
        ] {
            assert_eq!(Filter::parse(text).unwrap().can_match_by(&record, key::state.field()), can, "{text}");
        }
    }
}
