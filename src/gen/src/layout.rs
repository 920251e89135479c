// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The offsets of structure members for two compilers: those of bindgen must be
//! those of clang.

use std::fmt::Write;

/// The list that the fake kernel shares, one member a line.
const LIST: &str = include_str!("../../kmod/members.h");

/// Returns the structures and members of a line of the list.
fn member(line: &'static str) -> Option<(&'static str, &'static str)> {
    line.strip_prefix("MEMBER(")?.strip_suffix(')')?.split_once(", ")
}

/// Returns the members by structure, with `None` for the size of each structure
/// before its first member.
fn sizes_and_members() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let mut last = "";
    LIST.lines().filter_map(member).flat_map(move |(of, member)| {
        let size = (of != last).then_some((of, None));
        last = of;
        size.into_iter().chain([(of, Some(member))])
    })
}

fn count() -> usize {
    sizes_and_members().count()
}

/// Returns a crate whose `LAYOUT` contains the numbers of rustc.
pub fn rust() -> String {
    let mut text = format!(
        "#![no_std]\n#![allow(warnings)]\nmod raw {{ include!(env!(\"BINDINGS\")); }}\n\
         #[unsafe(no_mangle)]\npub static LAYOUT: [u32; {}] = [\n",
        count()
    );
    for (of, member) in sizes_and_members() {
        _ = match member {
            None => writeln!(text, "core::mem::size_of::<raw::{of}>() as u32,"),
            Some(member) => writeln!(text, "core::mem::offset_of!(raw::{of}, {member}) as u32,"),
        };
    }
    text + "];\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }\n"
}

/// Returns a C file whose `LAYOUT` contains the numbers of clang.
pub fn c() -> String {
    let mut text = format!("#include \"bindings.h\"\nconst uint32_t LAYOUT[{}] = {{\n", count());
    for (of, member) in sizes_and_members() {
        _ = match member {
            None => writeln!(text, "sizeof(struct {of}),"),
            Some(member) => writeln!(text, "__offsetof(struct {of}, {member}),"),
        };
    }
    text + "};\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_that_a_method_reads_is_in_the_list() {
        let source = include_str!("../../kmod/src/kpi/pcb.rs");
        let (_, methods) = source.split_once("    members! {\n").unwrap();
        let (methods, _) = methods.split_once("\n    }").unwrap();
        let read: Vec<_> = methods.lines().filter_map(|line| line.trim().split_once(' ')).collect();
        let listed: Vec<_> = LIST.lines().filter_map(member).collect();
        assert!(read.len() > 30);
        for (name, _) in read.into_iter().filter(|(name, _)| !name.starts_with("//")) {
            assert!(listed.contains(&("tcpcb", name)), "{name}");
        }
    }
}
