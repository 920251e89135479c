// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The complete snapshots of a log, also of a log of changes.

use std::collections::{HashMap, HashSet};
use std::mem::{swap, take};

use tcpstats::frame::{Frame, flag};
use tcpstats::{Columns, Filter, Header, Record};

use crate::connection_id::ConnectionId;
use crate::error::{Error, Problem};
use crate::item::Item;
use crate::note::{ConnectionNote, Note};
use crate::read::Log;
use crate::time::{Boot, Boots, Clock};

/// Every connection at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The header.
    pub header: Header,
    /// The connections.
    pub records: Vec<Record>,
    /// The final records of connections that have ended since the previous snapshot.
    pub ended: Vec<Record>,
    /// Whether the host was rebooted since the previous snapshot.
    pub boot: Boot,
}

impl Snapshot {
    /// Returns the snapshot of a frame, taken in the same boot as the previous one.
    #[must_use]
    pub fn of(frame: &Frame<'_>) -> Self {
        let (ended, records) = frame.records().partition(Record::is_final);
        Self { header: frame.header, records, ended, boot: Boot::Same }
    }
}

/// A record and its time.
type Timed = (u64, Record);

/// Maximum number of records of a snapshot that are held in memory, about a
/// gigabyte.
const RECORDS_MAX: usize = 1 << 19;

/// Reads the complete snapshots of a log.
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts about the log")]
pub struct FullSnapshots {
    log: Log,
    filter: Option<Filter>,
    /// The records of the snapshot that is being read, its number, and the number
    /// of its records so far.
    reading: Vec<Timed>,
    reading_number: u64,
    found: u64,
    /// The connections in `reading`, in the format of siftr(4): it does not mark
    /// the end of a snapshot, and a connection that occurs again starts another.
    unmarked: HashSet<ConnectionId>,
    snapshots: u64,
    /// Whether records of this snapshot may be missing because of damage.
    is_damaged: bool,
    /// Whether the snapshot has more than [`RECORDS_MAX`] records.
    is_too_large: bool,
    /// Whether the log says that every snapshot is complete.  Otherwise a record
    /// that the filter excludes may still replace an earlier one.
    is_full: bool,
    /// Whether the log says that its records are those of Linux.
    is_linux: bool,
    /// Whether the filter of the logger can leave out some records of a connection.
    is_partial: bool,
    connections: Connections,
    clock: Clock,
    boots: Boots,
    /// Whether the host was rebooted since the last snapshot that was returned.
    boot: Boot,
}

/// The connections as of the last snapshot.
#[derive(Default)]
struct Connections {
    /// Those of a complete snapshot.
    all: Vec<Timed>,
    /// In a log of changes, those of the last complete snapshot with the changes
    /// since then.
    changed: HashMap<ConnectionId, Timed>,
    /// The final records of the last snapshot.
    ended: Vec<Timed>,
    /// Whether there was a complete snapshot.
    is_complete: bool,
}

impl Connections {
    /// Removes the connections, after a reboot or a possible one.
    fn clear(&mut self) {
        self.all.clear();
        self.changed.clear();
        self.ended.clear();
        self.is_complete = false;
    }

    /// Applies the records of a snapshot and empties their list.
    fn apply(&mut self, header: &Header, records: &mut Vec<Timed>) {
        self.ended.clear();
        self.ended.extend(records.extract_if(.., |(_, record)| record.is_final()));
        if header.flags & flag::CHANGED_ONLY == 0 {
            self.changed.clear();
            swap(&mut self.all, records);
            self.is_complete = true;
        } else {
            self.index();
            self.changed.extend(records.drain(..).map(|timed| (ConnectionId::of(&timed.1), timed)));
            for (_, record) in &self.ended {
                self.changed.remove(&ConnectionId::of(record));
            }
        }
        records.clear();
    }

    /// Makes all connections accessible by their IDs.
    fn index(&mut self) {
        self.changed.extend(self.all.drain(..).map(|timed| (ConnectionId::of(&timed.1), timed)));
    }

    fn close(&mut self, note: &ConnectionNote<'_>, columns: Option<&Columns>) {
        self.index();
        for id in note.ids(columns) {
            self.changed.remove(&id);
        }
    }

    /// Returns the connections that match.
    fn snapshot(&self, header: Header, filter: Option<&Filter>) -> Snapshot {
        let matching = |(_, record): &&Timed| filter.is_none_or(|filter| filter.matches(record));
        let all = self.all.iter().chain(self.changed.values()).filter(matching);
        self.with(header, all.cloned(), self.ended.iter().filter(matching).cloned())
    }

    /// Returns the connections that match, without copying them.
    fn into_snapshot(mut self, header: Header, filter: Option<&Filter>) -> Snapshot {
        let (all, changed, ended) = (take(&mut self.all), take(&mut self.changed), take(&mut self.ended));
        let matching = |(_, record): &Timed| filter.is_none_or(|filter| filter.matches(record));
        let all = all.into_iter().chain(changed.into_values()).filter(matching);
        self.with(header, all, ended.into_iter().filter(matching))
    }

    fn with(
        &self,
        mut header: Header,
        records: impl Iterator<Item = Timed>,
        ended: impl Iterator<Item = Timed>,
    ) -> Snapshot {
        let at = |(time_ns, mut record): Timed| {
            record.at_ns = time_ns.wrapping_sub(header.wall_ns);
            record
        };
        let (records, ended) = (records.map(at).collect(), ended.map(at).collect());
        if self.is_complete {
            header.flags &= !flag::CHANGED_ONLY;
        }
        Snapshot { header, records, ended, boot: Boot::Same }
    }
}

impl FullSnapshots {
    /// Reads the connections that match the filter from a log.
    #[must_use]
    pub fn new(log: Log, filter: Option<Filter>) -> Self {
        Self {
            log,
            filter,
            reading: Vec::new(),
            reading_number: 0,
            found: 0,
            unmarked: HashSet::new(),
            snapshots: 0,
            is_damaged: false,
            is_too_large: false,
            is_full: false,
            is_linux: false,
            is_partial: false,
            connections: Connections::default(),
            clock: Clock::default(),
            boots: Boots::default(),
            boot: Boot::Same,
        }
    }

    /// Returns whether the last snapshot has the records of Linux.
    #[must_use]
    pub fn is_linux(&self) -> bool {
        self.is_linux
    }

    /// Returns whether the filter of the logger can leave out some records of a connection,
    /// whose first record then says nothing about its beginning.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Returns the next complete snapshot, or `None` at the end.
    ///
    /// # Errors
    /// Returns an error as [`Log::next`] does.
    // Not an iterator: the next call after an error continues.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Snapshot>, Error> {
        let Some(header) = self.advance()? else {
            return Ok(None);
        };
        let snapshot = self.connections.snapshot(header, self.filter.as_ref());
        Ok(Some(Snapshot { boot: take(&mut self.boot), ..snapshot }))
    }

    /// Returns the last complete snapshot, or `None` if there is none.
    ///
    /// # Errors
    /// Returns an error as [`Log::next`] does.
    pub fn last(&mut self) -> Result<Option<Snapshot>, Error> {
        let mut last = None;
        while let Some(header) = self.advance()? {
            last = Some(header);
        }
        // The records are moved, because a copy of them may be large.
        self.reading = Vec::new();
        let connections = take(&mut self.connections);
        Ok(last.map(|header| connections.into_snapshot(header, self.filter.as_ref())))
    }

    /// Returns the last complete snapshot without its connections, with the final records
    /// of the log and the number of those that were lost, or `None` if there is no snapshot.
    ///
    /// # Errors
    /// Returns an error as [`Log::next`] does, or if there are too many final records.
    pub fn all_ended(&mut self) -> Result<Option<Snapshot>, Error> {
        let (mut last, mut ended, mut lost) = (None, Vec::new(), 0_u64);
        while let Some(header) = self.advance()? {
            lost = lost.saturating_add(header.ended_lost);
            last = Some(header);
            let filter = self.filter.as_ref();
            let matching = |(_, record): &Timed| filter.is_none_or(|filter| filter.matches(record));
            ended.extend(self.connections.ended.drain(..).filter(matching));
            if ended.len() > RECORDS_MAX {
                return Err(self.log.error(Problem::ManyEnded { max: RECORDS_MAX }));
            }
        }
        let none = Connections::default();
        let header = |header| Header { ended: ended.len() as u64, ended_lost: lost, ..header };
        Ok(last.map(header).map(|header| none.with(header, std::iter::empty(), ended.into_iter())))
    }

    /// Applies the records that were read as those of a snapshot; returns its
    /// header with the time that passed in the log.
    fn apply(&mut self, mut header: Header) -> Header {
        let boot = self.boots.snapshot(&header);
        if boot != Boot::Same {
            self.connections.clear();
        }
        self.boot = self.boot.max(boot);
        header.mono_ns = self.clock.snapshot(&header);
        self.connections.apply(&header, &mut self.reading);
        header
    }

    /// Reads the next snapshot.
    fn advance(&mut self) -> Result<Option<Header>, Error> {
        loop {
            let item = self.log.next_with_columns().inspect_err(|_| {
                self.is_damaged = true;
                self.connections.is_complete = false;
            })?;
            match item {
                Some((Item::Record { time_ns, snapshot: 0, record }, _)) => {
                    let id = ConnectionId::of(record);
                    let first = (time_ns, record.clone());
                    let header = if self.unmarked.contains(&id) { self.end_unmarked() } else { None };
                    self.unmarked.insert(id);
                    self.reading.push(first);
                    if header.is_some() {
                        return Ok(header);
                    }
                }
                Some((Item::Record { time_ns, record, snapshot }, _)) => {
                    if snapshot != std::mem::replace(&mut self.reading_number, snapshot) {
                        // The records so far belong to a snapshot whose end is missing.
                        self.reading.clear();
                        self.found = 0;
                    }
                    self.found += 1;
                    if self.is_full && self.filter.as_ref().is_some_and(|filter| !filter.matches(record)) {
                        continue;
                    }
                    if self.reading.len() < RECORDS_MAX {
                        self.reading.push((time_ns, record.clone()));
                    } else {
                        self.is_too_large = true;
                    }
                }
                Some((Item::Snapshot(header), _)) => {
                    let found = take(&mut self.found);
                    if take(&mut self.is_too_large) {
                        self.reading.clear();
                        let problem = Problem::LargeSnapshot { snapshot: header.sequence, max: RECORDS_MAX };
                        return Err(self.log.error(problem));
                    }
                    if take(&mut self.is_damaged) && header.written != found {
                        self.reading.clear();
                        continue;
                    }
                    return Ok(Some(self.apply(header)));
                }
                Some((Item::Note(note), columns)) => match note.note {
                    Note::Close(closed) => self.connections.close(&closed, columns.text.as_ref()),
                    note => {
                        if let Note::Log(log) = &note {
                            self.is_full = log.keyframe_us.is_none();
                            self.is_linux = log.system == Some("Linux");
                            self.is_partial = log.may_omit_records();
                        }
                        self.clock.note(&note);
                        self.boots.note(&note);
                    }
                },
                None => return Ok(self.end_unmarked()),
            }
        }
    }

    /// Ends a snapshot in the format of siftr(4), if one is being read.
    fn end_unmarked(&mut self) -> Option<Header> {
        if take(&mut self.unmarked).is_empty() {
            return None;
        }
        self.snapshots += 1;
        let records = self.reading.len() as u64;
        let header = Header {
            sequence: self.snapshots,
            wall_ns: self.reading.iter().map(|(time_ns, _)| *time_ns).min().unwrap_or(0),
            seen: records,
            matched: records,
            written: records,
            ..Header::default()
        };
        Some(self.apply(header))
    }
}
