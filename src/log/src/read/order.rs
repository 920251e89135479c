// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The order of several logs, which depends on their contents and not on their
//! names.

use std::collections::HashMap;
use std::fs::{File, metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::finding::{Finding, FindingKind};
use super::log::{Log, OpenOptions};
use crate::error::Error;
use crate::input::name;
use crate::item::Item;
use crate::note::{Note, ROTATED};

/// The start of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Start {
    host: Option<String>,
    /// The time of its first record or snapshot, in nanoseconds since the
    /// Epoch.
    time_ns: u64,
    /// The number of its first snapshot; 0 if it has none.
    snapshot: u64,
}

/// Logs in the order in which they are read.
pub struct Ordered {
    /// The oldest first; logs of a host are adjacent.
    pub logs: Vec<PathBuf>,
    /// Logs that are not read, and why.
    pub findings: Vec<Finding>,
}

impl Log {
    /// Opens logs that are read in sequence, such as rotated ones, in the order of
    /// their contents.
    ///
    /// # Errors
    /// Returns an error if a log cannot be opened or is not a log.
    pub fn open_all(paths: &[PathBuf], options: OpenOptions) -> Result<Self, Error> {
        let ordered = in_order(paths)?;
        let (first, following) = ordered.logs.split_first().ok_or(Error::NoLog)?;
        let mut log = Self::open(first, options)?;
        ordered.findings.into_iter().for_each(&mut log.options.on_finding);
        following.iter().rev().try_for_each(|path| log.add_file(path))?;
        log.is_several = !following.is_empty();
        Ok(log)
    }
}

/// Orders logs by their contents: the logs of each host by time, and the hosts
/// by the time of their first log.  A log that cannot be read twice, such as a
/// pipe, or that has no time, keeps its position.
///
/// # Errors
/// Returns an error if a log cannot be read.
pub fn in_order(logs: &[PathBuf]) -> Result<Ordered, Error> {
    let (mut logs, findings) = without_repeated(logs);
    if logs.len() < 2 {
        return Ok(Ordered { logs, findings });
    }
    let starts = logs.iter().map(|path| start(path)).collect::<Result<Vec<_>, _>>()?;
    let positions: Vec<_> = (0..logs.len()).filter(|at| starts[*at].is_some()).collect();
    let mut known: Vec<_> = positions.iter().filter_map(|at| Some((starts[*at].clone()?, logs[*at].clone()))).collect();
    let mut hosts: HashMap<Option<String>, u64> = HashMap::new();
    for (start, _) in &known {
        let first = hosts.entry(start.host.clone()).or_insert(u64::MAX);
        *first = start.time_ns.min(*first);
    }
    known.sort_by(|(one, _), (other, _)| {
        let by_host = hosts[&one.host].cmp(&hosts[&other.host]).then_with(|| one.host.cmp(&other.host));
        by_host.then(one.time_ns.cmp(&other.time_ns))
    });
    continue_rotated(&mut known);
    for (position, (_, path)) in positions.into_iter().zip(known) {
        logs[position] = path;
    }
    Ok(Ordered { logs, findings })
}

/// Removes logs that were given twice.
fn without_repeated(logs: &[PathBuf]) -> (Vec<PathBuf>, Vec<Finding>) {
    let (mut files, mut distinct, mut findings) = (HashMap::new(), Vec::new(), Vec::new());
    for path in logs {
        let file = metadata(path).ok().filter(std::fs::Metadata::is_file);
        if let Some(file) = file
            && let Some(before) = files.insert((file.dev(), file.ino()), path)
        {
            let what = if before == path { "given twice".into() } else { format!("the same file as {}", name(before)) };
            findings.push(Finding::new(FindingKind::Order, format!("{}: {what}; reading it once", name(path))));
        } else {
            distinct.push(path.clone());
        }
    }
    (distinct, findings)
}

/// Returns the start of the log at a path; `None` if it can be read only once,
/// or has no time.
fn start(path: &Path) -> Result<Option<Start>, Error> {
    /// Maximum number of damaged positions before the first record.
    const DAMAGE_MAX: usize = 100;
    let is_file = path.as_os_str() != "-" && metadata(path).is_ok_and(|file| file.is_file());
    if !is_file {
        return Ok(None);
    }
    let mut log = Log::open(path, OpenOptions::default())?;
    let mut start = Start::default();
    for _ in 0..DAMAGE_MAX {
        loop {
            match log.next() {
                Ok(Some(Item::Record { time_ns, snapshot, .. })) => {
                    return Ok(Some(Start { time_ns, snapshot, ..start }));
                }
                Ok(Some(Item::Snapshot(header))) => {
                    return Ok(Some(Start { time_ns: header.wall_ns, snapshot: header.sequence, ..start }));
                }
                Ok(Some(Item::Note(note))) => {
                    if let Note::Log(log) = note.note {
                        start.host = log.host.map(str::to_owned);
                        start.time_ns = log.time_ns.unwrap_or_default();
                    }
                }
                Ok(None) => return Ok((start.time_ns > 0).then_some(start)),
                Err(_) => break,
            }
        }
    }
    Ok((start.time_ns > 0).then_some(start))
}

/// Moves a log after the one that was rotated immediately before its first
/// snapshot, even if the clock was set back between the two.
fn continue_rotated(logs: &mut Vec<(Start, PathBuf)>) {
    for number in 0..logs.len() {
        let (start, path) = &logs[number];
        let Some(last) = last_of_rotated(path) else { continue };
        let host = start.host.clone();
        let is_next = |(other, _): &&(Start, PathBuf)| other.host == host && other.snapshot == last + 1;
        // If two logs match, their times decide.
        let mut next = logs.iter().enumerate().filter(|(_, other)| is_next(other));
        if let (Some((at, _)), None) = (next.next(), next.next())
            && at < number
        {
            let next = logs.remove(at);
            logs.insert(number, next);
            return continue_rotated(logs);
        }
    }
}

/// Returns the number of the last snapshot in a log that was rotated; `None` if
/// it was not, or is compressed.
fn last_of_rotated(path: &Path) -> Option<u64> {
    /// Sufficient for the closing lines.
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let starts = [format!("{ROTATED} time="), format!("\"note\":\"{ROTATED}\"")];
    let note = &tail[starts.iter().find_map(|start| memmem::rfind(&tail, start.as_bytes()))?..];
    let digits = [&b" snapshots="[..], b"\"snapshots\":"];
    let number = digits.iter().find_map(|key| Some(&note[memmem::find(note, key)? + key.len()..]))?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&number[..digits]).ok()?.parse().ok()
}
