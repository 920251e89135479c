// SPDX-License-Identifier: BSD-2-Clause

//! Whether a log belongs after the one that was read before it.

use tcpstats::Header;
use tcpstats::note::NoteText;

use crate::output::seconds;

/// What does not fit between two logs.
#[derive(Debug)]
pub struct Finding {
    /// The message.
    pub what: String,
    /// Whether the numbers of the snapshots alone tell it.
    pub is_numbers: bool,
}

/// The log that is read, and how the one before it ended.
#[derive(Default)]
pub struct Continuity {
    before: Option<Read>,
    now: Read,
}

/// What was read of a log.
#[derive(Default)]
struct Read {
    name: String,
    host: Option<String>,
    boot: Option<String>,
    /// Its time and number were compared with the log before.
    is_placed: bool,
    /// Notes, and whether there are records.
    items: u64,
    /// The last record or snapshot: its time, its number, the monotonic clock.
    last_ns: u64,
    snapshot: u64,
    mono_ns: u64,
    is_rotated: bool,
    /// It says itself that snapshots are missing before its first one.
    has_gap: bool,
}

impl Continuity {
    /// Begins with the next log; returns what is to be said of the last one.
    pub fn begin(&mut self, name: &str) -> Option<Finding> {
        let finding = self.end();
        let read = Read { name: name.into(), ..Read::default() };
        let before = std::mem::replace(&mut self.now, read);
        if before.last_ns > 0 {
            self.before = Some(before);
        }
        finding
    }

    /// Ends the log that is read; returns what is to be said of it.
    pub fn end(&mut self) -> Option<Finding> {
        let is_empty = !self.now.name.is_empty() && std::mem::replace(&mut self.now.items, 1) == 0;
        is_empty
            .then(|| Finding { what: format!("{}: empty: no records and no notes", self.now.name), is_numbers: false })
    }

    /// Takes a note.
    pub fn note(&mut self, text: &str) -> Option<Finding> {
        self.now.items += 1;
        let kind = text.split(' ').next().unwrap_or_default();
        if !matches!(kind, "log" | "rotated" | "end" | "gap") {
            return None;
        }
        let note = NoteText::read(text)?;
        self.now.is_rotated = kind == "rotated";
        self.now.has_gap |= kind == "gap" && !self.now.is_placed;
        if kind != "log" || self.now.is_placed {
            return None;
        }
        self.now.host = note.text("host").map(str::to_owned);
        self.now.boot = note.value("boot").map(str::to_owned);
        let before = self.before.as_ref()?;
        let (one, other) = (before.host.as_ref()?, self.now.host.as_ref()?);
        let what = || format!("{}: is from host {other}, and {} is from host {one}", self.now.name, before.name);
        (one != other).then(|| Finding { what: what(), is_numbers: false })
    }

    /// Takes a record.
    #[inline]
    pub fn record(&mut self, time_ns: u64, snapshot: u64) -> Option<Finding> {
        let finding = if self.now.is_placed { None } else { self.place(time_ns, snapshot) };
        self.now.last_ns = time_ns;
        self.now.snapshot = snapshot;
        finding
    }

    /// Takes a snapshot.
    pub fn snapshot(&mut self, header: &Header) -> Option<Finding> {
        let placed = if self.now.is_placed { None } else { self.place(header.wall_ns, header.sequence) };
        let is_first = self.now.mono_ns == 0;
        self.now.last_ns = header.wall_ns;
        self.now.snapshot = header.sequence;
        self.now.mono_ns = header.mono_ns;
        let booted = || {
            let before = self.before.as_ref().filter(|before| before.host == self.now.host)?;
            let is_other = header.mono_ns < before.mono_ns && before.mono_ns > 0 && header.mono_ns > 0;
            let what = || format!("{}: the host was rebooted after {}", self.now.name, before.name);
            is_other.then(|| Finding { what: what(), is_numbers: false })
        };
        if is_first { booted().or(placed) } else { placed }
    }

    /// Compares the first time and number of a log with the one before it.
    fn place(&mut self, time_ns: u64, snapshot: u64) -> Option<Finding> {
        self.now.is_placed = true;
        self.now.items += 1;
        let before = self.before.as_ref()?;
        if before.host != self.now.host {
            return None;
        }
        let (this, other) = (&self.now.name, &before.name);
        let finding = |is_numbers, what| Some(Finding { what, is_numbers });
        let follows = before.is_rotated && snapshot == before.snapshot + 1;
        if let (Some(one), Some(other_boot)) = (&before.boot, &self.now.boot)
            && one != other_boot
        {
            return finding(false, format!("{this}: the host was rebooted after {other}"));
        }
        if time_ns < before.last_ns && !follows {
            let (begin, end) = (seconds(time_ns), seconds(before.last_ns));
            return finding(false, format!("{this}: begins at {begin}, before {other} ends at {end}; they overlap"));
        }
        if snapshot == 0 || before.snapshot == 0 || self.now.has_gap || follows {
            return None;
        }
        if before.is_rotated && snapshot > before.snapshot {
            let missing = snapshot - before.snapshot - 1;
            return finding(true, format!("{missing} snapshots are missing between {other} and {this}"));
        }
        if before.is_rotated {
            return finding(true, format!("{other}: the log that continues it is missing; {this} does not"));
        }
        let what = || format!("{this}: begins with snapshot {snapshot}; the log before it is missing");
        if snapshot > 1 { finding(false, what()) } else { None }
    }
}
