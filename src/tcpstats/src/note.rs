// SPDX-License-Identifier: BSD-2-Clause

//! What a log or the device says about itself between the records.

use crate::field::Field;
use crate::frame::Header;
use crate::record::Record;
use crate::text::Text;

/// A note: a name and what belongs to it.
///
/// ```
/// use tcpstats::note::{Note, Pair};
/// use tcpstats::text::Text;
/// let note = Note { name: "missed", pairs: &[("ticks", Pair::Number(2)), ("why", Pair::Text("late"))] };
/// let mut buffer = [0; 64];
/// let mut text = Text::new(&mut buffer);
/// note.write(&mut text);
/// assert_eq!(text.finish(), Some("missed ticks=2 why=\"late\""));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// What is noted, one word.
    pub name: &'a str,
    /// Keys and values, in order.
    pub pairs: &'a [(&'a str, Pair<'a>)],
}

/// The value of a note's key.
#[derive(Clone, Copy, Debug)]
pub enum Pair<'a> {
    /// A number.
    Number(u64),
    /// A time in nanoseconds, written in seconds.
    Seconds(u64),
    /// Text, written in quotes.
    Text(&'a str),
    /// What a record has in a field, written as everywhere.
    Value(&'a Record, &'a Field),
}

impl Note<'_> {
    /// Writes `name key=value …` without a line break.
    pub fn write(&self, text: &mut Text<'_>) {
        text.str(self.name);
        for (key, value) in self.pairs {
            text.char(b' ').str(key).char(b'=');
            match value {
                Pair::Number(number) => text.number(*number),
                Pair::Seconds(ns) => text.seconds9(*ns),
                Pair::Text(value) => text.quoted(value),
                Pair::Value(record, field) => text.value(record, field),
            };
        }
    }
}

/// What is said after the records of every snapshot; lends the note to `use_it`.
pub fn snapshot<R>(header: &Header, use_it: impl FnOnce(&Note<'_>) -> R) -> R {
    use_it(&Note {
        name: "snapshot",
        pairs: &[
            ("snapshot", Pair::Number(header.sequence)),
            ("time", Pair::Seconds(header.wall_ns)),
            ("walk_us", Pair::Number(header.walk_ns / 1000)),
            ("seen", Pair::Number(header.seen)),
            ("matched", Pair::Number(header.matched)),
            ("records", Pair::Number(header.written)),
            ("missed", Pair::Number(header.missed)),
            ("missed_ticks", Pair::Number(header.missed_ticks)),
            ("flags", Pair::Number(header.flags.into())),
        ],
    })
}
