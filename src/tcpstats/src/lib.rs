// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The TCP statistics record that the kernel module, the logger and the viewer
//! exchange: one table of fields, the binary and text forms of the record, and
//! the filter.
//!
//! Without the feature `std` the crate allocates nothing, depends on nothing
//! and cannot panic on any input, because the kernel module is built on it.
//!
//! ```
//! use tcpstats::{Columns, Record, State, csv, key, text::Text};
//!
//! let mut record = Record::new();
//! record.set(key::lport, 443);
//! record.set(key::state, State::LISTEN);
//!
//! let columns = Columns::parse("lport,state,srtt").unwrap();
//! let mut buffer = [0; 256];
//! let mut text = Text::new(&mut buffer);
//! csv::row(&mut text, &columns, 1_764_000_000_000_000_000, 1, &record);
//! assert_eq!(text.finish(), Some("1764000000.000000000,1,443,LISTEN,\n"));
//! ```

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod change;
mod columns;
pub mod csv;
mod field;
pub mod filter;
pub mod frame;
pub mod ioctl;
pub mod json;
mod mask;
pub mod note;
pub mod pairs;
pub mod read;
mod record;
pub mod siftr;
mod state;
#[cfg(feature = "std")]
pub mod stream;
mod table;
pub mod text;
mod v1;

pub use change::{ALWAYS_MOVING, Compared};
pub use columns::{Columns, UnknownColumn};
pub use field::{Field, Group, Key, Kind, Part, Unit};
pub use filter::Filter;
pub use frame::Header;
pub use mask::{FieldSet, PREAMBLE_LEN};
pub use record::{
    RECORD_LEN, RECORD_LEN_UNJOINED, Record, RecordBytes, RecordBytesMut, Value, ipv4, is_scoped, mapped_ipv4, name,
};
pub use state::{Ending, SSTHRESH_INFINITE, State, option};
pub use table::{BODY_LEN, BODY_LEN_UNJOINED, FIELD_COUNT, FIELDS, MODULE_BODY_LEN, MODULE_RECORD_LEN, key};
