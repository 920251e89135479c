// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What is remembered about each process: which sockets it has open.

use std::cmp::Ordering;
use std::time::Instant;

use rustix::io::Errno;

use super::parse::{Activity, Stat};
use super::procfs::{Descriptors, Proc, ProcessDirectory, is_gone};

/// The activity of a process with more threads is not determined, as that would cost more than
/// reading its descriptors.  Such a process is assumed to have run.
const THREADS_MAX: u32 = 8;

/// A process that has run in this many successive calls is assumed to run in the next ones too.
/// It is checked again at two successive calls of as many.
const BUSY_CALLS: u64 = 8;

/// The cost of reading a process without descriptors: that of this many.
const READING_COST: u64 = 8;

/// A descriptor of a socket, and the socket's inode number.
type Descriptor = (u32, u32);

/// How much of a process is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Complete,
    /// Descriptors that were not sockets that are still in use.
    Likely,
}

/// A process.
pub struct Known {
    /// The inode number of its directory in /proc.
    pub directory: u64,
    /// What its stat contained when it was last read.
    pub stat: Stat,
    /// Its container or control group.
    pub container: Option<[u8; 64]>,
    /// The sockets that it has open, in ascending order.
    pub inodes: Vec<u32>,
    /// The call in which it was last read completely, 0 if it was not.
    pub complete: u64,
    /// Up to this call, it is assumed to exchange descriptors with other processes.
    pub exchanges_until: u64,
    /// The call in which it was last found to have run.
    pub ran: u64,
    /// What `ran` was when it was last read completely.
    complete_ran: Option<u64>,
    /// The activity of each of its threads, as of `ran`; `None` if unknown.
    activity: Option<ActivityOfThreads>,
    /// In how many successive calls it had run.
    busy_calls: u64,
    /// Its descriptors as last counted, and how many there were before they were last read.
    counted: Descriptors,
    read_number: Option<u64>,
    /// When the system did not allow to read the descriptors: their owner, and the call.
    denied: Option<((u32, u32), u64)>,
    /// The descriptors of its first thread that are sockets.
    descriptors: Vec<Descriptor>,
    /// The sockets among descriptors that only other threads have.
    further: Vec<u32>,
}

/// What was found when a process was read.
pub struct Reading {
    /// Sockets that the process did not have open before.
    pub added: Vec<u32>,
    /// Sockets that it no longer has open.
    pub removed: Vec<u32>,
    /// Whether it had been read before.
    pub was_known: bool,
    /// The cost, in descriptors.
    pub cost: u64,
}

/// The activity of threads.
type ActivityOfThreads = Vec<(u32, Activity)>;

/// Returns the activity of threads of a process, `None` if one is gone or the kernel does not
/// count.
fn activity_of(proc: &mut Proc, pid: u32, threads: impl IntoIterator<Item = u32>) -> Option<ActivityOfThreads> {
    threads.into_iter().map(|thread| Some((thread, proc.activity(pid, thread).ok()?))).collect()
}

/// Returns the activity of all threads of a process, `None` if unknown.
fn activity_of_all(proc: &mut Proc, pid: u32, threads: u32) -> Option<ActivityOfThreads> {
    match threads {
        1 => activity_of(proc, pid, [pid]),
        2..=THREADS_MAX => {
            let threads = proc.threads(pid).ok()?;
            activity_of(proc, pid, threads)
        }
        _ => None,
    }
}

impl Known {
    /// Returns a process that has not been read.
    ///
    /// # Errors
    /// Returns the error of the system, for example if the process is gone.
    pub fn new(proc: &mut Proc, pid: u32, directory: u64, call: u64) -> Result<Self, Errno> {
        let stat = proc.stat(pid)?;
        Ok(Self {
            directory,
            stat,
            container: None,
            inodes: Vec::new(),
            complete: 0,
            exchanges_until: 0,
            ran: call,
            complete_ran: None,
            activity: if stat.is_kernel_thread { None } else { activity_of_all(proc, pid, stat.threads) },
            busy_calls: 0,
            counted: proc.descriptors(pid)?,
            read_number: None,
            denied: None,
            descriptors: Vec::new(),
            further: Vec::new(),
        })
    }

    /// Determines whether the process has run since the last call, and what that may have
    /// changed.  Returns `false` if the number now belongs to another process.
    ///
    /// # Errors
    /// Returns the error of the system, for example if the process is gone.
    pub fn check(&mut self, proc: &mut Proc, pid: u32, directory: u64, call: u64) -> Result<bool, Errno> {
        let is_assumed = self.busy_calls >= BUSY_CALLS && (u64::from(pid) + call) % BUSY_CALLS > 1;
        let known = self.activity.as_ref().filter(|_| !is_assumed);
        let threads = known.map(|known| known.iter().map(|(thread, _)| *thread));
        let activity = threads.and_then(|threads| activity_of(proc, pid, threads));
        // Only a thread of the process changes its descriptors, its command or its threads.
        if activity.is_some() && activity == self.activity && directory == self.directory {
            self.busy_calls = 0;
            return Ok(true);
        }
        let stat = proc.stat(pid)?;
        if stat.start != self.stat.start {
            return Ok(false);
        }
        self.ran = call;
        self.directory = directory;
        self.stat = stat;
        // If there are as many threads and all known ones exist, then they are the same.
        let is_of_all = |activity: &Vec<_>| u32::try_from(activity.len()) == Ok(stat.threads);
        self.activity = match activity.filter(is_of_all) {
            None if !is_assumed => activity_of_all(proc, pid, stat.threads),
            activity => activity,
        };
        self.busy_calls += 1;
        self.counted = proc.descriptors(pid)?;
        Ok(true)
    }

    /// Returns whether it is a program that has no socket open.
    pub fn is_idle(&self) -> bool {
        self.inodes.is_empty() && !self.stat.is_kernel_thread
    }

    /// Returns whether its descriptors may have changed since they were read completely.
    ///
    /// A process that has not run is read after some calls nevertheless, because another
    /// process may have changed its descriptors: one that shares them (`CLONE_FILES`).  So is
    /// one whose descriptors could not be read.
    pub fn is_stale(&self, call: u64) -> bool {
        /// In calls.
        const COMPLETE_FOR: u64 = 512;
        const DENIED_FOR: u64 = 64;
        let has_changed = self.complete_ran != Some(self.ran) || call - self.complete >= COMPLETE_FOR;
        let is_denied = self.denied.is_some_and(|(owner, at)| owner == self.counted.owner && call - at < DENIED_FOR);
        self.complete != call && has_changed && !is_denied && !self.stat.is_kernel_thread
    }

    /// Returns the expected cost of reading it, in descriptors.
    pub fn cost(&self) -> u64 {
        READING_COST + self.counted.number.max(self.descriptors.len() as u64)
    }

    /// Returns whether the number of its descriptors has changed since they were read.
    pub fn has_new_count(&self) -> bool {
        self.read_number != Some(self.counted.number)
    }

    /// Removes a socket, whose inode number now belongs to another one.
    pub fn forget(&mut self, inode: u32) {
        self.inodes.retain(|known| *known != inode);
        self.descriptors.retain(|(_, known)| *known != inode);
        self.further.retain(|known| *known != inode);
        self.complete_ran = None;
        self.read_number = None;
    }

    /// Reads its descriptors.  `is_present` returns whether a socket is still in use.  Those that
    /// only other threads than the first have are read until the time `until`.
    ///
    /// # Errors
    /// Returns an error if the process is gone.
    pub fn read(
        &mut self,
        proc: &mut Proc,
        pid: u32,
        extent: Extent,
        is_present: impl Fn(u32) -> bool,
        call: u64,
        until: Instant,
    ) -> Result<Reading, Errno> {
        let process = proc.process(pid)?;
        let stat = proc.stat_of(&process)?;
        if stat.start != self.stat.start {
            return Err(Errno::SRCH);
        }
        self.stat = stat;
        let is_complete = extent == Extent::Complete;
        let keep = |inode| !is_complete && is_present(inode);
        let mut cost = self.cost();
        self.denied = None;
        let (descriptors, is_final) = match read_descriptors(proc, &process, None, &self.descriptors, keep) {
            Ok(descriptors) => (descriptors, true),
            // For example that of another user.
            Err(Errno::ACCESS | Errno::PERM) => {
                self.denied = Some((self.counted.owner, call));
                (Vec::new(), true)
            }
            Err(error) if is_gone(error) => return Err(error),
            // There may be no free descriptor now.
            Err(_) => (Vec::new(), false),
        };
        if is_complete {
            self.container = proc.container_of(&process);
            self.further.clear();
            if stat.threads > 1 {
                let threads = proc.threads_of(&process)?;
                cost += threads.len() as u64;
                for thread in separate(&process, pid, &threads, self.counted.number) {
                    if Instant::now() >= until {
                        break;
                    }
                    let of_thread = read_descriptors(proc, &process, Some(thread), &[], |_| false).unwrap_or_default();
                    cost += of_thread.len() as u64;
                    self.further.extend(of_thread.iter().map(|(_, inode)| *inode));
                }
            }
        }
        let mut inodes: Vec<u32> = descriptors.iter().map(|(_, inode)| *inode).collect();
        inodes.extend(&self.further);
        inodes.sort_unstable();
        inodes.dedup();
        // A process can have a socket open any number of times.
        inodes.shrink_to_fit();
        let was_known = self.read_number.is_some();
        self.descriptors = descriptors;
        self.read_number = Some(self.counted.number);
        if is_complete && is_final {
            (self.complete, self.complete_ran) = (call, Some(self.ran));
        }
        let added = missing(&inodes, &self.inodes);
        let removed = missing(&self.inodes, &inodes);
        self.inodes = inodes;
        Ok(Reading { added, removed, was_known, cost })
    }
}

/// Returns the sockets among the descriptors of a process or a thread.  A known socket that is
/// to be kept is not read again.
fn read_descriptors(
    proc: &mut Proc,
    process: &ProcessDirectory,
    thread: Option<u32>,
    known: &[Descriptor],
    keep: impl Fn(u32) -> bool,
) -> Result<Vec<Descriptor>, Errno> {
    let mut found = Vec::with_capacity(known.len());
    let mut known = known.iter().copied().peekable();
    proc.each_descriptor(process, thread, |number, inode| {
        while known.next_if(|(earlier, _)| *earlier < number).is_some() {}
        let same = known.next_if(|(same, _)| *same == number).filter(|(_, inode)| keep(*inode));
        let inode = if let Some((_, kept)) = same { Some(kept) } else { inode()? };
        found.extend(inode.map(|inode| (number, inode)));
        Ok(())
    })?;
    Ok(found)
}

/// Returns threads that have descriptors of their own, which are not those of the first thread:
/// because they called `unshare(CLONE_FILES)`, or because the first thread has exited.
fn separate(process: &ProcessDirectory, pid: u32, threads: &[u32], count: u64) -> Vec<u32> {
    // One thread for each set of descriptors, in the order of kcmp(2).
    let mut separate = vec![pid];
    for thread in threads.iter().copied().filter(|thread| *thread != pid) {
        let mut is_known = true;
        let found = separate.binary_search_by(|other| {
            compare_descriptors(*other, thread).unwrap_or_else(|| {
                is_known = false;
                Ordering::Equal
            })
        });
        match found {
            Ok(_) if is_known || process.descriptors(thread).is_ok_and(|number| number == count) => (),
            Ok(at) | Err(at) => separate.insert(at, thread),
        }
    }
    separate.retain(|thread| *thread != pid);
    separate
}

/// Compares the descriptors of two threads, which are equal if they are shared, in an order that
/// does not change.  Returns `None` if the kernel does not allow to compare them.
fn compare_descriptors(thread: u32, other: u32) -> Option<Ordering> {
    /// `KCMP_FILES` of linux/kcmp.h.
    const FILES: libc::c_int = 2;
    let [thread, other] = [thread, other].map(u32::cast_signed);
    // SAFETY: kcmp(2) takes two thread numbers and no pointer.
    match unsafe { libc::syscall(libc::SYS_kcmp, thread, other, FILES, 0_u64, 0_u64) } {
        0 => Some(Ordering::Equal),
        1 => Some(Ordering::Less),
        2 => Some(Ordering::Greater),
        _ => None,
    }
}

/// Returns the elements of a sorted list that are not in another one.
fn missing(list: &[u32], from: &[u32]) -> Vec<u32> {
    let mut from = from.iter().copied().peekable();
    let is_missing = |element: &u32| {
        while from.next_if(|other| other < element).is_some() {}
        from.peek() != Some(element)
    };
    list.iter().copied().filter(is_missing).collect()
}
