// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats check`: whether a log is whole.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::process::ExitCode;

use tcpstats::frame::flag;
use tcpstats::{Header, Record};
use tcpstats_log::{ConnectionId, GapNote, LogNote, Moment, Note, Timeline, Totals, late_ns, slewed_ns};
use tcpstats_source::Sentence;

use crate::cli;
use crate::log::{Item, Log};
use crate::output::{self, Inputs, Stdout, seconds};

/// Problems that are printed; more are counted.
const SHOWN_MAX: u64 = 20;

/// Reads the log to its end and reports what is wrong with it.
pub fn run(asked: &cli::Check) -> Result<ExitCode, Sentence> {
    let mut log = Log::open_all(&asked.logs).map_err(|error| tcpstats_source::report(&error))?;
    let mut check = Check::default();
    let mut report = Report::new(asked)?;
    report.misfits(&mut log)?;
    loop {
        let read = log.next().map(|item| item.map(|item| check.item(&item)));
        let is_end = matches!(read, Ok(None));
        report.misfits(&mut log)?;
        match read {
            Ok(Some(())) if check.problems.is_empty() => continue,
            Ok(Some(())) => {}
            Ok(None) => check.end(report.found == 0),
            Err(error) => report.problem(&log, &tcpstats_source::report(&error))?,
        }
        let place = log.place();
        for problem in check.problems.drain(..) {
            report.problem(&log, &format!("{place}: {problem}"))?;
        }
        if is_end {
            break;
        }
    }
    drop(log);
    report.verdict(&check.content())?;
    Ok(if report.found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is printed.
struct Report {
    /// `None` if nothing is to be printed, or nobody reads it any more; the exit
    /// status tells all the same.
    out: Option<Stdout>,
    shown_max: u64,
    found: u64,
}

impl Report {
    fn new(asked: &cli::Check) -> Result<Self, Sentence> {
        let out = if asked.quiet { None } else { Some(Stdout::open().map_err(|error| output::failed(&error))?) };
        let is_input = |out: &Stdout| out.file().metadata().is_ok_and(|file| Inputs::of(&asked.logs).contain(&file));
        if out.as_ref().is_some_and(is_input) {
            return Err("standard output: is also an input; cannot write to the log that is read".into());
        }
        Ok(Self { out, shown_max: if asked.all { u64::MAX } else { SHOWN_MAX }, found: 0 })
    }

    fn line(&mut self, line: &str) -> Result<(), Sentence> {
        let written = self.out.as_mut().map_or(Ok(()), |out| out.write_all(format!("{line}\n").as_bytes()));
        if written.is_err() {
            self.out = None;
        }
        output::end(written).map(|_| ())
    }

    fn problem(&mut self, log: &Log, line: &str) -> Result<(), Sentence> {
        self.found += 1;
        if self.found > self.shown_max {
            return Ok(());
        }
        let mut written = Ok(());
        log.aside(|| written = self.line(line));
        written
    }

    fn misfits(&mut self, log: &mut Log) -> Result<(), Sentence> {
        let misfits = log.misfits();
        misfits.iter().try_for_each(|misfit| self.problem(log, misfit))
    }

    fn verdict(&mut self, content: &str) -> Result<(), Sentence> {
        let more = self.found.saturating_sub(self.shown_max);
        if more > 0 {
            let problems = if more == 1 { "problem" } else { "problems" };
            self.line(&format!("and {more} more {problems}; -a reports all"))?;
        }
        let problems = if self.found == 1 { "1 problem".into() } else { format!("{} problems", self.found) };
        let verdict = if self.found == 0 { "whole".into() } else { format!("not whole, {problems}") };
        self.line(&format!("{verdict}: {content}"))
    }
}

/// Records of a snapshot of which doubles are found at most.
const CONNECTIONS_MAX: usize = 1 << 20;

/// What was read so far.
#[derive(Default)]
struct Check {
    problems: Vec<String>,
    snapshots: u64,
    records: u64,
    /// When it begins by the clock of the day, and how long it is by a clock that
    /// is not set.
    begin_wall_ns: Option<u64>,
    timeline: Timeline<()>,
    span_ns: u64,
    changes_only: bool,
    has_notes: bool,
    /// Records since the last snapshot, and the number that they have.
    waiting: u64,
    waiting_for: u64,
    /// Their connections, by a hash, and how many of them were there before.
    connections: HashSet<u64>,
    hasher: RandomState,
    doubled: u64,
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
    /// Records were left out when the log was converted.
    is_filtered: bool,
    /// Where all of the run is in the log: its snapshots and records.
    counted: Option<(u64, u64)>,
}

impl Check {
    fn say(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Record { time_ns, snapshot, record } => {
                let moment = self.timeline.record(*snapshot, *time_ns);
                self.see(*time_ns, moment);
                self.record(*snapshot);
                self.doubled(record);
            }
            Item::Snapshot(header) => {
                for moment in self.timeline.snapshot(header) {
                    self.see(header.wall_ns, moment);
                }
                self.snapshot(*header);
            }
            Item::Note(note) => {
                let moment = self.timeline.note(&note.note, None);
                self.passed(moment);
                self.note(&note.note);
            }
        }
    }

    fn record(&mut self, snapshot: u64) {
        if self.waiting > 0 && self.waiting_for != snapshot {
            self.unfinished();
        }
        self.records += 1;
        self.closed = None;
        // Numbers begin at 1; siftr's format has none.
        if snapshot > 0 {
            self.waiting += 1;
            self.waiting_for = snapshot;
        }
    }

    /// Remembers the connection of a record, and counts it if it is there twice in
    /// a snapshot.
    fn doubled(&mut self, record: &Record) {
        if self.waiting <= 1 {
            self.connections.clear();
        }
        let identity = ConnectionId::of(record);
        let is_known = identity.gencnt.is_some_and(|gencnt| gencnt > 0) || identity.is_complete();
        if self.waiting > 0 && is_known && self.connections.len() < CONNECTIONS_MAX {
            let ConnectionId { local, foreign, gencnt, vnet, jid } = identity;
            let hash = self.hasher.hash_one((local, foreign, gencnt, vnet, jid));
            self.doubled += u64::from(!self.connections.insert(hash));
        }
    }

    fn see(&mut self, wall_ns: u64, moment: Option<Moment<()>>) {
        self.begin_wall_ns.get_or_insert(wall_ns);
        self.passed(moment);
    }

    fn passed(&mut self, moment: Option<Moment<()>>) {
        self.span_ns = self.span_ns.max(moment.map_or(0, |moment| moment.time_ns));
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
        let doubled = std::mem::take(&mut self.doubled);
        if doubled > 0 {
            let records = if doubled == 1 { "1 record".into() } else { format!("{doubled} records") };
            self.say(format!("snapshot {number} has {records} of connections that it has a record of already"));
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
        self.snapshots += 1;
        self.closed = None;
        let counted = match self.run.counted {
            None if self.run.last.is_none() && number == 1 => Some((1, header.written)),
            counted => counted.map(|(snapshots, records)| (snapshots + 1, records + header.written)),
        };
        self.run.last = Some(header);
        self.run.lost = None;
        self.run.source_lost = false;
        self.run.counted = counted;
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
                (due, late_ns(interval_ns, due))
            }
            None => return,
        };
        if passed.abs_diff(due) > allowed {
            let (direction, step) = if passed > due { ("forward", passed - due) } else { ("back", due - passed) };
            let step = seconds(step);
            self.say(format!("the clock steps {direction} by {step} s between snapshots {before} and {number}"));
        }
    }

    fn note(&mut self, note: &Note<'_>) {
        match note {
            Note::Log(log) => self.begin(log),
            Note::SiftrEnable(_) => self.begin(&LogNote::default()),
            Note::End(totals) => {
                self.counts(totals);
                self.closed = Some(Closed::Ended);
            }
            Note::SiftrDisable(_) => self.closed = Some(Closed::Ended),
            // A filter leaves records out.
            Note::Converted { .. } => self.run.is_filtered = true,
            Note::Rotated(_) => self.closed = Some(Closed::Rotated),
            Note::Missed { ticks, .. } => self.say(format!("{ticks} ticks were missed")),
            Note::Gap(GapNote { snapshots, records, first, last, why }) => {
                let (first, last) = (*first, *last);
                self.run.lost = match self.run.lost {
                    Some((least, greatest)) => Some((least.min(first), greatest.max(last))),
                    None => Some((first, last)),
                };
                self.say(format!(
                    "{snapshots} snapshots with {records} records were dropped, from number {first} to {last}: {}",
                    why.unwrap_or("no reason is told")
                ));
            }
            Note::SourceLost { why, .. } => {
                self.run.source_lost = true;
                self.say(format!("the source was lost: {}", why.unwrap_or("no reason is told")));
            }
            Note::Torn { bytes } => self.say(format!("{bytes} bytes that a crash had torn were removed here")),
            _ => (),
        }
    }

    /// A run or a file begins.
    fn begin(&mut self, log: &LogNote<'_>) {
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
        self.run.interval_ns = log.interval_us.map(|us| us.saturating_mul(1000));
    }

    /// Compares what the closing line counts with what is there.
    fn counts(&mut self, totals: &Totals) {
        if self.run.is_filtered {
            return;
        }
        let (Some((snapshots, records)), Some(snapshots_said), Some(records_said)) =
            (self.run.counted, totals.snapshots, totals.records)
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

    /// Checks the end of the log; `is_whole` says that nothing was wrong before it.
    fn end(&mut self, is_whole: bool) {
        let moment = self.timeline.unfinished();
        self.passed(moment);
        if self.waiting > 0 {
            self.unfinished();
        }
        if self.has_notes && self.closed.is_none() {
            self.say("there is no closing line: the logger was killed, or it still runs".into());
        } else if is_whole && self.snapshots == 0 && self.records == 0 && self.closed.is_none() {
            self.say("nothing to check: no snapshots, no records and no closing line".into());
        }
    }

    /// What the log has, in a line.
    fn content(&self) -> String {
        let begin = self.begin_wall_ns.map(seconds);
        let span = begin.map_or(String::new(), |begin| format!(", {} s from {begin}", seconds(self.span_ns)));
        let kind = if self.changes_only { ", changes only" } else { "" };
        format!("{} snapshots, {} records{span}{kind}", self.snapshots, self.records)
    }
}
