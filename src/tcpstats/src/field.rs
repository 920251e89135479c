// SPDX-License-Identifier: BSD-2-Clause

//! What a row of the table says, and how a field is found by name.

use core::marker::PhantomData;

use crate::FIELDS;

/// How a field's bytes are read and how its text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte, decimal.
    U8,
    /// Two bytes, decimal.
    U16,
    /// Four bytes, decimal.
    U32,
    /// Eight bytes, decimal.
    U64,
    /// Four bytes of flags, text `0x` and eight hexadecimal digits.
    Hex32,
    /// Sixteen bytes of IPv6 address; an IPv4 address is IPv4-mapped
    /// (RFC 4291, 2.5.5.2) and its text is dotted decimal.
    Address,
    /// A [`State`](crate::State), text as netstat(1) prints it.
    State,
    /// Two bytes of [`option`](crate::option) bits, text their names.
    Options,
    /// A name of up to sixteen bytes, padded with zeros.
    Name16,
    /// A name of up to thirty-two bytes, padded with zeros.
    Name32,
    /// A name of up to sixty-four bytes, padded with zeros.
    Name64,
}

impl Kind {
    /// Bytes that a value takes in the record.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::State => 1,
            Self::U16 | Self::Options => 2,
            Self::U32 | Self::Hex32 => 4,
            Self::U64 => 8,
            Self::Address | Self::Name16 => 16,
            Self::Name32 => 32,
            Self::Name64 => 64,
        }
    }

    /// Alignment of a value in bytes; names and addresses are byte strings.
    #[must_use]
    pub const fn align(self) -> usize {
        match self {
            Self::Address | Self::Name16 | Self::Name32 | Self::Name64 => 1,
            _ => self.size(),
        }
    }

    /// Whether a value is a number that can be compared by size.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64 | Self::Hex32)
    }

    /// Whether a value's text stands in quotes in JSON.
    #[must_use]
    pub const fn is_text(self) -> bool {
        !matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }
}

/// The unit of a field's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// No unit: a name, a port, an identifier, a bit set.
    None,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// A number of things.
    Count,
    /// Microseconds.
    Microseconds,
}

impl Unit {
    /// The unit as a reader of a manual page expects it; empty for none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Count => "count",
            Self::Microseconds => "us",
        }
    }
}

/// What a field is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named for the section it heads")]
pub enum Group {
    Identity,
    Flags,
    Window,
    Time,
    Sequence,
    Totals,
    Buffers,
    Timers,
}

/// The part of a record that a field belongs to.
///
/// Each part has room of its own, so that a field can be appended to either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fields that the kernel module sends, whether Linux has them too or not.
    Module,
    /// Fields that only Linux has.
    Linux,
}

impl Part {
    /// The presence bit of the part's first field.
    pub(crate) const fn first_bit(self) -> usize {
        match self {
            Self::Module => 0,
            Self::Linux => 128,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in every text form and in the filter.
    pub name: &'static str,
    /// Size and form of a value.
    pub kind: Kind,
    /// Unit of a number.
    pub unit: Unit,
    /// What it is about.
    pub group: Group,
    /// The part of the record that it belongs to.
    pub part: Part,
    /// Whether text shows it unless told otherwise.
    pub basic: bool,
    /// One line of meaning.
    pub meaning: &'static str,
    /// Where FreeBSD has it; empty where it has not.
    pub freebsd: &'static str,
    /// Where Linux has it; empty where it has not.
    pub linux: &'static str,
    /// Place in this version's table.
    pub index: usize,
    /// Bit in the record's presence mask, and number in a compiled filter: the
    /// same in every version.
    pub bit: usize,
    /// Where its bytes begin in the body of this version's record.
    pub offset: usize,
}

impl Field {
    /// The field of that name, exactly as the table spells it.
    ///
    /// ```
    /// assert_eq!(tcpstats::Field::by_name("srtt").unwrap().unit.name(), "us");
    /// assert!(tcpstats::Field::by_name("rtt").is_none());
    /// ```
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Where its bytes end in the record's body.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.offset + self.kind.size()
    }

    /// Whether the field tells which connection it is, and so is known before
    /// any statistic of the connection has been read.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        matches!(self.group, Group::Identity)
    }
}

/// A field whose value has the type `T`.
///
/// The constants are in [`key`](crate::key), so that
/// `record.set(key::srtt, 1500)` does not compile with a value of another type.
#[derive(Debug)]
pub struct Key<T> {
    pub(crate) index: usize,
    pub(crate) bit: usize,
    pub(crate) offset: usize,
    value: PhantomData<T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    pub(crate) const fn new(field: &Field) -> Self {
        Self { index: field.index, bit: field.bit, offset: field.offset, value: PhantomData }
    }

    /// The field's row in the table.
    #[must_use]
    pub fn field(self) -> &'static Field {
        &FIELDS[self.index]
    }
}

/// Gives every row its bit and its place: one after another, aligned, each part
/// beginning at a multiple of eight and with bits of its own.
pub(crate) const fn layout<const N: usize>(mut rows: [Field; N]) -> [Field; N] {
    let mut offset: usize = 0;
    let mut i = 0;
    while i < N {
        let starts_part = i == 0 || rows[i].part.first_bit() != rows[i - 1].part.first_bit();
        rows[i].bit = if starts_part { rows[i].part.first_bit() } else { rows[i - 1].bit + 1 };
        offset = offset.next_multiple_of(if starts_part { 8 } else { rows[i].kind.align() });
        rows[i].offset = offset;
        offset += rows[i].kind.size();
        i += 1;
    }
    rows
}
