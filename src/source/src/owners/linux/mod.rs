// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Owners on Linux: a socket has an inode number, and a process has a socket open if a link in
//! /proc/PID/fd contains it.
//!
//! Reading a link costs as much as two sockets of a dump, so links are not read again without a
//! reason.  Only threads of a process change its descriptors, so those of a process are
//! unchanged if none of its threads has run: `schedstat` shows that.
//!
//! - A process that is new is read completely.
//! - A process that has run is read again if the number of its descriptors has changed (since
//!   Linux 6.2, the kernel reports it) or one of its sockets is gone.  Only descriptors that
//!   were not sockets, or whose sockets are gone, are read.
//! - If no process is known to have a socket of the call open, processes that have run are read
//!   until one is found.
//! - If a socket of one process appears in another, the first is read again, if it has run.
//! - All other processes that have run are read completely, one after another, as far as the
//!   budget of the call allows.
//!
//! What can be late: a process that is running closes one descriptor and receives another socket
//! between two calls, so that their number is the same, while both sockets remain open in other
//! processes.  This is noticed when the turn of one of the processes comes, after as many calls
//! as all processes that have run have descriptors, divided by the budget.  From then on, and
//! after any other socket has been passed to another process, every process that has run is
//! read within two calls, for some time.  Until then, such a socket has the owner that it had
//! before.  The number of processes that have a socket open can be late in the same way.
//!
//! A call that has read processes for [`TIME_MAX`] leaves the others to the next calls.
//!
//! A process that is still on a CPU without interruption counts as having run after the next
//! tick of the timer.  The command is that of the call, the container that of the last complete
//! reading.

mod numbers;
mod parse;
mod process;
mod procfs;
mod sockets;

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use self::numbers::NumberMap;
use self::process::{Extent, Known};
use self::procfs::Proc;
use self::sockets::Sockets;
use super::{Owner, Owners, Process, Socket};
use crate::Error;

/// How long a call reads processes.  After that, it completes only the process that it is
/// reading, and leaves the others to the next calls: any user can create processes with more
/// descriptors than can be read in the time that the caller waits.
const TIME_MAX: Duration = Duration::from_secs(3);

/// For how many calls a process is assumed to exchange descriptors after it has.
const EXCHANGES_FOR: u64 = 64;

/// A search that is repeated reads completely as many descriptors as in this many turns.
const SEARCH: i64 = 8;

/// If more processes than this have no socket open, they are checked in turns of about as many.
const IDLE_CHECKS: u64 = 64;

/// Finds the owners of sockets.
///
/// Sockets of processes that the system does not allow to inspect have no owner.
/// `CAP_SYS_PTRACE` allows to inspect all of them.
pub struct Finder {
    proc: Proc,
    call: u64,
    processes: NumberMap<Known>,
    sockets: Sockets,
    /// Sockets of the call that no process is known to have open, and that are searched for.
    wanted: Vec<u32>,
    /// How many descriptors are read in turn in this call: for 10,000 sockets, in a twentieth of
    /// the time that a dump of them takes.
    budget: i64,
    /// What is left of it.
    credit: i64,
    /// Until when this call reads processes.
    until: Instant,
    /// Up to this call, any process is assumed to exchange descriptors.
    exchanges_until: u64,
}

impl Finder {
    /// Opens /proc.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn open() -> Result<Self, Error> {
        let proc = Proc::open().map_err(Error::Proc)?;
        Ok(Self {
            proc,
            call: 0,
            processes: NumberMap::default(),
            sockets: Sockets::default(),
            wanted: Vec::new(),
            budget: 0,
            credit: 0,
            until: Instant::now(),
            exchanges_until: 0,
        })
    }

    /// Returns the owner of each of these sockets as of now, in their order.
    ///
    /// # Errors
    /// Returns the error of the system if /proc cannot be read.
    pub fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
        self.call += 1;
        self.until = Instant::now() + TIME_MAX;
        let noted = self.sockets.note(sockets, self.call);
        self.wanted = noted.wanted;
        for (inode, pid) in noted.reused {
            if let Some(known) = self.processes.get_mut(&pid) {
                known.forget(inode);
            }
        }
        self.check_all().map_err(|error| Error::Proc(io::Error::from(error)))?;
        self.read_in_turn(sockets.len());
        for pid in self.stale(|pid, known| known.has_new_count() || noted.lost.binary_search(&pid).is_ok()) {
            self.read(pid, Extent::Likely);
        }
        self.search();
        Ok(self.answers())
    }

    /// Checks the processes in /proc, adds new ones, and removes those that are gone.
    fn check_all(&mut self) -> Result<(), Errno> {
        let mut listed = NumberMap::default();
        self.proc.processes(|pid, directory| _ = listed.insert(pid, directory))?;
        let gone: Vec<u32> = self.processes.keys().copied().filter(|pid| !listed.contains_key(pid)).collect();
        for pid in gone {
            self.remove(pid);
        }
        let turns = 1 + self.processes.values().filter(|known| known.is_idle()).count() as u64 / IDLE_CHECKS;
        for (pid, directory) in listed {
            let known = self.processes.get(&pid).filter(|known| known.directory == directory);
            let is_turn = (u64::from(pid) + self.call).is_multiple_of(turns);
            if known.is_none_or(|known| !known.stat.is_kernel_thread && (is_turn || !known.is_idle())) {
                self.check(pid, directory);
            }
        }
        Ok(())
    }

    fn check(&mut self, pid: u32, directory: u64) {
        let (proc, call) = (&mut self.proc, self.call);
        if let Some(known) = self.processes.get_mut(&pid) {
            match known.check(proc, pid, directory, call) {
                Ok(true) => return,
                Ok(false) | Err(_) => self.remove(pid),
            }
        }
        if let Ok(known) = Known::new(&mut self.proc, pid, directory, call) {
            self.processes.insert(pid, known);
        }
    }

    fn remove(&mut self, pid: u32) {
        if let Some(known) = self.processes.remove(&pid) {
            self.remove_sockets(known.inodes, pid);
        }
    }

    /// Removes sockets that a process no longer has open.  Another process may have them.
    fn remove_sockets(&mut self, inodes: Vec<u32>, pid: u32) {
        let Self { sockets, wanted, .. } = self;
        wanted.extend(inodes.into_iter().filter(|inode| sockets.remove(*inode, pid)));
    }

    /// Returns the processes that may have changed and fulfil a condition, those with the fewest
    /// descriptors first.
    fn stale(&self, condition: impl Fn(u32, &Known) -> bool) -> Vec<u32> {
        let stale = self.processes.iter().filter(|(pid, known)| known.is_stale(self.call) && condition(**pid, known));
        let mut pids: Vec<(u64, u32)> = stale.map(|(pid, known)| (known.cost(), *pid)).collect();
        pids.sort_unstable();
        pids.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Reads a process, and completely those from which it may have received a socket.  Returns
    /// the cost in descriptors.
    fn read(&mut self, pid: u32, extent: Extent) -> u64 {
        let (mut pending, mut cost) = (vec![(pid, extent)], 0);
        while let Some((pid, extent)) = pending.pop().filter(|_| Instant::now() < self.until) {
            let Some(known) = self.processes.get_mut(&pid).filter(|known| known.is_stale(self.call)) else { continue };
            let is_present = |inode| self.sockets.is_present(inode);
            let Ok(reading) = known.read(&mut self.proc, pid, extent, is_present, self.call, self.until) else {
                self.remove(pid);
                continue;
            };
            cost += reading.cost;
            let has_given = reading.removed.iter().any(|inode| self.sockets.is_present(*inode));
            let mut sources = Vec::new();
            for inode in reading.added {
                sources.extend(self.sockets.add(inode, pid));
            }
            sources.sort_unstable();
            sources.dedup();
            if reading.was_known && (has_given || !sources.is_empty()) {
                known.exchanges_until = self.call + EXCHANGES_FOR;
                self.exchanges_until = known.exchanges_until;
            }
            self.remove_sockets(reading.removed, pid);
            for source in sources {
                if let Some(known) = self.processes.get_mut(&source) {
                    // It may not have closed its descriptor yet.
                    known.exchanges_until = known.exchanges_until.max(self.call + 1);
                }
                pending.push((source, Extent::Complete));
            }
        }
        cost
    }

    /// Reads new processes, those that exchange descriptors, and as many others as the budget
    /// allows, the longest unread first.
    fn read_in_turn(&mut self, sockets: usize) {
        for pid in self.stale(|_, known| known.complete == 0 || known.exchanges_until >= self.call) {
            self.read(pid, Extent::Complete);
        }
        self.budget = 160 + i64::try_from(sockets / 100).unwrap_or(i64::MAX / SEARCH);
        if self.exchanges_until >= self.call {
            let stale = self.processes.values().filter(|known| known.is_stale(self.call));
            let cost = stale.map(Known::cost).sum::<u64>();
            self.budget = self.budget.max(i64::try_from(cost / 2).unwrap_or(i64::MAX / SEARCH));
        }
        let credit = self.credit.saturating_add(self.budget).min(self.budget);
        self.credit = self.read_oldest(credit);
    }

    /// Reads processes that have run, the longest unread first, until a number of descriptors
    /// has been read.  Those that have sockets of a call open come before those that were read
    /// up to 16 calls earlier and have none.  Returns how many are left of that number; less than 0 if the last process
    /// had more.
    fn read_oldest(&mut self, mut credit: i64) -> i64 {
        let mut stale = self.stale(|_, _| true);
        let age = |known: &Known| {
            known.complete + if known.inodes.iter().any(|inode| self.sockets.was_listed(*inode)) { 0 } else { 16 }
        };
        stale.sort_by_key(|pid| self.processes.get(pid).map(age));
        for pid in stale {
            if credit <= 0 {
                break;
            }
            credit = credit.saturating_sub_unsigned(self.read(pid, Extent::Complete));
        }
        credit
    }

    /// Searches for the processes that have the wanted sockets open.
    fn search(&mut self) {
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_unstable();
        wanted.dedup();
        let is_repeated = wanted.iter().any(|inode| self.sockets.was_searched(*inode));
        let mut last = None;
        let mut found_all = |finder: &Self, wanted: &mut Vec<u32>| {
            // There may be as many sockets as processes, so compare them only if one was found.
            let found = Some(finder.sockets.found());
            if last != found {
                wanted.retain(|inode| finder.sockets.is_unowned(*inode));
                last = found;
            }
            wanted.is_empty()
        };
        if found_all(self, &mut wanted) {
            return;
        }
        let idle = self.processes.iter().filter(|(_, known)| known.is_idle());
        let idle: Vec<(u32, u64)> = idle.map(|(pid, known)| (*pid, known.directory)).collect();
        let mut stale = self.stale(|_, _| true);
        // Those that have run since the last call first.
        stale.sort_by_key(|pid| self.processes.get(pid).map(|known| std::cmp::Reverse(known.ran)));
        for pid in stale {
            self.read(pid, Extent::Likely);
            if found_all(self, &mut wanted) {
                return;
            }
        }
        for (pid, directory) in idle {
            self.check(pid, directory);
            self.read(pid, Extent::Complete);
            if found_all(self, &mut wanted) {
                return;
            }
        }
        if is_repeated {
            self.read_oldest(SEARCH * self.budget);
        }
        found_all(self, &mut wanted);
        for inode in wanted {
            self.sockets.not_found(inode);
        }
    }

    fn answers(&self) -> Owners {
        let answer = |(pid, processes)| {
            let known = self.processes.get(&pid)?;
            let process = Process { pid, command: known.stat.command, processes };
            Some(Owner { process: Some(process), container: known.container, jail: None })
        };
        Owners::collect(self.sockets.owners(), |owner| owner.and_then(answer).unwrap_or_default())
    }
}
