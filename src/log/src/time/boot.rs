// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reboots in a log: after one, the kernel numbers connections from the start
//! again.

use tcpstats::Header;

use crate::note::{LogNote, Note};

/// Whether the host was rebooted before a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boot {
    /// The kernel has run since the previous snapshot.
    #[default]
    Same,
    /// The host may have been rebooted; only the connections can show it.
    Unsure,
    /// The host was rebooted, or the snapshot is from another host.
    Other,
}

/// Detects reboots while a log is read.
#[derive(Debug, Default)]
pub struct Boots {
    host: Option<String>,
    boot: Option<String>,
    last: Option<Header>,
    is_rotated: bool,
    /// The result of the notes since the last snapshot.
    noted: Boot,
    /// The notes say that a new run belongs to the same boot.
    is_same_boot: bool,
}

impl Boots {
    /// Processes a note.
    pub fn note(&mut self, note: &Note<'_>) {
        match note {
            Note::Log(log) => self.start(log),
            Note::SiftrEnable(_) => self.start(&LogNote::default()),
            Note::Rotated(_) => self.is_rotated = true,
            _ => (),
        }
    }

    fn start(&mut self, log: &LogNote<'_>) {
        let host = log.host.map(str::to_owned);
        let boot = log.boot.map(str::to_owned);
        let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
        self.is_same_boot = boot.is_some() && boot == self.boot;
        let is_continued = std::mem::take(&mut self.is_rotated) || self.is_same_boot;
        if differ(&host, &self.host) || differ(&boot, &self.boot) {
            self.noted = Boot::Other;
        } else if !is_continued && self.noted == Boot::Same {
            self.noted = Boot::Unsure;
        }
        self.host = host.or(self.host.take());
        self.boot = boot.or(self.boot.take());
    }

    /// Processes the next snapshot and returns whether the host was rebooted
    /// before it.
    pub fn snapshot(&mut self, header: &Header) -> Boot {
        let (noted, is_same_boot) = (std::mem::take(&mut self.noted), std::mem::take(&mut self.is_same_boot));
        let Some(last) = self.last.replace(*header) else {
            return Boot::Same;
        };
        let (has_mono, is_back) = (last.mono_ns > 0 && header.mono_ns > 0, header.mono_ns < last.mono_ns);
        match noted {
            Boot::Other => Boot::Other,
            _ if has_mono && is_back => Boot::Other,
            Boot::Unsure if has_mono && is_same(&last, header) => Boot::Same,
            Boot::Same if is_same_boot => Boot::Same,
            // Snapshots in the format of siftr(4) have no numbers.
            Boot::Same if header.sequence > 0 && header.sequence < last.sequence => Boot::Unsure,
            noted => noted,
        }
    }
}

/// Returns whether both clocks advanced by the same time, which is not the case
/// across a reboot.
fn is_same(last: &Header, header: &Header) -> bool {
    let mono = header.mono_ns - last.mono_ns;
    header.wall_ns.checked_sub(last.wall_ns).is_some_and(|wall| wall.abs_diff(mono) < 1_000_000_000 + mono / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn header(sequence: u64, wall_s: u64, mono_s: u64) -> Header {
        Header { sequence, wall_ns: wall_s * S, mono_ns: mono_s * S, ..Header::default() }
    }

    fn after(notes: &[&str], first: Header, second: Header) -> Boot {
        let mut boots = Boots::default();
        boots.note(&Note::read("log host=\"a\"").unwrap());
        assert_eq!(boots.snapshot(&first), Boot::Same);
        for note in notes {
            boots.note(&Note::read(note).unwrap());
        }
        boots.snapshot(&second)
    }

    #[test]
    fn a_continued_run_belongs_to_the_same_boot() {
        assert_eq!(after(&[], header(1, 10, 0), header(2, 5, 0)), Boot::Same, "the clock was set");
        assert_eq!(after(&["rotated", "log host=\"a\""], header(1, 10, 0), header(2, 11, 0)), Boot::Same);
        let restarted = ["end", "log host=\"a\""];
        assert_eq!(after(&restarted, header(9, 100, 50), header(1, 160, 110)), Boot::Same);
    }

    #[test]
    fn another_host_and_a_restarted_monotonic_clock_mean_another_boot() {
        assert_eq!(after(&["log host=\"b\""], header(1, 10, 0), header(1, 11, 0)), Boot::Other);
        assert_eq!(after(&["log host=\"a\""], header(9, 100, 50), header(1, 160, 20)), Boot::Other);
        assert_eq!(after(&[], header(9, 100, 50), header(10, 160, 20)), Boot::Other);
    }

    #[test]
    fn the_boot_in_the_notes_takes_precedence() {
        let after = |boot, second| {
            let mut boots = Boots::default();
            boots.note(&Note::read("log host=\"a\" boot=\"x\"").unwrap());
            boots.snapshot(&header(9, 100, 50));
            boots.note(&Note::read(&format!("log host=\"a\" boot=\"{boot}\"")).unwrap());
            boots.snapshot(&second)
        };
        assert_eq!(after("x", header(1, 9000, 60)), Boot::Same, "the clock was set");
        assert_eq!(after("y", header(1, 110, 60)), Boot::Other, "both ran for the same time");
    }

    #[test]
    fn another_run_may_belong_to_either_boot() {
        assert_eq!(after(&["end", "log host=\"a\""], header(9, 100, 0), header(1, 160, 0)), Boot::Unsure);
        assert_eq!(after(&["end", "log host=\"a\""], header(9, 100, 50), header(1, 9000, 60)), Boot::Unsure);
        assert_eq!(after(&[], header(9, 100, 0), header(1, 160, 0)), Boot::Unsure, "numbers start again");
    }
}
