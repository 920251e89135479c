// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The list of connections in `top` and on the page of `serve`: its columns, rates, order and
//! filter.

pub mod column;
pub mod tracker;

use tcpstats::Filter;

use self::column::Column;
use self::tracker::Row;

/// A mistake in the text of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterMistake {
    /// The position in characters from 0.
    pub column: usize,
    /// What was expected at this position.
    pub expected: String,
}

/// Parses the text of a filter; `None` if it is empty, so that all connections match.
///
/// # Errors
/// Returns the first mistake.
pub fn parse_filter(text: &str) -> Result<Option<Filter>, FilterMistake> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mistake = |error: tcpstats_source::FilterError| FilterMistake {
        column: error.column,
        expected: format!("expected {}", error.expected),
    };
    tcpstats_source::parse_filter(text).map(Some).map_err(mistake)
}

/// Sorts the indices of rows: by the column, then by the rate of bytes received, then by
/// connection.
pub fn sort(rows: &[Row], shown: &mut [usize], column: Column, descending: bool) {
    // Keys are copied, because accessing the rows for every comparison is many times slower.
    let keys_of = |at: usize| (column.sort_key(&rows[at]), Column::Receive.sort_key(&rows[at]), rows[at].identity, at);
    let mut keys: Vec<_> = shown.iter().map(|at| keys_of(*at)).collect();
    keys.sort_unstable_by(|(one, one_received, one_identity, _), (other, other_received, other_identity, _)| {
        let by_column = one.order(*other, descending);
        by_column.then_with(|| one_received.order(*other_received, true)).then_with(|| one_identity.cmp(other_identity))
    });
    for (slot, (.., at)) in shown.iter_mut().zip(keys) {
        *slot = at;
    }
}
