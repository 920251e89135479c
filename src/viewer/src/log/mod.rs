// SPDX-License-Identifier: BSD-2-Clause

//! Logs of all four formats as one stream of items.

mod frames;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use tcpstats::{Header, Record};
use tcpstats_source::Sentence;

use self::frames::Frames;

/// What stands in a log, in its order.
#[derive(Debug)]
pub enum Item<'a> {
    /// One connection at one instant; the next [`Item::Snapshot`] is its own.
    Record {
        /// Nanoseconds since the UNIX epoch.
        time_ns: u64,
        /// The snapshot's number.
        snapshot: u64,
        /// What is known of it; its `at_ns` has no meaning here.
        record: &'a Record,
    },
    /// The snapshot that the records before it belong to.
    Snapshot(Header),
    /// A note of the logger, `name key=value …`; that of a snapshot is an
    /// [`Item::Snapshot`].
    Note(&'a str),
}

/// A log while it is read.
pub struct Log {
    name: String,
    frames: Frames<Box<dyn Read>>,
}

impl Log {
    /// Opens the log at that path, `-` for standard input.
    ///
    /// # Errors
    /// A sentence that names the path and what the system said.
    pub fn open(path: &Path) -> Result<Self, Sentence> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { frames: Frames::new(Box::new(BufReader::new(file))), name })
    }

    /// The next item, or none at the end.
    ///
    /// # Errors
    /// A sentence that names the place in the log and what was expected there.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Sentence> {
        self.frames.next().map_err(|what| format!("{}: {what}", self.name))
    }
}
