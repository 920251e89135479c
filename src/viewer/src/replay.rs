// SPDX-License-Identifier: BSD-2-Clause

//! The snapshots of a log, one after the other.

use std::collections::{HashMap, HashSet};
use std::mem::{swap, take};
use std::path::Path;

use tcpstats::frame::flag;
use tcpstats::{Columns, Filter, Header, Record};
use tcpstats_log::{Boot, Boots, Clock, ConnectionId, ConnectionNote, Note};
use tcpstats_source::Sentence;

use crate::live::Snapshot;
use crate::log::{Item, Log};

/// A record and its time.
type Timed = (u64, Record);

/// Records of a snapshot that are held at most: what a host with so many
/// connections has fits into about a gigabyte.
const RECORDS_MAX: usize = 1 << 19;

/// A log while it is played.
pub struct Replay {
    log: Log,
    filter: Option<Filter>,
    /// Of the snapshot that is being read, its number, and how many records it
    /// has so far.
    reading: Vec<Timed>,
    reading_for: u64,
    found: u64,
    /// Which these are, in siftr's format: it does not say where a snapshot
    /// ends, and the next one begins where a connection comes again.
    read: HashSet<ConnectionId>,
    snapshots: u64,
    /// Whether records of this snapshot may be lost to a damage.
    is_torn: bool,
    /// Whether the snapshot has more than [`RECORDS_MAX`].
    is_too_large: bool,
    /// Whether the log says that every snapshot has all connections; otherwise a
    /// record may replace one of before also if the filter excludes it.
    is_full: bool,
    now: Connections,
    clock: Clock,
    boots: Boots,
    /// What the snapshots since the last one that was given say.
    boot: Boot,
}

/// The connections as the last snapshot has them.
#[derive(Default)]
struct Connections {
    /// Those of a snapshot that is whole.
    all: Vec<Timed>,
    /// Where only changes are logged: those of the last whole one, and what
    /// changed since.
    changed: HashMap<ConnectionId, Timed>,
    /// Whether there was a whole one.
    is_known: bool,
}

impl Connections {
    /// Forgets the connections of a kernel that was booted again, or may have been.
    fn forget(&mut self) {
        self.all.clear();
        self.changed.clear();
        self.is_known = false;
    }

    /// Takes a snapshot's records, and leaves none.
    fn take(&mut self, header: &Header, records: &mut Vec<Timed>) {
        if header.flags & flag::CHANGED_ONLY == 0 {
            self.changed.clear();
            swap(&mut self.all, records);
            self.is_known = true;
        } else {
            self.tell_apart();
            self.changed.extend(records.drain(..).map(|timed| (ConnectionId::of(&timed.1), timed)));
        }
        records.clear();
    }

    fn tell_apart(&mut self) {
        self.changed.extend(self.all.drain(..).map(|timed| (ConnectionId::of(&timed.1), timed)));
    }

    fn close(&mut self, note: &ConnectionNote<'_>, columns: Option<&Columns>) {
        self.tell_apart();
        for identity in note.ids(columns) {
            self.changed.remove(&identity);
        }
    }

    /// Those that match, as that snapshot has them.
    fn snapshot(&self, header: Header, filter: Option<&Filter>) -> Snapshot {
        let all = self.all.iter().chain(self.changed.values());
        let matching = all.filter(|(_, record)| filter.is_none_or(|filter| filter.matches(record)));
        self.with(header, matching.cloned())
    }

    /// As [`Connections::snapshot`], of the last one.
    fn into_snapshot(mut self, header: Header, filter: Option<&Filter>) -> Snapshot {
        let (all, changed) = (take(&mut self.all), take(&mut self.changed));
        let matching = |(_, record): &Timed| filter.is_none_or(|filter| filter.matches(record));
        self.with(header, all.into_iter().chain(changed.into_values()).filter(matching))
    }

    fn with(&self, mut header: Header, records: impl Iterator<Item = Timed>) -> Snapshot {
        let records = records.map(|(time_ns, mut record)| {
            record.at_ns = time_ns.saturating_sub(header.wall_ns);
            record
        });
        let records = records.collect();
        if self.is_known {
            header.flags &= !flag::CHANGED_ONLY;
        }
        Snapshot { header, records, boot: Boot::Same }
    }
}

impl Replay {
    /// Plays the log at that path, `-` for standard input.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(path: &Path, filter: Option<Filter>) -> Result<Self, Sentence> {
        let log = Log::open(path)?;
        let (reading, read) = (Vec::new(), HashSet::new());
        Ok(Self {
            log,
            filter,
            reading,
            reading_for: 0,
            found: 0,
            read,
            snapshots: 0,
            is_torn: false,
            is_too_large: false,
            is_full: false,
            now: Connections::default(),
            clock: Clock::default(),
            boots: Boots::default(),
            boot: Boot::Same,
        })
    }

    /// Does not tell how far it is.
    #[cfg(feature = "top")]
    pub fn quiet(&mut self) {
        self.log.quiet();
    }

    /// The next snapshot that is whole; none at the end.
    ///
    /// # Errors
    /// As [`Log::next`].
    pub fn next(&mut self) -> Result<Option<Snapshot>, Sentence> {
        let header = self.advance()?;
        Ok(header.map(|header| self.snapshot(header)))
    }

    /// The last snapshot that is whole; none where there is none.
    ///
    /// # Errors
    /// As [`Log::next`].
    pub fn last(&mut self) -> Result<Option<Snapshot>, Sentence> {
        let mut last = None;
        while let Some(header) = self.advance()? {
            last = Some(header);
        }
        // What is held is given away: a copy of it may be large.
        self.reading = Vec::new();
        let now = take(&mut self.now);
        Ok(last.map(|header| now.into_snapshot(header, self.filter.as_ref())))
    }

    fn snapshot(&mut self, header: Header) -> Snapshot {
        Snapshot { boot: take(&mut self.boot), ..self.now.snapshot(header, self.filter.as_ref()) }
    }

    /// Takes the records that were read as that snapshot's; returns its header, by
    /// a clock that is not set.
    fn take(&mut self, mut header: Header) -> Header {
        let boot = self.boots.snapshot(&header);
        if boot != Boot::Same {
            self.now.forget();
        }
        self.boot = self.boot.max(boot);
        // Times in the log are since any start.
        header.mono_ns = self.clock.snapshot(&header);
        self.now.take(&header, &mut self.reading);
        header
    }

    /// Reads the next snapshot.
    fn advance(&mut self) -> Result<Option<Header>, Sentence> {
        loop {
            let item = self.log.next_with_columns().inspect_err(|_| {
                self.is_torn = true;
                self.now.is_known = false;
            })?;
            match item {
                Some((Item::Record { time_ns, snapshot: 0, record }, _)) => {
                    let identity = ConnectionId::of(record);
                    let first = (time_ns, record.clone());
                    let header = if self.read.contains(&identity) { self.end_unmarked() } else { None };
                    self.read.insert(identity);
                    self.reading.push(first);
                    if header.is_some() {
                        return Ok(header);
                    }
                }
                Some((Item::Record { time_ns, record, snapshot }, _)) => {
                    if snapshot != std::mem::replace(&mut self.reading_for, snapshot) {
                        // What is there is of a snapshot that has no end.
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
                        return Err(format!(
                            "{}: snapshot {} has more than {RECORDS_MAX} records to show; select some of them with -e",
                            self.log.place(),
                            header.sequence
                        ));
                    }
                    if take(&mut self.is_torn) && header.written != found {
                        self.reading.clear();
                        continue;
                    }
                    return Ok(Some(self.take(header)));
                }
                Some((Item::Note(text), columns)) => match Note::read(text) {
                    Ok(Note::Close(note)) => self.now.close(&note, columns.text.as_ref()),
                    Ok(note) => {
                        if let Note::Log(log) = &note {
                            self.is_full = log.keyframe_us.is_none();
                        }
                        self.clock.note(&note);
                        self.boots.note(&note);
                    }
                    Err(_) => (),
                },
                None => return Ok(self.end_unmarked()),
            }
        }
    }

    /// Ends a snapshot of siftr's, if one is being read.
    fn end_unmarked(&mut self) -> Option<Header> {
        if take(&mut self.read).is_empty() {
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
        Some(self.take(header))
    }
}
