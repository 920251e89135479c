// SPDX-License-Identifier: BSD-2-Clause

//! Whether the connections of a log are still those of the same kernel: after
//! a reboot it counts them from the start again.

use tcpstats::Header;
use tcpstats::note::NoteText;

/// What a snapshot says of the kernel that it is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boot {
    /// It has run since the snapshot before.
    #[default]
    Same,
    /// It may have been booted again: only the connections can tell.
    Unsure,
    /// It was booted again, or is another host's.
    Other,
}

/// The kernel while a log is read.
#[derive(Debug, Default)]
pub struct Boots {
    host: Option<String>,
    boot: Option<String>,
    last: Option<Header>,
    is_rotated: bool,
    /// What the notes since the last snapshot say.
    noted: Boot,
    /// They say that another run has the same boot.
    is_same_boot: bool,
}

impl Boots {
    /// Takes a note.
    pub fn note(&mut self, note: &NoteText<'_>) {
        match note.name {
            "log" | "siftr_enable" => {
                let host = note.text("host").map(str::to_owned);
                let boot = note.value("boot").map(str::to_owned);
                let differ =
                    |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
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
            "rotated" => self.is_rotated = true,
            _ => (),
        }
    }

    /// Takes the next snapshot.
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
            // The format of siftr(4) has no numbers.
            Boot::Same if header.sequence > 0 && header.sequence < last.sequence => Boot::Unsure,
            noted => noted,
        }
    }
}

/// Whether both clocks moved by the same time, which they do not over a reboot.
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
        boots.note(&NoteText::read("log host=\"a\"").unwrap());
        assert_eq!(boots.snapshot(&first), Boot::Same);
        for note in notes {
            boots.note(&NoteText::read(note).unwrap());
        }
        boots.snapshot(&second)
    }

    #[test]
    fn a_run_that_goes_on_is_of_the_same_kernel() {
        assert_eq!(after(&[], header(1, 10, 0), header(2, 5, 0)), Boot::Same, "a clock that was set");
        assert_eq!(after(&["rotated", "log host=\"a\""], header(1, 10, 0), header(2, 11, 0)), Boot::Same);
        let restarted = ["end", "log host=\"a\""];
        assert_eq!(after(&restarted, header(9, 100, 50), header(1, 160, 110)), Boot::Same);
    }

    #[test]
    fn another_host_and_a_monotonic_clock_that_begins_again_are_another() {
        assert_eq!(after(&["log host=\"b\""], header(1, 10, 0), header(1, 11, 0)), Boot::Other);
        assert_eq!(after(&["log host=\"a\""], header(9, 100, 50), header(1, 160, 20)), Boot::Other);
        assert_eq!(after(&[], header(9, 100, 50), header(10, 160, 20)), Boot::Other);
    }

    #[test]
    fn the_boot_in_the_notes_decides() {
        let after = |boot, second| {
            let mut boots = Boots::default();
            boots.note(&NoteText::read("log host=\"a\" boot=\"x\"").unwrap());
            boots.snapshot(&header(9, 100, 50));
            boots.note(&NoteText::read(&format!("log host=\"a\" boot=\"{boot}\"")).unwrap());
            boots.snapshot(&second)
        };
        assert_eq!(after("x", header(1, 9000, 60)), Boot::Same, "the clock was set");
        assert_eq!(after("y", header(1, 110, 60)), Boot::Other, "it has run as long");
    }

    #[test]
    fn another_run_may_be_either() {
        assert_eq!(after(&["end", "log host=\"a\""], header(9, 100, 0), header(1, 160, 0)), Boot::Unsure);
        assert_eq!(after(&["end", "log host=\"a\""], header(9, 100, 50), header(1, 9000, 60)), Boot::Unsure);
        assert_eq!(after(&[], header(9, 100, 0), header(1, 160, 0)), Boot::Unsure, "numbers begin again");
    }
}
