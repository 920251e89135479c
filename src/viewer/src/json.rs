// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! JSON for pages.

use tcpstats::text::Text;

/// Returns a JSON string that may be part of an HTML page.
pub fn quoted(text: &str) -> String {
    // An escaped control character has six bytes.
    let mut buffer = vec![0; 6 * text.len() + 2];
    let mut to = Text::new(&mut buffer);
    to.quoted(text);
    to.finish().unwrap_or("\"\"").replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_log_is_escaped() {
        assert_eq!(quoted("a\"b\\</script>\n→"), "\"a\\\"b\\\\\\u003c/script>\\u000a→\"");
    }
}
