// SPDX-License-Identifier: BSD-2-Clause

//! Logs of TCP statistics: their formats, their notes, and what a log says
//! about connections and time.

#![forbid(unsafe_code)]

mod byte_counter;
mod connection_id;
mod note;
mod time;

pub use crate::byte_counter::{ByteCounter, RECEIVED, SENT};
pub use crate::connection_id::{ConnectionId, End, ZonedEnd};
pub use crate::note::{
    ConnectionFields, ConnectionNote, GapNote, LogNote, Note, NoteError, SiftrDisable, SiftrEnable, Totals,
};
pub use crate::time::{
    Boot, Boots, Clock, Entry, Lifetimes, Moment, Monotone, Steps, Timeline, late_ns, seconds, slewed_ns,
};
