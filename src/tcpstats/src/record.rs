// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The record: one connection at one instant.

use crate::field::{Field, Key, Kind, Part};
use crate::mask::{FieldSet, PREAMBLE_LEN};
use crate::state::State;
use crate::table::{BODY_LEN, BODY_LEN_UNJOINED, FIELDS, MODULE_BODY_LEN, key};

/// Length in bytes of a complete record, as this version writes it.
pub const RECORD_LEN: usize = PREAMBLE_LEN + BODY_LEN;

/// Length in bytes of a record in a snapshot without the fields that are joined (see
/// [`Field::is_joined`]).
pub const RECORD_LEN_UNJOINED: usize = PREAMBLE_LEN + BODY_LEN_UNJOINED;

const _: () = assert!(size_of::<Record>() == RECORD_LEN);

/// One connection at one instant: the fields that a source could fill.
///
/// A field that has not been set is *absent*, which is different from zero.
///
/// ```
/// use tcpstats::{Record, key};
/// let mut record = Record::new();
/// record.set(key::snd_cwnd, 14480);
/// assert_eq!(record.get(key::snd_cwnd), Some(14480));
/// assert_eq!(record.get(key::srtt), None);
/// ```
///
/// A record has the same layout in memory and on the wire.  `BODY` is the
/// length of the fields in bytes: all fields, or only those that the kernel
/// module sends.  Fields beyond it are never present.
#[derive(Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Record<const BODY: usize = BODY_LEN> {
    /// When the connection was sampled, in nanoseconds since the start of the
    /// walk.  In a final record, when the connection ended, which may be before the
    /// walk: then it is a negative number in two's complement.
    pub at_ns: u64,
    pub(crate) present: FieldSet,
    pub(crate) body: [u8; BODY],
}

/// A record of this version in a buffer, of which single fields are read without copying it.
#[derive(Clone, Copy, Debug)]
pub struct RecordBytes<'a>(pub(crate) &'a [u8]);

impl RecordBytes<'_> {
    /// Returns the value of a field, or `None` if the field is absent.
    #[inline]
    #[must_use]
    pub fn get<T: Value>(self, key: Key<T>) -> Option<T> {
        // The mask of the present fields follows the time.
        let word = u64::take(self.0.get(8 * (1 + key.bit / 64)..)?);
        let at = PREAMBLE_LEN + key.offset;
        if word >> (key.bit % 64) & 1 == 0 { None } else { Some(T::take(self.0.get(at..at + T::LEN)?)) }
    }
}

/// A record of this version in a buffer, of which single fields are set in place.
#[derive(Debug)]
pub struct RecordBytesMut<'a>(pub(crate) &'a mut [u8]);

impl RecordBytesMut<'_> {
    /// Returns the record to read it.
    #[inline]
    #[must_use]
    pub fn read(&self) -> RecordBytes<'_> {
        RecordBytes(self.0)
    }

    /// Sets a field and marks it as present, if the record has room for it.
    #[inline]
    pub fn set<T: Value>(&mut self, key: Key<T>, value: T) {
        let at = PREAMBLE_LEN + key.offset;
        if let Some(bytes) = self.0.get_mut(at..at + T::LEN) {
            value.put(bytes);
            let word_at = 8 * (1 + key.bit / 64);
            if let Some(word) = self.0.get_mut(word_at..word_at + 8) {
                (u64::take(word) | 1 << (key.bit % 64)).put(word);
            }
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    /// Creates a record in which every field is absent.
    #[must_use]
    pub const fn new() -> Self {
        Self::absent()
    }

    /// Returns whether this is the final record of a connection that has ended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.get(key::state) == Some(State::ENDED)
    }

    /// Returns the record as it is sent, in native byte order.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        let (preamble, body) = bytes.split_at_mut(PREAMBLE_LEN);
        let words = core::iter::once(self.at_ns).chain(self.present.words);
        for (to, word) in preamble.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        body.copy_from_slice(&self.body);
        bytes
    }

    /// Reads a record in the layout of this version.  Fields beyond the end of
    /// `bytes` are absent.  `swapped` means that the bytes have the other byte
    /// order.  This never fails: fewer bytes than a preamble are a record
    /// without fields.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], swapped: bool) -> Self {
        Self::from_parts(bytes, MODULE_BODY_LEN, swapped)
    }

    /// Reads a record of any version.  The first `module_len` bytes of its body
    /// are the module's part, the rest is the other part.  Fields that only one
    /// of the two versions has are absent.
    #[must_use]
    pub fn from_parts(bytes: &[u8], module_len: usize, swapped: bool) -> Self {
        let Some((preamble, sent)) = bytes.split_first_chunk::<PREAMBLE_LEN>() else {
            return Self::new();
        };
        let word = |at: usize| {
            let word = u64::take(preamble.get(8 * at..).unwrap_or_default());
            if swapped { word.swap_bytes() } else { word }
        };
        let mut present = FieldSet { words: core::array::from_fn(|i| word(1 + i)) };
        // Records of the lengths that this version and its module write are copied as one block.
        let mut keep = |fit| {
            present.keep_first(Part::Module.first_bit(), Part::Module.fields().len());
            present.keep_first(Part::Other.first_bit(), fit);
        };
        let body = match (sent.first_chunk(), sent.first_chunk(), sent.first_chunk()) {
            (Some(all), ..) if module_len == MODULE_BODY_LEN => {
                keep(FIT_ALL);
                let mut body = *all;
                clear_absent_joined(&mut body, &present);
                body
            }
            (_, Some(start), _) if sent.len() == BODY_LEN_UNJOINED && module_len == MODULE_BODY_LEN => {
                keep(FIT_UNJOINED);
                padded::<BODY_LEN_UNJOINED>(start)
            }
            (.., Some(start)) if sent.len() == MODULE_BODY_LEN && module_len == MODULE_BODY_LEN => {
                keep(0);
                padded::<MODULE_BODY_LEN>(start)
            }
            _ => {
                let (module, other) = sent.split_at(module_len.min(sent.len()));
                let mut body = [0; BODY_LEN];
                for (part, start, sent) in [(Part::Module, 0, module), (Part::Other, MODULE_BODY_LEN, other)] {
                    let fields = part.fields();
                    let fit = fit(part, start + sent.len());
                    let len = fit.checked_sub(1).and_then(|last| fields.get(last)).map_or(0, |last| last.end() - start);
                    if let (Some(to), Some(from)) = (body.get_mut(start..start + len), sent.get(..len)) {
                        to.copy_from_slice(from);
                    }
                    present.keep_first(part.first_bit(), fit);
                }
                clear_absent_joined(&mut body, &present);
                body
            }
        };
        let mut record = Self { at_ns: word(0), present, body };
        if swapped {
            record.swap_fields();
        }
        record
    }

    /// Swaps the byte order of every field of the body.
    pub(crate) fn swap_fields(&mut self) {
        for field in FIELDS.iter().filter(|field| field.kind.align() > 1) {
            if let Some(value) = self.body.get_mut(field.offset..field.end()) {
                value.reverse();
            }
        }
    }
}

impl<const BODY: usize> Record<BODY> {
    /// Creates a record of any size in which every field is absent.
    #[must_use]
    pub const fn absent() -> Self {
        Self { at_ns: 0, present: FieldSet::EMPTY, body: [0; BODY] }
    }

    /// Makes every field absent, so that the record can be reused.
    pub fn clear(&mut self) {
        *self = Self::absent();
    }

    /// Makes every field absent but leaves the bytes of the values, which are
    /// cheaper to overwrite than to clear.
    ///
    /// The caller must then [set](Self::set) or [clear](Self::set_if) each
    /// field that the record has ever contained.
    #[inline]
    pub fn forget(&mut self) {
        self.present = FieldSet::EMPTY;
    }

    /// Sets a field and marks it as present, if the record has room for it.
    #[inline]
    pub fn set<T: Value>(&mut self, key: Key<T>, value: T) {
        self.put_at(key.bit, key.offset, value);
    }

    /// Sets a number, a state or a set of options, or returns `None` if the
    /// field cannot hold `number`.
    #[inline]
    #[must_use]
    pub fn set_number(&mut self, field: &Field, number: u64) -> Option<()> {
        match field.kind {
            Kind::U8 | Kind::State => self.put(field, u8::try_from(number).ok()?),
            Kind::U16 | Kind::Options => self.put(field, u16::try_from(number).ok()?),
            Kind::U32 | Kind::Hex32 => self.put(field, u32::try_from(number).ok()?),
            Kind::U64 => self.put(field, number),
            Kind::Address | Kind::Name16 | Kind::Name32 | Kind::Name64 => return None,
        }
        Some(())
    }

    /// Makes a field absent.
    pub(crate) fn remove(&mut self, field: &Field) {
        self.present.remove(field);
        if let Some(bytes) = self.body.get_mut(field.offset..field.end()) {
            bytes.fill(0);
        }
    }

    /// Sets a field whose kind has the type `T`.
    #[inline]
    pub(crate) fn put<T: Value>(&mut self, field: &Field, value: T) {
        self.put_at(field.bit, field.offset, value);
    }

    #[inline]
    fn put_at<T: Value>(&mut self, bit: usize, offset: usize, value: T) {
        if let Some(bytes) = self.body.get_mut(offset..offset + T::LEN) {
            self.present.insert_bit(bit);
            value.put(bytes);
        }
    }

    /// Sets a field, or makes it absent and clears its bytes if `value` is
    /// `None`.
    #[inline]
    pub fn set_if<T: Value>(&mut self, key: Key<T>, value: Option<T>) {
        if let Some(value) = value {
            return self.set(key, value);
        }
        self.present.remove_bit(key.bit);
        if let Some(bytes) = self.body.get_mut(key.offset..key.offset + T::LEN) {
            bytes.fill(0);
        }
    }

    /// Returns the value of a field, or `None` if the field is absent.
    #[inline]
    #[must_use]
    pub fn get<T: Value>(&self, key: Key<T>) -> Option<T> {
        if !self.present.has_bit(key.bit) {
            return None;
        }
        Some(T::take(self.body.get(key.offset..key.offset + T::LEN)?))
    }

    /// Returns the set of fields that are present.
    #[inline]
    #[must_use]
    pub fn present(&self) -> &FieldSet {
        &self.present
    }

    /// Returns whether the field is present.
    #[inline]
    #[must_use]
    pub fn has(&self, field: &Field) -> bool {
        self.present.has(field)
    }

    /// Returns the body from the start of the field, or `None` if the field is
    /// absent.
    #[inline]
    pub(crate) fn from(&self, field: &Field) -> Option<&[u8]> {
        if self.has(field) { self.body.get(field.offset..) } else { None }
    }

    /// Returns the bytes of a field, or `None` if the field is absent.
    #[inline]
    #[must_use]
    pub fn bytes(&self, field: &Field) -> Option<&[u8]> {
        self.from(field)?.get(..field.kind.size())
    }

    /// Returns the value of a number, a state or a set of options, or `None` if
    /// the field is absent or of another kind.
    #[inline]
    #[must_use]
    pub fn number(&self, field: &Field) -> Option<u64> {
        let bytes = self.from(field)?;
        Some(match field.kind {
            Kind::U8 | Kind::State => u64::from(u8::take(bytes)),
            Kind::U16 | Kind::Options => u64::from(u16::take(bytes)),
            Kind::U32 | Kind::Hex32 => u64::from(u32::take(bytes)),
            Kind::U64 => u64::take(bytes),
            Kind::Address | Kind::Name16 | Kind::Name32 | Kind::Name64 => return None,
        })
    }
}

impl<const BODY: usize> core::fmt::Debug for Record<BODY> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut map = f.debug_map();
        map.entry(&"at_ns", &self.at_ns);
        for field in &FIELDS {
            if let Some(number) = self.number(field) {
                map.entry(&field.name, &number);
            } else if let Some(bytes) = self.bytes(field) {
                map.entry(&field.name, &bytes);
            }
        }
        map.finish()
    }
}

/// Returns the number of fields of a part that end in the first `len` bytes of a body.
const fn fit(part: Part, len: usize) -> usize {
    // Rows are in order, so those that fit come first.
    let fields = part.fields();
    let mut fit = 0;
    while fit < fields.len() && fields[fit].end() <= len {
        fit += 1;
    }
    fit
}

/// Numbers of fields in the other part: all, and those that fit in a record without the fields
/// that are joined.
const FIT_ALL: usize = fit(Part::Other, BODY_LEN);
const FIT_UNJOINED: usize = fit(Part::Other, BODY_LEN_UNJOINED);

/// Clears the fields that are joined, if all are absent: they are not written then, so the record would differ when it
/// is read again.
#[inline]
fn clear_absent_joined(body: &mut [u8; BODY_LEN], present: &FieldSet) {
    if !present.has_joined()
        && let Some(joined) = body.get_mut(BODY_LEN_UNJOINED..)
    {
        joined.fill(0);
    }
}

/// Returns a body that starts with these bytes.
#[inline]
fn padded<const LEN: usize>(start: &[u8; LEN]) -> [u8; BODY_LEN] {
    let mut body = [0; BODY_LEN];
    if let Some(to) = body.first_chunk_mut() {
        *to = *start;
    }
    body
}

/// A type that the value of a field can have.
pub trait Value: Copy {
    /// Length of a value on the wire, in bytes.
    const LEN: usize;

    /// Writes the value into `LEN` bytes.
    fn put(self, to: &mut [u8]);

    /// Reads a value from `LEN` bytes; missing bytes count as zero.
    fn take(from: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Value for $type {
            const LEN: usize = size_of::<Self>();

            #[inline]
            fn put(self, to: &mut [u8]) {
                if let Some(to) = to.first_chunk_mut() {
                    *to = self.to_ne_bytes();
                }
            }

            #[inline]
            fn take(from: &[u8]) -> Self {
                from.first_chunk().map_or(0, |bytes| Self::from_ne_bytes(*bytes))
            }
        }
    )*};
}

number!(u8 u16 u32 u64);

impl<const N: usize> Value for [u8; N] {
    const LEN: usize = N;

    #[inline]
    fn put(self, to: &mut [u8]) {
        if let Some(to) = to.first_chunk_mut() {
            *to = self;
        }
    }

    #[inline]
    fn take(from: &[u8]) -> Self {
        from.first_chunk().copied().unwrap_or([0; N])
    }
}

impl Value for State {
    const LEN: usize = 1;

    #[inline]
    fn put(self, to: &mut [u8]) {
        self.0.put(to);
    }

    #[inline]
    fn take(from: &[u8]) -> Self {
        Self(u8::take(from))
    }
}

/// Returns a name as a field stores it: truncated to `N` bytes and padded with
/// zeros.
#[must_use]
pub fn name<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut name = [0; N];
    for (to, from) in name.iter_mut().zip(text.iter().take_while(|byte| **byte != 0)) {
        *to = *from;
    }
    name
}

/// Returns an IPv4 address as a field stores it: IPv4-mapped.
#[must_use]
pub const fn ipv4(octets: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = octets;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Returns the IPv4 address in an IPv4-mapped address, or `None` for any other
/// address.
#[must_use]
pub const fn mapped_ipv4(address: [u8; 16]) -> Option<[u8; 4]> {
    match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => Some([a, b, c, d]),
        _ => None,
    }
}

/// Returns whether an address is scoped, which means that it identifies a host
/// only together with a zone: link-local addresses, and link-local or
/// interface-local multicast (RFC 4007, section 4).
#[must_use]
pub const fn is_scoped(address: [u8; 16]) -> bool {
    match address {
        [0xfe, second, ..] => second & 0xc0 == 0x80,
        [0xff, second, ..] => matches!(second & 0x0f, 1 | 2),
        _ => false,
    }
}
