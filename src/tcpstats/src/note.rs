// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Notes: entries between the records in which a log or the device describes
//! itself.

use crate::field::Field;
use crate::frame::{Header, flag};
use crate::read;
use crate::record::Record;
use crate::text::Text;

/// A note: a name, and pairs of keys and values.
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
    /// Its name, one word.
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
    /// Text, in quotes.
    Text(&'a str),
    /// The value of a field in a record, as in a csv row.
    Value(&'a Record, &'a Field),
    /// The value of a note that was read, as it is written: text in its quotes.
    Written(&'a str),
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
                Pair::Written(value) => text.str(value),
            };
        }
    }
}

/// Calls `use_it` with the note that ends a snapshot.  It contains the monotonic
/// clock if that is known, and the numbers of the ledger if there is one.
pub fn snapshot<R>(header: &Header, use_it: impl FnOnce(&Note<'_>) -> R) -> R {
    let pairs = [
        ("snapshot", Pair::Number(header.sequence)),
        ("time", Pair::Seconds(header.wall_ns)),
        ("walk_us", Pair::Number(header.walk_ns / 1000)),
        ("seen", Pair::Number(header.seen)),
        ("matched", Pair::Number(header.matched)),
        ("records", Pair::Number(header.written)),
        ("missed", Pair::Number(header.missed)),
        ("missed_ticks", Pair::Number(header.missed_ticks)),
        ("flags", Pair::Number(header.flags.into())),
        ("mono", Pair::Seconds(header.mono_ns)),
        ("ended", Pair::Number(header.ended)),
        ("ended_lost", Pair::Number(header.ended_lost)),
    ];
    let unknown = match (header.flags & flag::LEDGER, header.mono_ns) {
        (0, 0) => 3,
        (0, _) => 2,
        _ => 0,
    };
    let known = pairs.len() - unknown;
    use_it(&Note { name: "snapshot", pairs: pairs.get(..known).unwrap_or(&pairs) })
}

/// The parsed text of a note.
///
/// ```
/// use tcpstats::note::NoteText;
/// let note = NoteText::read("missed ticks=2 why=\"late again\"").unwrap();
/// assert_eq!((note.name, note.number("ticks"), note.text("why")), ("missed", Some(2), Some("late again")));
/// assert!(NoteText::read("missed ticks=").is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NoteText<'a> {
    /// Its name, one word.
    pub name: &'a str,
    pairs: &'a str,
}

impl<'a> NoteText<'a> {
    /// Parses `name key=value …`; returns `None` if the text is not a note.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let (name, pairs) = text.split_at_checked(text.find(' ').unwrap_or(text.len()))?;
        let note = Self { name, pairs };
        let mut rest = pairs;
        while !rest.is_empty() {
            (_, _, rest) = pair(rest)?;
        }
        is_word(name).then_some(note)
    }

    /// Returns the keys and values as they are written, strings with their quotes.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.pairs;
        core::iter::from_fn(move || {
            let (key, value, after) = pair(rest)?;
            rest = after;
            Some((key, value))
        })
    }

    /// Returns the value of a key as it is written.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a str> {
        self.pairs().find_map(|(other, value)| (other == key).then_some(value))
    }

    /// Returns the number of a key.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        read::number(self.value(key)?.as_bytes())
    }

    /// Returns the time of a key in nanoseconds.
    #[must_use]
    pub fn seconds(&self, key: &str) -> Option<u64> {
        read::seconds(self.value(key)?.as_bytes())
    }

    /// Returns the text of a key without its quotes, escaped as it is written.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// Returns the header in the note of a [`snapshot`]; `None` if it is another note
    /// or a number is missing.
    #[must_use]
    pub fn snapshot(&self) -> Option<Header> {
        if self.name != "snapshot" {
            return None;
        }
        Some(Header {
            sequence: self.number("snapshot")?,
            wall_ns: self.seconds("time")?,
            // Not written by development versions before 2.0.0.
            mono_ns: self.seconds("mono").unwrap_or_default(),
            walk_ns: self.number("walk_ns").or(self.number("walk_us")?.checked_mul(1000))?,
            seen: self.number("seen")?,
            matched: self.number("matched")?,
            written: self.number("records")?,
            missed: self.number("missed")?,
            missed_ticks: self.number("missed_ticks")?,
            flags: u32::try_from(self.number("flags")?).ok()?,
            hz: self.number("hz").and_then(|hz| u32::try_from(hz).ok()).unwrap_or_default(),
            osversion: self.number("osversion").and_then(|version| u32::try_from(version).ok()).unwrap_or_default(),
            ended: self.number("ended").unwrap_or_default(),
            ended_lost: self.number("ended_lost").unwrap_or_default(),
        })
    }
}

/// Returns whether a text can be the name of a note, or a key.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns the key and the value at the start of the text, after a space, and the
/// rest.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = text.strip_prefix(' ')?.split_once('=')?;
    let end = match rest.strip_prefix('"') {
        Some(quoted) => {
            let mut escaped = false;
            1 + quoted.find(|char| {
                let is_end = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                is_end
            })? + 1
        }
        None => rest.find(' ').unwrap_or(rest.len()),
    };
    let (value, rest) = rest.split_at_checked(end)?;
    let is_complete = (value.starts_with('"') || is_bare(value)) && (rest.is_empty() || rest.starts_with(' '));
    (is_complete && is_word(key)).then_some((key, value, rest))
}

/// Returns whether a value needs no quotes.
pub(crate) fn is_bare(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
