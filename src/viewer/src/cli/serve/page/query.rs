// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What a view asks for, as in the query of its URL.

use tcpstats::Filter;

use super::super::args::By;
use super::event::{GROUPS_MAX, GROUPS_SHOWN};
use super::source::Source;
use crate::list::parse_filter;

/// The maximum length of a filter in bytes.
const FILTER_MAX: usize = 2000;

/// What a view asks for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The filter, `None` if all connections match.
    pub filter: Option<Filter>,
    /// Whether connections that have ended are left out.
    pub hides_ended: bool,
    /// The name of the column by which connections are sorted, and whether the order is
    /// descending.  Without a name, they are sorted as in top.
    pub sort: (String, Option<bool>),
    /// The same for groups.
    pub sort_groups: (String, Option<bool>),
    /// The labels by which connections are grouped.
    pub by: Vec<By>,
    /// The maximum number of groups.
    pub groups: usize,
    /// The values of the labels of the only group whose connections are shown.
    pub group: Vec<String>,
    /// The connection whose details are shown.
    pub open: Option<u64>,
}

/// Why there is no such view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The name of the parameter.
    pub name: String,
    /// The position in its value, in characters from 0, if it is known.
    pub column: Option<usize>,
    /// What is wrong or was expected.
    pub text: String,
}

impl Query {
    /// Parses the query of a URL.
    ///
    /// # Errors
    /// Returns the first mistake.
    pub fn parse(text: &str, source: &Source) -> Result<Self, Mistake> {
        let mut query = Self { by: source.by.clone(), groups: GROUPS_SHOWN, ..Self::default() };
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = decode(name).zip(decode(value)).ok_or_else(|| wrong("query", "is not UTF-8"))?;
            match name.as_str() {
                "filter" => query.filter = filter(&value, source)?,
                "ended" => query.hides_ended = value == "0",
                "sort" => query.sort.0 = value,
                "order" => query.sort.1 = Some(is_descending(&value)?),
                "gsort" => query.sort_groups.0 = value,
                "gorder" => query.sort_groups.1 = Some(is_descending(&value)?),
                "by" => query.by = labels(&value, source)?,
                "groups" => {
                    let count = value.parse().map_err(|_| wrong("groups", "expected a number"))?;
                    query.groups = GROUPS_MAX.min(count);
                }
                "group" => query.group.push(value),
                "open" => {
                    let id = u64::from_str_radix(&value, 16);
                    query.open = Some(id.map_err(|_| wrong("open", "expected the ID of a connection"))?);
                }
                other => return Err(wrong(other, "unknown parameter")),
            }
        }
        if !query.group.is_empty() && query.group.len() != query.by.len() {
            return Err(wrong("group", "expected a value for each label"));
        }
        Ok(query)
    }
}

fn wrong(what: &str, why: &str) -> Mistake {
    Mistake { name: what.into(), column: None, text: why.into() }
}

fn is_descending(text: &str) -> Result<bool, Mistake> {
    match text {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(wrong("order", "expected asc or desc")),
    }
}

fn labels(text: &str, source: &Source) -> Result<Vec<By>, Mistake> {
    let label = |name: &str| source.labels.iter().find(|by| by.label() == name).copied();
    let labels = text.split(',').filter(|name| !name.is_empty());
    labels.map(|name| label(name).ok_or_else(|| wrong("by", "the source does not have this label"))).collect()
}

fn filter(text: &str, source: &Source) -> Result<Option<Filter>, Mistake> {
    if text.len() > FILTER_MAX {
        return Err(wrong("filter", &format!("it is longer than {FILTER_MAX} bytes")));
    }
    let filter = parse_filter(text)
        .map_err(|mistake| Mistake { column: Some(mistake.column), ..wrong("filter", &mistake.expected) })?;
    match source.lacks_owners {
        Some(why) if filter.as_ref().is_some_and(Filter::needs_owners) => Err(wrong("filter", why)),
        _ => Ok(filter),
    }
}

/// Decodes a name or a value of a query; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let hex = after.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let escaped = hex.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (first, escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_incomplete_ones_are_kept() {
        for (text, decoded) in [
            ("port+443", Some("port 443")),
            ("a%20%3E%3D%c3%bc", Some("a >=ü")),
            ("100%", Some("100%")),
            ("%4", Some("%4")),
            ("%+1", Some("% 1")),
            ("%zz", Some("%zz")),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }
}
