// SPDX-License-Identifier: BSD-2-Clause

//! Rows of text read back, without allocation: what the readers of
//! [`csv`](crate::csv), [`json`](crate::json) and [`siftr`](crate::siftr) share.

use core::net::Ipv6Addr;

use crate::columns::Columns;
use crate::field::{Field, Kind};
use crate::record::{MASK_WORDS, Record, ipv4, name};
use crate::state::{State, option};
use crate::text::longest;

/// Where a row is wrong, and what was expected there.
#[derive(Clone, Copy, Debug)]
pub struct RowError {
    /// Bytes of the line before the place.
    pub at: usize,
    /// What was expected.
    pub expected: Expected,
}

/// What a reader of rows expected.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// Seconds since the UNIX epoch.
    Time,
    /// The snapshot's number.
    Snapshot,
    /// A value of that field.
    Value(&'static Field),
    /// A decimal number for that field.
    Number(&'static Field),
    /// So many cells in the row.
    Cells(usize),
    /// The name of a field.
    Key,
    /// That piece of text.
    Text(&'static str),
}

impl core::fmt::Display for RowError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "at byte {}: expected {}", self.at + 1, self.expected)
    }
}

impl core::error::Error for RowError {}

impl core::fmt::Display for Expected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Time => f.write_str("a time in seconds"),
            Self::Snapshot => f.write_str("the number of a snapshot"),
            Self::Value(field) => {
                write!(f, "{}, ", field.name)?;
                match field.kind {
                    Kind::U8 => f.write_str("a number of 8 bits"),
                    Kind::U16 => f.write_str("a number of 16 bits"),
                    Kind::U32 => f.write_str("a number of 32 bits"),
                    Kind::U64 => f.write_str("a number of 64 bits"),
                    Kind::Hex32 => f.write_str("0x and up to eight hexadecimal digits"),
                    Kind::Address => f.write_str("an IPv4 or IPv6 address"),
                    Kind::State => f.write_str("a state, such as ESTABLISHED"),
                    Kind::Options => f.write_str("options with | between them, such as ts|sack"),
                    Kind::Name16 | Kind::Name32 => {
                        write!(f, "a name of at most {} ASCII characters", longest(field.kind))
                    }
                }
            }
            Self::Number(field) => write!(f, "{}, a number", field.name),
            Self::Cells(count) => write!(f, "{count} cells in the row"),
            Self::Key => f.write_str("the name of a field as tcpstats(5) lists them"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The fields that a reader of rows reads; the others are passed over, and are
/// absent in the record.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    mask: [u64; MASK_WORDS],
}

impl Wanted {
    /// Every field.
    #[must_use]
    pub const fn all() -> Self {
        Self { mask: [u64::MAX; MASK_WORDS] }
    }

    /// Those fields alone.
    #[must_use]
    pub fn only(columns: &Columns) -> Self {
        let mut wanted = Self { mask: [0; MASK_WORDS] };
        for field in columns.fields() {
            if let Some(word) = wanted.mask.get_mut(field.index / 64) {
                *word |= 1 << (field.index % 64);
            }
        }
        wanted
    }

    /// Whether the field at that place of the table is wanted.
    #[inline]
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        self.mask.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

/// A decimal number of 64 bits.
#[inline]
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let digit = |byte: u8| Some(u64::from(byte.wrapping_sub(b'0'))).filter(|digit| *digit < 10);
    if text.is_empty() {
        return None;
    }
    if text.len() < 20 {
        return text.iter().try_fold(0, |number: u64, byte| Some(number.wrapping_mul(10).wrapping_add(digit(*byte)?)));
    }
    text.iter().try_fold(0, |number: u64, byte| number.checked_mul(10)?.checked_add(digit(*byte)?))
}

/// Seconds with up to nine decimals, in nanoseconds.
#[inline]
#[must_use]
pub fn seconds(text: &[u8]) -> Option<u64> {
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let whole = number(text.get(..point)?)?.checked_mul(1_000_000_000)?;
    let decimals = text.get(point..)?;
    let Some(decimals) = decimals.get(1..) else {
        return Some(whole);
    };
    let missing = 9_usize.checked_sub(decimals.len())?;
    let scale = 10_u64.checked_pow(u32::try_from(missing).ok()?)?;
    whole.checked_add(number(decimals)?.checked_mul(scale)?)
}

/// `0x` and up to eight hexadecimal digits.
fn hex32(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"0x").filter(|digits| (1..=8).contains(&digits.len()))?;
    digits.iter().try_fold(0, |number: u32, byte| Some(number << 4 | char::from(*byte).to_digit(16)?))
}

/// An address: dotted decimal, or IPv6.
#[inline]
fn address(text: &[u8]) -> Option<[u8; 16]> {
    dotted(text).map(ipv4).or_else(|| {
        let address: Ipv6Addr = core::str::from_utf8(text).ok()?.parse().ok()?;
        Some(address.octets())
    })
}

fn dotted(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() <= 3)?;
        *octet = u8::try_from(number(part)?).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

fn state(text: &[u8]) -> Option<State> {
    match State::named(text) {
        Some(state) => Some(state),
        None => number(text).and_then(|number| u8::try_from(number).ok()).map(State),
    }
}

fn options(text: &[u8]) -> Option<u16> {
    if text == b"none" {
        return Some(0);
    }
    text.split(|byte| *byte == b'|').try_fold(0, |bits, word| {
        let bit = match option::NAMES.iter().position(|name| name.as_bytes() == word) {
            Some(bit) => bit,
            None => usize::try_from(number(word.strip_prefix(b"bit")?)?).ok()?,
        };
        Some(bits | 1_u16.checked_shl(u32::try_from(bit).ok()?)?)
    })
}

/// Whether [`Text::name`](crate::text::Text::name) writes it as it is.
fn is_name(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'"' | b'\\'))
}

/// Sets a field from its text; none where it is no value of the field.
#[inline]
pub(crate) fn value(record: &mut Record, field: &Field, text: &[u8]) -> Option<()> {
    match field.kind {
        Kind::U8 => record.put(field, u8::try_from(number(text)?).ok()?),
        Kind::U16 => record.put(field, u16::try_from(number(text)?).ok()?),
        Kind::U32 => record.put(field, u32::try_from(number(text)?).ok()?),
        Kind::U64 => record.put(field, number(text)?),
        Kind::Hex32 => record.put(field, hex32(text)?),
        Kind::Address => record.put(field, address(text)?),
        Kind::State => record.put(field, state(text)?),
        Kind::Options => record.put(field, options(text)?),
        Kind::Name16 => record.put(field, Some(text).filter(|text| text.len() <= 16 && is_name(text)).map(name::<16>)?),
        Kind::Name32 => record.put(field, Some(text).filter(|text| text.len() <= 32 && is_name(text)).map(name::<32>)?),
    }
    Some(())
}
