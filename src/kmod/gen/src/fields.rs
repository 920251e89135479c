// SPDX-License-Identifier: BSD-2-Clause

//! The part of the manual page tcpstats(5) that lists the fields, from the table.

use std::fmt::Write;

use tcpstats::{FIELDS, Field, Group, Kind, MODULE_BODY_LEN, PREAMBLE_LEN, Part};

const BEGIN: &str = ".\\\" The fields, by siftr_cdev_gen fields from src/tcpstats/src/table.rs; do not edit.\n";
const END: &str = ".\\\" End of the fields.\n";

const GROUPS: [(Group, &str); 8] = [
    (Group::Identity, "Identity"),
    (Group::Flags, "Flags"),
    (Group::Window, "Windows"),
    (Group::Time, "Times"),
    (Group::Sequence, "Sequence numbers"),
    (Group::Totals, "Totals"),
    (Group::Buffers, "Buffers"),
    (Group::Timers, "Timers"),
];

/// How a value looks in a binary record.
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

/// C as mdoc shows it, with minus signs.
fn c(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn item(text: &mut String, field: &Field) {
    let unit = match field.unit.name() {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let basic = if field.basic { ", basic" } else { "" };
    let source = match (field.freebsd, field.linux) {
        (freebsd, "") => format!("From {}; not on Linux.", c(freebsd)),
        ("", linux) => format!("From {}; not on FreeBSD.", c(linux)),
        (freebsd, linux) => format!("From {}; on Linux {}.", c(freebsd), c(linux)),
    };
    // Where it is in a record: a part may grow, so the Linux part counts from its own start.
    let place = match field.part {
        Part::Module => format!("{}", PREAMBLE_LEN + field.offset),
        Part::Linux => format!("L+{}", field.offset - MODULE_BODY_LEN),
    };
    _ = write!(
        text,
        ".It Va {} Pq {} at {place}, bit {bit}{unit}{basic}\n{}.\n{source}\n",
        field.name,
        kind(field.kind),
        field.meaning,
        bit = field.bit,
    );
}

/// The list of all fields, a section a group.
fn list() -> String {
    let mut text = String::new();
    for (group, title) in GROUPS {
        _ = write!(text, ".Ss {title}\n.Bl -tag -width indent\n");
        FIELDS.iter().filter(|field| field.group == group).for_each(|field| item(&mut text, field));
        text.push_str(".El\n");
    }
    text
}

/// The page with its list as the table has it.
///
/// # Errors
/// A sentence where the page has no place for the list.
pub fn put_into(page: &str) -> Result<String, String> {
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| format!("expected the line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("expected the line {END}"))?;
    Ok([before, BEGIN, &list(), END, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../man/tcpstats.5");

    #[test]
    fn the_page_is_as_the_table_is() {
        assert!(put_into(PAGE).unwrap() == PAGE, "make man brings man/tcpstats.5 up to date");
    }

    #[test]
    fn a_stale_list_is_replaced_and_nothing_else() {
        let item = PAGE.find(".It Va srtt Pq u32").unwrap();
        let stale = [&PAGE[..item], &PAGE[item + 4..]].concat();
        assert_eq!(put_into(&stale).unwrap(), PAGE);
        assert!(put_into(&PAGE[..item]).unwrap_err().contains("End of the fields"));
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
