// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Formatting text into a buffer that the caller owns, without allocation or
//! panic.

use crate::field::{Field, Kind};
use crate::record::{Record, Value, mapped_ipv4};
use crate::state::{State, option};

/// Text that grows in a borrowed buffer.
///
/// Text that does not fit is dropped, and [`Text::finish`] then returns `None`:
/// it never returns truncated text.
///
/// ```
/// use tcpstats::text::Text;
/// let mut buffer = [0; 16];
/// let mut text = Text::new(&mut buffer);
/// text.str("rto=").number(230_000);
/// assert_eq!(text.finish(), Some("rto=230000"));
/// ```
#[derive(Debug)]
pub struct Text<'a> {
    buffer: &'a mut [u8],
    len: usize,
    overflow: bool,
}

/// The two decimal digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        let number = low_byte(i as u64);
        pairs[i] = [b'0' + number / 10, b'0' + number % 10];
        i += 1;
    }
    pairs
};

const HEX: &[u8; 16] = b"0123456789abcdef";

impl<'a> Text<'a> {
    /// Creates an empty text that can grow to the length of the buffer.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0, overflow: false }
    }

    /// Returns the text, or `None` if the buffer was too small.
    #[must_use]
    pub fn finish(self) -> Option<&'a str> {
        if self.overflow {
            return None;
        }
        core::str::from_utf8(self.buffer.get(..self.len)?).ok()
    }

    /// Returns the length of the text in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the text is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes, which must be UTF-8.
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        match self.buffer.get_mut(self.len..).and_then(|free| free.get_mut(..bytes.len())) {
            Some(free) => {
                free.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.overflow = true,
        }
        self
    }

    /// Appends a string.
    #[inline]
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends one ASCII character; any other byte becomes `?`.
    #[inline]
    pub fn char(&mut self, byte: u8) -> &mut Self {
        match self.buffer.get_mut(self.len) {
            Some(free) => {
                *free = if byte.is_ascii() { byte } else { b'?' };
                self.len += 1;
            }
            None => self.overflow = true,
        }
        self
    }

    /// Appends a decimal number.
    #[inline]
    pub fn number(&mut self, number: u64) -> &mut Self {
        if number < 10 {
            return self.char(b'0' + low_byte(number));
        }
        let log = match u32::try_from(number) {
            Ok(number) => number.checked_ilog10(),
            Err(_) => number.checked_ilog10(),
        };
        self.digits(number, log.map_or(1, |log| log as usize + 1))
    }

    /// Appends exactly the lowest `count` digits of a number.
    #[inline]
    fn digits(&mut self, mut number: u64, count: usize) -> &mut Self {
        let Some(free) = self.buffer.get_mut(self.len..).and_then(|free| free.get_mut(..count)) else {
            self.overflow = true;
            return self;
        };
        let (first, pairs) = free.as_rchunks_mut();
        for pair in pairs.iter_mut().rev() {
            *pair = PAIRS.get(usize::from(low_byte(number % 100))).copied().unwrap_or_default();
            number /= 100;
        }
        if let [first] = first {
            *first = b'0' + low_byte(number % 10);
        }
        self.len += count;
        self
    }

    /// Appends a time in nanoseconds as seconds with nine decimals.
    #[inline]
    pub fn seconds9(&mut self, ns: u64) -> &mut Self {
        self.number(ns / 1_000_000_000).char(b'.').digits(ns % 1_000_000_000, 9)
    }

    /// Appends a time in nanoseconds as seconds with six decimals.
    #[inline]
    pub fn seconds6(&mut self, ns: u64) -> &mut Self {
        self.number(ns / 1_000_000_000).char(b'.').microseconds6(ns)
    }

    /// Appends the microseconds within the second of a time in nanoseconds, as
    /// six digits.
    #[inline]
    pub fn microseconds6(&mut self, ns: u64) -> &mut Self {
        self.digits(ns % 1_000_000_000 / 1000, 6)
    }

    /// Appends text in quotes, escaped as in JSON.
    pub fn quoted(&mut self, text: &str) -> &mut Self {
        self.char(b'"');
        for char in text.chars() {
            match char {
                '"' | '\\' => _ = self.char(b'\\').str(char.encode_utf8(&mut [0; 4])),
                '\0'..='\x1f' => {
                    self.str("\\u00");
                    let code = u32::from(char);
                    self.char(hex_digit(code >> 4)).char(hex_digit(code));
                }
                _ => _ = self.str(char.encode_utf8(&mut [0; 4])),
            }
        }
        self.char(b'"')
    }

    /// Appends `0x` and eight hexadecimal digits.
    #[inline]
    pub fn hex32(&mut self, number: u32) -> &mut Self {
        let mut digits = *b"0x00000000";
        for (i, digit) in digits.iter_mut().rev().take(8).enumerate() {
            *digit = hex_digit(number >> (4 * i));
        }
        self.bytes(&digits)
    }

    /// Appends an address: in dotted decimal if it is IPv4-mapped, otherwise in
    /// the IPv6 form of RFC 5952.
    #[inline]
    pub fn address(&mut self, address: [u8; 16]) -> &mut Self {
        match mapped_ipv4(address) {
            Some([a, b, c, d]) => {
                self.number(a.into()).char(b'.').number(b.into()).char(b'.');
                self.number(c.into()).char(b'.').number(d.into())
            }
            None => self.ipv6(address),
        }
    }

    fn ipv6(&mut self, address: [u8; 16]) -> &mut Self {
        let mut groups = [0; 8];
        for (group, pair) in groups.iter_mut().zip(address.chunks_exact(2)) {
            *group = u16::from_be_bytes(<[u8; 2]>::take(pair));
        }
        let (gap, gap_len) = longest_zeros(groups);
        for (i, group) in groups.into_iter().enumerate() {
            if gap_len > 0 && (gap..gap + gap_len).contains(&i) {
                if i == gap {
                    self.str("::");
                }
                continue;
            }
            let after_gap = gap_len > 0 && i == gap + gap_len;
            if i > 0 && !after_gap {
                self.char(b':');
            }
            self.hex16(group);
        }
        self
    }

    /// Appends a number in hexadecimal without leading zeros.
    fn hex16(&mut self, number: u16) {
        let number = u32::from(number);
        for shift in [12, 8, 4] {
            if number >> shift > 0 {
                self.char(hex_digit(number >> shift));
            }
        }
        self.char(hex_digit(number));
    }

    /// Appends the name in a field, up to its first zero.  Bytes that are not
    /// printable ASCII, or that a format would have to quote, become `?`.
    #[inline]
    pub fn name(&mut self, name: &[u8]) -> &mut Self {
        for &byte in name.iter().take_while(|byte| **byte != 0) {
            self.char(if is_plain(byte) { byte } else { b'?' });
        }
        self
    }

    /// Appends the name of a state, or its number if it has no name.
    #[inline]
    pub fn state(&mut self, state: State) -> &mut Self {
        match state.name() {
            Some(name) => self.str(name),
            None => self.number(state.0.into()),
        }
    }

    /// Appends the names of option bits, separated by `|`.  An empty set is
    /// `none`; unknown bits are written as numbers.
    pub fn options(&mut self, bits: u16) -> &mut Self {
        if bits == 0 {
            return self.str("none");
        }
        let mut first = true;
        for bit in (0..16).filter(|bit| bits >> bit & 1 == 1) {
            if !first {
                self.char(b'|');
            }
            first = false;
            match option::NAMES.get(bit) {
                Some(name) => self.str(name),
                None => self.str("bit").number(bit as u64),
            };
        }
        self
    }

    /// Appends the value of a field, or nothing if the field is absent.
    #[inline]
    pub fn value(&mut self, record: &Record, field: &Field) -> &mut Self {
        let Some(bytes) = record.from(field) else {
            return self;
        };
        match field.kind {
            Kind::U8 => self.number(u8::take(bytes).into()),
            Kind::U16 => self.number(u16::take(bytes).into()),
            Kind::U32 => self.number(u32::take(bytes).into()),
            Kind::U64 => self.number(u64::take(bytes)),
            Kind::Hex32 => self.hex32(u32::take(bytes)),
            Kind::Address => self.address(<[u8; 16]>::take(bytes)),
            Kind::State => self.state(State(u8::take(bytes))),
            Kind::Options => self.options(u16::take(bytes)),
            Kind::Name16 | Kind::Name32 | Kind::Name64 => self.name(bytes.get(..field.kind.size()).unwrap_or_default()),
        }
    }
}

/// Returns whether a byte of a name can be written in every format.
pub(crate) const fn is_plain(byte: u8) -> bool {
    is_printable(byte) && !matches!(byte, b',' | b'"' | b'\\')
}

/// Returns whether a byte is a printable ASCII character.
pub(crate) const fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// Returns the maximum length of a value as text, in bytes.
#[must_use]
pub const fn longest(kind: Kind) -> usize {
    match kind {
        Kind::U8 => 3,
        Kind::U16 => 5,
        Kind::U32 | Kind::Hex32 => 10,
        Kind::U64 => 20,
        // Includes a zone: `%` and the name of an interface.
        Kind::Address => 39 + 1 + 16,
        Kind::State => 11,
        Kind::Options => 16 * 7,
        Kind::Name16 => 16,
        Kind::Name32 => 32,
        Kind::Name64 => 64,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "only the lowest byte is wanted")]
const fn low_byte(number: u64) -> u8 {
    number as u8
}

const fn hex_digit(number: u32) -> u8 {
    HEX[(number & 15) as usize]
}

/// Returns the start and length of the longest run of at least two zero groups,
/// the first one if there are several, or length 0 if there is no such run.
fn longest_zeros(groups: [u16; 8]) -> (usize, usize) {
    let (mut best, mut best_len, mut len) = (0, 1, 0);
    for (i, group) in groups.into_iter().enumerate() {
        len = if group == 0 { len + 1 } else { 0 };
        if len > best_len {
            (best, best_len) = (i + 1 - len, len);
        }
    }
    if best_len < 2 { (0, 0) } else { (best, best_len) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString};

    use super::*;
    use crate::record::ipv4;

    fn text(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut buffer = [0; 128];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        text.finish().unwrap().to_string()
    }

    #[test]
    fn text_that_does_not_fit_is_not_truncated() {
        let mut buffer = [0; 3];
        let mut text = Text::new(&mut buffer);
        text.number(12).str("34");
        assert_eq!(text.finish(), None);
    }

    #[test]
    fn times_keep_their_leading_zeros() {
        assert_eq!(text(|t| _ = t.seconds9(1_764_000_000_000_000_007)), "1764000000.000000007");
        assert_eq!(text(|t| _ = t.seconds6(5_000_042_999)), "5.000042");
    }

    #[test]
    fn ipv4_is_dotted_decimal() {
        assert_eq!(text(|t| _ = t.address(ipv4([192, 0, 2, 10]))), "192.0.2.10");
    }

    #[test]
    fn names_cannot_break_a_line() {
        assert_eq!(text(|t| _ = t.name(b"cu\"b,ic\n\xff\0rest")), "cu?b?ic??");
        assert_eq!(text(|t| _ = t.name(b"tmux: server\0")), "tmux: server");
    }

    #[test]
    fn option_bits_are_named() {
        assert_eq!(text(|t| _ = t.options(0)), "none");
        assert_eq!(text(|t| _ = t.options(0b1_0000_1011)), "ts|sack|ecn|bit8");
        assert!(text(|t| _ = t.options(u16::MAX)).len() <= longest(Kind::Options));
    }

    proptest! {
        #[test]
        fn numbers_match_the_standard_library(n: u64, small in 0..2000u64) {
            prop_assert_eq!(text(|t| _ = t.number(n)), n.to_string());
            prop_assert_eq!(text(|t| _ = t.number(small)), small.to_string());
        }

        #[test]
        fn flags_match_the_standard_library(n: u32) {
            prop_assert_eq!(text(|t| _ = t.hex32(n)), format!("{n:#010x}"));
        }

        #[test]
        fn ipv6_addresses_match_the_standard_library(
            mut groups in prop::array::uniform8(prop_oneof![Just(0u16), Just(1), any::<u16>()]),
        ) {
            // The standard library writes IPv4-mapped addresses differently.
            groups[0] |= 1;
            let address = Ipv6Addr::from(groups);
            prop_assert_eq!(text(|t| _ = t.address(address.octets())), address.to_string());
            groups.reverse();
            groups[0] |= 0x2000;
            let address = Ipv6Addr::from(groups);
            prop_assert_eq!(text(|t| _ = t.address(address.octets())), address.to_string());
        }
    }
}
