// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Detecting whether a connection changed between two samples.

use crate::field::Field;
use crate::mask::FieldSet;
use crate::record::Record;
use crate::table::{BODY_LEN, BODY_LEN_UNJOINED, FIELDS};

/// Fields that change even on an idle connection: the time since an event, and
/// the time until a timer expires.
pub const ALWAYS_MOVING: [&str; 9] =
    ["age", "idle_snd", "idle_rcv", "idle_ack", "tt_rexmt", "tt_persist", "tt_keep", "tt_2msl", "tt_delack"];

impl Record {
    /// Removes the fields in [`ALWAYS_MOVING`].
    pub fn forget_moving(&mut self) {
        for field in FIELDS.iter().filter(|field| ALWAYS_MOVING.contains(&field.name)) {
            self.present.remove(field);
            if let Some(bytes) = self.body.get_mut(field.offset..field.end()) {
                bytes.fill(0);
            }
        }
    }
}

/// The fields in which two records of a connection are compared.
///
/// ```
/// use tcpstats::{Compared, FIELDS, Record, key};
/// let compared = Compared::by(FIELDS.iter());
/// let mut before = Record::new();
/// before.set(key::snd_cwnd, 14480);
/// before.set(key::idle_snd, 50_000);
/// let mut after = before.clone();
/// after.set(key::idle_snd, 100_000);
/// assert!(compared.same(&before, &after));
/// after.set(key::snd_cwnd, 28960);
/// assert!(!compared.same(&before, &after));
/// ```
#[derive(Clone, Debug)]
pub struct Compared {
    present: FieldSet,
    body: [u8; BODY_LEN],
}

impl Compared {
    /// Creates a comparison of these fields, except those in [`ALWAYS_MOVING`].
    pub fn by<'a>(fields: impl Iterator<Item = &'a Field>) -> Self {
        let mut compared = Self { present: FieldSet::EMPTY, body: [0; BODY_LEN] };
        for field in fields.filter(|field| !ALWAYS_MOVING.contains(&field.name)) {
            compared.present.insert(field);
            if let Some(bytes) = compared.body.get_mut(field.offset..field.end()) {
                bytes.fill(u8::MAX);
            }
        }
        compared
    }

    /// Creates a comparison of all fields that are not in [`ALWAYS_MOVING`].
    #[must_use]
    pub fn by_all() -> Self {
        Self::by(FIELDS.iter())
    }

    /// Returns whether the same compared fields are present in both records,
    /// with the same values.
    #[must_use]
    pub fn same(&self, one: &Record, other: &Record) -> bool {
        let mask = self.present.words.iter().zip(one.present.words.iter().zip(&other.present.words));
        mask.fold(0, |differ, (mask, (one, other))| differ | (mask & (one ^ other))) == 0
            // The end of most records is empty.
            && if one.present.has_joined() {
                self.has_same_bytes::<BODY_LEN>(one, other)
            } else {
                self.has_same_bytes::<BODY_LEN_UNJOINED>(one, other)
            }
    }

    /// Returns whether the compared fields in the first `LEN` bytes have the same values.
    #[inline]
    fn has_same_bytes<const LEN: usize>(&self, one: &Record, other: &Record) -> bool {
        let (Some(mask), Some(one), Some(other)) =
            (self.body.first_chunk::<LEN>(), one.body.first_chunk::<LEN>(), other.body.first_chunk::<LEN>())
        else {
            return false;
        };
        let bytes = mask.iter().zip(one.iter().zip(other));
        bytes.fold(0, |differ, (mask, (one, other))| differ | (mask & (one ^ other))) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Columns, key};

    #[test]
    fn fields_that_always_move_are_in_the_table() {
        for name in ALWAYS_MOVING {
            assert!(Field::by_name(name).is_some(), "{name}");
        }
        let is_clock = |field: &&Field| field.name.starts_with("idle_") || field.name.starts_with("tt_");
        for field in FIELDS.iter().filter(is_clock) {
            assert!(ALWAYS_MOVING.contains(&field.name), "{} always moves", field.name);
        }
    }

    #[test]
    fn a_field_that_appears_is_a_change() {
        let mut with_zero = Record::new();
        with_zero.set(key::srtt, 0);
        assert!(!Compared::by_all().same(&Record::new(), &with_zero));
    }

    #[test]
    fn another_owner_is_a_change() {
        let mut before = Record::new();
        before.set(key::pid, 812);
        before.set(key::container, crate::name(b"0123456789ab"));
        let changes: [fn(&mut Record); 7] = [
            |record| record.set(key::pid, 813),
            |record| record.set(key::processes, 2),
            |record| record.set(key::command, crate::name(b"nginx")),
            |record| record.set(key::container, crate::name(b"0123456789ac")),
            |record| record.set(key::jail, crate::name(b"www")),
            |record| record.set(key::netns, crate::name(b"blue")),
            |record| record.set_if(key::pid, None),
        ];
        for change in changes {
            let mut after = before.clone();
            change(&mut after);
            assert!(!Compared::by_all().same(&before, &after) && Compared::by_all().same(&after, &after));
        }
    }

    #[test]
    fn a_record_without_the_fields_that_always_move_is_the_same() {
        let mut record = Record::new();
        record.set(key::snd_cwnd, 14480);
        let still = record.clone();
        record.set(key::idle_snd, 50_000);
        record.set(key::tt_keep, 1);
        assert!(record != still);
        record.forget_moving();
        assert!(record == still);
    }

    #[test]
    fn a_field_that_is_not_compared_may_change() {
        let columns = Columns::parse("snd_cwnd").unwrap();
        let mut other = Record::new();
        other.set(key::srtt, 1500);
        assert!(Compared::by(columns.fields()).same(&Record::new(), &other));
    }
}
