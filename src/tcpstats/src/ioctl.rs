// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The ioctls of `/dev/tcpstats`, encoded as in FreeBSD's `sys/ioccom.h`.
//!
//! Settings take effect with the next snapshot: the rest of the snapshot that
//! is being read is dropped, so the next read(2) starts a new one.

use crate::field::{Field, Kind, Part, Unit};
use crate::filter::{FILTER_LEN, MAX_OPS};
use crate::frame::{HEADER_LEN, VERSION};
use crate::mask::PREAMBLE_LEN;
use crate::table::{FIELD_COUNT, FIELDS, MODULE_RECORD_LEN};

/// Selects the format that read(2) returns: a 32-bit number, [`TEXT`] or
/// [`BINARY`].
pub const SET_FORMAT: u64 = ioctl(IN, 1, size_of::<u32>());

/// Sets the filter: [`FILTER_LEN`] bytes in the format of
/// [`Filter::to_bytes`](crate::Filter::to_bytes).
pub const SET_FILTER: u64 = ioctl(IN, 2, FILTER_LEN);

/// Removes the filter.
pub const CLEAR_FILTER: u64 = ioctl(VOID, 3, 0);

/// Selects the connections of all virtual network stacks (1) or of the reader's
/// own (0): a 32-bit number.  Only root on the host may set it to 1.
pub const SET_ALL_VNETS: u64 = ioctl(IN, 4, size_of::<u32>());

/// Sets the columns of the text: [`COLUMNS_LEN`] bytes that contain `basic`,
/// `all` or comma-separated names, padded with zeros.
pub const SET_COLUMNS: u64 = ioctl(IN, 5, COLUMNS_LEN);

/// Returns versions and sizes: [`INFO_LEN`] bytes, see [`info`].
pub const GET_INFO: u64 = ioctl(OUT, 6, INFO_LEN);

/// Returns a row of the table of fields: [`FIELD_LEN`] bytes, see [`field`].
/// On input the first four bytes contain the number of the row.
pub const GET_FIELD: u64 = ioctl(IN | OUT, 7, FIELD_LEN);

/// Turns the ledger on (1) or off (0): a 32-bit number.  While it is on, each snapshot
/// also contains one final record for every connection that has ended since the
/// previous snapshot.
pub const SET_LEDGER: u64 = ioctl(IN, 8, size_of::<u32>());

/// Selects the connections that may have changed since the descriptor's previous
/// snapshot (1), or all (0): a 32-bit number.
pub const SET_CHANGES: u64 = ioctl(IN, 9, size_of::<u32>());

/// The device returns CSV text.  This is the format after open(2).
pub const TEXT: u32 = 0;

/// The device returns [frames](crate::frame).
pub const BINARY: u32 = 1;

/// Length of a list of columns in bytes.
pub const COLUMNS_LEN: usize = 2048;

/// Length of the result of [`GET_INFO`] in bytes.
pub const INFO_LEN: usize = 64;

/// Length of the argument and result of [`GET_FIELD`] in bytes.
pub const FIELD_LEN: usize = 152;

/// Length of a field's name in bytes, including the terminating zero.
pub const NAME_LEN: usize = 32;

/// Length of a field's meaning in bytes, including the terminating zero.
pub const MEANING_LEN: usize = 96;

const VOID: u64 = 0x2000_0000;
const OUT: u64 = 0x4000_0000;
const IN: u64 = 0x8000_0000;

/// `_IOC(direction, 'T', number, len)`.
const fn ioctl(direction: u64, number: u64, len: usize) -> u64 {
    assert!(len < 0x2000, "sys/ioccom.h has 13 bits for the length");
    direction | (len as u64) << 16 | (b'T' as u64) << 8 | number
}

/// Numbers and text packed one after another, padded with zeros.
struct Packed<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Packed<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn put(mut self, value: &[u8], room: usize) -> Self {
        let free = self.bytes.iter_mut().skip(self.len).take(room);
        for (to, from) in free.zip(value) {
            *to = *from;
        }
        self.len += room;
        self
    }

    fn u32(self, number: usize) -> Self {
        self.put(&u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes(), 4)
    }
}

/// Returns the result of [`GET_INFO`].
///
/// It consists of 32-bit numbers in native byte order: the version of the frame
/// layout, the lengths in bytes of a frame header, a record and a filter, the
/// number of rows in the table, the maximum number of operations in a filter,
/// and two zeros.  The version of the module follows as text at byte 32.
#[must_use]
pub fn info(version: &str) -> [u8; INFO_LEN] {
    Packed::new()
        .u32(VERSION.into())
        .u32(HEADER_LEN)
        .u32(MODULE_RECORD_LEN)
        .u32(FILTER_LEN)
        .u32(FIELD_COUNT)
        .u32(MAX_OPS)
        .u32(0)
        .u32(0)
        .put(version.as_bytes(), INFO_LEN - 32 - 1)
        .bytes
}

/// Returns the result of [`GET_FIELD`] for the row whose number is in the first
/// four bytes of `request`, or `None` if there is no such row.
///
/// It starts with 32-bit numbers in native byte order: the number of the row,
/// its bit in the presence mask, its offset in a record and its length in
/// bytes.  It continues with one byte each for the kind, the unit, whether the
/// field is basic and whether the module sends it.  The name is at byte 20 and the
/// meaning at byte 52, both terminated by zeros.
#[must_use]
pub fn field(request: &[u8]) -> Option<[u8; FIELD_LEN]> {
    let index = usize::try_from(u32::from_ne_bytes(*request.first_chunk()?)).ok()?;
    let field = FIELDS.get(index)?;
    let bytes = Packed::new()
        .u32(field.index)
        .u32(field.bit)
        .u32(PREAMBLE_LEN + field.offset)
        .u32(field.kind.size())
        .put(&[kind_code(field.kind), unit_code(field.unit), field.basic.into(), is_filled(field).into()], 4)
        .put(field.name.as_bytes(), NAME_LEN)
        .put(field.meaning.as_bytes(), MEANING_LEN)
        .bytes;
    Some(bytes)
}

fn is_filled(field: &Field) -> bool {
    matches!(field.part, Part::Module)
}

/// Returns the number of a kind in the result of [`GET_FIELD`].
#[must_use]
pub const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::U8 => 1,
        Kind::U16 => 2,
        Kind::U32 => 3,
        Kind::U64 => 4,
        Kind::Hex32 => 5,
        Kind::Address => 6,
        Kind::State => 7,
        Kind::Options => 8,
        Kind::Name16 => 9,
        Kind::Name32 => 10,
        Kind::Name64 => 11,
    }
}

/// Returns the number of a unit in the result of [`GET_FIELD`].
#[must_use]
pub const fn unit_code(unit: Unit) -> u8 {
    match unit {
        Unit::None => 0,
        Unit::Bytes => 1,
        Unit::BytesPerSecond => 2,
        Unit::Count => 3,
        Unit::Microseconds => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_match_the_c_header() {
        assert_eq!(SET_FORMAT, 0x8004_5401);
        assert_eq!(CLEAR_FILTER, 0x2000_5403);
        assert_eq!(GET_INFO, 0x4040_5406);
        assert_eq!(GET_FIELD, 0xc098_5407);
    }

    #[test]
    fn every_name_and_meaning_fits_with_its_terminating_zero() {
        for field in &FIELDS {
            assert!(field.name.len() < NAME_LEN, "{}", field.name);
            assert!(field.meaning.len() < MEANING_LEN, "{}", field.name);
        }
    }

    #[test]
    fn get_field_returns_a_row_and_rejects_unknown_numbers() {
        let srtt = Field::by_name("srtt").unwrap();
        let bytes = field(&u32::try_from(srtt.index).unwrap().to_ne_bytes()).unwrap();
        assert_eq!(&bytes[20..25], b"srtt\0");
        assert_eq!(bytes[16..20], [3, 4, 1, 1]);
        assert_eq!(&bytes[52..59], b"Smoothe");
        assert_eq!(field(&u32::try_from(FIELD_COUNT).unwrap().to_ne_bytes()), None);
        assert_eq!(field(&[0; 3]), None);
    }

    #[test]
    fn the_version_of_the_module_is_terminated() {
        let bytes = info("2.0.0");
        assert_eq!(&bytes[32..38], b"2.0.0\0");
        assert_eq!(info(&"9".repeat(100))[63], 0);
    }

    #[test]
    fn a_list_of_all_columns_fits() {
        let all: usize = FIELDS.iter().map(|field| field.name.len() + 1).sum();
        assert!(all < COLUMNS_LEN);
    }
}
