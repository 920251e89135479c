// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Decides which connections a filter excludes by ports, addresses and state, before
//! they are locked.
//!
//! All other fields count as unknown, so a connection that the complete filter matches
//! is never excluded.

use tcpstats::filter::{Comparisons, Ends, Verdict};
use tcpstats::{Field, Filter, State, key};

use crate::fill::addresses;
use crate::kpi::{Endpoints, Exclude};

/// The part of a filter that compares ports, addresses and state.
pub struct Prefilter<'a> {
    filter: &'a Filter,
    comparisons: Comparisons,
    compares_addresses: bool,
}

impl<'a> Prefilter<'a> {
    /// Returns `None` if the filter does not mention ports, addresses or states.
    ///
    /// The reader of changes has to learn that a connection is no longer in a state, so the
    /// state then excludes none.
    pub fn new(filter: &'a Filter, is_of_changes: bool) -> Option<Self> {
        let can_exclude = |field: &Field| Ends::has(field) && (field.is_constant() || !is_of_changes);
        let is_address = |field: &Field| [key::laddr.field().bit, key::faddr.field().bit].contains(&field.bit);
        let comparisons = filter.comparisons(can_exclude);
        let compares_addresses = !filter.comparisons(is_address).is_empty();
        (!comparisons.is_empty()).then_some(Self { filter, comparisons, compares_addresses })
    }
}

impl Exclude for Prefilter<'_> {
    fn excludes(&self, ends: &Endpoints, state: u8) -> bool {
        let (laddr, faddr, _) = if self.compares_addresses { addresses(ends) } else { Default::default() };
        let Endpoints { lport, fport, is_ipv6, .. } = *ends;
        let ipver = if is_ipv6 { 6 } else { 4 };
        let ends = Ends { laddr, lport, faddr, fport, ipver, state: State(state) };
        self.filter.verdict_by_ends(&ends, self.comparisons) == Verdict::NoMatch
    }
}
