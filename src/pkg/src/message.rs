// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A port's `pkg-message`: a list of texts, each with the occasion on which pkg(8)
//! prints it.  The file is written in UCL; this module reads only the form that all
//! our files have.

use serde_json::{Value, json};

const EXPECTED: &str =
    "expected \"[\", \"{ type: TYPE\", \"message: <<EOM\", the text, \"EOM\", \"}\" and \"]\", each on its own line";

/// Parses a `pkg-message`, and returns the manifest's `messages`.
///
/// # Errors
/// Returns an error if the text has another form.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut lines = text.lines();
    let mut messages = Vec::new();
    if lines.next() != Some("[") {
        return Err(format!("unexpected start of the message: {EXPECTED}"));
    }
    while let Some(line) = lines.next() {
        if line == "]" {
            return Ok(messages);
        }
        let kind = line.strip_prefix("{ type: ").filter(|kind| ["install", "remove", "upgrade"].contains(kind));
        let (Some(kind), Some("  message: <<EOM")) = (kind, lines.next()) else {
            return Err(format!("\"{line}\" in the message: {EXPECTED}"));
        };
        let message: Vec<_> = lines.by_ref().take_while(|line| *line != "EOM").collect();
        if lines.next() != Some("}") {
            return Err(format!("the message of type {kind} does not end: {EXPECTED}"));
        }
        messages.push(json!({ "type": kind, "message": message.join("\n") }));
    }
    Err(format!("the messages do not end: {EXPECTED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[\n{ type: install\n  message: <<EOM\nA line:\n\n  another\nEOM\n}\n{ type: remove\n  message: <<EOM\nx\nEOM\n}\n]\n";

    #[test]
    fn each_message_has_a_type_and_its_text() {
        let expected = [
            json!({ "type": "install", "message": "A line:\n\n  another" }),
            json!({ "type": "remove", "message": "x" }),
        ];
        assert_eq!(parse(TEXT).unwrap(), expected);
    }

    #[test]
    fn a_truncated_or_different_text_is_an_error() {
        let lines: Vec<_> = TEXT.lines().collect();
        for end in 0..lines.len() {
            assert!(parse(&lines[..end].join("\n")).is_err(), "{end} lines");
        }
        assert!(parse(&TEXT.replace("type: remove", "type: never")).is_err());
    }
}
