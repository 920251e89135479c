// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Joins connections with processes, by the address of the socket in the kernel.
//!
//! `net.inet.tcp.pcblist` has the number of each connection and the address of its socket, `kern.file` the addresses
//! of the sockets that each process has open.  Three properties of FreeBSD 14 and 15 make the join exact and cheap:
//!
//! - A connection has the same socket from its creation until it is removed from the list (`in_pcballoc()`,
//!   `tcp_usr_detach()`).  An address is therefore remembered for as long as the connection exists.  If the connection
//!   exists before and after the files were read, the files with this address were its own.
//! - New connections have increasing numbers and are inserted at the start of the list, and a sysctl that does not fit
//!   into the buffer fills it.  Only the start of the list has to be read.
//! - The header of the list has the number of times that any socket was created or freed. If it is the same in two
//!   calls, no address was reused in between.

use std::collections::{HashMap, HashSet};
use std::mem::take;

use super::tables::{
    CONNECTION_LEN, CONNECTIONS_HEADER_LEN, Connection, ConnectionsHeader, OpenSocket, OtherLayout, connections,
    connections_header, has_open_sockets, open_sockets,
};
use crate::owners::{Owner, Owners, Process, Socket};
use crate::{Error, Numbered};

/// The vnet of the host in records.
const HOST: u64 = 0;

/// Number of connections that are read in addition to the new ones, for those that were opened after the snapshot.
const SLACK: usize = 32;

/// While the snapshots have the same connections and processes open or close no socket, one of this number of processes is
/// read in each call, because only their commands can have changed.
const ROTATION: u64 = 4;

/// Maximum number of connections that are looked for once more, and of jails whose names are remembered.
const REMEMBERED_MAX: usize = 4096;

/// The tables of the kernel.
pub trait Kernel {
    /// Returns the time since boot in microseconds.
    fn uptime_us(&mut self) -> Result<i64, Error>;

    /// Reads `kern.file`.
    fn files(&mut self) -> Result<&[u8], Error>;

    /// Reads at most `limit` bytes of `net.inet.tcp.pcblist`, or all of it.  Returns whether the list is complete.
    fn connections(&mut self, limit: Option<usize>) -> Result<(&[u8], bool), Error>;

    /// Returns those of the processes that exist and can be seen.
    fn processes(&mut self, pids: &NumberSet) -> Result<NumberMap<StartedProcess>, Error>;

    /// Returns the name of a jail, or `None` if there is no such jail or it cannot be seen.
    fn jail_name(&mut self, jid: u32) -> Option<[u8; 64]>;

    /// Returns whether this process is in a jail, which sees only its own network stack.
    fn is_jailed(&self) -> bool;

    /// Returns whether the newest connections are first in the list.
    fn lists_newest_first(&self) -> bool;
}

/// A process, with the time at which it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedProcess {
    /// In microseconds since boot.
    pub start_us: i64,
    /// The name of its command.
    pub command: [u8; 16],
}

pub type NumberMap<T> = foldhash::HashMap<u64, T>;
pub type NumberSet = foldhash::HashSet<u64>;

/// The processes that have a socket open.
#[derive(Clone, Copy)]
struct Holders {
    lowest: u32,
    processes: u32,
    /// The process that was added last.
    latest: u32,
}

impl Holders {
    const NONE: Self = Self { lowest: 0, processes: 0, latest: 0 };
}

/// The sockets that processes have open.
#[derive(Default)]
struct Files {
    /// In the order of the table, which has the files of a process in succession.
    sockets: Vec<OpenSocket>,
    by_address: NumberMap<Holders>,
}

impl Files {
    fn of(sockets: Vec<OpenSocket>) -> Self {
        let mut by_address = NumberMap::with_capacity_and_hasher(sockets.len(), foldhash::fast::RandomState::default());
        for OpenSocket { address, pid } in sockets.iter().copied() {
            let holders = by_address.entry(address).or_insert(Holders { lowest: pid, processes: 1, latest: pid });
            if holders.latest != pid {
                *holders = Holders { lowest: holders.lowest.min(pid), processes: holders.processes + 1, latest: pid };
            }
        }
        Self { sockets, by_address }
    }

    fn holders(&self, address: u64) -> Holders {
        self.by_address.get(&address).copied().unwrap_or(Holders::NONE)
    }
}

/// What is known about a connection.
#[derive(Clone, Copy)]
struct Known {
    /// The address of its socket.
    address: u64,
    /// The last call in which the list had the connection.
    listed_in: u64,
    /// The last call in which the files changed, when the holders were looked up.
    files_of: u64,
    holders: Holders,
}

/// The connections of the network stack, by their numbers.
#[derive(Default)]
struct Connections {
    known: NumberMap<Known>,
    /// Every connection with this or a lower number is known, unless it has ended, cannot be seen, or was missed.  No
    /// connection with a greater number is.
    last: u64,
    /// Connections that the list did not have, and that are looked for once more.  The kernel assigns a number just
    /// before it inserts the connection, and in rare cases omits the first one.
    missed: NumberSet,
}

impl Connections {
    /// Returns whether a connection that is not known may be in the list.
    fn may_find(&self, number: u64) -> bool {
        number > self.last || self.missed.contains(&number)
    }

    /// Finds those of the connections that are in the list, in call number `call`.  None of them is known.  `newest` is
    /// the greatest number in the snapshot.
    fn update(
        &mut self,
        kernel: &mut impl Kernel,
        unknown: &[u64],
        newest: u64,
        call: u64,
    ) -> Result<ConnectionsHeader, Error> {
        let last = self.last;
        let must_read_all = !unknown.is_empty()
            && (last == 0 || unknown.iter().any(|number| self.missed.contains(number)) || !kernel.lists_newest_first());
        let read = if must_read_all { None } else { self.read_newest(kernel, unknown.len(), newest, call)? };
        let mut header = match read {
            Some(header) => header,
            None => self.read_all(kernel, newest, call)?,
        };
        if self.known.len() > 2 * header.count as usize + REMEMBERED_MAX {
            header = self.read_all(kernel, newest, call)?;
        }
        for number in unknown {
            if *number > last && !self.known.contains_key(number) && self.missed.len() < REMEMBERED_MAX {
                self.missed.insert(*number);
            } else {
                self.missed.remove(number);
            }
        }
        Ok(header)
    }

    /// Reads the start of the list, which should have `new` connections that are not known.  Returns `None` if some may
    /// follow.
    fn read_newest(
        &mut self,
        kernel: &mut impl Kernel,
        new: usize,
        newest: u64,
        call: u64,
    ) -> Result<Option<ConnectionsHeader>, Error> {
        let mut entries = if new == 0 { 0 } else { new + new / 2 + SLACK };
        loop {
            let (list, is_complete) = kernel.connections(Some(CONNECTIONS_HEADER_LEN + entries * CONNECTION_LEN))?;
            let header = connections_header(list).map_err(other_layout)?;
            if new == 0 {
                return Ok(Some(header));
            }
            let listed = connections(list).map_err(other_layout)?;
            let reaches_known = listed.last().is_some_and(|connection| connection.gencnt <= self.last);
            if is_complete || reaches_known {
                self.add(&listed, newest, call);
                return Ok(Some(header));
            }
            entries *= 4;
            if entries > header.count as usize {
                return Ok(None);
            }
        }
    }

    fn read_all(&mut self, kernel: &mut impl Kernel, newest: u64, call: u64) -> Result<ConnectionsHeader, Error> {
        let (list, _) = kernel.connections(None)?;
        let header = connections_header(list).map_err(other_layout)?;
        let listed = connections(list).map_err(other_layout)?;
        self.known.clear();
        self.add(&listed, newest, call);
        Ok(header)
    }

    /// Adds connections of the list, except those that are newer than the snapshot: they may have been created after
    /// the files were read, when their addresses were those of other sockets.
    fn add(&mut self, listed: &[Connection], newest: u64, call: u64) {
        self.last = self.last.max(newest);
        for &Connection { gencnt, address } in listed.iter().filter(|connection| connection.gencnt <= self.last) {
            self.known.insert(gencnt, Known { address, listed_in: call, files_of: 0, holders: Holders::NONE });
        }
    }
}

/// The previous call.
#[derive(Default)]
struct Before {
    files: Files,
    matches: Matches,
    processes: NumberMap<StartedProcess>,
    /// When reading the files started, in microseconds since boot.
    at_us: i64,
    /// The number of times that a socket had been created or freed after the files were read.
    socket_generation: Option<u64>,
}

impl Before {
    /// Returns whether the process had the socket open.
    fn had(&self, socket: OpenSocket, process: &StartedProcess, all: &mut Option<HashSet<OpenSocket>>) -> bool {
        // A process that was created later has the ID of one that has exited.
        if process.start_us >= self.at_us {
            return false;
        }
        let holders = self.files.holders(socket.address);
        holders.processes > 0 && holders.lowest == socket.pid
            || holders.processes > 1
                && all.get_or_insert_with(|| self.files.sockets.iter().copied().collect()).contains(&socket)
    }
}

/// A connection whose socket processes have open.
#[derive(Clone, Copy)]
struct Match {
    address: u64,
    listed_in: u64,
    pid: u32,
    processes: u32,
}

/// What is known about the connections of a snapshot.
#[derive(Default)]
struct Matches {
    /// For each socket, its connection, if it is known and processes have it open.
    found: Vec<(Numbered, Option<Match>)>,
    /// The processes with the lowest IDs.
    pids: NumberSet,
    /// The numbers of the connections that are not known and may be in the list.
    unknown: Vec<u64>,
    /// The greatest number of a connection.
    newest: u64,
}

impl Matches {
    fn are_of(&self, sockets: &[Socket]) -> bool {
        self.found.len() == sockets.len() && self.found.iter().zip(sockets).all(|((id, _), socket)| *id == socket.id)
    }

    fn found(&self) -> impl Iterator<Item = &Match> {
        self.found.iter().filter_map(|(_, found)| found.as_ref())
    }
}

/// Finds the owners of sockets in the tables of a kernel.
pub struct Join<K> {
    pub(super) kernel: K,
    /// The number of this call.
    call: u64,
    /// The last call in which the files changed.
    files_of: u64,
    connections: Connections,
    before: Before,
    /// The names of jails as of the last time each was asked for.
    jails: HashMap<u32, [u8; 64]>,
}

impl<K: Kernel> Join<K> {
    /// Returns a join that knows the names of these jails.
    pub fn new(kernel: K, jails: HashMap<u32, [u8; 64]>) -> Self {
        Self { kernel, call: 0, files_of: 0, connections: Connections::default(), before: Before::default(), jails }
    }

    /// Returns the owner of each socket.  See [`Finder::find`](super::Finder::find).
    pub fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
        // After an error, nothing is known about the files before.
        let mut before = take(&mut self.before);
        self.call += 1;
        let at_us = self.kernel.uptime_us()?;
        let table = self.kernel.files()?;
        // Most often, nothing has changed.
        let changed = match has_open_sockets(table, &before.files.sockets) {
            Ok(true) => Ok(None),
            Ok(false) => open_sockets(table).map(|sockets| Some(Files::of(sockets))),
            Err(error) => Err(error),
        };
        let changed = changed.map_err(|OtherLayout| layout_of("kern.file"))?;
        if changed.is_some() {
            self.files_of = self.call;
        }
        let is_same = changed.is_none() && self.connections.missed.is_empty() && before.matches.are_of(sockets);
        let reused = if is_same { Some(take(&mut before.matches)) } else { None };
        let files = changed.as_ref().unwrap_or(&before.files);

        let mut matches = reused.unwrap_or_else(|| self.matches(sockets, files));
        let newest = matches.newest;
        let header = self.connections.update(&mut self.kernel, &matches.unknown, newest, self.call)?;
        if !matches.unknown.is_empty() {
            matches = self.matches(sockets, files);
            matches.unknown.clear();
        }
        let mut processes = self.processes(&matches.pids, &before.processes, is_same)?;
        processes.retain(|_, process| process.start_us < at_us);
        let process_of = |pid: u32| processes.get(&u64::from(pid));

        let is_quiet = before.socket_generation == Some(header.socket_generation)
            || changed.is_none() && processes.values().all(|process| process.start_us < before.at_us);
        let mut all = None;
        let mut is_proven = |found: &Match| {
            let socket = OpenSocket { address: found.address, pid: found.pid };
            found.listed_in == self.call
                || process_of(found.pid).is_none_or(|process| before.had(socket, process, &mut all))
        };
        if !is_quiet && !matches.found().all(&mut is_proven) {
            self.connections.read_all(&mut self.kernel, newest, self.call)?;
            matches = self.matches(sockets, files);
            matches.unknown.clear();
        }
        let names = self.jail_names(sockets);
        let keys = matches
            .found
            .iter()
            .zip(sockets)
            .map(|((_, found), socket)| (found.as_ref().map(|found| (found.pid, found.processes)), socket.jid));
        let owners = Owners::collect(keys, |(found, jid)| Owner {
            process: found.and_then(|(pid, processes)| {
                let &StartedProcess { command, .. } = process_of(pid)?;
                Some(Process { pid, command, processes })
            }),
            container: None,
            jail: jid.and_then(|jid| *names.get(&jid)?),
        });
        let files = changed.unwrap_or(before.files);
        self.before = Before { files, matches, processes, at_us, socket_generation: Some(header.socket_generation) };
        Ok(owners)
    }

    /// Returns those of the processes that exist and can be seen, given those of the previous call.
    fn processes(
        &mut self,
        pids: &NumberSet,
        before: &NumberMap<StartedProcess>,
        is_same: bool,
    ) -> Result<NumberMap<StartedProcess>, Error> {
        if !is_same {
            return self.kernel.processes(pids);
        }
        let turn = self.call % ROTATION;
        let is_kept = |pid: &u64| pid % ROTATION != turn && before.contains_key(pid);
        let (kept, read): (NumberSet, NumberSet) = pids.iter().copied().partition(is_kept);
        let mut processes = self.kernel.processes(&read)?;
        processes.extend(kept.into_iter().filter_map(|pid| Some((pid, *before.get(&pid)?))));
        Ok(processes)
    }

    /// Looks up connections, and the processes that have them open.
    fn matches(&mut self, sockets: &[Socket], files: &Files) -> Matches {
        let mut matches = Matches::default();
        let is_jailed = self.kernel.is_jailed();
        let mut latest = None;
        let mut of = |socket: &Socket| {
            let number = socket.id.gencnt;
            if !is_jailed && socket.id.vnet != Some(HOST) {
                return None;
            }
            matches.newest = matches.newest.max(number);
            let Some(known) = self.connections.known.get_mut(&number) else {
                if self.connections.may_find(number) {
                    matches.unknown.push(number);
                }
                return None;
            };
            if known.files_of != self.files_of {
                known.files_of = self.files_of;
                known.holders = files.holders(known.address);
            }
            let Holders { lowest: pid, processes, .. } = known.holders;
            if processes == 0 {
                return None;
            }
            if latest.replace(pid) != Some(pid) {
                matches.pids.insert(pid.into());
            }
            Some(Match { address: known.address, listed_in: known.listed_in, pid, processes })
        };
        matches.found = sockets.iter().map(|socket| (socket.id, of(socket))).collect();
        matches
    }

    /// Returns the number of connections that are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.connections.known.len() + self.connections.missed.len()
    }

    /// Returns the names of the jails of sockets.  A jail can be removed and its ID given to another one after the
    /// snapshot, so a name is only used if it was the same before.
    fn jail_names(&mut self, sockets: &[Socket]) -> HashMap<u32, Option<[u8; 64]>> {
        let mut names = HashMap::new();
        let mut latest = 0;
        for jid in sockets.iter().filter_map(|socket| socket.jid) {
            if jid == latest || jid == 0 {
                continue;
            }
            latest = jid;
            names.entry(jid).or_insert_with(|| {
                let name = self.kernel.jail_name(jid)?;
                let before = self.jails.insert(jid, name);
                before.filter(|before| *before == name)
            });
        }
        if self.jails.len() > REMEMBERED_MAX {
            self.jails.retain(|jid, _| names.contains_key(jid));
        }
        names
    }
}

fn layout_of(table: &'static str) -> Error {
    Error::OwnersLayout { table }
}

fn other_layout(OtherLayout: OtherLayout) -> Error {
    layout_of("net.inet.tcp.pcblist")
}
