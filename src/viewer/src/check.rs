// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats check`: whether a log is whole.

use std::io::{Write, stdout};
use std::process::ExitCode;

use tcpstats::Header;
use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats_source::Sentence;

use crate::cli;
use crate::log::{Item, Log};
use crate::output::{self, seconds};

/// Reads the log to its end and tells what is not as it should be.
pub fn run(asked: &cli::Check) -> Result<ExitCode, Sentence> {
    let mut log = Log::open_all(&asked.logs)?;
    let mut check = Check::default();
    let mut told = 0u64;
    loop {
        let read = log.next().map(|item| item.map(|item| check.item(&item)));
        let is_end = matches!(read, Ok(None));
        let found = match read {
            Ok(Some(())) if check.problems.is_empty() => continue,
            Ok(Some(())) => said(&log, &mut check.problems),
            Ok(None) => {
                check.end();
                said(&log, &mut check.problems)
            }
            Err(sentence) => vec![sentence],
        };
        told += found.len() as u64;
        if !asked.quiet {
            let mut written = Ok(());
            log.aside(|| written = found.iter().try_for_each(|line| writeln!(stdout(), "{line}")));
            written.map_err(|error| output::failed(&error))?;
        }
        if is_end {
            break;
        }
    }
    drop(log);
    if !asked.quiet {
        let problems = if told == 1 { "1 problem".into() } else { format!("{told} problems") };
        let verdict = if told == 0 { "whole".into() } else { format!("not whole, {problems}") };
        writeln!(stdout(), "{verdict}: {}", check.content()).map_err(|error| output::failed(&error))?;
    }
    Ok(if told == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The problems with the place where they were found.
fn said(log: &Log, problems: &mut Vec<String>) -> Vec<String> {
    let place = log.place();
    problems.drain(..).map(|problem| format!("{place}: {problem}")).collect()
}

/// How much the clocks may differ over a time, for what the system slews them.
fn slewed_ns(ns: u64) -> u64 {
    20_000_000 + ns / 1000
}

/// What was read so far.
#[derive(Default)]
struct Check {
    problems: Vec<String>,
    snapshots: u64,
    records: u64,
    begin_ns: Option<u64>,
    end_ns: u64,
    changes_only: bool,
    has_notes: bool,
    /// Records since the last snapshot, and the number that they have.
    waiting: u64,
    waiting_for: u64,
    run: Run,
    /// The last note that closes a run or a file.
    closed: Option<Closed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    Rotated,
    Ended,
}

/// A run of the logger.
#[derive(Default)]
struct Run {
    /// The last snapshot.
    last: Option<Header>,
    interval_ns: Option<u64>,
    /// Numbers of snapshots that were told to be lost since the last one.
    lost: Option<(u64, u64)>,
    /// The source was lost since the last snapshot.
    source_lost: bool,
    /// Where all of the run is in the log: its snapshots and records.
    counted: Option<(u64, u64)>,
}

impl Check {
    fn say(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Record { time_ns, snapshot, .. } => self.record(*time_ns, *snapshot),
            Item::Snapshot(header) => self.snapshot(*header),
            Item::Note(text) => {
                if let Some(note) = NoteText::read(text) {
                    self.note(&note);
                }
            }
        }
    }

    fn record(&mut self, time_ns: u64, snapshot: u64) {
        if self.waiting > 0 && self.waiting_for != snapshot {
            self.unfinished();
        }
        self.records += 1;
        self.closed = None;
        self.see(time_ns);
        // Numbers begin at 1; siftr's format has none.
        if snapshot > 0 {
            self.waiting += 1;
            self.waiting_for = snapshot;
        }
    }

    fn see(&mut self, time_ns: u64) {
        self.begin_ns.get_or_insert(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    /// Says that records stand there whose snapshot was never closed.
    fn unfinished(&mut self) {
        let (records, number) = (std::mem::take(&mut self.waiting), self.waiting_for);
        self.say(format!("snapshot {number} is cut off: {records} of its records are there, and not its closing line"));
    }

    fn snapshot(&mut self, header: Header) {
        let number = header.sequence;
        if self.waiting > 0 && self.waiting_for != number {
            self.unfinished();
        }
        let found = std::mem::take(&mut self.waiting);
        if found != header.written {
            self.say(format!("snapshot {number} has {found} records; it says {}", header.written));
        }
        let is_changes = header.flags & flag::CHANGED_ONLY != 0;
        if !is_changes && header.matched != header.written + header.missed {
            self.say(format!(
                "snapshot {number} says that {} connections matched, and has {} and missed {}",
                header.matched, header.written, header.missed
            ));
        }
        if header.missed > 0 || header.flags & flag::TRUNCATED != 0 {
            self.say(format!("snapshot {number} is truncated: {} connections are missing", header.missed));
        }
        if header.flags & flag::INTERRUPTED != 0 {
            self.say(format!(
                "snapshot {number}: the kernel's tables changed meanwhile; connections may be missing or doubled"
            ));
        }
        if is_changes && !self.changes_only && self.snapshots == 0 {
            self.say(format!(
                "snapshot {number} has changes only, and no keyframe before it: connections that did not change are missing"
            ));
        }
        self.changes_only |= is_changes;
        self.follows(&header);
        self.see(header.wall_ns);
        self.snapshots += 1;
        self.closed = None;
        let counted = match self.run.counted {
            None if self.run.last.is_none() && number == 1 => Some((1, header.written)),
            counted => counted.map(|(snapshots, records)| (snapshots + 1, records + header.written)),
        };
        self.run =
            Run { last: Some(header), lost: None, source_lost: false, counted, interval_ns: self.run.interval_ns };
    }

    /// Looks whether a snapshot follows the one before.
    fn follows(&mut self, header: &Header) {
        let Some(last) = self.run.last else {
            return;
        };
        let (before, number) = (last.sequence, header.sequence);
        if number <= before {
            if !self.run.source_lost {
                self.say(format!("snapshot {number} comes behind snapshot {before}"));
            }
            return;
        }
        let told = self.run.lost.is_some_and(|(first, last)| first <= before + 1 && last + 1 >= number);
        if number > before + 1 && !told {
            let missing = number - before - 1;
            self.say(format!("{missing} snapshots are missing between {before} and {number}, and no note tells of it"));
        }
        if header.wall_ns < last.wall_ns {
            let back = seconds(last.wall_ns - header.wall_ns);
            self.say(format!("the clock goes back by {back} s between snapshots {before} and {number}"));
            return;
        }
        if self.run.source_lost {
            return;
        }
        let passed = header.wall_ns - last.wall_ns;
        let has_mono = last.mono_ns > 0 && header.mono_ns > last.mono_ns;
        let ticks = number - before + header.missed_ticks.saturating_sub(last.missed_ticks);
        let (due, allowed) = match self.run.interval_ns {
            _ if has_mono => (header.mono_ns - last.mono_ns, slewed_ns(passed)),
            // Without the monotonic clock the ticks say how long it was; one may come late.
            Some(interval_ns) => {
                let due = interval_ns.saturating_mul(ticks);
                (due, interval_ns + 1_000_000_000 + slewed_ns(due))
            }
            None => return,
        };
        if passed.abs_diff(due) > allowed {
            let (direction, step) = if passed > due { ("forward", passed - due) } else { ("back", due - passed) };
            let step = seconds(step);
            self.say(format!("the clock steps {direction} by {step} s between snapshots {before} and {number}"));
        }
    }

    fn note(&mut self, note: &NoteText<'_>) {
        let number = |key| note.number(key).unwrap_or_default();
        match note.name {
            "log" | "siftr_enable" => self.begin(note),
            "end" | "siftr_disable" => {
                self.counts(note);
                self.closed = Some(Closed::Ended);
            }
            "rotated" => self.closed = Some(Closed::Rotated),
            "missed" => self.say(format!("{} ticks were missed", number("ticks"))),
            "gap" => {
                let (first, last) = (number("first"), number("last"));
                self.run.lost = match self.run.lost {
                    Some((least, greatest)) => Some((least.min(first), greatest.max(last))),
                    None => Some((first, last)),
                };
                self.say(format!(
                    "{} snapshots with {} records were dropped, from number {first} to {last}: {}",
                    number("snapshots"),
                    number("records"),
                    note.text("why").unwrap_or("no reason is told")
                ));
            }
            "source_lost" => {
                self.run.source_lost = true;
                self.say(format!("the source was lost: {}", note.text("why").unwrap_or("no reason is told")));
            }
            "torn" => self.say(format!("{} bytes that a crash had torn were removed here", number("bytes"))),
            _ => (),
        }
    }

    /// A run or a file begins.
    fn begin(&mut self, note: &NoteText<'_>) {
        if self.waiting > 0 {
            self.unfinished();
        }
        if self.has_notes && self.closed.is_none() {
            self.say("another run begins, and the one before it has no closing line".into());
        }
        if self.closed != Some(Closed::Rotated) {
            self.run = Run::default();
        }
        self.has_notes = true;
        self.closed = None;
        self.run.interval_ns = note.number("interval_us").map(|us| us.saturating_mul(1000));
    }

    /// Compares what the closing line counts with what is there.
    fn counts(&mut self, note: &NoteText<'_>) {
        let (Some((snapshots, records)), Some(snapshots_said), Some(records_said)) =
            (self.run.counted, note.number("snapshots"), note.number("records"))
        else {
            return;
        };
        if (snapshots, records) != (snapshots_said, records_said) {
            self.say(format!(
                "the closing line says {snapshots_said} snapshots with {records_said} records; \
                 {snapshots} with {records} are there"
            ));
        }
    }

    fn end(&mut self) {
        if self.waiting > 0 {
            self.unfinished();
        }
        if self.has_notes && self.closed.is_none() {
            self.say("there is no closing line: the logger was killed, or it still runs".into());
        }
    }

    /// What the log has, in a line.
    fn content(&self) -> String {
        let span = self.begin_ns.map_or(String::new(), |begin_ns| {
            format!(", {} s from {}", seconds(self.end_ns.saturating_sub(begin_ns)), seconds(begin_ns))
        });
        let kind = if self.changes_only { ", changes only" } else { "" };
        format!("{} snapshots, {} records{span}{kind}", self.snapshots, self.records)
    }
}
