// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The columns of a text format.

use crate::field::Field;
use crate::mask::FieldSet;
use crate::table::{FIELD_COUNT, FIELDS};
use crate::text::Text;

/// The fields in a line of text, in order.  The time and the snapshot always
/// precede them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    indexes: [u8; FIELD_COUNT],
    len: usize,
}

/// A name in a list of columns that is unknown or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownColumn<'a> {
    /// The name as it was given.
    pub name: &'a str,
    /// Whether the name is known but occurs a second time.
    pub repeated: bool,
}

impl core::fmt::Display for UnknownColumn<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.repeated {
            write!(f, "column \"{}\" is repeated", self.name)
        } else {
            write!(
                f,
                "unknown field \"{}\"; expected basic, all or a comma-separated list of fields from tcpstats(5)",
                self.name
            )
        }
    }
}

impl FieldSet {
    /// Returns the fields of the columns.
    #[must_use]
    pub fn of(columns: &Columns) -> Self {
        let mut set = Self::EMPTY;
        columns.fields().for_each(|field| set.insert(field));
        set
    }
}

impl Columns {
    fn none() -> Self {
        Self { indexes: [0; FIELD_COUNT], len: 0 }
    }

    fn push(&mut self, field: &Field) {
        if let (Some(to), Ok(index)) = (self.indexes.get_mut(self.len), u8::try_from(field.index)) {
            *to = index;
            self.len += 1;
        }
    }

    fn choose(chosen: impl Fn(&Field) -> bool) -> Self {
        let mut columns = Self::none();
        for field in FIELDS.iter().filter(|field| chosen(field)) {
            columns.push(field);
        }
        columns
    }

    /// Returns the basic fields of the table.
    #[must_use]
    pub fn basic() -> Self {
        Self::choose(|field| field.basic)
    }

    /// Returns all fields.
    #[must_use]
    pub fn all() -> Self {
        Self::choose(|_| true)
    }

    /// Parses `basic`, `all` or comma-separated names, of which the first can be `basic`.
    ///
    /// # Errors
    /// Returns the first name that is not a field or is repeated.
    ///
    /// ```
    /// use tcpstats::Columns;
    /// let columns = Columns::parse("basic,pid").unwrap();
    /// assert_eq!(columns.len(), Columns::basic().len() + 1);
    /// ```
    pub fn parse(list: &str) -> Result<Self, UnknownColumn<'_>> {
        match (list, list.split_once(',')) {
            ("basic", _) => Ok(Self::basic()),
            ("all", _) => Ok(Self::all()),
            (_, Some(("basic", names))) => Self::basic().and(names),
            _ => Self::named(list),
        }
    }

    /// Parses comma-separated names.
    ///
    /// # Errors
    /// Returns the first name that is not a field or is repeated.
    pub fn named(names: &str) -> Result<Self, UnknownColumn<'_>> {
        Self::none().and(names)
    }

    /// Appends comma-separated names.
    fn and(mut self, names: &str) -> Result<Self, UnknownColumn<'_>> {
        for name in names.split(',') {
            let field = Field::by_name(name).ok_or(UnknownColumn { name, repeated: false })?;
            if self.fields().any(|other| other.index == field.index) {
                return Err(UnknownColumn { name, repeated: true });
            }
            self.push(field);
        }
        Ok(self)
    }

    /// Writes the columns as a list that [`Columns::parse`] accepts.
    pub fn write(&self, text: &mut Text<'_>) {
        if *self == Self::basic() {
            text.str("basic");
        } else if *self == Self::all() {
            text.str("all");
        } else {
            for (i, field) in self.fields().enumerate() {
                text.str(if i == 0 { "" } else { "," }).str(field.name);
            }
        }
    }

    /// Returns the number of columns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no columns.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the fields in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.indexes.iter().take(self.len).filter_map(|index| FIELDS.get(usize::from(*index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_contains_the_fields_of_siftr_the_identity_byte_counters_and_the_end() {
        let columns = Columns::basic();
        for name in "laddr lport faddr fport snd_ssthresh snd_cwnd t_flags2 snd_wnd rcv_wnd snd_scale rcv_scale \
            state maxseg srtt options t_flags rto snd_hiwat snd_cc rcv_hiwat rcv_cc inflight segq_len flowid flowtype \
            rttvar rttmin pipe rexmit_packs rexmit_bytes cc stack uid \
            gencnt vnet zone rcv_nxt sent_bytes acked_bytes received_bytes irs duration ending"
            .split_whitespace()
        {
            assert!(columns.fields().any(|field| field.name == name), "{name}");
        }
        assert_eq!(columns.fields().count(), 43);
    }

    #[test]
    fn columns_keep_the_order_of_the_list() {
        let columns = Columns::parse("srtt,laddr").unwrap();
        let mut fields = columns.fields().map(|field| field.name);
        assert_eq!((fields.next(), fields.next(), fields.next()), (Some("srtt"), Some("laddr"), None));
    }

    #[test]
    fn a_written_list_parses_to_the_same_columns() {
        for list in ["basic", "all", "srtt", "srtt,laddr,cc"] {
            let mut buffer = [0; 64];
            let mut text = Text::new(&mut buffer);
            Columns::parse(list).unwrap().write(&mut text);
            assert_eq!(text.finish(), Some(list));
        }
    }

    #[test]
    fn an_invalid_list_reports_the_invalid_name() {
        assert_eq!(Columns::parse("srtt,rtt").unwrap_err().name, "rtt");
        assert_eq!(Columns::parse("").unwrap_err().name, "");
        assert!(Columns::parse("srtt,srtt").unwrap_err().repeated);
        assert!(Columns::parse("basic,srtt,laddr").unwrap_err().repeated);
        assert_eq!(Columns::parse("srtt,basic").unwrap_err().name, "basic");
    }
}
