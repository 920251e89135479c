// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Logs as commands read them: with a progress bar, and with warnings.

mod progress;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tcpstats::Columns;
use tcpstats_log::{Error, Finding, FindingKind, LogColumns, OpenOptions};
pub use tcpstats_log::{Item, name};

use self::progress::Bar;
use crate::output::warn;

/// Returns the name of a path in messages.
pub type NameOf = Box<dyn Fn(&Path) -> String + Send>;

/// A log while it is read.
pub struct Log {
    log: tcpstats_log::Log,
    watch: Watch,
}

/// The progress of reading a log, and what is done with findings.
#[derive(Clone)]
pub struct Watch {
    bar: Arc<Bar>,
    findings: Arc<Mutex<Findings>>,
}

/// What is done with findings.
enum Findings {
    /// They are printed on standard error.
    Print,
    /// They are ignored.
    #[cfg_attr(not(any(feature = "plot", feature = "top")), allow(dead_code, reason = "only plot and top do so"))]
    Ignore,
    /// They are collected for [`Log::findings`].
    Collect(Vec<String>),
}

impl Watch {
    fn new(findings: Findings) -> Self {
        Self { bar: Arc::new(Bar::new()), findings: Arc::new(Mutex::new(findings)) }
    }

    fn options(&self, name_of: NameOf) -> OpenOptions {
        let watch = self.clone();
        let on_finding = Box::new(move |finding| watch.find(finding));
        OpenOptions { name_of, progress: Arc::clone(&self.bar) as _, on_finding }
    }

    fn lock(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, finding: Finding) {
        let is_printed = match (&mut *self.lock(), finding.kind) {
            // The caller checks the numbers of snapshots itself.
            (Findings::Ignore, _) | (Findings::Collect(_), FindingKind::Numbers) => false,
            (Findings::Print, kind) => kind != FindingKind::OnlyEmpty,
            (Findings::Collect(_), FindingKind::UnknownFields) => true,
            (Findings::Collect(collected), _) => {
                collected.push(finding.message);
                return;
            }
        };
        if is_printed {
            self.bar.suspend(|| warn(&finding.message));
        }
    }

    /// Stops showing progress and printing warnings.
    #[cfg(feature = "top")]
    pub fn quiet(&self) {
        self.bar.finish();
        *self.lock() = Findings::Ignore;
    }
}

/// Opens the log at a path, and prints warnings.
///
/// # Errors
/// Returns an error if the log cannot be opened or is not a log.
pub fn open(path: &Path) -> Result<(tcpstats_log::Log, Watch), Error> {
    let watch = Watch::new(Findings::Print);
    Ok((tcpstats_log::Log::open(path, watch.options(Box::new(name)))?, watch))
}

impl Log {
    /// Opens logs that are read in sequence, such as rotated ones, in the order of
    /// their contents.  Findings are collected.
    ///
    /// # Errors
    /// Returns an error if a log cannot be opened or is not a log.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, Error> {
        Self::open_all_named(paths, Box::new(name))
    }

    /// Opens logs as [`Log::open_all`] does, with these names in messages.
    ///
    /// # Errors
    /// Returns an error as [`Log::open_all`] does.
    pub fn open_all_named(paths: &[PathBuf], name_of: NameOf) -> Result<Self, Error> {
        let watch = Watch::new(Findings::Collect(Vec::new()));
        Ok(Self { log: tcpstats_log::Log::open_all(paths, watch.options(name_of))?, watch })
    }

    /// Prints findings on standard error instead of collecting them.
    #[must_use]
    pub fn warning(mut self) -> Self {
        for finding in self.misfits() {
            self.aside(|| warn(&finding));
        }
        *self.watch.lock() = Findings::Print;
        self
    }

    /// Ignores findings.
    #[cfg(feature = "plot")]
    #[must_use]
    pub fn without_warnings(self) -> Self {
        *self.watch.lock() = Findings::Ignore;
        self
    }

    /// Returns the findings since the last call.
    pub fn misfits(&mut self) -> Vec<String> {
        match &mut *self.watch.lock() {
            Findings::Collect(collected) => std::mem::take(collected),
            Findings::Print | Findings::Ignore => Vec::new(),
        }
    }

    /// Reads only these fields; the others may be absent.
    #[must_use]
    pub fn only(self, columns: &Columns) -> Self {
        Self { log: self.log.only(columns), watch: self.watch }
    }

    /// Returns the position of the last item: the name of the log, and the position
    /// in it.
    pub fn place(&self) -> String {
        format!("{}: {}", self.log.name(), self.log.position())
    }

    /// Returns the number of the file that contains the last item.
    #[cfg(feature = "plot")]
    pub fn file_number(&self) -> usize {
        self.log.file_number()
    }

    /// Prints something while no progress is shown.
    pub fn aside(&self, print: impl FnOnce()) {
        self.watch.bar.suspend(print);
    }

    /// Returns the next item with the columns of the log at its position, or `None` at
    /// the end.
    ///
    /// # Errors
    /// Returns an error with the position in the log.  The next call continues
    /// after it.
    pub fn next_with_columns(&mut self) -> Result<Option<(Item<'_>, &LogColumns)>, Error> {
        self.log.next_with_columns()
    }
}
