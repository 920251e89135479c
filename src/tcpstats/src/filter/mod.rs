// SPDX-License-Identifier: BSD-2-Clause

//! The filter: which records are wanted.
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
//!     "at position 12 (\"ms\"): expected a size, as snd_cwnd is in bytes; k, M and G are its suffixes"
//! );
//! ```
//!
//! # The language
//!
//! Conditions are joined by `and` (`&&`), `or` (`||`) and `not` (`!`), which
//! bind in the order not, and, or; parentheses group.  A condition is one of
//!
//! | condition | meaning |
//! |---|---|
//! | `FIELD OP VALUE` | any field of the table; OP is `=` `==` `!=` `<` `<=` `>` `>=` |
//! | `FIELD VALUE` | the same as `FIELD = VALUE` |
//! | `host ADDR` | the local or the foreign address; `host fe80::1%em0` only in that zone |
//! | `net ADDR/LEN` | the local or the foreign address is in the network |
//! | `lnet ADDR/LEN`, `fnet ADDR/LEN` | the local, the foreign address is |
//! | `port N` | the local or the foreign port |
//! | `ip`, `ip6` | the local address is IPv4 (or IPv4-mapped), IPv6 |
//! | `idle OP TIME` | time since data went in either direction: the smaller of `idle_snd` and `idle_rcv` |
//!
//! States, names, addresses, options, hosts, networks and `port` take only `=`
//! and `!=`.  `port != 22` is `not port = 22`, and so with `host` and `net`.
//! `options sack` holds when that option is among those in use.
//!
//! Numbers are decimal, or hexadecimal after `0x`.  A time is in microseconds
//! or has a suffix `us`, `ms` or `s`, and then can have a fraction (`1.5ms`);
//! any other number can have a suffix `k`, `M` or `G`, powers of 1024.
//!
//! A comparison with an absent field does not hold, whatever the comparison:
//! without a uid `uid != 0` does not hold, and `not uid = 0` does.

mod eval;
#[cfg(feature = "std")]
mod fold;
mod lexer;
mod parser;
mod program;

pub use eval::Verdict;
#[cfg(feature = "std")]
pub use fold::Ask;
pub use parser::{Expected, MAX_NESTING, ParseError};
pub use program::{FILTER_LEN, Filter, Invalid, MAX_DEPTH, MAX_OPS};
