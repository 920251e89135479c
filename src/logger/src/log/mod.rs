// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The log: snapshots and notes in one of the formats, in a file or in syslog.
//!
//! If a write to a file fails because there is no space or the disk fails, only
//! its snapshot is lost, and the log reports the gap once it continues.  What a
//! pipe, a terminal or a device has accepted cannot be removed, so the first
//! error is fatal there.

mod composer;
mod file;

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};
use tcpstats::frame::Frame;
use tcpstats::stream::seal;
use tcpstats::{Field, FieldSet};
use tcpstats_log::{Changes, Note, Selected};
use tcpstats_source::system::wall_ns;
use tcpstats_source::{AnchoredPath, InUse, report, system_error};

use self::composer::{Closing, Composer};
use self::file::{Found, LogFile};
use crate::gap::Gap;
use crate::options::{Options, Output};
use crate::privileges::Identity;
use crate::sampler::{Taken, gap_of};
use crate::status::Counters;
use crate::syslog::Records;

/// The destination of the bytes.
enum Sink {
    File(LogFile),
    Syslog(Records),
}

impl Sink {
    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Syslog(_) => Ok(()),
        }
    }
}

/// An open log.
pub struct Log {
    sink: Sink,
    composer: Composer,
    changes: Option<Changes>,
    /// What the file contained, while its first lines are still due.
    due: Option<Found>,
    /// Snapshots that could not be written.
    gap: Option<Gap>,
    /// Snapshots that the queue did not accept.
    queue_gap: Option<Gap>,
    missed_ticks: u64,
    unsynced_since: Option<Instant>,
    sync_every: Option<Duration>,
    sync_failed: bool,
    reader_left: bool,
    /// Set if the next snapshot must be complete, for a keyframe or because changes were
    /// lost.
    restart: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl Log {
    /// Opens or continues the log that the options name, without writing to it.
    /// `source` is the name of the source, and `is_live` means that the source is this system.
    ///
    /// # Errors
    /// Returns an error if the log cannot be opened or continued; it is not changed.
    pub fn open(
        options: &Options,
        source: &OsStr,
        is_live: bool,
        in_use: Vec<InUse>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let mut composer = Composer::new(options, source, is_live);
        let (sink, found) = match &options.output {
            Output::Syslog(target) => (Sink::Syslog(Records::open(target)?), Found::default()),
            Output::File(path) => {
                let (file, found) = LogFile::open(path, options.mode, &options.layout, &composer.expected, in_use)?;
                (Sink::File(file), found)
            }
        };
        composer.begin_file(&found);
        Ok(Self {
            sink,
            changes: options.keyframe_every.map(|every| Changes::new(composer.compared(), every)),
            composer,
            due: Some(found),
            gap: None,
            queue_gap: None,
            missed_ticks: 0,
            unsynced_since: None,
            sync_every: options.sync_every,
            sync_failed: false,
            reader_left: false,
            restart: Arc::default(),
            counters,
        })
    }

    /// Returns the flag that is set when the next snapshot must be complete.
    pub fn restart(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.restart)
    }

    /// Changes the owner of a log that is still empty to the user that the logger
    /// runs as.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn give_to(&self, identity: &Identity) -> Result<()> {
        match &self.sink {
            Sink::File(file) => file.give_to(identity.uid, identity.gid),
            Sink::Syslog(_) => Ok(()),
        }
    }

    /// Returns the path from which the log is reopened, if it is.
    pub fn place(&self) -> Option<&AnchoredPath> {
        match &self.sink {
            Sink::File(file) => file.place(),
            Sink::Syslog(_) => None,
        }
    }

    /// Returns whether the log contains the field, even if it was not requested.
    pub fn shows(&self, field: &Field) -> bool {
        self.composer.shows(field)
    }

    /// Sets the fields that the source provides: a log with others is not continued.
    pub fn sampled(&mut self, fields: FieldSet) {
        self.composer.sampled(fields);
    }

    /// Registers that a sandbox restricts the log to its current directories.
    pub fn confined(&mut self) {
        if let Sink::File(file) = &mut self.sink {
            file.confined();
        }
    }

    /// Writes the first lines; `sandbox` describes the sandbox of the process.
    ///
    /// # Errors
    /// Returns the error of the write.
    pub fn begin(&mut self, sandbox: &str) -> Result<()> {
        sandbox.clone_into(&mut self.composer.sandbox);
        self.compose();
        self.append(&[]).map_err(|error| self.failed(error))
    }

    /// Logs a snapshot.
    ///
    /// # Errors
    /// Returns an error if the log cannot continue.
    pub fn snapshot(&mut self, taken: &mut Taken) -> Result<()> {
        if let Some(gap) = taken.gap.take() {
            Gap::widen(&mut self.queue_gap, gap);
        }
        self.compose();
        if taken.missed_ticks > self.missed_ticks {
            let ticks = taken.missed_ticks - self.missed_ticks;
            self.composer.note(&Note::Missed { ticks: Some(ticks), total: Some(taken.missed_ticks) });
        }
        taken.snapshot.set_missed_ticks(taken.missed_ticks);
        let mut changes = self.changes.take();
        let records = self.compose_snapshot(taken, changes.as_mut())?;
        // A frame is written without being copied.
        let frame = if self.composer.is_frames() { taken.snapshot.bytes() } else { &[] };
        let appended = self.append(frame);
        self.changes = changes;
        if let Err(error) = appended {
            return self.lose(error, taken);
        }
        self.missed_ticks = taken.missed_ticks;
        self.counters.snapshots.fetch_add(1, Relaxed);
        self.counters.records.fetch_add(records, Relaxed);
        Ok(())
    }

    /// Composes what is logged of a snapshot, except for its frame in a log of frames;
    /// returns the number of records.
    fn compose_snapshot(&mut self, taken: &mut Taken, changes: Option<&mut Changes>) -> Result<u64> {
        let composer = &mut self.composer;
        if let Some(changes) = changes {
            let header = *taken.snapshot.header();
            if changes.awaits_complete(&header) {
                self.restart.store(true, Relaxed);
            }
            let gone = taken.gone.iter().map(|gone| (gone.gencnt, gone.vnet));
            let Selected { opened, closed } = changes.select(&mut taken.snapshot, gone);
            for (records, is_open) in [(closed, false), (opened, true)] {
                for record in records {
                    composer.connection(&header, record, is_open);
                }
            }
        }
        if composer.is_frames() {
            seal(taken.snapshot.bytes_mut());
            return Ok(taken.snapshot.written());
        }
        let frame = Frame::parse(taken.snapshot.bytes()).context("cannot read back a snapshot")?;
        composer.frame(&frame).context("cannot log a snapshot")
    }

    /// Counts a snapshot that could not be written.
    fn lose(&mut self, error: io::Error, taken: &Taken) -> Result<()> {
        if self.is_final() {
            return Err(self.failed(error));
        }
        if let Some(changes) = &mut self.changes {
            changes.undo();
            self.restart.store(true, Relaxed);
        }
        if self.gap.is_none() {
            log::warn!("{}: {}; dropping snapshots until the log can be written", self.name(), system_error(&error));
        }
        self.counters.dropped.fetch_add(1, Relaxed);
        Gap::widen(&mut self.gap, gap_of(&taken.snapshot, &system_error(&error)));
        Ok(())
    }

    /// Logs that the source failed.
    ///
    /// # Errors
    /// Returns an error if the log cannot continue.
    pub fn source_lost(&mut self, why: &str, missed_ticks: u64) -> Result<()> {
        self.compose();
        self.composer.note(&Note::SourceLost {
            time_ns: Some(wall_ns()),
            missed_ticks: Some(missed_ticks),
            why: Some(why),
        });
        self.append_or_wait()
    }

    /// Logs the last snapshots that the queue did not accept.
    ///
    /// # Errors
    /// Returns an error if the log cannot continue.
    pub fn dropped(&mut self, gap: Gap) -> Result<()> {
        Gap::widen(&mut self.queue_gap, gap);
        self.compose();
        self.append_or_wait()
    }

    /// Reopens the log: the file that has its name now, or a new connection to
    /// syslog.
    ///
    /// # Errors
    /// Returns an error if the log cannot continue.
    pub fn reopen(&mut self) -> Result<()> {
        let opened = match &mut self.sink {
            Sink::Syslog(records) => {
                records.reconnect();
                return Ok(());
            }
            Sink::File(file) => file.open_next(&self.composer.expected),
        };
        let next = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                log::info!("{}: not rotated; keeping the file", self.name());
                return Ok(());
            }
            Err(error) => {
                log::warn!("{}; keeping the old file", report(error.as_ref()));
                return Ok(());
            }
        };
        if self.due.is_none() {
            self.composer.clear();
            self.composer.end(Closing::Rotated, &self.counters);
            // If the disk is full, the gap is reported in the next file.
            if let Err(error) = self.append_batch(&[]) {
                log::warn!("{}; the old file has no closing line", report(self.failed(error).as_ref()));
            }
        }
        self.sync();
        self.composer.begin_file(&next.found);
        self.due = Some(next.found.clone());
        if let Sink::File(file) = &mut self.sink {
            drop(file.replace(next));
        }
        log::info!("{}: reopened", self.name());
        if let Some(changes) = &mut self.changes {
            changes.keyframe(self.composer.compared());
        }
        self.compose();
        self.append_or_wait()
    }

    /// Writes the closing lines.
    ///
    /// # Errors
    /// Returns the error of the write.
    pub fn close(&mut self) -> Result<()> {
        self.compose();
        self.composer.end(Closing::End, &self.counters);
        let written = self.append(&[]).map_err(|error| self.failed(error));
        // What is not on the disk may be lost, like what was not written.
        let synced = self.sink.sync().map_err(|error| self.not_synced(error));
        written.and(synced)
    }

    /// Returns when the log must be synced to disk.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since?.checked_add(self.sync_every?)
    }

    /// Syncs the log to disk.
    pub fn sync(&mut self) {
        self.unsynced_since = None;
        match self.sink.sync() {
            Ok(()) => self.sync_failed = false,
            Err(error) if self.sync_failed => log::info!("{}", report(self.not_synced(error).as_ref())),
            Err(error) => {
                log::warn!("{}", report(self.not_synced(error).as_ref()));
                self.sync_failed = true;
            }
        }
    }

    /// Starts a batch with the first lines and the gaps, if they are due.
    fn compose(&mut self) {
        self.composer.clear();
        if let Some(found) = &self.due {
            self.composer.head(found);
        }
        for gap in [&self.gap, &self.queue_gap].into_iter().flatten() {
            self.composer.note(&gap.note());
        }
    }

    /// Writes the batch and a frame, after which nothing in the batch is due any
    /// longer.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.append_batch(frame)?;
        self.due = None;
        if let Some(gap) = self.gap.take() {
            log::warn!(
                "{}: can be written again; {} snapshots with {} records were dropped",
                self.name(),
                gap.snapshots,
                gap.records
            );
        }
        self.queue_gap = None;
        Ok(())
    }

    fn append_batch(&mut self, frame: &[u8]) -> io::Result<()> {
        let bytes = self.composer.bytes()?;
        match &mut self.sink {
            Sink::File(file) => {
                let appended = file.append([bytes, frame]);
                let is_unread = appended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
                self.reader_left |= is_unread && file.is_standard_output();
                appended?;
            }
            // Syslog has no frames.
            Sink::Syslog(records) => records.append(bytes)?,
        }
        self.counters.bytes.fetch_add((bytes.len() + frame.len()) as u64, Relaxed);
        self.composer.written();
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Writes a batch without a snapshot.  What cannot be written now is repeated
    /// with the next snapshot, or appears only in the messages.
    fn append_or_wait(&mut self) -> Result<()> {
        match self.append(&[]) {
            Err(error) if self.is_final() => Err(self.failed(error)),
            Err(error) => {
                log::info!("{}", report(self.failed(error).as_ref()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Returns whether the reader of standard output has closed it, which is not
    /// an error.
    pub fn reader_left(&self) -> bool {
        self.reader_left
    }

    /// Returns whether an error of a write is fatal.
    fn is_final(&self) -> bool {
        matches!(&self.sink, Sink::File(file) if !file.can_be_cut())
    }

    /// Returns the error for a failed write.
    fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::BrokenPipe => anyhow!("{}: closed by the reader", self.name()),
            _ => Error::new(error).context(self.name()),
        }
    }

    /// Returns the error for a failed sync.
    fn not_synced(&self, error: io::Error) -> Error {
        Error::new(error).context(format!("{}: cannot sync to disk", self.name()))
    }

    fn name(&self) -> String {
        match &self.sink {
            Sink::File(file) => format!("log {}", file.name()),
            Sink::Syslog(records) => format!("syslog {}", records.name()),
        }
    }
}
