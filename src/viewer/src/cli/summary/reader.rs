// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reading logs for a summary.

use anyhow::Result;
use tcpstats::frame::flag;
use tcpstats::{Columns, Filter, Record};
use tcpstats_log::{Boot, ConnectionId, Entry, Lifetimes, Moment, Note, Timeline};

use super::connection::{Connection, LogContext, is_live};
use super::owner::Owners;
use super::sample::Sample;
use crate::log::{Item, Log};

/// The summary of the part of a log that has been read.
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts about the log")]
#[derive(Default)]
pub struct LogSummary {
    /// The snapshots of the log, in elapsed time.
    pub timeline: Timeline<Sample>,
    /// The connections.
    pub connections: Lifetimes<Connection>,
    /// The owners of the connections.
    pub owners: Owners,
    /// The position in the log.
    pub context: LogContext,
    is_linux: bool,
    /// Whether the filter of the summary can leave out some records of a connection.
    is_filtered: bool,
    /// Whether a filter of the logger or of the summary can leave out some records of a
    /// connection, whose first record then says nothing about its beginning.
    is_partial: bool,
    /// The number of the last snapshot of the same run.
    last_number: Option<u64>,
    /// The number of records.
    pub records: u64,
    /// The start in elapsed time, or `None` before the first snapshot.
    pub start_ns: Option<u64>,
    /// The end in elapsed time.
    pub end_ns: u64,
    /// Whether the last note announces that the run continues in the next file.
    is_rotated: bool,
}

impl LogSummary {
    /// Reads a log to its end.
    ///
    /// # Errors
    /// Returns an error that names the log and the position.
    pub fn read(&mut self, log: &mut Log, filter: Option<&Filter>) -> Result<()> {
        self.is_filtered = filter.is_some_and(|filter| !filter.asks_only_for_ends());
        self.is_partial |= self.is_filtered;
        while let Some((item, columns)) = log.next_with_columns()? {
            match item {
                Item::Record { time_ns, snapshot, record } => {
                    if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                        self.moment(moment);
                    }
                    self.record(time_ns, record, filter);
                }
                Item::Snapshot(header) => {
                    self.timeline.snapshot(&header).into_iter().flatten().for_each(|moment| self.moment(moment));
                    self.context.snapshots += 1;
                    self.context.changes_only |= header.flags & flag::CHANGED_ONLY != 0;
                }
                Item::Note(note) => self.note(&note.note, columns.text.as_ref()),
            }
        }
        Ok(())
    }

    fn record(&mut self, wall_ns: u64, record: &Record, filter: Option<&Filter>) {
        let is_wanted = is_live(record) && filter.is_none_or(|filter| filter.matches(record));
        let sample = is_wanted.then(|| Sample { owner: self.owners.of(record), ..Sample::of(record, self.is_linux) });
        self.timeline.add(wall_ns, ConnectionId::of(record), sample);
    }

    /// Adds a snapshot that has ended.
    fn moment(&mut self, moment: Moment<Sample>) {
        let number = moment.header.sequence;
        let follows = number > 0 && self.last_number.replace(number).is_some_and(|last| last + 1 == number);
        let began = follows && moment.boot == Boot::Same && !self.is_partial;
        let (end_ns, context) = (self.end_ns, self.context);
        let marks = |entry: &Entry<Sample>| entry.sample.as_ref().map(|sample| (entry.id, sample.marks));
        let leave = |connection: &mut Connection| connection.leave(end_ns, context);
        self.connections.start_snapshot(moment.boot, moment.entries.iter().filter_map(marks), leave);
        for entry in &moment.entries {
            match &entry.sample {
                Some(sample) => self.sample(entry, sample, began),
                None => {
                    if let Some(connection) = self.connections.get_mut(&entry.id) {
                        connection.leave(entry.time_ns, context);
                    }
                }
            }
        }
        self.extend(moment.time_ns);
        self.context.snapshot_ns = moment.time_ns;
        self.timeline.give_back(moment.entries);
    }

    /// Extends the summary to this time.
    fn extend(&mut self, time_ns: u64) {
        self.start_ns.get_or_insert(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    fn sample(&mut self, entry: &Entry<Sample>, sample: &Sample, began: bool) {
        let (&Entry { time_ns, wall_ns, id, .. }, context) = (entry, self.context);
        self.records += 1;
        self.extend(time_ns);
        let new = || Connection::new(time_ns, wall_ns, began);
        let leave = |before: &mut Connection| before.leave(context.snapshot_ns, context);
        let connection = self.connections.record(id, &sample.marks, new, leave);
        connection.add(time_ns, wall_ns, sample, context);
        if let Some(end) = &sample.end {
            connection.end(sample, end, self.start_ns.unwrap_or(time_ns), context);
            self.connections.end(&id);
        }
    }

    fn note(&mut self, note: &Note<'_>, columns: Option<&Columns>) {
        if let Some(moment) = self.timeline.note(note, columns) {
            self.moment(moment);
        }
        match note {
            Note::Rotated(_) => self.is_rotated = true,
            Note::Log(log) => {
                if !std::mem::take(&mut self.is_rotated) {
                    self.leave_all();
                    self.last_number = None;
                }
                self.is_partial = self.is_filtered || log.may_omit_records();
                self.context.changes_only = log.keyframe_us.is_some();
                self.is_linux = log.system == Some("Linux");
            }
            _ => (),
        }
    }

    /// Ends all connections.
    fn leave_all(&mut self) {
        let (end_ns, context) = (self.end_ns, self.context);
        self.connections.values_mut().for_each(|connection| connection.leave(end_ns, context));
    }

    /// Ends the log.
    pub fn end(&mut self) {
        if let Some(moment) = self.timeline.unfinished() {
            self.moment(moment);
        }
        self.leave_all();
    }
}
