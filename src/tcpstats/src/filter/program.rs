// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The postfix program of a filter, and its wire format.

use crate::field::{Field, Kind, Part};
use crate::mask::MASK_WORDS;
use crate::record::Value;
use crate::text::is_printable;

/// Maximum number of operations in a filter.
pub const MAX_OPS: usize = 64;

/// Maximum number of nested parentheses.
pub const MAX_NESTING: usize = 32;

/// Maximum number of truth values on the stack of a filter.
pub const MAX_DEPTH: usize = 32;

/// Length of the header of a filter on the wire, in bytes.
const HEADER_LEN: usize = 8;

/// Length of an operation on the wire, in bytes.
const OP_LEN: usize = 40;

/// Length of a filter on the wire, in bytes.
pub const FILTER_LEN: usize = HEADER_LEN + MAX_OPS * OP_LEN;

/// Version of the wire format.
const VERSION: u16 = 1;

const _: () = assert!(MASK_WORDS * 64 <= 256, "an operation has one byte for its field");

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// Every comparison, in the order of the codes.
    const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];

    const fn code(self) -> u8 {
        match self {
            Self::Eq => 1,
            Self::Ne => 2,
            Self::Lt => 3,
            Self::Le => 4,
            Self::Gt => 5,
            Self::Ge => 6,
        }
    }

    fn by_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|comparison| comparison.code() == code)
    }

    /// Returns whether the comparison only tests whether the values are equal.
    pub(super) const fn is_equality(self) -> bool {
        matches!(self, Self::Eq | Self::Ne)
    }
}

/// An operation.  The last three combine truth values on the stack, the others
/// push one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Compares a number or a state.
    Number { field: u8, comparison: Comparison, number: u64 },
    /// Compares the time since data was last sent or received.
    Idle { comparison: Comparison, number: u64 },
    /// Tests whether at least one of the bits is set.
    Options { field: u8, comparison: Comparison, bits: u16 },
    /// Tests whether an address starts with the first `len` bits of another.
    Prefix { field: u8, comparison: Comparison, len: u8, address: [u8; 16] },
    /// Compares a name, padded with zeros.
    Name { field: u8, comparison: Comparison, name: [u8; 32] },
    /// Replaces two values with their conjunction.
    And,
    /// Replaces two values with their disjunction.
    Or,
    /// Negates a value.
    Not,
}

/// Returns the field with this presence bit.
pub(super) fn field_at(bit: u8) -> Option<&'static Field> {
    let bit = usize::from(bit);
    let part = if bit < Part::Other.first_bit() { Part::Module } else { Part::Other };
    part.fields().get(bit - part.first_bit())
}

/// Returns the number of a field in operations: its presence bit, which is the
/// same in every version.
pub(super) fn number_of(field: &Field) -> u8 {
    u8::try_from(field.bit).unwrap_or(u8::MAX)
}

/// Returns the greatest number that a kind can hold, or 0 if it does not hold
/// numbers.
pub(super) const fn greatest(kind: Kind) -> u64 {
    match kind {
        Kind::U8 | Kind::State => u8::MAX as u64,
        Kind::U16 | Kind::Options => u16::MAX as u64,
        Kind::U32 | Kind::Hex32 => u32::MAX as u64,
        Kind::U64 => u64::MAX,
        Kind::Address | Kind::Name16 | Kind::Name32 | Kind::Name64 => 0,
    }
}

/// Returns the first `len` bits of an address, followed by zeros.
pub(super) fn first_bits(address: [u8; 16], len: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or(0);
    u128::from_be_bytes(address) & mask
}

impl Op {
    /// Returns the number of truth values after the operation, or `None` if
    /// there are too few for the operation or too many after it.
    pub(super) fn depth_after(self, depth: usize) -> Option<usize> {
        match self {
            Self::And | Self::Or => depth.checked_sub(1).filter(|depth| *depth > 0),
            Self::Not => Some(depth).filter(|depth| *depth > 0),
            _ => depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH),
        }
    }

    /// Returns whether a parser could have produced the operands.
    fn is_valid(self) -> bool {
        let kind = |field| field_at(field).map(|field| field.kind);
        match self {
            Self::And | Self::Or | Self::Not | Self::Idle { .. } => true,
            Self::Number { field, comparison, number } => kind(field).is_some_and(|kind| {
                (kind.is_number() || kind == Kind::State && comparison.is_equality()) && number <= greatest(kind)
            }),
            Self::Options { field, comparison, bits } => {
                kind(field) == Some(Kind::Options) && comparison.is_equality() && bits != 0
            }
            Self::Prefix { field, comparison, len, address } => {
                kind(field) == Some(Kind::Address)
                    && comparison.is_equality()
                    && len <= 128
                    && first_bits(address, len) == u128::from_be_bytes(address)
            }
            Self::Name { field, comparison, name } => kind(field).is_some_and(|kind| {
                let len = name.iter().take_while(|byte| is_printable(**byte)).count();
                matches!(kind, Kind::Name16 | Kind::Name32 | Kind::Name64)
                    && comparison.is_equality()
                    && (1..=kind.size()).contains(&len)
                    && name.iter().skip(len).all(|byte| *byte == 0)
            }),
        }
    }

    /// Returns the operation as it is sent: code, field, comparison, prefix
    /// length, four zeros, and the operand padded with zeros.
    fn to_bytes(self) -> [u8; OP_LEN] {
        let mut operand = [0; OP_LEN - 8];
        let [code, field, comparison, len] = match self {
            Self::And => [1, 0, 0, 0],
            Self::Or => [2, 0, 0, 0],
            Self::Not => [3, 0, 0, 0],
            Self::Number { field, comparison, number } => {
                number.put(&mut operand);
                [4, field, comparison.code(), 0]
            }
            Self::Idle { comparison, number } => {
                number.put(&mut operand);
                [5, 0, comparison.code(), 0]
            }
            Self::Options { field, comparison, bits } => {
                bits.put(&mut operand);
                [6, field, comparison.code(), 0]
            }
            Self::Prefix { field, comparison, len, address } => {
                address.put(&mut operand);
                [7, field, comparison.code(), len]
            }
            Self::Name { field, comparison, name } => {
                operand = name;
                [8, field, comparison.code(), 0]
            }
        };
        let mut bytes = [0; OP_LEN];
        for (to, from) in bytes.iter_mut().zip([code, field, comparison, len, 0, 0, 0, 0].into_iter().chain(operand)) {
            *to = from;
        }
        bytes
    }

    /// Parses an operation.  Only the bytes that [`Op::to_bytes`] returns are
    /// accepted.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[code, field, comparison, len, ..], operand) = bytes.split_first_chunk::<8>()?;
        let comparison = Comparison::by_code(comparison);
        let op = match code {
            1 => Self::And,
            2 => Self::Or,
            3 => Self::Not,
            4 => Self::Number { field, comparison: comparison?, number: u64::take(operand) },
            5 => Self::Idle { comparison: comparison?, number: u64::take(operand) },
            6 => Self::Options { field, comparison: comparison?, bits: u16::take(operand) },
            7 => Self::Prefix { field, comparison: comparison?, len, address: <[u8; 16]>::take(operand) },
            8 => Self::Name { field, comparison: comparison?, name: <[u8; 32]>::take(operand) },
            _ => return None,
        };
        // Bytes that the operation does not use must be zero.
        (op.is_valid() && op.to_bytes() == bytes).then_some(op)
    }
}

/// A condition on a record, as a checked program of at most [`MAX_OPS`]
/// operations without jumps.
#[derive(Clone, Debug)]
pub struct Filter {
    ops: [Op; MAX_OPS],
    len: usize,
    /// Bit set of the comparisons that the identity of a record decides.
    of_identity: u64,
}

const _: () = assert!(MAX_OPS <= 64, "a bit for every operation");

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.ops() == other.ops()
    }
}

impl Eq for Filter {}

/// Why bytes are not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The length is not [`FILTER_LEN`] bytes.
    Length,
    /// The version is not supported.
    Version,
    /// There are no operations or more than [`MAX_OPS`].
    Count,
    /// Reserved bytes of the header or unused operations are not zero.
    NotZero,
    /// The operation with this index, from 0, is unknown or has invalid
    /// operands.
    Op(usize),
    /// The operation with this index, from 0, has too few truth values on the
    /// stack or leaves too many.
    Stack(usize),
    /// The program does not end with exactly one truth value.
    Unfinished,
}

impl core::fmt::Display for Invalid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length => write!(f, "the filter has the wrong length; expected {FILTER_LEN} bytes"),
            Self::Version => write!(f, "the version of the filter is unknown; expected {VERSION}"),
            Self::Count => write!(f, "the filter has the wrong number of operations; expected 1 to {MAX_OPS}"),
            Self::NotZero => f.write_str("unused bytes of the filter are not zero"),
            Self::Op(at) => write!(f, "operation {at} of the filter is unknown or has invalid operands"),
            Self::Stack(at) => write!(f, "operation {at} of the filter has too few truth values or leaves too many"),
            Self::Unfinished => f.write_str("the filter does not end with one truth value"),
        }
    }
}

impl core::error::Error for Invalid {}

impl Filter {
    /// Returns the filter that matches every record.  It has no operations and
    /// no wire format; a parsed filter always has operations.
    #[must_use]
    pub const fn everything() -> Self {
        Self { ops: [Op::And; MAX_OPS], len: 0, of_identity: 0 }
    }

    /// Appends an operation, and returns whether there was room for it.
    pub(super) fn push(&mut self, op: Op) -> bool {
        let Some(slot) = self.ops.get_mut(self.len) else {
            return false;
        };
        *slot = op;
        let bit = 1 << self.len;
        if op.is_of_identity() {
            self.of_identity |= bit;
        } else {
            self.of_identity &= !bit;
        }
        self.len += 1;
        true
    }

    /// Returns the bit set of the comparisons that the identity of a record
    /// decides.
    pub(super) const fn of_identity(&self) -> u64 {
        self.of_identity
    }

    /// Returns the operations in order.
    pub(super) fn ops(&self) -> &[Op] {
        self.ops.get(..self.len).unwrap_or_default()
    }

    /// Returns the number of operations.
    #[allow(clippy::len_without_is_empty, reason = "an empty filter matches everything")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns the filter as the ioctl takes it, in native byte order.
    ///
    /// | offset | size | |
    /// |---|---|---|
    /// | 0 | 2 | version, 1 |
    /// | 2 | 2 | operations |
    /// | 4 | 4 | zero |
    /// | 8 | 64 * 40 | operations, zeros after the last |
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FILTER_LEN] {
        let mut bytes = [0; FILTER_LEN];
        let count = u16::try_from(self.len).unwrap_or(0);
        for (to, from) in bytes.iter_mut().zip(VERSION.to_ne_bytes().into_iter().chain(count.to_ne_bytes())) {
            *to = from;
        }
        for (to, op) in bytes.iter_mut().skip(HEADER_LEN).zip(self.ops().iter().flat_map(|op| op.to_bytes())) {
            *to = op;
        }
        bytes
    }

    /// Parses and checks the bytes of [`Filter::to_bytes`].  Every filter that
    /// is accepted can be evaluated.
    ///
    /// # Errors
    /// Returns the first error in the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut filter = Self::everything();
        filter.read(bytes)?;
        Ok(filter)
    }

    /// Parses a filter like [`Filter::from_bytes`], but in place: a filter is
    /// too large to be moved on a kernel stack.
    ///
    /// # Errors
    /// Returns the first error in the bytes.  The filter then matches
    /// everything.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        self.len = 0;
        let result = self.append(bytes);
        if result.is_err() {
            self.len = 0;
        }
        result
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if bytes.len() != FILTER_LEN {
            return Err(Invalid::Length);
        }
        let (&[v0, v1, c0, c1, ref reserved @ ..], body) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(Invalid::Length)?;
        if u16::from_ne_bytes([v0, v1]) != VERSION {
            return Err(Invalid::Version);
        }
        let count = usize::from(u16::from_ne_bytes([c0, c1]));
        if !(1..=MAX_OPS).contains(&count) {
            return Err(Invalid::Count);
        }
        let (used, unused) = body.split_at_checked(count * OP_LEN).ok_or(Invalid::Count)?;
        if reserved.iter().chain(unused).any(|byte| *byte != 0) {
            return Err(Invalid::NotZero);
        }
        let mut depth = 0;
        for (at, op) in used.chunks_exact(OP_LEN).enumerate() {
            let op = Op::from_bytes(op).ok_or(Invalid::Op(at))?;
            depth = op.depth_after(depth).ok_or(Invalid::Stack(at))?;
            if !self.push(op) {
                return Err(Invalid::Count);
            }
        }
        if depth == 1 { Ok(()) } else { Err(Invalid::Unfinished) }
    }
}

#[cfg(test)]
mod tests;
