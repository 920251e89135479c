// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Opening network namespaces, and noticing those that appear and disappear.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, read_to_string};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{MsgFlags, recv};

use super::find::Finder;
use super::message::{Event, Sockets, send};
use crate::linux::{diag, ledger};
use crate::{Stacks, system_error};

/// The time between two searches.
const INTERVAL_MS: u16 = 1000;

/// The namespace of this thread.
const HERE: &str = "/proc/thread-self/ns/net";

/// The number of descriptors that are left for everything except the sockets of namespaces.
const RESERVED: u64 = 64;

/// Why a search failed.
pub enum ScanError {
    /// The namespaces cannot be listed.
    Find(io::Error),
    /// The thread could not return to its namespace, and must not continue.
    Return(io::Error),
}

/// Opens the selected network namespaces, and watches for others.  It enters each of them,
/// which requires `CAP_SYS_ADMIN`, and `CAP_SYS_PTRACE` to find those of other users'
/// processes.
///
/// It has no open files except while it runs, so a process can be forked for it.
pub struct Watcher {
    finder: Finder,
    has_ledger: bool,
    /// The names of those that were opened, by inode.
    open: BTreeMap<u64, String>,
    /// Those that could not be opened.
    failed: HashSet<u64>,
    /// How many can be open.  Any user can create namespaces, which must not use up the
    /// descriptors.
    max: usize,
    /// Whether it was reported that there are more.
    has_reported_more: bool,
    /// Whether it was reported that processes cannot be read.
    has_warned: bool,
}

impl Watcher {
    /// Creates a watcher of these namespaces.
    pub(super) fn new(stacks: Stacks) -> io::Result<Self> {
        let finder = Finder::new(stacks)?;
        let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self {
            finder,
            has_ledger: false,
            open: BTreeMap::new(),
            failed: HashSet::new(),
            // Each has two sockets.
            max: usize::try_from(descriptors.saturating_sub(RESERVED) / 2).unwrap_or(usize::MAX).max(1),
            has_reported_more: false,
            has_warned: false,
        })
    }

    /// Sets whether the sockets for final records are opened.
    pub(super) fn set_ledger(&mut self, has_ledger: bool) {
        self.has_ledger = has_ledger;
    }

    /// Reports all namespaces again.
    pub(super) fn restart(&mut self) {
        self.open.clear();
        self.failed.clear();
    }

    /// Returns the finder of its namespaces.
    pub(super) fn finder(&self) -> &Finder {
        &self.finder
    }

    /// Watches namespaces once a second, until the source closes its end of the socket pair.
    ///
    /// Must be called in a thread of its own, which enters the namespaces.
    #[allow(clippy::needless_pass_by_value, reason = "the end of the function closes the socket")]
    pub fn run(mut self, source: OwnedFd) {
        loop {
            let mut waiting = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
            // An interrupted call only causes an early search.
            _ = poll(&mut waiting, PollTimeout::from(INTERVAL_MS));
            let is_asked = waiting[0].any().unwrap_or(false);
            if is_asked {
                // Any packet asks for all namespaces.
                match recv(source.as_raw_fd(), &mut [0; 8], MsgFlags::MSG_DONTWAIT) {
                    Ok(len) if len > 0 => self.restart(),
                    _ => return,
                }
            }
            let events = match self.scan() {
                Ok(events) => events,
                // The next search may succeed.
                Err(ScanError::Find(_)) => Vec::new(),
                Err(ScanError::Return(_)) => return,
            };
            let complete = is_asked.then_some(Event::Complete);
            if events.iter().chain(&complete).any(|event| send(&source, event).is_err()) {
                return;
            }
        }
    }

    /// Searches for namespaces, and opens new ones.
    ///
    /// Must be called in a thread of its own.
    pub(super) fn scan(&mut self) -> Result<Vec<Event>, ScanError> {
        let is_first = self.open.is_empty();
        let mut found = self.finder.find(is_first).map_err(ScanError::Find)?;
        if self.open.keys().any(|inode| !found.contains_key(inode)) {
            // A process may have entered it unnoticed.
            found = self.finder.find(true).map_err(ScanError::Find)?;
        }
        let mut events = Vec::new();
        // With the capability, a security module or another user namespace forbids it.
        if self.finder.unreadable > 0 && !can_trace() && !std::mem::replace(&mut self.has_warned, true) {
            events.push(Event::Warning(format!(
                "the network namespaces of {} processes cannot be read; this requires CAP_SYS_PTRACE",
                self.finder.unreadable
            )));
        }
        self.open.retain(|inode, _| {
            let is_found = found.contains_key(inode);
            if !is_found {
                events.push(Event::Gone(*inode));
            }
            is_found
        });
        self.failed.retain(|inode| found.contains_key(inode));
        for (inode, each) in found {
            if let Some(name) = self.open.get_mut(&inode) {
                if *name != each.name {
                    name.clone_from(&each.name);
                    events.push(Event::Renamed(inode, each.name));
                }
                continue;
            }
            if self.open.len() >= self.max {
                if !std::mem::replace(&mut self.has_reported_more, true) {
                    let max = self.max;
                    events.push(Event::Warning(format!(
                        "only {max} network namespaces can be open, because of the limit of open files; ignoring others"
                    )));
                }
                continue;
            }
            match self.sockets(&each.path, inode)? {
                Ok(sockets) => {
                    self.failed.remove(&inode);
                    self.open.insert(inode, each.name.clone());
                    events.push(Event::Opened(inode, each.name, sockets));
                }
                // It has just disappeared.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => (),
                Err(error) => {
                    if self.failed.insert(inode) {
                        let why = system_error(&error);
                        let text = format!("network namespace {} cannot be opened: {why}", each.name);
                        events.push(Event::Warning(text));
                    }
                }
            }
        }
        Ok(events)
    }

    /// Opens the sockets of a namespace.
    fn sockets(&self, path: &Path, inode: u64) -> Result<io::Result<Sockets>, ScanError> {
        let enter = || {
            let (here, there) = (File::open(HERE)?, File::open(path)?);
            if there.metadata()?.ino() != inode {
                return Err(io::Error::from_raw_os_error(libc::ENOENT));
            }
            setns(&there, CloneFlags::CLONE_NEWNET)?;
            Ok(here)
        };
        let here = match enter() {
            Ok(here) => here,
            Err(error) => return Ok(Err(error)),
        };
        let open = || {
            let diag = diag::socket()?;
            let destroyed = if self.has_ledger { ledger::listen()? } else { None };
            Ok(Sockets { diag, destroyed })
        };
        let sockets = open();
        setns(&here, CloneFlags::CLONE_NEWNET).map_err(|errno| ScanError::Return(errno.into()))?;
        Ok(sockets)
    }
}

/// Returns whether this thread has `CAP_SYS_PTRACE`.
fn can_trace() -> bool {
    const CAP_SYS_PTRACE: u64 = 19;
    let status = read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_SYS_PTRACE & 1 == 1)
}

/// Returns whether this thread can enter network namespaces at all.
pub fn can_enter() -> bool {
    File::open(HERE).is_ok_and(|here| setns(&here, CloneFlags::CLONE_NEWNET).is_ok())
}
