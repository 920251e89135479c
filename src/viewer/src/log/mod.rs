// SPDX-License-Identifier: BSD-2-Clause

//! Logs of all formats as one stream of items.

mod frames;
mod input;
mod lines;
#[cfg(feature = "convert")]
pub mod parquet;
mod text;

use std::path::{Path, PathBuf};

use tcpstats::FieldSet;
use tcpstats::{Columns, Header, Record};
use tcpstats_source::Sentence;

#[cfg(feature = "convert")]
pub use self::input::name;
pub use self::input::said;
use self::input::{Content, Progress};
#[cfg(feature = "convert")]
pub use self::text::HEADER_NOTE;
use self::text::TextLog;

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
    columns: LogColumns,
    wanted: FieldSet,
}

/// Which fields a log shows, as far as it is read.
#[derive(Default)]
pub struct LogColumns {
    /// The columns of its text: its header row's, or those that were asked for.
    pub text: Option<Columns>,
    /// The fields that its records may have, where its format tells.
    pub present: Option<Columns>,
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
    reader: Option<Box<dyn Reader + Send>>,
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
        let mut log = Self {
            name: String::new(),
            reader: None,
            following: Vec::new(),
            current: Current {
                record: Record::new(),
                note: String::new(),
                columns: LogColumns::default(),
                wanted: FieldSet::ALL,
            },
            progress: Progress::new(),
        };
        log.follow_with(path)?;
        log.follow()?;
        Ok(log)
    }

    /// Opens logs that are read one behind the other, such as rotated ones,
    /// the oldest first.
    ///
    /// # Errors
    /// A sentence that names a path and what the system said.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, Sentence> {
        let (first, following) = paths.split_first().ok_or("expected the name of a log")?;
        let mut log = Self::open(first)?;
        following.iter().rev().try_for_each(|path| log.follow_with(path))?;
        Ok(log)
    }

    /// Has a file, which must be there, follow before the others that do.
    fn follow_with(&mut self, path: &Path) -> Result<(), Sentence> {
        self.progress.add(path).map_err(|what| format!("{}: {what}", input::name(path)))?;
        self.following.push(path.to_path_buf());
        Ok(())
    }

    /// Reads those fields only; the others may be absent.
    #[must_use]
    pub fn only(mut self, columns: &Columns) -> Self {
        self.current.wanted = FieldSet::of(columns);
        self
    }

    /// Where the last item stands: the file, and the place in it.
    pub fn place(&self) -> String {
        match &self.reader {
            Some(reader) => format!("{}: {}", self.name, reader.place()),
            None => format!("{}: at its end", self.name),
        }
    }

    /// Shows no progress.
    #[cfg(feature = "top")]
    pub fn quiet(&self) {
        self.progress.quiet();
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
        let content = input::open(&path, &self.progress).map_err(said)?;
        self.current.columns.present = None;
        self.reader = Some(match content {
            Content::Frames(input) => Box::new(frames::Frames::new(input)),
            Content::Csv(input) => Box::new(TextLog::new(input, text::Csv::default())),
            Content::Json(input) => Box::new(TextLog::new(input, text::Json)),
            Content::Siftr(input) => Box::new(TextLog::new(input, text::Siftr)),
            #[cfg(feature = "convert")]
            Content::Parquet(file) => Box::new(parquet::Parquet::new(file).map_err(said)?),
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
        Ok(self.next_with_columns()?.map(|(item, _)| item))
    }

    /// The next item, and the columns that the log has there.
    ///
    /// # Errors
    /// As [`Log::next`].
    pub fn next_with_columns(&mut self) -> Result<Option<(Item<'_>, &LogColumns)>, Sentence> {
        let found = self.advance()?;
        let Current { record, note, columns, .. } = &self.current;
        let item = found.map(|found| match found {
            Found::Record { time_ns, snapshot } => Item::Record { time_ns, snapshot, record },
            Found::Snapshot(header) => Item::Snapshot(header),
            Found::Note => Item::Note(note),
        });
        Ok(item.map(|item| (item, columns)))
    }
}
