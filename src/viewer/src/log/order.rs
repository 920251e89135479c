// SPDX-License-Identifier: BSD-2-Clause

//! The order of several logs: by what is in them, not by their names.

use std::collections::HashMap;
use std::fs::{File, metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use tcpstats::note::NoteText;
use tcpstats_source::Sentence;

use super::{Item, Log, name};

/// How a log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Start {
    host: Option<String>,
    /// When its first record or snapshot was, in nanoseconds since the UNIX
    /// epoch.
    time_ns: u64,
    /// The number of its first snapshot; 0 if it has none.
    snapshot: u64,
}

/// Logs in the order in which they are read.
pub struct Ordered {
    /// The oldest first; those of a host are together.
    pub logs: Vec<PathBuf>,
    /// What was left out, and why.
    pub findings: Vec<Sentence>,
}

/// Puts logs into the order of their content: each host's by time, the host
/// first that begins first.  What cannot be read twice, such as a pipe, stays in
/// its place, as does a log without a time.
///
/// # Errors
/// A message that names a log and says why it cannot be read.
pub fn in_order(logs: &[PathBuf]) -> Result<Ordered, Sentence> {
    let (mut logs, findings) = without_repeated(logs);
    if logs.len() < 2 {
        return Ok(Ordered { logs, findings });
    }
    let starts = logs.iter().map(|path| start(path)).collect::<Result<Vec<_>, _>>()?;
    let places: Vec<_> = (0..logs.len()).filter(|at| starts[*at].is_some()).collect();
    let mut known: Vec<_> = places.iter().filter_map(|at| Some((starts[*at].clone()?, logs[*at].clone()))).collect();
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
    for (place, (_, path)) in places.into_iter().zip(known) {
        logs[place] = path;
    }
    Ok(Ordered { logs, findings })
}

/// Leaves out what was given twice.
fn without_repeated(logs: &[PathBuf]) -> (Vec<PathBuf>, Vec<Sentence>) {
    let (mut files, mut kept, mut findings) = (HashMap::new(), Vec::new(), Vec::new());
    for path in logs {
        let file = metadata(path).ok().filter(std::fs::Metadata::is_file);
        if let Some(file) = file
            && let Some(before) = files.insert((file.dev(), file.ino()), path)
        {
            let what = if before == path { "given twice".into() } else { format!("the same file as {}", name(before)) };
            findings.push(format!("{}: {what}; reading it once", name(path)));
        } else {
            kept.push(path.clone());
        }
    }
    (kept, findings)
}

/// How the log at that path begins; `None` if it can be read only once, or has
/// no time.
fn start(path: &Path) -> Result<Option<Start>, Sentence> {
    /// Damaged places before the first record that are passed over.
    const DAMAGE_MAX: usize = 100;
    let is_file = path.as_os_str() != "-" && metadata(path).is_ok_and(|file| file.is_file());
    if !is_file {
        return Ok(None);
    }
    let mut log = Log::open(path)?;
    log.quiet();
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
                Ok(Some(Item::Note(text))) => {
                    if let Some(note) = NoteText::read(text).filter(|note| note.name == "log") {
                        start.host = note.text("host").map(str::to_owned);
                        start.time_ns = note.seconds("time").unwrap_or_default();
                    }
                }
                Ok(None) => return Ok((start.time_ns > 0).then_some(start)),
                Err(_) => break,
            }
        }
    }
    Ok((start.time_ns > 0).then_some(start))
}

/// Puts a log after the one that was rotated just before its first snapshot,
/// also where the clock was set back between the two.
fn continue_rotated(logs: &mut Vec<(Start, PathBuf)>) {
    for number in 0..logs.len() {
        let (start, path) = &logs[number];
        let Some(last) = last_of_rotated(path) else { continue };
        let host = start.host.clone();
        let is_next = |(other, _): &&(Start, PathBuf)| other.host == host && other.snapshot == last + 1;
        // Where there are two, the clock has to decide.
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

/// The number of the last snapshot in a log that was rotated; `None` if it was
/// not, or is compressed.
fn last_of_rotated(path: &Path) -> Option<u64> {
    /// Room for the closing lines.
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let starts = [&b"rotated time="[..], b"\"note\":\"rotated\""];
    let note = &tail[starts.iter().find_map(|start| memmem::rfind(&tail, start))?..];
    let digits = [&b" snapshots="[..], b"\"snapshots\":"];
    let number = digits.iter().find_map(|key| Some(&note[memmem::find(note, key)? + key.len()..]))?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&number[..digits]).ok()?.parse().ok()
}
