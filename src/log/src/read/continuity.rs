// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Whether a log continues the one that was read before it.

use tcpstats::Header;

use super::finding::{Finding, FindingKind};
use crate::note::{LogNote, Note};
use crate::time::seconds;

/// Compares each log with the one before it.
#[derive(Default)]
pub struct Continuity {
    before: Option<Extent>,
    current: Extent,
}

/// What part of a run a log contains.
#[derive(Default)]
struct Extent {
    name: String,
    host: Option<String>,
    boot: Option<String>,
    /// Whether its first time and number were compared with the previous log.
    is_compared: bool,
    /// The number of its notes, plus one if it has records.
    items: u64,
    /// Time, number and monotonic clock of the last record or snapshot.
    last_ns: u64,
    snapshot: u64,
    mono_ns: u64,
    is_rotated: bool,
    /// Whether the log says that snapshots are missing before its first one.
    has_gap: bool,
}

impl Continuity {
    /// Starts the next log; returns a message if the last one was empty.
    pub fn begin(&mut self, name: &str) -> Option<String> {
        let message = self.end();
        let next = Extent { name: name.into(), ..Extent::default() };
        let before = std::mem::replace(&mut self.current, next);
        if before.last_ns > 0 {
            self.before = Some(before);
        }
        message
    }

    /// Ends the log; returns a message if it was empty.
    pub fn end(&mut self) -> Option<String> {
        let is_empty = !self.current.name.is_empty() && std::mem::replace(&mut self.current.items, 1) == 0;
        is_empty.then(|| format!("{}: empty: no records and no notes", self.current.name))
    }

    /// Processes a note.
    pub fn note(&mut self, note: &Note<'_>) -> Option<Finding> {
        self.current.items += 1;
        match note {
            Note::Rotated(_) => self.current.is_rotated = true,
            Note::End(_) => self.current.is_rotated = false,
            Note::Gap(_) => {
                self.current.is_rotated = false;
                self.current.has_gap |= !self.current.is_compared;
            }
            Note::Log(log) => {
                self.current.is_rotated = false;
                return self.start(log);
            }
            _ => (),
        }
        None
    }

    /// Compares the first note of a log with the log before it.
    fn start(&mut self, log: &LogNote<'_>) -> Option<Finding> {
        if self.current.is_compared {
            return None;
        }
        self.current.host = log.host.map(str::to_owned);
        self.current.boot = log.boot.map(str::to_owned);
        let before = self.before.as_ref()?;
        let (one, other) = (before.host.as_ref()?, self.current.host.as_ref()?);
        let message = || format!("{}: is from host {other}, and {} is from host {one}", self.current.name, before.name);
        (one != other).then(|| Finding::new(FindingKind::Order, message()))
    }

    /// Processes a record.
    #[inline]
    pub fn record(&mut self, time_ns: u64, snapshot: u64) -> Option<Finding> {
        let finding = if self.current.is_compared { None } else { self.compare(time_ns, snapshot) };
        self.current.last_ns = time_ns;
        self.current.snapshot = snapshot;
        finding
    }

    /// Processes a snapshot.
    pub fn snapshot(&mut self, header: &Header) -> Option<Finding> {
        let compared = if self.current.is_compared { None } else { self.compare(header.wall_ns, header.sequence) };
        let is_first = self.current.mono_ns == 0;
        self.current.last_ns = header.wall_ns;
        self.current.snapshot = header.sequence;
        self.current.mono_ns = header.mono_ns;
        let booted = || {
            let before = self.before.as_ref().filter(|before| before.host == self.current.host)?;
            let is_other = header.mono_ns < before.mono_ns && before.mono_ns > 0 && header.mono_ns > 0;
            let message = || format!("{}: the host was rebooted after {}", self.current.name, before.name);
            is_other.then(|| Finding::new(FindingKind::Order, message()))
        };
        if is_first { booted().or(compared) } else { compared }
    }

    /// Compares the first time and number of a log with the one before it.
    fn compare(&mut self, time_ns: u64, snapshot: u64) -> Option<Finding> {
        self.current.is_compared = true;
        self.current.items += 1;
        let before = self.before.as_ref()?;
        if before.host != self.current.host {
            return None;
        }
        let (this, other) = (&self.current.name, &before.name);
        let finding = |kind, message| Some(Finding::new(kind, message));
        let follows = before.is_rotated && snapshot == before.snapshot + 1;
        if let (Some(one), Some(other_boot)) = (&before.boot, &self.current.boot)
            && one != other_boot
        {
            return finding(FindingKind::Order, format!("{this}: the host was rebooted after {other}"));
        }
        if time_ns < before.last_ns && !follows {
            let (begin, end) = (seconds(time_ns), seconds(before.last_ns));
            return finding(
                FindingKind::Order,
                format!("{this}: begins at {begin}, before {other} ends at {end}; they overlap"),
            );
        }
        if snapshot == 0 || before.snapshot == 0 || self.current.has_gap || follows {
            return None;
        }
        if before.is_rotated && snapshot > before.snapshot {
            let missing = snapshot - before.snapshot - 1;
            return finding(
                FindingKind::Numbers,
                format!("{missing} snapshots are missing between {other} and {this}"),
            );
        }
        if before.is_rotated {
            return finding(
                FindingKind::Numbers,
                format!("{other}: the next log is missing; {this} does not continue it"),
            );
        }
        let message = || format!("{this}: begins with snapshot {snapshot}; the previous log is missing");
        if snapshot > 1 { finding(FindingKind::Order, message()) } else { None }
    }
}
