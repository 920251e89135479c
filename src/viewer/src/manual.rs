// SPDX-License-Identifier: BSD-2-Clause

//! The parts of the manual page tcpstats(1) that the command line's definitions
//! tell: its synopsis and its commands.

use std::fmt::Write;
use std::fs;

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::cli::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../man/tcpstats.1");

/// A part of the page: its name, and what writes it.
type Part = (&'static str, fn(&Command) -> String);

const PARTS: [Part; 3] = [("synopsis", synopsis), ("options", own_options), ("commands", commands)];

/// The page with its parts as the definitions have them.
fn put_into(page: &str) -> String {
    let mut command = Cli::command();
    command.build();
    PARTS.iter().fold(page.to_owned(), |page, (name, write)| {
        let begin = format!(".\\\" The {name}, by make man from src/viewer/src/cli.rs; do not edit.\n");
        let end = format!(".\\\" End of the {name}.\n");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("expected the line {begin}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("expected the line {end}"));
        [before, &begin, &write(&command), &end, after].concat()
    })
}

/// Prose as mdoc wants it: a sentence a line, and a full stop at its end.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    for (i, paragraph) in text.trim().split("\n\n").enumerate() {
        prose += if i > 0 { ".Pp\n" } else { "" };
        let words: Vec<_> = paragraph.split_whitespace().collect();
        let flowing = words.join(" ").replace('\\', "\\e").replace('…', "...");
        for line in flowing.replace(". ", ".\n").lines() {
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            prose.extend([guard, line, "\n"]);
        }
        if !prose.ends_with(".\n") {
            prose.insert(prose.len() - 1, '.');
        }
    }
    prose
}

fn visible(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

/// The names of what an option takes, behind its flag.
fn values(arg: &Arg) -> String {
    if !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
        return String::new();
    }
    let name = |name: &str| format!(" Ar {}", name.to_lowercase());
    match arg.get_value_names() {
        Some(names) => names.iter().map(|value| name(value)).collect(),
        None => name(arg.get_id().as_str()),
    }
}

/// An argument as the synopsis has it.
fn usage(arg: &Arg) -> String {
    let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    let dots = if many || matches!(arg.get_action(), ArgAction::Append) { " ..." } else { "" };
    let usage = match (arg.get_short(), arg.get_long()) {
        (Some(short), _) => format!("Fl {short}{}", values(arg)),
        (None, Some(long)) => format!("Fl \\-{}{}", long.replace('-', "\\-"), values(arg)),
        (None, None) => values(arg).trim_start().to_owned(),
    };
    // Of several names the first is the one of which there can be many.
    let usage = match usage.split_once(" Ar ") {
        Some((first, last)) if many && arg.is_positional() => format!("{first}{dots} Ar {last}"),
        _ => usage + dots,
    };
    if arg.is_required_set() { format!(".{usage}\n") } else { format!(".Op {usage}\n") }
}

/// Whether an argument is one that every command has.
fn is_everywhere(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn commands_of(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn synopsis(command: &Command) -> String {
    let mut text = String::new();
    for command in commands_of(command) {
        text.extend([".Nm\n.Cm ", command.get_name(), "\n"]);
        let (options, operands): (Vec<_>, Vec<_>) =
            visible(command).filter(|arg| !is_everywhere(arg)).partition(|arg| !arg.is_positional());
        text.extend(options.into_iter().chain(operands).map(usage));
    }
    text + ".Nm\n.Op Cm command\n.Fl h | V\n"
}

/// A list of arguments with what they mean.
fn list<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = String::from(".Bl -tag -width indent\n");
    for arg in args {
        let shorts = arg.get_short().into_iter().chain(arg.get_visible_short_aliases().unwrap_or_default());
        let longs = arg.get_long().into_iter().chain(arg.get_visible_aliases().unwrap_or_default());
        let flags: Vec<_> = shorts
            .map(|short| format!("Fl {short}"))
            .chain(longs.map(|long| format!("Fl \\-{}", long.replace('-', "\\-"))))
            .collect();
        let item = flags.join(" , ") + &values(arg);
        _ = writeln!(text, ".It {}", item.trim_start());
        let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        text += &prose(&help);
        text += &choices(arg);
        text += &default(arg);
    }
    text + ".El\n"
}

/// What a value may be, where that is a list.
fn choices(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    if values.is_empty() || !arg.get_action().takes_values() {
        return String::new();
    }
    let names: Vec<_> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    format!("One of\n.Cm {} .\n", names.join(" , "))
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if values.is_empty() || arg.is_hide_default_value_set() || !arg.get_action().takes_values() {
        return String::new();
    }
    format!("Unless given, it is\n.Cm {} .\n", values.join(" "))
}

fn own_options(command: &Command) -> String {
    list(visible(command))
}

fn commands(command: &Command) -> String {
    let mut text = String::new();
    for command in commands_of(command) {
        let about =
            command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
        text.extend([".Ss tcpstats ", command.get_name(), "\n", &prose(&about)]);
        let (operands, options): (Vec<_>, Vec<_>) =
            visible(command).filter(|arg| !is_everywhere(arg)).partition(|arg| arg.is_positional());
        text += &list(operands.into_iter().chain(options));
    }
    text
}

#[test]
fn the_page_is_as_the_command_line_is() {
    let page = fs::read_to_string(PAGE).unwrap();
    assert!(put_into(&page) == page, "make man brings man/tcpstats.1 up to date");
}

#[test]
#[ignore = "it writes the page: make man"]
fn the_page_is_brought_up_to_date() {
    let page = fs::read_to_string(PAGE).unwrap();
    fs::write(PAGE, put_into(&page)).unwrap();
}

#[test]
fn prose_is_a_sentence_a_line() {
    assert_eq!(prose("The log, - is standard input"), "The log, - is standard input.\n");
    assert_eq!(prose("One.  Two\n\n.three\\"), "One.\nTwo.\n.Pp\n\\&.three\\e.\n");
}
