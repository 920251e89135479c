// SPDX-License-Identifier: BSD-2-Clause

//! Live snapshots, and what a filter's text says.

use std::fs::metadata;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tcpstats::Filter;
use tcpstats::frame::Frame;
use tcpstats::stream::SnapshotBuffer;
use tcpstats_log::{Boot, Snapshot};
use tcpstats_source::{Sample, Sentence, Source, report};

use crate::replay::Replay;
use crate::units;

/// An open source: a kernel's, or a log that is played.
pub enum Live {
    /// What a kernel tells now.
    Kernel {
        /// Where it tells it.
        source: Box<dyn Source + Send>,
        /// Memory for a snapshot.
        buffer: SnapshotBuffer,
    },
    /// What it told before.
    Log(Box<Replay>),
}

impl Live {
    /// Opens the source of that name, the system's own where there is none.
    ///
    /// # Errors
    /// A sentence that names the source and says what was expected.
    pub fn open(name: Option<&str>, filter: Option<Filter>) -> Result<Self, Sentence> {
        match name {
            Some(name) if is_log(name) => {
                Ok(Self::Log(Box::new(Replay::open(Path::new(name), filter).map_err(|error| report(&error))?)))
            }
            name => {
                units::name_zones();
                let source = tcpstats_source::open(name.unwrap_or(tcpstats_source::DEFAULT), filter)
                    .map_err(|error| report(&error))?;
                Ok(Self::Kernel { source, buffer: SnapshotBuffer::new() })
            }
        }
    }

    /// Does not tell how far a log is read.
    #[cfg(feature = "top")]
    pub fn quiet(&mut self) {
        if let Self::Log(replay) = self {
            replay.quiet();
        }
    }

    /// The next snapshot; none at the end of a log.
    ///
    /// # Errors
    /// A sentence that names the source and what it said.
    pub fn sample(&mut self) -> Result<Option<Snapshot>, Sentence> {
        match self {
            Self::Log(replay) => replay.next().map_err(|error| report(&error)),
            Self::Kernel { source, buffer } => match source.sample(buffer).map_err(|error| report(&error))? {
                Sample::End => Ok(None),
                Sample::Taken => {
                    let frame = Frame::parse(buffer.bytes()).map_err(|error| error.to_string())?;
                    Ok(Some(Snapshot { header: frame.header, records: frame.records().collect(), boot: Boot::Same }))
                }
            },
        }
    }

    /// The last snapshot that there is for now.
    ///
    /// # Errors
    /// As [`Live::sample`].
    pub fn last(&mut self) -> Result<Option<Snapshot>, Sentence> {
        match self {
            Self::Log(replay) => replay.last().map_err(|error| report(&error)),
            Self::Kernel { .. } => self.sample(),
        }
    }

    /// Whether there may be snapshots again after an error and
    /// [`Live::reopen`].
    #[cfg(feature = "top")]
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Kernel { source, .. } => source.comes_back(),
            // It goes on behind the place.
            Self::Log(_) => true,
        }
    }

    /// Opens it again where that helps.
    ///
    /// # Errors
    /// A sentence; what was open stays so.
    #[cfg(feature = "top")]
    pub fn reopen(&mut self) -> Result<(), Sentence> {
        match self {
            Self::Kernel { source, .. } => source.reopen().map_err(|error| report(&error)),
            Self::Log(_) => Ok(()),
        }
    }
}

/// Whether a source is no kernel's but what one gave before.
fn is_log(name: &str) -> bool {
    let kind = || Some(metadata(name).ok()?.file_type());
    name == "-" || kind().is_some_and(|kind| kind.is_file() || kind.is_fifo())
}
