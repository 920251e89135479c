// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The parts of the manual page tcpstats(5) that list the fields and the members of
//! a frame's header, from their tables.

use std::fmt::Write;

use tcpstats::frame::HEADER_MEMBERS;
use tcpstats::{FIELDS, Field, Group, Kind, MODULE_BODY_LEN, PREAMBLE_LEN, Part};

const GROUPS: [(Group, &str); 8] = [
    (Group::Identity, "identity"),
    (Group::Flags, "flags"),
    (Group::Window, "windows"),
    (Group::Time, "times"),
    (Group::Sequence, "sequence numbers"),
    (Group::Totals, "totals"),
    (Group::Buffers, "buffers"),
    (Group::Timers, "timers"),
];

/// Returns the name of a type of values in a binary record.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::U8 => "u8",
        Kind::U16 => "u16",
        Kind::U32 => "u32",
        Kind::U64 => "u64",
        Kind::Hex32 => "flags32",
        Kind::Address => "address",
        Kind::State => "state",
        Kind::Options => "options",
        Kind::Name16 => "name16",
        Kind::Name32 => "name32",
        Kind::Name64 => "name64",
    }
}

/// Formats a source as mdoc: C with minus signs, and a kernel function as a macro.
fn source(text: &str) -> String {
    let c = text.replace('\\', "\\e").replace('-', "\\-");
    match c.strip_suffix("()") {
        Some(function) => format!(".Fn {function} .\n"),
        None => format!("{c}.\n"),
    }
}

fn item(text: &mut String, field: &Field) {
    let unit = match field.unit.name() {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let basic = if field.basic { ", basic" } else { "" };
    let source = match (field.freebsd, field.linux) {
        (freebsd, "") => format!(".Fx :\n{}", source(freebsd)),
        ("", linux) => format!("Linux:\n{}", source(linux)),
        (freebsd, linux) => format!(".Fx :\n{}Linux:\n{}", source(freebsd), source(linux)),
    };
    // The module's part may grow, so offsets in the other part are relative to its own start.
    let place = match field.part {
        Part::Module => format!("{}", PREAMBLE_LEN + field.offset),
        Part::Other => format!("M+{}", field.offset - MODULE_BODY_LEN),
    };
    _ = write!(
        text,
        ".It Va {} Pq {} at {place}, bit {bit}{unit}{basic}\n{}.\n{source}",
        field.name,
        kind(field.kind),
        field.meaning,
        bit = field.bit,
    );
}

/// Returns the list of all fields, with a section for each group.
fn list() -> String {
    let mut text = String::new();
    for (group, title) in GROUPS {
        _ = write!(text, ".Ss Fields: {title}\n.Bl -tag -width indent\n");
        FIELDS.iter().filter(|field| field.group == group).for_each(|field| item(&mut text, field));
        text.push_str(".El\n");
    }
    text
}

/// Returns the list of the members of a frame's header.
fn header() -> String {
    let mut text = String::from(".Bl -tag -width indent\n");
    for member in HEADER_MEMBERS {
        let kind = format!("u{}", 8 * member.len);
        let meaning = member.meaning.replace('-', "\\-");
        _ = writeln!(text, ".It Va {} Pq {kind} at {}\n{meaning}.", member.name, member.offset);
    }
    text + ".El\n"
}

/// Returns the parts of tcpstats(5) that list the fields and the members of the
/// header.
pub fn generate() -> String {
    let fields = crate::page::part("fields", "src/tcpstats/src/table.rs", &list());
    fields + &crate::page::part("frame header", "src/tcpstats/src/frame.rs", &header())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::replace;

    const PAGE: &str = include_str!("../../../man/tcpstats.5");

    #[test]
    fn the_page_agrees_with_the_table() {
        assert!(replace(PAGE, &generate()).unwrap() == PAGE, "man/tcpstats.5 is out of date; run make man");
    }

    #[test]
    fn a_stale_list_is_replaced_and_nothing_else() {
        let item = PAGE.find(".It Va srtt Pq u32").unwrap();
        let stale = [&PAGE[..item], &PAGE[item + 4..]].concat();
        assert_eq!(replace(&stale, &generate()).unwrap(), PAGE);
        assert!(replace(&PAGE[..item], &generate()).unwrap_err().contains("End of the fields"));
    }

    #[test]
    fn every_field_is_listed_once() {
        let list = list();
        for field in &FIELDS {
            assert_eq!(list.matches(&format!(".It Va {} Pq ", field.name)).count(), 1, "{}", field.name);
        }
        assert_eq!(list.matches(".It ").count(), FIELDS.len());
    }
}
