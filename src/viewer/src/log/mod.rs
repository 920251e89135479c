// SPDX-License-Identifier: BSD-2-Clause

//! Logs of all formats as one stream of items.

mod columns;
mod compression;
mod continuity;
mod frames;
mod input;
mod lines;
mod order;
#[cfg(feature = "convert")]
pub mod parquet;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tcpstats::FieldSet;
use tcpstats::{Columns, Header, Record};
use tcpstats_source::Sentence;

use self::continuity::{Continuity, Finding};
pub use self::input::name;
#[cfg(any(feature = "compressed", feature = "convert"))]
pub use self::input::said;
use self::input::{Content, Progress};
pub use self::order::in_order;
#[cfg(feature = "convert")]
pub use self::text::HEADER_NOTE;
use self::text::TextLog;
use crate::output::warn;

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
    unknown: Unknown,
}

/// Names that no field of this version has.
#[derive(Default)]
struct Unknown {
    /// The version that the log says wrote it.
    version: String,
    names: BTreeSet<String>,
    /// Whether there are names that were not reported.
    is_new: bool,
}

impl Unknown {
    fn add(&mut self, name: &str) {
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
            self.is_new = true;
        }
    }

    /// Whether a newer version wrote the log, or an unknown one.
    fn is_newer(&self) -> bool {
        let numbers = |version: &str| version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
        let own = numbers(env!("CARGO_PKG_VERSION"));
        numbers(&self.version).is_none_or(|version| Some(version) > own)
    }

    /// What is to be reported, once.
    fn report(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        let plural = if names.len() == 1 { "field" } else { "fields" };
        let by =
            if self.version.is_empty() { String::new() } else { format!("; version {} wrote the log", self.version) };
        Some(format!(
            "skipping {plural} that version {} does not support: {}{by}",
            env!("CARGO_PKG_VERSION"),
            names.join(", ")
        ))
    }
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
    /// How messages name a file.
    name_of: NameOf,
    /// The files that follow, the next one last.
    following: Vec<PathBuf>,
    /// How many were opened.
    opened: usize,
    current: Current,
    progress: Progress,
    continuity: Continuity,
    is_several: bool,
    warnings: Warnings,
}

/// How messages name a file.
pub type NameOf = Box<dyn Fn(&Path) -> String + Send>;

/// What is done with what does not fit, but does not keep a log from being
/// read.
enum Warnings {
    /// It is printed on standard error.
    Print,
    /// Nothing.
    Drop,
    /// What does not fit between logs is kept for [`Log::misfits`].
    Keep(Vec<Sentence>),
}

impl Log {
    /// Opens the log at that path, `-` for standard input.
    ///
    /// # Errors
    /// A sentence that names the path and what the system said.
    pub fn open(path: &Path) -> Result<Self, Sentence> {
        Self::open_named(path, Box::new(name))
    }

    fn open_named(path: &Path, name_of: NameOf) -> Result<Self, Sentence> {
        let mut log = Self {
            name: String::new(),
            reader: None,
            name_of,
            following: Vec::new(),
            opened: 0,
            current: Current {
                record: Record::new(),
                note: String::new(),
                columns: LogColumns::default(),
                wanted: FieldSet::ALL,
                unknown: Unknown::default(),
            },
            progress: Progress::new(),
            continuity: Continuity::default(),
            is_several: false,
            warnings: Warnings::Print,
        };
        log.follow_with(path)?;
        log.follow()?;
        Ok(log)
    }

    /// Opens logs that are read one after the other, such as rotated ones, in
    /// the order of their content.
    ///
    /// # Errors
    /// A message that names a path and what the system said.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, Sentence> {
        Self::open_all_named(paths, Box::new(name))
    }

    /// As [`Log::open_all`], of files that messages name so.
    ///
    /// # Errors
    /// As [`Log::open_all`], with the path of the file.
    pub fn open_all_named(paths: &[PathBuf], name_of: NameOf) -> Result<Self, Sentence> {
        let ordered = in_order(paths)?;
        let (first, following) = ordered.logs.split_first().ok_or("expected the name of a log")?;
        let mut log = Self::open_named(first, name_of)?;
        following.iter().rev().try_for_each(|path| log.follow_with(path))?;
        log.is_several = !following.is_empty();
        log.warnings = Warnings::Keep(ordered.findings);
        Ok(log)
    }

    /// Prints warnings on standard error, where [`Log::open_all`] keeps them.
    #[must_use]
    pub fn warning(mut self) -> Self {
        for finding in self.misfits() {
            self.aside(|| warn(&finding));
        }
        self.warnings = Warnings::Print;
        self
    }

    /// What was found not to fit between the logs since the last call.
    pub fn misfits(&mut self) -> Vec<Sentence> {
        match &mut self.warnings {
            Warnings::Keep(kept) => std::mem::take(kept),
            Warnings::Print | Warnings::Drop => Vec::new(),
        }
    }

    fn misfit(&mut self, finding: Finding) {
        match &mut self.warnings {
            // The numbers of snapshots are checked by who keeps it.
            Warnings::Keep(kept) if !finding.is_numbers => kept.push(finding.what),
            Warnings::Print => self.aside(|| warn(&finding.what)),
            Warnings::Keep(_) | Warnings::Drop => (),
        }
    }

    /// Has a file, which must be there, follow before the others that do.
    fn follow_with(&mut self, path: &Path) -> Result<(), Sentence> {
        self.progress.add(path).map_err(|what| format!("{}: {what}", (self.name_of)(path)))?;
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

    /// Prints no warnings.
    #[cfg(feature = "plot")]
    #[must_use]
    pub fn without_warnings(mut self) -> Self {
        self.warnings = Warnings::Drop;
        self
    }

    /// Which of the files the last item is in, in the order in which they are
    /// read, from 0.
    #[cfg(feature = "plot")]
    pub fn file_number(&self) -> usize {
        self.opened.saturating_sub(1)
    }

    /// Prints neither progress nor warnings.
    pub fn quiet(&mut self) {
        self.progress.quiet();
        self.warnings = Warnings::Drop;
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
        self.name = (self.name_of)(&path);
        self.opened += 1;
        let content = input::open(&path, &self.progress).map_err(|what| format!("{}: {what}", self.name))?;
        if let Some(finding) = self.continuity.begin(&self.name) {
            self.misfit(finding);
        }
        self.current.columns.present = None;
        self.reader = Some(match content {
            Content::Frames(input) => Box::new(frames::Frames::new(input)),
            Content::Csv(input) => Box::new(TextLog::new(input, text::Csv::default())),
            Content::Json(input) => Box::new(TextLog::new(input, text::Json)),
            Content::Siftr(input) => Box::new(TextLog::new(input, text::Siftr)),
            #[cfg(feature = "convert")]
            Content::Parquet(file) => {
                Box::new(parquet::Parquet::new(file).map_err(|what| format!("{}: {what}", self.name))?)
            }
        });
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<Found>, Sentence> {
        while let Some(reader) = &mut self.reader {
            match reader.advance(&mut self.current) {
                Ok(Some(found)) => {
                    self.inspect(&found);
                    return Ok(Some(found));
                }
                Ok(None) => self.reader = None,
                Err(what) => return Err(format!("{}: {what}", self.name)),
            }
            if !self.follow()?
                && let Some(finding) = self.continuity.end()
                && (self.is_several || matches!(self.warnings, Warnings::Keep(_)))
            {
                self.misfit(finding);
            }
        }
        Ok(None)
    }

    /// Looks whether an item fits after the others.
    #[inline]
    fn inspect(&mut self, found: &Found) {
        let finding = match found {
            Found::Record { time_ns, snapshot } => self.continuity.record(*time_ns, *snapshot),
            Found::Snapshot(header) => self.continuity.snapshot(header),
            Found::Note => self.continuity.note(&self.current.note),
        };
        if let Some(finding) = finding {
            self.misfit(finding);
        }
        if self.current.unknown.is_new
            && let Some(what) = self.current.unknown.report()
            && !matches!(self.warnings, Warnings::Drop)
        {
            self.aside(|| warn(&format!("{}: {what}", self.name)));
        }
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
