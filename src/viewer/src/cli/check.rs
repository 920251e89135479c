// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats check`: whether a log is complete and undamaged.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the text of --help")]

mod endings;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tcpstats::frame::flag;
use tcpstats::{Columns, Header, Record};
use tcpstats_log::{ConnectionId, GapNote, LogNote, Moment, Note, Timeline, Totals, late_ns, slewed_ns};

use self::endings::Endings;
use crate::log::{Item, Log};
use crate::output::{self, Inputs, STANDARD_OUTPUT, Stdout, seconds};

/// The long description in the help and the manual page.
pub const LONG_ABOUT: &str = "\
Check whether a log is complete and undamaged.  Print one line for each problem, with its position, and a final line \
that describes the contents of the log.

The following problems are reported: truncated or damaged lines and frames; missing or dropped snapshots; missed \
ticks; failures of the source; steps of the clock; snapshots that are truncated or during which the kernel's tables \
changed; a number of records that differs from the one stated for the snapshot; duplicate records in a snapshot \
(checked for its first 1,048,576 records); connections that are gone without a final record, that have more than one, \
or whose final records were lost; a missing closing line; and an empty log.  If several logs are given, logs \
that overlap, are given twice, or come from another host or from after a reboot are also reported, and so is a missing \
log between two of them.

The exit status is 0 if no problem was found, and 1 otherwise or if a log cannot be read.";

/// The arguments of `tcpstats check`.
#[derive(clap::Args)]
pub struct Args {
    /// The logs, in any format, optionally compressed (- for standard input).  Rotated logs are ordered by their
    /// content and read as one log
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Print nothing; only set the exit status
    #[arg(short, long)]
    pub quiet: bool,
    /// Report all problems (default: the first 20 and the number of others)
    #[arg(short, long)]
    pub all: bool,
}

/// Problems that are printed without `--all`; the others are counted.
const PRINTED_MAX: u64 = 20;

/// Reads the logs and reports their problems.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut log = Log::open_all(&args.logs)?;
    let mut check = Check::default();
    let mut report = Report::new(args)?;
    report.warnings(&mut log)?;
    loop {
        let item = log.next_with_columns();
        let read = item.map(|item| item.map(|(item, columns)| check.item(&item, columns.text.as_ref())));
        let is_end = matches!(read, Ok(None));
        report.warnings(&mut log)?;
        match read {
            Ok(Some(())) if check.problems.is_empty() => continue,
            Ok(Some(())) => {}
            Ok(None) => check.end(report.count == 0),
            Err(damage) => report.problem(&log, &tcpstats_source::report(&damage))?,
        }
        let position = log.place();
        for problem in check.problems.drain(..) {
            report.problem(&log, &format!("{position}: {problem}"))?;
        }
        if is_end {
            break;
        }
    }
    drop(log);
    report.verdict(&check.contents())?;
    Ok(if report.count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report on standard output.
struct Report {
    /// `None` if nothing is to be printed, or if its reader has closed the pipe.
    /// The exit status is set all the same.
    out: Option<Stdout>,
    printed_max: u64,
    /// The number of problems, including those that were not printed.
    count: u64,
}

impl Report {
    fn new(args: &Args) -> Result<Self> {
        let out = if args.quiet { None } else { Some(Stdout::open().context(STANDARD_OUTPUT)?) };
        let is_input = |out: &Stdout| out.file().metadata().is_ok_and(|file| Inputs::of(&args.logs).contain(&file));
        if out.as_ref().is_some_and(is_input) {
            bail!("{STANDARD_OUTPUT}: is also an input; cannot write to a log that is being read");
        }
        Ok(Self { out, printed_max: if args.all { u64::MAX } else { PRINTED_MAX }, count: 0 })
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let written = self.out.as_mut().map_or(Ok(()), |out| out.write_all(format!("{line}\n").as_bytes()));
        if written.is_err() {
            self.out = None;
        }
        output::end(written).map(|_| ())
    }

    fn problem(&mut self, log: &Log, line: &str) -> Result<()> {
        self.count += 1;
        if self.count > self.printed_max {
            return Ok(());
        }
        let mut written = Ok(());
        log.aside(|| written = self.line(line));
        written
    }

    fn warnings(&mut self, log: &mut Log) -> Result<()> {
        let warnings = log.misfits();
        warnings.iter().try_for_each(|warning| self.problem(log, warning))
    }

    fn verdict(&mut self, contents: &str) -> Result<()> {
        let more = self.count.saturating_sub(self.printed_max);
        if more > 0 {
            self.line(&format!("and {}; use -a to report all", counted(more, "more problem")))?;
        }
        let verdict = if self.count == 0 { "no problems".into() } else { counted(self.count, "problem") };
        self.line(&format!("{verdict}: {contents}"))
    }
}

/// Returns a number and a noun, in the plural if needed.
fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Returns a number and a noun, even if the log lacks the number.
fn counted_or_unknown(number: Option<u64>, noun: &str) -> String {
    number.map_or_else(|| format!("an unknown number of {noun}s"), |number| counted(number, noun))
}

/// The number of records of a snapshot that are checked for duplicates.
const CONNECTIONS_MAX: usize = 1 << 20;

/// The state of the check.
#[derive(Default)]
struct Check {
    problems: Vec<String>,
    snapshots: u64,
    records: u64,
    /// The start of the log as time of day.
    start_wall_ns: Option<u64>,
    timeline: Timeline<()>,
    /// The length of the log in elapsed time.
    span_ns: u64,
    changes_only: bool,
    has_notes: bool,
    /// The number of records since the last snapshot.
    pending_records: u64,
    /// The number of the snapshot to which they belong.
    pending_snapshot: u64,
    /// The hashes of their connections.
    connections: HashSet<u64>,
    hasher: RandomState,
    /// How many of them are duplicates.
    duplicates: u64,
    run: Run,
    /// The closing line that was read last, unless records follow it.
    closed: Option<Closed>,
}

/// The kind of a closing line.
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
    /// The first and the last number of the snapshots that notes report as dropped
    /// since the last snapshot.
    dropped: Option<(u64, u64)>,
    /// Whether the source was lost since the last snapshot.
    source_lost: bool,
    /// Whether records were removed by the filter of a conversion.
    is_filtered: bool,
    /// The connections that have ended.
    endings: Endings,
    /// The numbers of snapshots and records, if the log contains the complete run.
    counted: Option<(u64, u64)>,
}

impl Check {
    fn report(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn item(&mut self, item: &Item<'_>, columns: Option<&Columns>) {
        match item {
            Item::Record { time_ns, snapshot, record } => {
                let moment = self.timeline.record(*snapshot, *time_ns);
                self.add_moment(*time_ns, moment);
                self.record(*snapshot);
                self.run.endings.record(record, *snapshot);
                if !record.is_final() {
                    self.find_duplicate(record);
                }
            }
            Item::Snapshot(header) => {
                for moment in self.timeline.snapshot(header) {
                    self.add_moment(header.wall_ns, moment);
                }
                self.snapshot(*header);
            }
            Item::Note(note) => {
                let moment = self.timeline.note(&note.note, None);
                self.extend(moment);
                if let Note::Close(closed) = &note.note {
                    closed.ids(columns).iter().for_each(|id| self.run.endings.close(id));
                }
                self.note(&note.note);
            }
        }
    }

    fn record(&mut self, snapshot: u64) {
        if self.pending_records > 0 && self.pending_snapshot != snapshot {
            self.unfinished();
        }
        self.records += 1;
        self.closed = None;
        // Numbers start at 1; siftr's format has none.
        if snapshot > 0 {
            self.pending_records += 1;
            self.pending_snapshot = snapshot;
        }
    }

    /// Stores the connection of a record, and counts it if the snapshot already has a
    /// record of this connection.
    fn find_duplicate(&mut self, record: &Record) {
        if self.pending_records <= 1 {
            self.connections.clear();
        }
        let identity = ConnectionId::of(record);
        let is_known = identity.gencnt.is_some_and(|gencnt| gencnt > 0) || identity.is_complete();
        if self.pending_records > 0 && is_known && self.connections.len() < CONNECTIONS_MAX {
            let ConnectionId { local, foreign, gencnt, vnet, jid } = identity;
            let hash = self.hasher.hash_one((local, foreign, gencnt, vnet, jid));
            self.duplicates += u64::from(!self.connections.insert(hash));
        }
    }

    fn add_moment(&mut self, wall_ns: u64, moment: Option<Moment<()>>) {
        self.start_wall_ns.get_or_insert(wall_ns);
        self.extend(moment);
    }

    fn extend(&mut self, moment: Option<Moment<()>>) {
        self.span_ns = self.span_ns.max(moment.map_or(0, |moment| moment.time_ns));
    }

    /// Reports records whose snapshot has no closing line.
    fn unfinished(&mut self) {
        let (records, number) = (std::mem::take(&mut self.pending_records), self.pending_snapshot);
        self.report(format!(
            "snapshot {number} is truncated: found {} but no closing line",
            counted(records, "record")
        ));
    }

    fn snapshot(&mut self, header: Header) {
        let number = header.sequence;
        if self.pending_records > 0 && self.pending_snapshot != number {
            self.unfinished();
        }
        let duplicates = std::mem::take(&mut self.duplicates);
        if duplicates > 0 {
            self.report(format!("snapshot {number} has {}", counted(duplicates, "duplicate record")));
        }
        let found = std::mem::take(&mut self.pending_records);
        if found != header.written {
            self.report(format!("snapshot {number} has {}; expected {}", counted(found, "record"), header.written));
        }
        let is_changes = header.flags & flag::CHANGED_ONLY != 0;
        let live = header.written.saturating_sub(header.ended);
        if !is_changes && header.matched != live.saturating_add(header.missed) {
            self.report(format!(
                "snapshot {number} is inconsistent: {} connections matched, {live} were written and {} were missed",
                header.matched, header.missed
            ));
        }
        if let Some(problem) = self.run.endings.snapshot(&header) {
            self.report(problem);
        }
        if header.missed > 0 || header.flags & flag::TRUNCATED != 0 {
            self.report(format!("snapshot {number} is truncated and lacks {}", counted(header.missed, "connection")));
        }
        if header.flags & flag::INTERRUPTED != 0 {
            self.report(format!(
                "snapshot {number}: the kernel's tables changed during the walk; connections may be missing or duplicated"
            ));
        }
        if is_changes && !self.changes_only && self.snapshots == 0 {
            self.report(format!(
                "snapshot {number} has changes only and follows no keyframe: unchanged connections are missing"
            ));
        }
        self.changes_only |= is_changes;
        self.check_order(&header);
        self.snapshots += 1;
        self.closed = None;
        let counted = match self.run.counted {
            None if self.run.last.is_none() && number == 1 => Some((1, header.written)),
            counted => counted.map(|(snapshots, records)| (snapshots + 1, records + header.written)),
        };
        self.run.last = Some(header);
        self.run.dropped = None;
        self.run.source_lost = false;
        self.run.counted = counted;
    }

    /// Checks whether a snapshot follows the previous one.
    fn check_order(&mut self, header: &Header) {
        let Some(last) = self.run.last else {
            return;
        };
        let (before, number) = (last.sequence, header.sequence);
        if number <= before {
            if !self.run.source_lost {
                self.report(format!("snapshot {number} follows snapshot {before}"));
            }
            return;
        }
        let is_noted = self.run.dropped.is_some_and(|(first, last)| first <= before + 1 && last + 1 >= number);
        if number > before + 1 && !is_noted {
            let (missing, are) = match number - before - 1 {
                1 => ("1 snapshot".into(), "is"),
                missing => (format!("{missing} snapshots"), "are"),
            };
            self.report(format!("{missing} {are} missing between {before} and {number}, without a note"));
        }
        if header.wall_ns < last.wall_ns {
            let back = seconds(last.wall_ns - header.wall_ns);
            self.report(format!("the clock steps back by {back} s between snapshots {before} and {number}"));
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
            // Without the monotonic clock, the ticks determine the time; one may be late.
            Some(interval_ns) => {
                let due = interval_ns.saturating_mul(ticks);
                (due, late_ns(interval_ns, due))
            }
            None => return,
        };
        if passed.abs_diff(due) > allowed {
            let (direction, step) = if passed > due { ("forward", passed - due) } else { ("back", due - passed) };
            let step = seconds(step);
            self.report(format!("the clock steps {direction} by {step} s between snapshots {before} and {number}"));
        }
    }

    fn note(&mut self, note: &Note<'_>) {
        match note {
            Note::Log(log) => self.start(log),
            Note::SiftrEnable(_) => self.start(&LogNote::default()),
            Note::End(totals) => {
                self.check_counts(totals);
                self.closed = Some(Closed::Ended);
            }
            Note::SiftrDisable(_) => self.closed = Some(Closed::Ended),
            // A filter removes records.
            Note::Converted { .. } => {
                self.run.is_filtered = true;
                self.run.endings.excuse(None);
            }
            Note::Rotated(_) => self.closed = Some(Closed::Rotated),
            Note::Missed { ticks, .. } => self.report(format!("missed {}", counted_or_unknown(*ticks, "tick"))),
            Note::Gap(gap) => self.gap(gap),
            Note::SourceLost { why, .. } => {
                self.run.source_lost = true;
                self.run.endings.excuse(None);
                self.report(format!("the source was lost: {}", why.unwrap_or("no reason given")));
            }
            Note::Torn { bytes } => {
                let bytes = counted_or_unknown(*bytes, "byte");
                self.report(format!("{bytes} of an incomplete line or frame were removed here after a crash"));
            }
            _ => (),
        }
    }

    fn gap(&mut self, gap: &GapNote<'_>) {
        self.run.endings.excuse(gap.ended);
        let numbers = match gap.first.zip(gap.last) {
            Some((first, last)) => {
                self.run.dropped = match self.run.dropped {
                    Some((least, greatest)) => Some((least.min(first), greatest.max(last))),
                    None => Some((first, last)),
                };
                format!(", from number {first} to {last}")
            }
            None => String::new(),
        };
        self.report(format!(
            "dropped {} with {}{numbers}: {}",
            counted_or_unknown(gap.snapshots, "snapshot"),
            counted_or_unknown(gap.records, "record"),
            gap.why.unwrap_or("no reason given")
        ));
    }

    /// Starts a run or a file.
    fn start(&mut self, log: &LogNote<'_>) {
        if self.pending_records > 0 {
            self.unfinished();
        }
        if self.has_notes && self.closed.is_none() {
            self.report("a new run starts, but the previous one has no closing line".into());
        }
        if self.closed != Some(Closed::Rotated) {
            self.end_run();
            self.run = Run { endings: Endings::start(log.may_omit_records()), ..Run::default() };
        }
        self.has_notes = true;
        self.closed = None;
        self.run.interval_ns = log.interval_us.map(|us| us.saturating_mul(1000));
    }

    /// Compares the counts in the closing line with the contents of the log.
    fn check_counts(&mut self, totals: &Totals) {
        if self.run.is_filtered {
            return;
        }
        let (Some((snapshots, records)), Some(expected_snapshots), Some(expected_records)) =
            (self.run.counted, totals.snapshots, totals.records)
        else {
            return;
        };
        if (snapshots, records) != (expected_snapshots, expected_records) {
            self.report(format!(
                "the closing line counts {expected_snapshots} snapshots with {expected_records} records; \
                 found {snapshots} with {records}"
            ));
        }
    }

    /// Ends a run.
    fn end_run(&mut self) {
        if let Some(problem) = self.run.endings.end() {
            self.report(problem);
        }
    }

    /// Checks the end of the log.  `is_clean` is set if no problem was found before.
    fn end(&mut self, is_clean: bool) {
        let moment = self.timeline.unfinished();
        self.extend(moment);
        if self.pending_records > 0 {
            self.unfinished();
        }
        self.end_run();
        if self.has_notes && self.closed.is_none() {
            self.report("no closing line: the logger was killed or is still running".into());
        } else if is_clean && self.snapshots == 0 && self.records == 0 && self.closed.is_none() {
            self.report("nothing to check: no snapshots, no records and no closing line".into());
        }
    }

    /// Describes the contents of the log.
    fn contents(&self) -> String {
        let start = self.start_wall_ns.map(seconds);
        let span = start.map_or(String::new(), |start| format!(", {} s from {start}", seconds(self.span_ns)));
        let kind = if self.changes_only { ", changes only" } else { "" };
        format!("{}, {}{span}{kind}", counted(self.snapshots, "snapshot"), counted(self.records, "record"))
    }
}
