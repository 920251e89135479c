// SPDX-License-Identifier: BSD-2-Clause

//! Logs of all formats as one stream of items.

mod frames;
mod input;
mod lines;
mod text;

use std::path::{Path, PathBuf};

use tcpstats::read::Wanted;
use tcpstats::{Columns, Header, Record};
use tcpstats_source::Sentence;

pub use self::input::said;
use self::input::{Format, Progress};

/// What stands in a log, in its order.
#[derive(Debug)]
pub enum Item<'a> {
    /// One connection at one instant; the next [`Item::Snapshot`] is its own.
    Record {
        /// Nanoseconds since the UNIX epoch.
        time_ns: u64,
        /// The snapshot's number; 0 in siftr's format, which has none.
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

/// An item whose bytes stand in [`Current`].
enum Found {
    Record { time_ns: u64, snapshot: u64 },
    Snapshot(Header),
    Note,
}

/// What was read last, in memory that is used again.
struct Current {
    record: Record,
    note: String,
    /// The columns of text that the log has or was asked for.
    columns: Option<Columns>,
    wanted: Wanted,
}

/// A reader of one format.
trait Reader {
    /// Reads the next item, or none at the end.  After an error it goes on
    /// behind the place, or is at the end.
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String>;

    /// Where the last item stands: `line 7`.
    fn place(&self) -> String;
}

/// A log while it is read.
pub struct Log {
    name: String,
    reader: Option<Box<dyn Reader>>,
    /// The files that follow, the next one last.
    following: Vec<PathBuf>,
    current: Current,
    progress: Progress,
}

impl Log {
    /// Opens the log at that path, `-` for standard input.
    ///
    /// # Errors
    /// A sentence that names the path and what the system said.
    pub fn open(path: &Path) -> Result<Self, Sentence> {
        Self::open_all(&[path.to_path_buf()])
    }

    /// Opens logs that are read one behind the other, such as rotated ones,
    /// the oldest first.
    ///
    /// # Errors
    /// A sentence that names a path and what the system said.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, Sentence> {
        let mut log = Self {
            name: String::new(),
            reader: None,
            following: paths.iter().rev().cloned().collect(),
            current: Current { record: Record::new(), note: String::new(), columns: None, wanted: Wanted::all() },
            progress: Progress::over(paths)?,
        };
        log.follow()?;
        Ok(log)
    }

    /// Reads those fields only; the others may be absent.
    #[must_use]
    pub fn only(mut self, columns: &Columns) -> Self {
        self.current.wanted = Wanted::only(columns);
        self
    }

    /// Where the last item stands: the file, and the place in it.
    pub fn place(&self) -> String {
        match &self.reader {
            Some(reader) => format!("{}: {}", self.name, reader.place()),
            None => format!("{}: at its end", self.name),
        }
    }

    /// The columns of text that the log has, or was asked for, as far as it
    /// is read.
    pub fn columns(&self) -> Option<&Columns> {
        self.current.columns.as_ref()
    }

    /// Says something while no progress is shown.
    pub fn aside(&self, say: impl FnOnce()) {
        self.progress.aside(say);
    }

    /// Opens the next file, if there is one.
    fn follow(&mut self) -> Result<bool, Sentence> {
        let Some(path) = self.following.pop() else {
            return Ok(false);
        };
        self.name = input::name(&path);
        let said = |what: String| format!("{}: {what}", self.name);
        let (format, input) = input::open(&path, &self.progress).map_err(said)?;
        self.reader = Some(match format {
            Format::Frames => Box::new(frames::Frames::new(input)),
            Format::Csv => Box::new(text::Csv::new(input)),
            Format::Json => Box::new(text::Json::new(input)),
            Format::Siftr => Box::new(text::Siftr::new(input)),
        });
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<Found>, Sentence> {
        while let Some(reader) = &mut self.reader {
            match reader.advance(&mut self.current) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => self.reader = None,
                Err(what) => return Err(format!("{}: {what}", self.name)),
            }
            self.follow()?;
        }
        Ok(None)
    }

    /// The next item, or none at the end.
    ///
    /// # Errors
    /// A sentence that names the place in the log and what was expected there.
    /// The next call goes on behind it.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Sentence> {
        Ok(self.advance()?.map(|found| match found {
            Found::Record { time_ns, snapshot } => Item::Record { time_ns, snapshot, record: &self.current.record },
            Found::Snapshot(header) => Item::Snapshot(header),
            Found::Note => Item::Note(&self.current.note),
        }))
    }
}
