// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A set of fields, in the form of the presence mask of a record.

use crate::field::Field;
use crate::table::key;

/// Number of words in the presence mask: 128 bits for each part of a record.
pub(crate) const MASK_WORDS: usize = 4;

/// Length in bytes of what precedes the fields of a record: the time and the
/// presence mask.
pub const PREAMBLE_LEN: usize = 8 + 8 * MASK_WORDS;

/// A set of fields.
///
/// ```
/// use tcpstats::{FieldSet, key};
/// let mut set = FieldSet::EMPTY;
/// set.insert(key::srtt.field());
/// assert!(set.has(key::srtt.field()) && !set.has(key::rto.field()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct FieldSet {
    pub(crate) words: [u64; MASK_WORDS],
}

impl FieldSet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; MASK_WORDS] };

    /// The set of all fields.
    pub const ALL: Self = Self { words: [u64::MAX; MASK_WORDS] };

    /// Returns whether the field is in the set.
    #[inline]
    #[must_use]
    pub fn has(&self, field: &Field) -> bool {
        self.has_bit(field.bit)
    }

    /// Adds a field.
    #[inline]
    pub fn insert(&mut self, field: &Field) {
        self.insert_bit(field.bit);
    }

    /// Removes a field.
    #[inline]
    pub fn remove(&mut self, field: &Field) {
        self.remove_bit(field.bit);
    }

    #[inline]
    pub(crate) fn has_bit(&self, bit: usize) -> bool {
        self.words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    #[inline]
    pub(crate) fn insert_bit(&mut self, bit: usize) {
        if let Some(word) = self.words.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    #[inline]
    pub(crate) fn remove_bit(&mut self, bit: usize) {
        if let Some(word) = self.words.get_mut(bit / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    /// Returns whether the set contains fields that are joined, or fields after these.
    #[inline]
    #[must_use]
    pub fn has_joined(&self) -> bool {
        const FIRST: usize = key::pid.bit;
        const _: () = assert!(FIRST / 64 == MASK_WORDS - 1, "they are in the last word");
        self.words[FIRST / 64] >> (FIRST % 64) != 0
    }

    /// Removes all bits of a part except those of its first `count` fields.
    /// `first` is the first of the part's 128 bits.
    pub(crate) fn keep_first(&mut self, first: usize, count: usize) {
        for (i, word) in self.words.iter_mut().skip(first / 64).take(2).enumerate() {
            *word &= low_bits(count.saturating_sub(i * 64));
        }
    }
}

/// Returns a word in which the lowest `count` bits are set.
const fn low_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
