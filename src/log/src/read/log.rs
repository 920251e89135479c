// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading of one log, or of several in sequence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tcpstats::{Columns, FieldSet};

use super::continuity::Continuity;
use super::finding::{Finding, FindingKind};
use crate::error::{Error, Position, Problem};
use crate::format;
use crate::input::{self, NoProgress, Progress};
use crate::item::{Current, Found, Item, LogColumns, LoggedNote, Reader};
use crate::note::Note;

/// How logs are opened.
pub struct OpenOptions {
    /// Returns the name of a file in messages.
    pub name_of: Box<dyn Fn(&Path) -> String + Send>,
    /// Observes how far the logs have been read.
    pub progress: Arc<dyn Progress>,
    /// Is called for each finding.
    pub on_finding: Box<dyn FnMut(Finding) + Send>,
}

impl Default for OpenOptions {
    /// Uses the paths as names, and ignores progress and findings.
    fn default() -> Self {
        Self { name_of: Box::new(input::name), progress: Arc::new(NoProgress), on_finding: Box::new(|_| ()) }
    }
}

/// A log while it is read.
pub struct Log {
    name: String,
    reader: Option<Box<dyn Reader + Send>>,
    pub(super) options: OpenOptions,
    /// The files that follow, in reverse order.
    following: Vec<PathBuf>,
    /// The number of files that were opened.
    opened: usize,
    current: Current,
    continuity: Continuity,
    pub(super) is_several: bool,
}

impl Log {
    /// Opens the log at a path, `-` for standard input.
    ///
    /// # Errors
    /// Returns an error if the log cannot be opened or is not a log.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self, Error> {
        let mut log = Self {
            name: String::new(),
            reader: None,
            options,
            following: Vec::new(),
            opened: 0,
            current: Current::new(),
            continuity: Continuity::default(),
            is_several: false,
        };
        log.add_file(path)?;
        log.open_next()?;
        Ok(log)
    }

    /// Adds a file, which must exist, before the other files that follow.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        input::announce(path, self.options.progress.as_ref())
            .map_err(|problem| Error::new(&(self.options.name_of)(path), problem))?;
        self.following.push(path.to_path_buf());
        Ok(())
    }

    /// Reads only these fields; the others may be absent.
    #[must_use]
    pub fn only(mut self, columns: &Columns) -> Self {
        self.current.wanted = FieldSet::of(columns);
        self
    }

    /// Returns the name of the log that is being read.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the position of the last item in the log that is being read.
    #[must_use]
    pub fn position(&self) -> Position {
        self.reader.as_ref().map_or(Position::End, |reader| reader.position())
    }

    /// Returns the number of the file that contains the last item, in the order
    /// in which the files are read, from 0.
    #[must_use]
    pub fn file_number(&self) -> usize {
        self.opened.saturating_sub(1)
    }

    /// Returns an error at the position of the last item.
    pub(crate) fn error(&self, problem: Problem) -> Error {
        Error::new(&self.name, self.position().with(problem))
    }

    /// Opens the next file, if there is one.
    fn open_next(&mut self) -> Result<bool, Error> {
        let Some(path) = self.following.pop() else {
            return Ok(false);
        };
        self.name = (self.options.name_of)(&path);
        self.opened += 1;
        let opened = input::open(&path, &self.options.progress);
        let (first, source) = opened.map_err(|problem| Error::new(&self.name, problem))?;
        let format = format::by_first_bytes(&first)
            .ok_or_else(|| Problem::NotALog { expected: format::names(" or ", |_| true) });
        if format.is_ok()
            && let Some(message) = self.continuity.begin(&self.name)
        {
            self.find(FindingKind::Empty, message);
        }
        self.current.columns.present = None;
        let reader = format.and_then(|format| format.reader(source));
        self.reader = Some(reader.map_err(|problem| Error::new(&self.name, problem))?);
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<Found>, Error> {
        while let Some(reader) = &mut self.reader {
            match reader.advance(&mut self.current) {
                Ok(Some(found)) => {
                    self.inspect(&found);
                    return Ok(Some(found));
                }
                Ok(None) => self.reader = None,
                Err(problem) => return Err(Error::new(&self.name, problem)),
            }
            if !self.open_next()?
                && let Some(message) = self.continuity.end()
            {
                self.find(if self.is_several { FindingKind::Empty } else { FindingKind::OnlyEmpty }, message);
            }
        }
        Ok(None)
    }

    fn find(&mut self, kind: FindingKind, message: String) {
        (self.options.on_finding)(Finding::new(kind, message));
    }

    /// Checks whether an item fits after the others.
    #[inline]
    fn inspect(&mut self, found: &Found) {
        let finding = match found {
            Found::Record { time_ns, snapshot } => self.continuity.record(*time_ns, *snapshot),
            Found::Snapshot(header) => self.continuity.snapshot(header),
            Found::Note => Note::read(&self.current.note).ok().and_then(|note| self.continuity.note(&note)),
        };
        if let Some(finding) = finding {
            (self.options.on_finding)(finding);
        }
        if self.current.unknown.is_new
            && let Some(message) = self.current.unknown.report()
        {
            let message = format!("{}: {message}", self.name);
            self.find(FindingKind::UnknownFields, message);
        }
    }

    /// Returns the next item, or `None` at the end.
    ///
    /// # Errors
    /// Returns an error with the position in the log and what was expected there.
    /// The next call continues after it.
    // Not an iterator: an item borrows the log.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        Ok(self.next_with_columns()?.map(|(item, _)| item))
    }

    /// Returns the next item, and the columns of the log at its position.
    ///
    /// # Errors
    /// Returns an error as [`Log::next`] does.
    pub fn next_with_columns(&mut self) -> Result<Option<(Item<'_>, &LogColumns)>, Error> {
        let Some(found) = self.advance()? else {
            return Ok(None);
        };
        let Current { record, note, columns, .. } = &self.current;
        let item = match found {
            Found::Record { time_ns, snapshot } => Item::Record { time_ns, snapshot, record },
            Found::Snapshot(header) => Item::Snapshot(header),
            Found::Note => match Note::read(note) {
                Ok(read) => Item::Note(LoggedNote { note: read, text: note }),
                Err(error) => return Err(Error::new(&self.name, error.into())),
            },
        };
        Ok(Some((item, columns)))
    }
}
