// SPDX-License-Identifier: BSD-2-Clause

//! A filter as something else: what a kernel of another system can select by.

use super::eval::Verdict;
use super::program::{Comparison, Filter, Op};
use crate::field::Field;
use crate::record::Record;
use crate::table::key;

/// What a comparison of a filter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A port from `least` to `most`, both included; none where `least` is
    /// greater.
    Port {
        /// Whether the local one is asked for, or the foreign one.
        is_local: bool,
        /// The smallest that is meant.
        least: u16,
        /// The greatest that is meant.
        most: u16,
    },
    /// An address that begins with the first `len` bits of `address`; the
    /// IPv4-mapped addresses are in no network of fewer than 96.
    Network {
        /// Whether the local one is asked for, or the foreign one.
        is_local: bool,
        /// Bits that count.
        len: u8,
        /// The network, zero behind those.
        address: [u8; 16],
    },
    /// Anything else.
    Other,
}

/// The ends of a range in which no port is.
const NONE: (u16, u16) = (u16::MAX, 0);

impl Op {
    /// What the comparison asks for, and whether it is to be so.
    fn ask(self) -> (Ask, bool) {
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
                let ask = Ask::Port { is_local, least, most };
                (ask, comparison != Comparison::Ne)
            }
            Self::Prefix { field, comparison, len, address } => {
                let is_local = is(field, key::laddr.field());
                (Ask::Network { is_local, len, address }, comparison != Comparison::Ne)
            }
            _ => (Ask::Other, true),
        }
    }
}

impl Filter {
    /// Makes of the filter a value of another kind, from what `leaf` makes of
    /// its comparisons, and `not`, `and` and `or` of such values; none of the
    /// filter that takes everything.  Of a comparison that is a [`Ask::Other`]
    /// nothing is told.
    pub fn fold<T>(
        &self,
        leaf: impl Fn(Ask) -> T,
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
                comparison => match comparison.ask() {
                    (ask, true) => leaf(ask),
                    (ask, false) => not(leaf(ask)),
                },
            };
            stack.push(value);
        }
        stack.pop()
    }

    /// Whether a record can meet the filter of which no more is known than this
    /// field.
    #[must_use]
    pub fn can_match_by(&self, record: &Record, known: &Field) -> bool {
        let asks = |op: &Op| matches!(op, Op::Number { field, .. } if usize::from(*field) == known.bit);
        let bits = self.ops().iter().enumerate().map(|(at, op)| u64::from(asks(op)) << at);
        self.run(record, bits.fold(0, |all, bit| all | bit)) != Verdict::NoMatch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    /// The filter in words, with its parentheses.
    fn words(text: &str) -> String {
        let ask = |ask| match ask {
            Ask::Port { is_local, least, most } => format!("{}{least}-{most}", if is_local { "l" } else { "f" }),
            Ask::Network { is_local, len, .. } => format!("{}net/{len}", if is_local { "l" } else { "f" }),
            Ask::Other => "?".to_owned(),
        };
        let filter = Filter::parse(text).unwrap();
        filter.fold(ask, |a| format!("!{a}"), |a, b| format!("({a} & {b})"), |a, b| format!("({a} | {b})")).unwrap()
    }

    #[test]
    fn a_filter_is_folded_as_it_reads() {
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
    fn one_field_can_rule_a_record_out() {
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
