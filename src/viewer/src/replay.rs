// SPDX-License-Identifier: BSD-2-Clause

//! The snapshots of a log, one after the other.

use std::collections::{HashMap, HashSet};
use std::mem::{swap, take};
use std::path::Path;

use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats::{Columns, Filter, Header, Record};
use tcpstats_source::Sentence;

use crate::identity::Identity;
use crate::live::Snapshot;
use crate::log::{Item, Log};

/// A record and its time.
type Timed = (u64, Record);

/// A log while it is played.
pub struct Replay {
    log: Log,
    filter: Option<Filter>,
    /// Of the snapshot that is being read.
    reading: Vec<Timed>,
    /// Which these are, in siftr's format: it does not say where a snapshot
    /// ends, and the next one begins where a connection comes again.
    read: HashSet<Identity>,
    snapshots: u64,
    /// Whether records of this snapshot may be lost to a damage.
    is_torn: bool,
    now: Connections,
}

/// The connections as the last snapshot has them.
#[derive(Default)]
struct Connections {
    /// Those of a snapshot that is whole.
    all: Vec<Timed>,
    /// Where only changes are logged: those of the last whole one, and what
    /// changed since.
    changed: HashMap<Identity, Timed>,
    /// Whether there was a whole one.
    is_known: bool,
}

impl Connections {
    /// Takes a snapshot's records, and leaves none.
    fn take(&mut self, header: &Header, records: &mut Vec<Timed>) {
        if header.flags & flag::CHANGED_ONLY == 0 {
            self.changed.clear();
            swap(&mut self.all, records);
            self.is_known = true;
        } else {
            self.tell_apart();
            self.changed.extend(records.drain(..).map(|timed| (Identity::of(&timed.1), timed)));
        }
        records.clear();
    }

    fn tell_apart(&mut self) {
        self.changed.extend(self.all.drain(..).map(|timed| (Identity::of(&timed.1), timed)));
    }

    fn close(&mut self, note: &NoteText<'_>, columns: Option<&Columns>) {
        self.tell_apart();
        for identity in Identity::closed(note, columns) {
            self.changed.remove(&identity);
        }
    }

    /// Those that match, as that snapshot has them.
    fn snapshot(&self, mut header: Header, filter: Option<&Filter>) -> Snapshot {
        let matching = |(_, record): &&Timed| filter.is_none_or(|filter| filter.matches(record));
        let records = self.all.iter().chain(self.changed.values()).filter(matching).map(|(time_ns, record)| {
            let mut record = record.clone();
            record.at_ns = time_ns.saturating_sub(header.wall_ns);
            record
        });
        let records = records.collect();
        if self.is_known {
            header.flags &= !flag::CHANGED_ONLY;
        }
        if header.mono_ns == 0 {
            // Logs in text have one clock.
            header.mono_ns = header.wall_ns;
        }
        Snapshot { header, records }
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
        Ok(Self { log, filter, reading, read, snapshots: 0, is_torn: false, now: Connections::default() })
    }

    /// Does not tell how far it is.
    #[cfg(feature = "top")]
    pub fn quiet(&self) {
        self.log.quiet();
    }

    /// The next snapshot that is whole; none at the end.
    ///
    /// # Errors
    /// As [`Log::next`].
    pub fn next(&mut self) -> Result<Option<Snapshot>, Sentence> {
        let header = self.advance()?;
        Ok(header.map(|header| self.now.snapshot(header, self.filter.as_ref())))
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
        Ok(last.map(|header| self.now.snapshot(header, self.filter.as_ref())))
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
                    let identity = Identity::of(record);
                    let first = (time_ns, record.clone());
                    let header = if self.read.contains(&identity) { self.end_unmarked() } else { None };
                    self.read.insert(identity);
                    self.reading.push(first);
                    if header.is_some() {
                        return Ok(header);
                    }
                }
                Some((Item::Record { time_ns, record, .. }, _)) => self.reading.push((time_ns, record.clone())),
                Some((Item::Snapshot(header), _)) => {
                    if take(&mut self.is_torn) && header.written != self.reading.len() as u64 {
                        self.reading.clear();
                        continue;
                    }
                    self.now.take(&header, &mut self.reading);
                    return Ok(Some(header));
                }
                Some((Item::Note(text), columns)) => match NoteText::read(text) {
                    Some(note) if note.name == "close" => self.now.close(&note, columns.text.as_ref()),
                    _ => (),
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
        self.now.take(&header, &mut self.reading);
        Some(header)
    }
}
