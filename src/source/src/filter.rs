// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Filters as users type them.

use std::fmt;

use tcpstats::Filter;
use tcpstats::filter::Expected;

/// A filter that cannot be parsed.
///
/// It is displayed with the text of the filter, and a caret below the position
/// of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    /// Position of the error in the text, in characters from 0.
    pub column: usize,
    /// What was expected at this position.
    pub expected: Expected,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line: String = self.text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        write!(f, "filter: expected {}\n  {line}\n  {:2$}^", self.expected, "", self.column)
    }
}

impl std::error::Error for FilterError {}

/// Parses a filter in which a zone can be the name of an interface of this
/// host.
///
/// # Errors
/// Returns [`FilterError`] for the first position at which the text is wrong.
pub fn parse_filter(text: &str) -> Result<Filter, FilterError> {
    Filter::parse_with_zones(text, &|name| nix::net::if_::if_nametoindex(name).ok()).map_err(|error| FilterError {
        text: text.to_owned(),
        column: text.get(..error.position).unwrap_or(text).chars().count(),
        expected: error.expected,
    })
}

#[cfg(test)]
mod tests {
    use super::parse_filter;
    use crate::zone_name;

    #[test]
    fn a_caret_is_below_the_mistake() {
        let text = parse_filter("port 22 and\tsrtt > fast").unwrap_err().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1..], ["  port 22 and srtt > fast", "                     ^"]);
        assert!(lines[0].starts_with("filter: expected a time for srtt, in microseconds"), "{text}");
    }

    #[test]
    fn a_caret_is_after_a_filter_that_ends_too_early() {
        assert!(parse_filter("not").unwrap_err().to_string().ends_with("\n  not\n     ^"));
        assert!(parse_filter("host ü").unwrap_err().to_string().ends_with("\n  host ü\n       ^"));
    }

    #[test]
    fn a_zone_is_the_name_of_an_interface_of_this_host() {
        let name = zone_name(1).expect("the first interface");
        assert_eq!(parse_filter(&format!("host fe80::1%{name}")), parse_filter("host fe80::1%1"));
        assert!(parse_filter("host fe80::1%nowhere").is_err());
    }
}
