// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A model of the kernel's sockets and processes, in which anything can happen while the tables are read.
//!
//! Addresses of sockets and process IDs are reused as soon as possible.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::join::{Join, Kernel, NumberMap, NumberSet, StartedProcess};
use super::tables::tests::{connection, file, header};
use super::tables::{Connection, ConnectionsHeader};
use crate::owners::{Owner, Process, Socket};
use crate::{Error, Numbered};

/// Selects one of several processes, connections or files.
#[derive(Clone, Copy, Debug)]
struct Index(u8);

impl Index {
    fn index(self, count: usize) -> usize {
        usize::from(self.0) % count
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Action {
    Open { by: Index, is_tcp: bool },
    Queue,
    Accept { by: Index },
    Close { by: Index, file: Index, lingers: bool },
    EndLingering { which: Index },
    Fork { which: Index },
    Exec { which: Index },
    Exit { which: Index, lingers: bool },
    Pass { from: Index, to: Index, file: Index, keeps: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let index = || any::<u8>().prop_map(Index);
    prop_oneof![
        4 => (index(), any::<bool>()).prop_map(|(by, is_tcp)| Action::Open { by, is_tcp }),
        1 => Just(Action::Queue),
        2 => index().prop_map(|by| Action::Accept { by }),
        3 => (index(), index(), any::<bool>()).prop_map(|(by, file, lingers)| Action::Close { by, file, lingers }),
        2 => index().prop_map(|which| Action::EndLingering { which }),
        2 => index().prop_map(|which| Action::Fork { which }),
        1 => index().prop_map(|which| Action::Exec { which }),
        2 => (index(), any::<bool>()).prop_map(|(which, lingers)| Action::Exit { which, lingers }),
        3 => (index(), index(), index(), any::<bool>())
            .prop_map(|(from, to, file, keeps)| Action::Pass { from, to, file, keeps }),
    ]
}

fn actions(max: usize) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 0..max)
}

/// What happens before a snapshot and while its owners are found: before each table is read.
fn calls() -> impl Strategy<Value = Vec<(Vec<Action>, Vec<Vec<Action>>)>> {
    let during = prop_oneof![
        1 => Just(Vec::new()),
        1 => prop::collection::vec(actions(4), 0..5),
    ];
    prop::collection::vec((actions(12), during), 1..12)
}

#[derive(Clone)]
struct ModelProcess {
    pid: u32,
    start_us: i64,
    /// Unlike the process ID, not reused.
    instance: u64,
    /// Unique, and changed by exec.
    command: [u8; 16],
    files: Vec<u64>,
}

/// The kernel, and what it knows about the past.
#[derive(Default)]
struct Model {
    now_us: i64,
    processes: Vec<ModelProcess>,
    free_pids: Vec<u32>,
    free_addresses: Vec<u64>,
    /// Newest last.
    connections: Vec<Connection>,
    last: u64,
    sockets: u64,
    socket_generation: u64,
    /// The instance of each command so far.
    commands: HashMap<[u8; 16], u64>,
    /// When a process with each ID, and each instance, last had each connection open.
    by_pid_us: HashMap<(u64, u32), i64>,
    by_instance_us: HashMap<(u64, u64), i64>,
    /// What happens before each of the next reads.
    during: VecDeque<Vec<Action>>,
    bytes: Vec<u8>,
    complete_reads: u32,
}

impl Model {
    fn new() -> Self {
        let mut model = Self { last: 100, ..Self::default() };
        model.spawn(Vec::new());
        model
    }

    fn command(&mut self, instance: u64) -> [u8; 16] {
        let command = tcpstats::name(format!("c{}", self.commands.len()).as_bytes());
        self.commands.insert(command, instance);
        command
    }

    fn spawn(&mut self, files: Vec<u64>) {
        let pid = self.free_pids.pop().unwrap_or(u32::try_from(self.processes.len()).unwrap() + 10);
        let instance = self.commands.len() as u64;
        let command = self.command(instance);
        self.processes.push(ModelProcess { pid, start_us: self.now_us, instance, command, files });
    }

    fn socket(&mut self, is_tcp: bool) -> u64 {
        self.socket_generation += 1;
        let address = self.free_addresses.pop().unwrap_or_else(|| {
            self.sockets += 1;
            0xffff_f800_0000_0000 + 0x400 * self.sockets
        });
        if is_tcp {
            self.last += 1;
            self.connections.push(Connection { gencnt: self.last, address });
        }
        address
    }

    fn is_open(&self, address: u64) -> bool {
        self.processes.iter().any(|process| process.files.contains(&address))
    }

    fn close(&mut self, address: u64, lingers: bool) {
        let is_tcp = self.connections.iter().any(|connection| connection.address == address);
        if !(self.is_open(address) || lingers && is_tcp) {
            self.free(address);
        }
    }

    fn free(&mut self, address: u64) {
        self.connections.retain(|connection| connection.address != address);
        self.socket_generation += 1;
        self.free_addresses.push(address);
    }

    fn act(&mut self, action: &Action) {
        self.now_us += 10;
        let count = self.processes.len();
        match action {
            Action::Open { by, is_tcp } => {
                let address = self.socket(*is_tcp);
                self.processes[by.index(count)].files.push(address);
            }
            Action::Queue => {
                self.socket(true);
            }
            Action::Accept { by } => {
                let waiting = self.connections.iter().find(|connection| !self.is_open(connection.address)).copied();
                if let Some(connection) = waiting {
                    self.processes[by.index(count)].files.push(connection.address);
                }
            }
            Action::Close { by, file, lingers } => {
                let files = &mut self.processes[by.index(count)].files;
                if !files.is_empty() {
                    let address = files.remove(file.index(files.len()));
                    self.close(address, *lingers);
                }
            }
            Action::EndLingering { which } => {
                let ending: Vec<_> = self.connections.iter().filter(|of| !self.is_open(of.address)).copied().collect();
                if !ending.is_empty() {
                    self.free(ending[which.index(ending.len())].address);
                }
            }
            Action::Fork { which } if count < 8 => {
                let files = self.processes[which.index(count)].files.clone();
                self.spawn(files);
            }
            Action::Exec { which } => {
                let at = which.index(count);
                self.processes[at].command = self.command(self.processes[at].instance);
            }
            Action::Exit { which, lingers } if count > 1 => {
                let process = self.processes.remove(which.index(count));
                self.free_pids.push(process.pid);
                for address in process.files {
                    self.close(address, *lingers);
                }
            }
            Action::Pass { from, to, file, keeps } => {
                let files = &mut self.processes[from.index(count)].files;
                if !files.is_empty() {
                    let at = file.index(files.len());
                    let address = if *keeps { files[at] } else { files.remove(at) };
                    self.processes[to.index(count)].files.push(address);
                }
            }
            Action::Fork { .. } | Action::Exit { .. } => (),
        }
        self.note_holders();
    }

    fn note_holders(&mut self) {
        for process in &self.processes {
            for connection in self.connections.iter().filter(|connection| process.files.contains(&connection.address)) {
                self.by_pid_us.insert((connection.gencnt, process.pid), self.now_us);
                self.by_instance_us.insert((connection.gencnt, process.instance), self.now_us);
            }
        }
    }

    /// Starts to read a table.
    fn pass_time(&mut self) {
        for action in self.during.pop_front().unwrap_or_default() {
            self.act(&action);
        }
        self.now_us += 10;
        self.note_holders();
    }

    /// Returns the owner of a connection as of now.
    fn process_of(&self, gencnt: u64) -> Option<Process> {
        let connection = self.connections.iter().find(|connection| connection.gencnt == gencnt)?;
        let mut holders: Vec<_> =
            self.processes.iter().filter(|process| process.files.contains(&connection.address)).collect();
        holders.sort_by_key(|process| process.pid);
        let first = holders.first()?;
        Some(Process { pid: first.pid, command: first.command, processes: u32::try_from(holders.len()).unwrap() })
    }
}

impl Kernel for Model {
    fn uptime_us(&mut self) -> Result<i64, Error> {
        self.pass_time();
        Ok(self.now_us)
    }

    fn files(&mut self) -> Result<&[u8], Error> {
        self.pass_time();
        self.bytes.clear();
        for process in &self.processes {
            self.bytes.extend(file(1, process.pid, 7));
            self.bytes.extend(process.files.iter().flat_map(|address| file(2, process.pid, *address)));
        }
        Ok(&self.bytes)
    }

    fn connections(&mut self, limit: Option<usize>) -> Result<(&[u8], bool), Error> {
        self.pass_time();
        let count = u32::try_from(self.connections.len()).unwrap();
        let header = header(ConnectionsHeader { count, last: self.last, socket_generation: self.socket_generation });
        self.bytes.clone_from(&header);
        self.bytes.extend(connection(Connection { gencnt: 0, address: 0 }));
        self.bytes.extend(self.connections.iter().rev().flat_map(|of| connection(*of)));
        self.bytes.extend(header);
        self.complete_reads += u32::from(limit.is_none());
        let is_complete = limit.is_none_or(|limit| limit >= self.bytes.len());
        self.bytes.truncate(limit.unwrap_or(usize::MAX));
        Ok((&self.bytes, is_complete))
    }

    fn processes(&mut self, pids: &NumberSet) -> Result<NumberMap<StartedProcess>, Error> {
        self.pass_time();
        let listed = self.processes.iter().filter(|process| pids.contains(&u64::from(process.pid)));
        let entry = |process: &ModelProcess| {
            (u64::from(process.pid), StartedProcess { start_us: process.start_us, command: process.command })
        };
        Ok(listed.map(entry).collect())
    }

    fn jail_name(&mut self, jid: u32) -> Option<[u8; 64]> {
        (jid < 100).then(|| tcpstats::name(format!("jail{jid}.{}", self.commands.len()).as_bytes()))
    }

    fn is_jailed(&self) -> bool {
        false
    }

    fn lists_newest_first(&self) -> bool {
        true
    }
}

fn socket(gencnt: u64) -> Socket {
    Socket { id: Numbered { gencnt, vnet: Some(0) }, inode: None, jid: Some(0) }
}

fn sockets(model: &Model) -> Vec<Socket> {
    model.connections.iter().map(|connection| socket(connection.gencnt)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_owner_is_wrong_whatever_happens_and_all_are_found_if_nothing_does(calls in calls(), all: bool) {
        let mut join = Join::new(Model::new(), HashMap::new());
        // When the previous calls started, the latest first.
        let mut calls_us = VecDeque::from([0; 4]);
        for (before, during) in calls {
            for action in &before {
                join.kernel.act(action);
            }
            let asked: Vec<_> =
                sockets(&join.kernel).into_iter().filter(|socket| all || socket.id.gencnt % 3 > 0).collect();
            let is_idle = during.iter().all(Vec::is_empty);
            join.kernel.during = during.into();
            let start_us = join.kernel.now_us;
            let owners = find(&mut join, &asked);
            join.kernel.during.clear();
            prop_assert_eq!(owners.len(), asked.len());
            for (socket, owner) in asked.iter().zip(owners) {
                let gencnt = socket.id.gencnt;
                if is_idle {
                    let of = |process: &Process| (process.pid, process.processes);
                    let expected = join.kernel.process_of(gencnt);
                    prop_assert_eq!(owner.process.as_ref().map(of), expected.as_ref().map(of), "{}", gencnt);
                }
                if let Some(process) = owner.process {
                    let pid_us = join.kernel.by_pid_us.get(&(gencnt, process.pid)).copied();
                    let instance = join.kernel.commands[&process.command];
                    let instance_us = join.kernel.by_instance_us.get(&(gencnt, instance)).copied();
                    // A command can be late by three calls.
                    prop_assert!(
                        pid_us.is_some_and(|at_us| at_us >= calls_us[0])
                            && instance_us.is_some_and(|at_us| at_us >= calls_us[3]),
                        "{}: {:?}, held at {:?} and {:?}, calls {:?}", gencnt, process, pid_us, instance_us, calls_us
                    );
                }
            }
            calls_us.push_front(start_us);
        }
    }
}

/// Returns a join whose kernel has 100 processes with 10 connections each.
fn many() -> Join<Model> {
    let mut model = Model::new();
    for _ in 0..100 {
        let files = (0..10).map(|_| model.socket(true)).collect();
        model.spawn(files);
    }
    Join::new(model, HashMap::new())
}

fn find(join: &mut Join<Model>, sockets: &[Socket]) -> Vec<Owner> {
    join.find(sockets).unwrap().iter().map(|owner| (**owner).clone()).collect()
}

fn owners(join: &mut Join<Model>) -> Vec<Owner> {
    let asked = sockets(&join.kernel);
    let owners = find(join, &asked);
    for (socket, owner) in asked.iter().zip(&owners) {
        assert_eq!(owner.process, join.kernel.process_of(socket.id.gencnt));
    }
    owners
}

#[test]
fn all_connections_are_read_only_once_while_connections_come_and_go() {
    let mut join = many();
    assert_eq!(owners(&mut join).len(), 1000);
    for n in 0..50_u64 {
        for at in 0..20 {
            let address = join.kernel.socket(true);
            join.kernel.processes[at + 1].files.push(address);
            let closed = join.kernel.processes[at + 50].files.pop();
            if let Some(address) = closed {
                join.kernel.close(address, n % 2 == 0);
            }
        }
        owners(&mut join);
    }
    assert_eq!(join.kernel.complete_reads, 1);
}

#[test]
fn a_socket_that_was_passed_is_found_without_reading_all_connections_if_no_socket_was_created() {
    let mut join = many();
    owners(&mut join);
    for _ in 0..5 {
        let address = join.kernel.processes[1].files.pop().unwrap();
        join.kernel.processes[99].files.push(address);
        owners(&mut join);
    }
    assert_eq!(join.kernel.complete_reads, 1);
    let address = join.kernel.processes[1].files.pop().unwrap();
    join.kernel.processes[99].files.push(address);
    join.kernel.socket(false);
    owners(&mut join);
    assert_eq!(join.kernel.complete_reads, 2);
}

#[test]
fn a_connection_that_was_created_after_the_files_were_read_does_not_get_an_earlier_holder_of_its_address() {
    let mut model = Model::new();
    let address = model.socket(false);
    model.processes[0].files.push(address);
    model.spawn(Vec::new());
    let first = model.socket(true);
    model.processes[1].files.push(first);
    let mut join = Join::new(model, HashMap::new());
    let [by_first, by_second] = [Index(0), Index(1)];
    let close = |by| Action::Close { by, file: Index(0), lingers: false };
    // Before the list is read, the first process closes the socket, and the second opens a connection there.
    let open = Action::Open { by: by_second, is_tcp: true };
    join.kernel.during = VecDeque::from([vec![], vec![], vec![close(by_first), open]]);
    let asked = sockets(&join.kernel);
    find(&mut join, &asked);
    let asked = [socket(join.kernel.last)];
    // Before the files are read, the connection ends, and the first process opens another socket there.
    let end = Action::Close { by: by_second, file: Index(1), lingers: false };
    join.kernel.during = VecDeque::from([vec![end, Action::Open { by: by_first, is_tcp: false }]]);
    assert_eq!(find(&mut join, &asked), [Owner::default()]);
}

#[test]
fn connections_that_are_not_asked_for_do_not_hide_older_new_ones() {
    let mut join = many();
    owners(&mut join);
    let opened: Vec<_> = (0..200).map(|_| join.kernel.socket(true)).collect();
    join.kernel.processes[7].files.extend(opened);
    for asked in [join.kernel.last, join.kernel.last - 199] {
        assert_eq!(find(&mut join, &[socket(asked)])[0].process, join.kernel.process_of(asked));
    }
    assert_eq!(join.kernel.complete_reads, 1);
}

#[test]
fn a_server_can_hand_its_connections_to_children_without_all_connections_being_read() {
    let mut join = many();
    for _ in 0..3 {
        let opened: Vec<_> = (0..10).map(|_| join.kernel.socket(true)).collect();
        join.kernel.processes[0].files.extend(&opened);
        let files = join.kernel.processes[0].files.clone();
        join.kernel.spawn(files);
        owners(&mut join);
        join.kernel.processes[0].files.clear();
        join.kernel.socket(false);
        owners(&mut join);
    }
    assert_eq!(join.kernel.complete_reads, 1);
}

#[test]
fn the_command_of_a_process_is_late_by_at_most_3_calls_and_only_if_no_socket_was_opened_or_closed() {
    let mut join = many();
    owners(&mut join);
    for opens in [false, true] {
        for at in 0..101 {
            let instance = join.kernel.processes[at].instance;
            join.kernel.processes[at].command = join.kernel.command(instance);
        }
        if opens {
            let address = join.kernel.socket(false);
            join.kernel.processes[3].files.push(address);
        } else {
            let asked = sockets(&join.kernel);
            for _ in 0..3 {
                find(&mut join, &asked);
            }
        }
        owners(&mut join);
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_connections_that_have_ended() {
    let mut join = Join::new(Model::new(), HashMap::new());
    for _ in 0..100 {
        let opened: Vec<_> = (0..100).map(|_| join.kernel.socket(true)).collect();
        join.kernel.processes[0].files.clone_from(&opened);
        owners(&mut join);
        join.kernel.processes[0].files.clear();
        for address in opened {
            join.kernel.close(address, false);
        }
    }
    assert!(join.remembered() < 10_000, "{}", join.remembered());
}

#[test]
fn connections_that_cannot_be_seen_are_looked_for_twice() {
    let mut join = many();
    owners(&mut join);
    join.kernel.last += 3;
    let hidden = [join.kernel.last - 1];
    for expected in [1, 2, 2, 2] {
        assert_eq!(find(&mut join, &hidden.map(socket)), [Owner::default()]);
        assert_eq!(join.kernel.complete_reads, expected);
    }
}

#[test]
fn a_socket_of_another_network_stack_has_no_process() {
    let mut join = many();
    let own = sockets(&join.kernel)[0];
    let asked = [Some(0), Some(77), None].map(|vnet| Socket { id: Numbered { vnet, ..own.id }, ..own });
    let found: Vec<_> = find(&mut join, &asked).iter().map(|owner| owner.process.is_some()).collect();
    assert_eq!(found, [true, false, false]);
}

#[test]
fn a_jail_has_the_name_that_it_had_before() {
    let known = HashMap::from([(1, tcpstats::name(b"jail1.1")), (2, tcpstats::name(b"earlier"))]);
    let mut join = Join::new(Model::new(), known);
    let asked = [Some(0), Some(1), Some(2), Some(3), Some(100), None].map(|jid| Socket { jid, ..socket(5) });
    let mut names = || -> Vec<_> {
        let owners = find(&mut join, &asked);
        owners.iter().map(|owner| owner.jail.map(|name| String::from_utf8_lossy(&name).replace('\0', ""))).collect()
    };
    let of = |name: &str| Some(name.to_string());
    assert_eq!(names(), [None, of("jail1.1"), None, None, None, None]);
    assert_eq!(names(), [None, of("jail1.1"), of("jail2.1"), of("jail3.1"), None, None]);
}
