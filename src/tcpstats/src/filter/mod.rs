// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The filter, which selects records.
//!
//! ```
//! use tcpstats::{Filter, Record, State, key};
//!
//! let filter = Filter::parse("port 443 and not state listen").unwrap();
//! let mut record = Record::new();
//! record.set(key::lport, 443);
//! record.set(key::state, State::ESTABLISHED);
//! assert!(filter.matches(&record));
//!
//! let error = Filter::parse("snd_cwnd 10ms").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "at position 12 (\"ms\"): expected a size for snd_cwnd, in bytes or with the suffix k, M or G"
//! );
//! ```
//!
//! # The language
//!
//! Conditions are combined with `not` (`!`), `and` (`&&`) and `or` (`||`), in
//! decreasing order of precedence, and with parentheses.  A condition is one of
//!
//! | condition | meaning |
//! |---|---|
//! | `FIELD OP VALUE` | any field of the table; OP is `=` `==` `!=` `<` `<=` `>` `>=` |
//! | `FIELD VALUE` | the same as `FIELD = VALUE` |
//! | `host ADDR` | the local or foreign address; `host fe80::1%em0` only in that zone |
//! | `net ADDR/LEN` | the local or foreign address is in the network |
//! | `lnet ADDR/LEN`, `fnet ADDR/LEN` | the local or the foreign address, respectively, is in the network |
//! | `port N` | the local or foreign port |
//! | `ip`, `ip6` | the local address is IPv4 (or IPv4-mapped) or IPv6, respectively |
//! | `idle OP TIME` | time since data was last sent or received: the smaller of `idle_snd` and `idle_rcv` |
//!
//! States, names, addresses, options, `host`, `net`, `lnet`, `fnet` and `port`
//! can only be compared with `=` and `!=`.  `port != 22` means `not port = 22`,
//! and likewise for `host` and `net`.  `options sack` holds if the option is
//! one of those in use.
//!
//! Numbers are decimal, or hexadecimal after `0x`.  A time is in microseconds
//! or has one of the suffixes `us`, `ms` and `s`, with which it may have a
//! fraction (`1.5ms`).  Any other number may have one of the suffixes `k`, `M`
//! and `G`, which are powers of 1024.
//!
//! A comparison with an absent field never holds, not even `!=`: for a record
//! without a uid, `uid != 0` does not hold, but `not uid = 0` does.

mod error;
mod eval;
#[cfg(feature = "std")]
mod fold;
mod lexer;
mod parser;
mod program;

pub use error::{Expected, ParseError};
pub use eval::{Comparisons, Ends, Verdict};
#[cfg(feature = "std")]
pub use fold::Condition;
pub use program::{FILTER_LEN, Filter, Invalid, MAX_DEPTH, MAX_NESTING, MAX_OPS};
