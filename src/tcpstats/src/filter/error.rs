// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Mistakes in the text of a filter.

use super::program::{MAX_NESTING, MAX_OPS};
use crate::field::Unit;
use crate::state::option;

/// What was expected at the position where a filter is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the texts below describe them")]
pub enum Expected {
    Condition,
    Continuation,
    Close,
    Equality { name: &'static str },
    Number { name: &'static str, unit: Unit },
    AtMost { name: &'static str, greatest: u64 },
    WholeNumber { unit: Unit },
    Address,
    ScopedAddress,
    Zone,
    Network,
    PrefixLength { greatest: u8 },
    NoHostBits { len: u8 },
    State,
    Option,
    Name { longest: usize },
    FewerOperations,
    LessNesting,
}

impl core::fmt::Display for Expected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Condition => f.write_str("a condition, such as port 443 or srtt > 100ms"),
            Self::Continuation => f.write_str("and, or, or the end of the filter"),
            Self::Close => f.write_str("and, or, or )"),
            Self::Equality { name } => write!(f, "= or !=, because values of {name} have no order"),
            Self::Number { name, unit } => match unit {
                Unit::None => write!(f, "a number for {name}, optionally with the suffix k, M or G"),
                Unit::Bytes => write!(f, "a size for {name}, in bytes or with the suffix k, M or G"),
                Unit::BytesPerSecond => {
                    write!(f, "a rate for {name}, in bytes per second or with the suffix k, M or G")
                }
                Unit::Count => write!(f, "a count for {name}, optionally with the suffix k, M or G"),
                Unit::Microseconds => {
                    write!(f, "a time for {name}, in microseconds or with the suffix us, ms or s")
                }
            },
            Self::AtMost { name, greatest } => write!(f, "at most {greatest}, the maximum of {name}"),
            Self::WholeNumber { unit: Unit::Microseconds } => f.write_str("a whole number of microseconds"),
            Self::WholeNumber { .. } => f.write_str("a whole number"),
            Self::Address => f.write_str("an IPv4 or IPv6 address"),
            Self::ScopedAddress => {
                f.write_str("no zone, because only link-local and interface-local addresses have one")
            }
            Self::Zone => f.write_str("the name or number of an interface of this host"),
            Self::Network => f.write_str("a network, such as 10.0.0.0/8 or 2001:db8::/32"),
            Self::PrefixLength { greatest } => write!(f, "a prefix length of at most {greatest}"),
            Self::NoHostBits { len } => write!(f, "a network whose bits after the first {len} are zero"),
            Self::State => f.write_str("a state, such as listen, established or time_wait"),
            Self::Option => {
                f.write_str("an option, one of")?;
                option::NAMES.iter().try_for_each(|name| write!(f, " {name}"))
            }
            Self::Name { longest } => write!(f, "a name of at most {longest} ASCII characters"),
            // A comparison is one operation and so is an `or`.
            Self::FewerOperations => write!(
                f,
                "a shorter filter: at most {MAX_OPS} operations, which is about {} conditions on one end \
                 (lport, lnet) or {} on either end (port, net, host)",
                MAX_OPS / 2,
                MAX_OPS / 4
            ),
            Self::LessNesting => write!(f, "less nesting, at most {MAX_NESTING} deep"),
        }
    }
}

/// Where the text of a filter is wrong, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError<'a> {
    /// Offset in the text in bytes, at the start of a character.
    pub position: usize,
    /// What was expected.
    pub expected: Expected,
    /// The text at the position; empty at the end of the filter.
    pub found: &'a str,
    /// The position in characters, from 1.
    pub(super) column: usize,
}

impl core::fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at position {} (", self.column)?;
        if self.found.is_empty() {
            f.write_str("the end")?;
        } else {
            write!(f, "\"{}\"", self.found.escape_debug())?;
        }
        write!(f, "): expected {}", self.expected)
    }
}

impl core::error::Error for ParseError<'_> {}
