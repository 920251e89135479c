// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The description of a field: one row of the table.

use core::marker::PhantomData;

use crate::{FIELDS, key};

/// How the bytes of a field are read and what its text looks like.
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
    /// Four bytes of flags.  The text is `0x` and eight hexadecimal digits.
    Hex32,
    /// Sixteen bytes of an IPv6 address.  An IPv4 address is stored IPv4-mapped
    /// (RFC 4291, section 2.5.5.2) and its text is dotted decimal.
    Address,
    /// A [`State`](crate::State).  The text is what netstat(1) prints.
    State,
    /// Two bytes of [`option`](crate::option) bits.  The text is their names.
    Options,
    /// A name of up to sixteen bytes, padded with zeros.
    Name16,
    /// A name of up to thirty-two bytes, padded with zeros.
    Name32,
    /// A name of up to sixty-four bytes, padded with zeros.
    Name64,
}

impl Kind {
    /// Returns the length of a value in the record, in bytes.
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

    /// Returns the alignment of a value, in bytes.  Names and addresses are
    /// byte strings.
    #[must_use]
    pub const fn align(self) -> usize {
        match self {
            Self::Address | Self::Name16 | Self::Name32 | Self::Name64 => 1,
            _ => self.size(),
        }
    }

    /// Returns whether values can be ordered.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64 | Self::Hex32)
    }

    /// Returns whether a value is quoted in JSON.
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
    /// A count.
    Count,
    /// Microseconds.
    Microseconds,
}

impl Unit {
    /// Returns the unit as manual pages print it, or an empty string for no
    /// unit.
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

/// The topic of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
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

/// The part of a record to which a field belongs.
///
/// Each part has its own space, so that fields can be appended to either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fields that the kernel module can send, including those that Linux has
    /// too.
    Module,
    /// Fields that the kernel module does not send: those that only Linux has, and those that
    /// are joined to the records.
    Other,
}

impl Part {
    /// Returns the presence bit of the part's first field.
    pub(crate) const fn first_bit(self) -> usize {
        match self {
            Self::Module => 0,
            Self::Other => 128,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in every text format and in filters.
    pub name: &'static str,
    /// Size and format of a value.
    pub kind: Kind,
    /// Unit of a number.
    pub unit: Unit,
    /// The topic of the field.
    pub group: Group,
    /// The part of the record to which the field belongs.
    pub part: Part,
    /// Whether the field is in the column list `basic`, which is the default.
    pub basic: bool,
    /// Meaning, in one line.
    pub meaning: &'static str,
    /// Where FreeBSD stores the value; empty if FreeBSD does not have it.
    pub freebsd: &'static str,
    /// Where Linux stores the value; empty if Linux does not have it.
    pub linux: &'static str,
    /// Index in this version's table.
    pub index: usize,
    /// Bit in the record's presence mask, and number in a compiled filter.  It
    /// is the same in every version.
    pub bit: usize,
    /// Offset of the value in the body of this version's record, in bytes.
    pub offset: usize,
}

impl Field {
    /// Returns the field with exactly this name.
    ///
    /// ```
    /// assert_eq!(tcpstats::Field::by_name("srtt").unwrap().unit.name(), "us");
    /// assert!(tcpstats::Field::by_name("rtt").is_none());
    /// ```
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Returns the offset of the end of the value in the record's body, in
    /// bytes.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.offset + self.kind.size()
    }

    /// Returns whether the field identifies the connection, so that it is known
    /// before any statistic has been read.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        matches!(self.group, Group::Identity) && !self.is_joined()
    }

    /// Returns whether the programs join the field to the records of a kernel, which does
    /// not report it with the connection.
    ///
    /// ```
    /// use tcpstats::key;
    /// assert!(key::command.field().is_joined() && !key::uid.field().is_joined());
    /// ```
    #[must_use]
    pub const fn is_joined(&self) -> bool {
        self.is_of_owner() || self.index == key::netns.index
    }

    /// Returns whether the field describes the processes that have the socket open, or
    /// their container or jail.
    #[must_use]
    pub const fn is_of_owner(&self) -> bool {
        self.index >= key::pid.index && self.index <= key::jail.index
    }

    /// Returns whether the field never changes while the connection exists.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        [
            key::vnet.index,
            key::gencnt.index,
            key::ipver.index,
            key::laddr.index,
            key::lport.index,
            key::faddr.index,
            key::fport.index,
            key::zone.index,
            key::uid.index,
            key::jid.index,
            key::jail.index,
            key::netns.index,
        ]
        .contains(&self.index)
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

    /// Returns the field's row in the table.
    #[must_use]
    pub fn field(self) -> &'static Field {
        &FIELDS[self.index]
    }
}

/// Assigns the bit and the offset of every row: in order and aligned.  Each
/// part starts at a multiple of eight bytes and has bits of its own.
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
