// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The time that passed in a log: by its monotonic clock if it has one, otherwise
//! by the time of day as far as the logger's ticks agree with it.  It never moves
//! backwards, even if the clock was set.

use tcpstats::Header;
use tcpstats::frame::flag;

use crate::note::{LogNote, Note};

/// Returns a time in nanoseconds as seconds with three decimals.
#[must_use]
pub fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns % 1_000_000_000 / 1_000_000)
}

/// Returns how far the clocks may diverge over a time because the system slews
/// them.
#[must_use]
pub fn slewed_ns(ns: u64) -> u64 {
    20_000_000 + ns / 1000
}

/// Returns how far apart snapshots may be without a missed tick, because one may
/// be late.
#[must_use]
pub fn late_ns(interval_ns: u64, due_ns: u64) -> u64 {
    interval_ns.saturating_add(1_000_000_000).saturating_add(slewed_ns(due_ns))
}

/// Returns the time between two ticks, or `None` if the log contains frames that
/// were recorded earlier, at another interval.
fn interval_ns(log: &LogNote<'_>) -> Option<u64> {
    log.interval_us.filter(|_| log.is_live()).map(|us| us.saturating_mul(1000))
}

/// The time that passed in a log while it is read.
#[derive(Debug, Default)]
pub struct Clock {
    /// The last snapshot, and the time that had passed by then.
    last: Option<(Header, u64)>,
    /// The time of day of the first snapshot, to which logs of several hosts are
    /// relative.
    first_ns: Option<u64>,
    host: Option<String>,
    boot: Option<String>,
    interval_ns: Option<u64>,
    /// The delay of the last snapshot after its tick.
    late_ns: u64,
    /// The time between the last two snapshots.
    usual_ns: Option<u64>,
    is_rotated: bool,
    /// Why ticks cannot be counted since the last snapshot, if they cannot.
    interruption: Option<Interruption>,
    is_other_host: bool,
    steps: Steps,
}

/// Why ticks cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interruption {
    /// The kernel kept running, and so did its monotonic clock.
    SameBoot,
    /// The host may have been rebooted.
    Unknown,
}

/// The steps of the clock in a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    first: Option<Step>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    is_back: bool,
    by_ns: u64,
    between: (u64, u64),
    /// The time of day before the step.
    at_ns: u64,
}

impl Clock {
    /// Processes a note.
    pub fn note(&mut self, note: &Note<'_>) {
        match note {
            Note::Log(log) => {
                self.interval_ns = interval_ns(log);
                let host = log.host.map(str::to_owned);
                self.is_other_host |= self.host.is_some() && host.is_some() && self.host != host;
                self.host = host.or(self.host.take());
                let boot = log.boot.map(str::to_owned);
                let is_same_boot = boot.is_some() && self.boot == boot;
                self.boot = boot.or(self.boot.take());
                if !std::mem::take(&mut self.is_rotated) {
                    self.interruption = Some(if is_same_boot { Interruption::SameBoot } else { Interruption::Unknown });
                }
            }
            Note::Rotated(_) => self.is_rotated = true,
            // The logger kept running.
            Note::SourceLost { .. } => _ = self.interruption.get_or_insert(Interruption::SameBoot),
            _ => (),
        }
    }

    /// Processes the next snapshot and returns the time that had passed when it
    /// started, in nanoseconds.
    pub fn snapshot(&mut self, header: &Header) -> u64 {
        let interruption = self.interruption.take();
        let mut header = *header;
        if let (true, Some((last, _))) = (header.flags & flag::UNFINISHED != 0, self.last) {
            // Its closing line, which counts missed ticks, is missing.
            header.missed_ticks = last.missed_ticks;
        }
        let now_ns = match self.last {
            Some((last, at_ns)) if !std::mem::take(&mut self.is_other_host) => {
                let passed_ns = self.passed(&last, &header, interruption);
                at_ns.saturating_add(passed_ns)
            }
            _ => header.wall_ns.saturating_sub(*self.first_ns.get_or_insert(header.wall_ns)),
        };
        self.last = Some((header, now_ns));
        now_ns
    }

    /// Returns the time that had passed at a time of day close to the last
    /// snapshot.
    #[must_use]
    pub fn at(&self, wall_ns: u64) -> u64 {
        let (header, now_ns) = self.last.unwrap_or_default();
        match wall_ns.checked_sub(header.wall_ns) {
            Some(after) => now_ns.saturating_add(after),
            None => now_ns.saturating_sub(header.wall_ns - wall_ns),
        }
    }

    /// Returns the steps so far.
    #[must_use]
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// Returns the time between two snapshots.
    fn passed(&mut self, last: &Header, header: &Header, interruption: Option<Interruption>) -> u64 {
        let is_interrupted = interruption.is_some();
        let by_wall = header.wall_ns.checked_sub(last.wall_ns);
        let by_mono = header.mono_ns.checked_sub(last.mono_ns).filter(|_| last.mono_ns > 0);
        let ticks = header.sequence.checked_sub(last.sequence).filter(|ticks| *ticks > 0 && !is_interrupted);
        let ticks = ticks.map(|ticks| ticks.saturating_add(header.missed_ticks.saturating_sub(last.missed_ticks)));
        let due = ticks.and_then(|ticks| Some(self.interval_ns.or(self.usual_ns)?.saturating_mul(ticks)));
        let (passed_ns, allowed_ns) = match (by_mono, by_wall, due) {
            // After a reboot the monotonic clock starts again and may exceed its last value.
            (Some(mono), ..) if interruption != Some(Interruption::Unknown) => (mono, slewed_ns(mono)),
            (Some(mono), None, _) => (mono, 0),
            (_, Some(wall), _) if is_interrupted => {
                self.late_ns = 0;
                return wall;
            }
            // Without a monotonic clock the ticks measure the time.
            (_, _, Some(due)) if self.interval_ns.is_some() => {
                let interval_ns = due / ticks.unwrap_or(1).max(1);
                (by_wall.and_then(|wall| self.in_time(wall, due, interval_ns)).unwrap_or(due), 0)
            }
            (_, Some(wall), _) => (wall, 0),
            (_, None, due) => (due.unwrap_or(0), slewed_ns(0)),
        };
        let step_ns = match by_wall {
            Some(wall) => (passed_ns > wall, passed_ns.abs_diff(wall)),
            None => (true, (last.wall_ns - header.wall_ns).saturating_add(passed_ns)),
        };
        if step_ns.1 > allowed_ns {
            let between = (last.sequence, header.sequence);
            self.steps.add(Step { is_back: step_ns.0, by_ns: step_ns.1, between, at_ns: last.wall_ns });
        }
        if !is_interrupted {
            self.usual_ns = Some(passed_ns / ticks.unwrap_or(1).max(1));
        }
        passed_ns
    }
}

impl Clock {
    /// Returns the time that passed according to the time of day, if the ticks allow
    /// it: a snapshot may be late, but the next one is not delayed further, and none
    /// is early.
    fn in_time(&mut self, wall_ns: u64, due_ns: u64, interval_ns: u64) -> Option<u64> {
        let late_max = late_ns(interval_ns, due_ns);
        let early_max = slewed_ns(due_ns).saturating_add(interval_ns / 4);
        let by_now = self.late_ns.saturating_add(wall_ns);
        if wall_ns > due_ns.saturating_add(late_max) || by_now.saturating_add(early_max) < due_ns {
            return None;
        }
        self.late_ns = by_now.saturating_sub(due_ns).min(late_max);
        Some(wall_ns)
    }
}

impl Steps {
    fn add(&mut self, step: Step) {
        self.first.get_or_insert(step);
        self.count += 1;
    }

    /// Returns a message about the steps, if there are any.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let Step { is_back, by_ns, between, at_ns } = self.first?;
        let direction = if is_back { "back" } else { "forward" };
        let more = match self.count {
            1 => String::new(),
            2 => ", and once more".into(),
            count => format!(", and {} more times", count - 1),
        };
        let by = seconds(by_ns);
        let position = match between {
            // Snapshots in the format of siftr(4) have no numbers.
            (0, 0) => format!("at {}", seconds(at_ns)),
            (before, after) => format!("between snapshots {before} and {after}"),
        };
        Some(format!("the clock stepped {direction} by {by} s {position}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const START: u64 = 1_700_000_000 * S;

    fn header(sequence: u64, wall_s: u64, mono_ns: u64) -> Header {
        Header { sequence, wall_ns: START + wall_s * S, mono_ns, ..Header::default() }
    }

    fn clock() -> Clock {
        let mut clock = Clock::default();
        clock.note(&Note::read("log host=\"h\" interval_us=1000000").unwrap());
        clock
    }

    #[test]
    fn the_monotonic_clock_takes_precedence() {
        let mut clock = clock();
        let times = [(7200, 50 * S), (7201, 51 * S), (3602, 52 * S), (3603, 53 * S)];
        let mut passed = Vec::new();
        for (number, (wall_s, mono_ns)) in (1..).zip(times) {
            passed.push(clock.snapshot(&header(number, wall_s, mono_ns)));
        }
        assert_eq!(passed, [0, S, 2 * S, 3 * S]);
        assert_eq!(clock.steps().message().unwrap(), "the clock stepped back by 3600.000 s between snapshots 2 and 3");
    }

    #[test]
    fn without_a_monotonic_clock_ticks_measure_the_time() {
        let mut clock = clock();
        assert_eq!(clock.snapshot(&header(1, 7200, 0)), 0);
        assert_eq!(clock.snapshot(&header(2, 3601, 0)), S, "back");
        assert_eq!(clock.snapshot(&header(3, 90_000, 0)), 2 * S, "forward");
        let stalled = Header { missed_ticks: 100, ..header(4, 90_101, 0) };
        assert_eq!(clock.snapshot(&stalled), 103 * S, "stopping the logger is not a step of the clock");
        assert_eq!(clock.snapshot(&header(5, 90_102, 0)), 104 * S);
        assert_eq!(clock.steps().count, 2);
        let late = Header { wall_ns: START + 90_103 * S + S / 2, ..header(6, 0, 0) };
        assert_eq!(clock.snapshot(&late), 105 * S + S / 2);
        assert_eq!(clock.snapshot(&header(7, 90_104, 0)), 106 * S, "half a second after the late one");
        let early = Header { wall_ns: START + 90_104 * S + S / 100, ..header(8, 0, 0) };
        assert_eq!(clock.snapshot(&early), 107 * S, "the clock was set back by almost a second");
        assert_eq!(clock.steps().count, 3);
        let mut clock = self::clock();
        clock.snapshot(&header(1, 90_102, 0));
        let start = clock.at(START + 90_102 * S);
        assert_eq!(start, 0);
        clock.snapshot(&header(2, 90_103, 0));
        assert_eq!(clock.at(START + 90_103 * S - 7), S - 7);
        clock.snapshot(&header(106, 90_207, 0));
        assert_eq!(clock.at(START + 90_207 * S + 7), 105 * S + 7);
    }

    #[test]
    fn between_runs_the_time_of_day_is_used() {
        let mut clock = clock();
        clock.snapshot(&header(9, 10, 0));
        clock.note(&Note::read("log host=\"h\" interval_us=1000000").unwrap());
        assert_eq!(clock.snapshot(&header(1, 500, 0)), 490 * S);
        assert!(clock.steps().message().is_none());
        clock.note(&Note::read("log host=\"other\" interval_us=1000000").unwrap());
        assert_eq!(clock.snapshot(&header(1, 12, 0)), 2 * S, "a log of another host from the same time");
    }

    #[test]
    fn between_runs_of_one_boot_the_monotonic_clock_is_used() {
        let passed = |boots: [&str; 2]| {
            let mut clock = Clock::default();
            for (boot, (wall_s, mono_s)) in boots.into_iter().zip([(7200, 50), (3700, 150)]) {
                clock.note(&Note::read(&format!("log host=\"h\" interval_us=1000000 boot=\"{boot}\"")).unwrap());
                clock.snapshot(&header(1, wall_s, mono_s * S));
            }
            clock.snapshot(&header(2, 3701, 151 * S)) / S
        };
        assert_eq!(passed(["a", "a"]), 101);
        let mut clock = clock();
        clock.note(&Note::read("log host=\"h\" boot=\"a\"").unwrap());
        clock.snapshot(&header(1, 7200, 50 * S));
        clock.note(&Note::read("log host=\"h\" boot=\"b\"").unwrap());
        assert_eq!(clock.snapshot(&header(1, 7500, 60 * S)), 300 * S, "it started again and exceeded its last value");
        assert!(clock.steps().message().is_none());
    }
}
