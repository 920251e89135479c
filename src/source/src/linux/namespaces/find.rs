// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Finding network namespaces: those that have a name, and those of processes.
//!
//! A namespace is identified by the inode of its file in nsfs.  Only new processes are
//! inspected each time, and a few of the others, because a process can enter a namespace at
//! any time.

use std::collections::BTreeMap;
use std::fs::read_dir;
use std::io;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::stat;

use crate::Stacks;

/// Where `ip netns` and Docker mount namespaces under their names.  The second is usually a
/// link to the first.
const DIRECTORIES: [&str; 3] = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

/// The namespace of the process itself.
const OWN: &str = "/proc/self/ns/net";

/// How many times a new process is inspected: it may have been found before it entered a
/// namespace.
const INSPECTIONS: u8 = 3;

/// How many of the other processes are inspected each time.
const OTHERS: usize = 100;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name, or its inode number.
    pub name: String,
    /// A file with which it can be entered.
    pub path: PathBuf,
}

/// What is known about a process.
#[derive(Clone, Copy, Default)]
struct Process {
    /// The inode of its namespace, `None` if it cannot be read.
    netns: Option<u64>,
    inspections: u8,
}

/// Finds namespaces.
pub struct Finder {
    stacks: Stacks,
    /// The device number of nsfs.
    device: u64,
    own: u64,
    processes: BTreeMap<u32, Process>,
    /// The process that was inspected last, of those that are not new.
    last: u32,
    /// The number of processes whose namespace this process is not allowed to read.
    pub unreadable: usize,
}

impl Finder {
    /// Creates a finder of these namespaces.
    ///
    /// # Errors
    /// Returns the error of the system if `/proc` is not mounted.
    pub fn new(stacks: Stacks) -> io::Result<Self> {
        let own = stat(OWN)?;
        Ok(Self { stacks, device: own.st_dev, own: own.st_ino, processes: BTreeMap::new(), last: 0, unreadable: 0 })
    }

    /// Returns the selected namespaces by their inodes.  All processes are inspected if
    /// `is_thorough` is set.
    ///
    /// # Errors
    /// Returns the error of the system if some of them may be missing.
    pub fn find(&mut self, is_thorough: bool) -> io::Result<BTreeMap<u64, Found>> {
        let mut found = BTreeMap::new();
        for (name, inode, path) in self.named()? {
            if self.selects(Some(&name), inode) {
                found.entry(inode).or_insert(Found { name, path });
            }
        }
        let mut add = |inode: u64, path: &dyn Fn() -> PathBuf| {
            found.entry(inode).or_insert_with(|| Found { name: inode.to_string(), path: path() });
        };
        if self.selects(None, self.own) {
            add(self.own, &|| OWN.into());
        }
        if self.needs_processes() {
            self.inspect(is_thorough)?;
            for (pid, process) in &self.processes {
                if let Some(inode) = process.netns.filter(|inode| self.selects(None, *inode)) {
                    add(inode, &|| of_process(*pid));
                }
            }
        }
        Ok(found)
    }

    /// Returns the names of all namespaces that have one.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.named()?.into_iter().map(|(name, ..)| name).collect())
    }

    /// Returns the first selected name or number that does not exist, after a search.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub fn missing(&self) -> io::Result<Option<String>> {
        let Stacks::Netns(list) = &self.stacks else {
            return Ok(None);
        };
        let named = self.named()?;
        let exists = |wanted: &String| {
            let number = wanted.parse::<u64>().ok();
            named.iter().any(|(name, inode, _)| name == wanted || Some(*inode) == number)
                || self.processes.values().any(|process| process.netns.is_some() && process.netns == number)
        };
        Ok(list.iter().find(|wanted| !exists(wanted)).cloned())
    }

    fn selects(&self, name: Option<&str>, inode: u64) -> bool {
        match &self.stacks {
            Stacks::Netns(list) => list.iter().any(|each| name == Some(each.as_str()) || each.parse() == Ok(inode)),
            _ => true,
        }
    }

    /// Returns whether a namespace without a name can be selected.
    fn needs_processes(&self) -> bool {
        match &self.stacks {
            Stacks::Netns(list) => list.iter().any(|each| each.parse::<u64>().is_ok()),
            _ => true,
        }
    }

    /// Returns the inode of a namespace, or `None` if the file is not one or is gone.
    fn inode(&self, path: &Path) -> io::Result<Option<u64>> {
        match stat(path) {
            Ok(file) => Ok(Some(file.st_ino).filter(|_| file.st_dev == self.device)),
            Err(Errno::ENOENT | Errno::ESRCH | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns the namespaces that have names: the name, the inode and the path.
    fn named(&self) -> io::Result<Vec<(String, u64, PathBuf)>> {
        let (mut named, mut directories) = (Vec::new(), Vec::new());
        for directory in DIRECTORIES {
            let id = match stat(directory) {
                Ok(stat) => (stat.st_dev, stat.st_ino),
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if directories.contains(&id) {
                continue;
            }
            directories.push(id);
            let entries = match read_dir(directory) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
                    continue;
                }
                entries => entries?,
            };
            let first = named.len();
            for entry in entries {
                let path = entry?.path();
                if let (Some(inode), Some(name)) = (self.inode(&path)?, path.file_name()) {
                    named.push((name.to_string_lossy().into_owned(), inode, path));
                }
            }
            named[first..].sort();
        }
        Ok(named)
    }

    /// Inspects processes, and forgets those that have exited.
    fn inspect(&mut self, is_thorough: bool) -> io::Result<()> {
        let mut running = BTreeMap::new();
        for entry in read_dir("/proc")? {
            if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                running.insert(pid, self.processes.get(&pid).copied().unwrap_or_default());
            }
        }
        let known = |(_, process): &(&u32, &Process)| process.inspections >= INSPECTIONS;
        let after = running.range((Excluded(self.last), Unbounded)).filter(known);
        let others: Vec<_> =
            after.chain(running.range(..=self.last).filter(known)).map(|(pid, _)| *pid).take(OTHERS).collect();
        self.last = others.last().copied().unwrap_or(self.last);
        let mut unreadable = 0;
        for (pid, process) in &mut running {
            if !is_thorough && process.inspections >= INSPECTIONS && !others.contains(pid) {
                continue;
            }
            process.inspections = process.inspections.saturating_add(1);
            process.netns = match self.inode(&of_process(*pid)) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    unreadable += 1;
                    None
                }
                inode => inode?,
            };
        }
        self.unreadable = unreadable;
        self.processes = running;
        Ok(())
    }
}

/// Returns the file of the namespace of a process.
fn of_process(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}
