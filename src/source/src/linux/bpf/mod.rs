// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots of changes: BPF programs mark the sockets that change, and `sock_diag`(7) is
//! asked for these sockets only.
//!
//! The values come from `sock_diag` alone, which reads `tcp_info` with the socket locked, so
//! they are the same as in a complete snapshot, which is a dump of all sockets.  The programs
//! run when a segment is received in ESTABLISHED or sent again, when the application sends
//! data, and when the state changes.  A socket that can change otherwise is *restless*: it
//! is requested again for the next snapshot.
//!
//! Incomplete handshakes and connections in `TIME_WAIT` have no socket of their own.  They
//! are not marked, and appear in complete snapshots only.

mod marks;
mod object;
mod requests;
mod users;

use std::mem::take;

use foldhash::{HashMap, HashSet};
use tcpstats::filter::Verdict;
use tcpstats::frame::flag;
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter, Record, State, key};

use self::marks::{Marked, Marks};
use self::requests::{SocketId, SocketRequests};
use self::users::Users;
use super::inet_diag::{Dump, Scope, cookie, fill};
use super::{Found, SockDiag, Start, dump, dump_failed};
use crate::owners::User;
use crate::{AnchoredPath, Error, Numbered, Sample, Source};

/// Linux's numbers of states.
const TCP_SYN_SENT: u8 = 2;
const TCP_LISTEN: u8 = 10;

/// A connection that was idle for this time in microseconds does not send a delayed
/// acknowledgement any more: the kernel delays it by `TCP_DELACK_MAX`, 200 ms.
const DELAYED_ACK_MAX_US: u64 = 300_000;

/// If more than this percentage of the connections is to be requested, and more than this
/// number, a dump of all is cheaper.
const DUMP_ABOVE_PER_CENT: usize = 55;
const DUMP_MIN: usize = 64;

/// The source.
pub struct Bpf {
    /// Complete snapshots, the ledger and the netlink socket.
    all: SockDiag,
    /// Dumps of all connections that the filter can ever match, of listening sockets, and
    /// of connections that are being opened.
    complete: Vec<Dump>,
    listening: Vec<Dump>,
    opening: Vec<Dump>,
    requests: SocketRequests,
    marks: Marks,
    /// The processes that have used connections, if that is noted.
    users: Option<Users>,
    /// The sockets that were marked since the previous snapshot, by cookie, and those that the
    /// next snapshot requests again.
    marked: HashMap<u64, Marked>,
    again: Vec<SocketId>,
    /// The next snapshot must be complete.
    must_restart: bool,
    changes: Changes,
}

/// What is known about the connections between two snapshots.
#[derive(Default)]
struct Changes {
    /// The number of connections in the last complete snapshot.
    connections: usize,
    /// The connections to be requested for the next snapshot, even without a mark.
    restless: Vec<SocketId>,
    /// The listening sockets, and whether one of them has connections to be accepted.
    listeners: HashSet<u64>,
    has_queue: bool,
    /// Sockets that have begun to listen or to connect, but may not be in the kernel's tables
    /// yet, as the state is set first.
    new_listeners: HashSet<u64>,
    opening: HashSet<u64>,
    /// Connections that no longer exist.  They are gone as of the next snapshot: by then
    /// their final records have arrived, if there are any.
    ended: HashSet<u64>,
    /// Sockets that were not found under their addresses.  If they have not been closed as
    /// of the next snapshot, their addresses or interfaces have changed.
    missing: HashSet<u64>,
    gone: HashSet<u64>,
}

impl Changes {
    /// Registers the record of a connection that exists.
    fn exists(&mut self, record: &Record) {
        let Some(id) = SocketId::of(record) else {
            return;
        };
        if record.get(key::state) == Some(State::LISTEN) {
            self.has_queue |= record.get(key::qlen).is_some_and(|waiting| waiting > 0);
            self.listeners.insert(id.cookie);
            self.new_listeners.remove(&id.cookie);
        } else {
            self.opening.remove(&id.cookie);
            if is_restless(record) {
                self.restless.push(id);
            }
        }
    }

    /// Registers a mark; returns the socket if it is to be requested.
    fn mark(&mut self, Marked { id, state }: Marked) -> Option<SocketId> {
        let cookie = id.cookie;
        self.missing.remove(&cookie);
        self.opening.remove(&cookie);
        self.new_listeners.remove(&cookie);
        match state {
            State::LISTEN => _ = self.new_listeners.insert(cookie),
            // The port is chosen after the state is set.
            State::SYN_SENT if id.lport == 0 => _ = self.opening.insert(cookie),
            State::CLOSED => {
                self.listeners.remove(&cookie);
                self.ended.insert(cookie);
            }
            _ => return Some(id),
        }
        None
    }

    /// Registers that a socket was not found under its addresses.
    fn lacks(&mut self, id: &SocketId) {
        if id.is_handshake {
            self.ended.insert(id.cookie)
        } else {
            self.missing.insert(id.cookie)
        };
    }

    /// Adds the record of a connection that may have changed to a snapshot of changes.
    fn handle(&mut self, record: &Record, filter: Option<&Filter>, snapshot: &mut SnapshotBuffer) {
        let Some(cookie) = record.get(key::gencnt) else {
            return;
        };
        self.exists(record);
        if is_remains(record) {
            self.ended.insert(cookie);
        } else if filter.is_none_or(|filter| filter.matches(record)) {
            snapshot.push(record);
            // The socket may be in use again.
            self.gone.remove(&cookie);
        } else {
            self.gone.insert(cookie);
        }
    }
}

/// Returns whether a connection can change without being marked.
fn is_restless(record: &Record) -> bool {
    let state = record.get(key::state);
    if is_remains(record) {
        return false;
    }
    // Segments are not noticed in other states.
    if state != Some(State::ESTABLISHED) {
        return true;
    }
    // Data can be sent, sent again, or read at any time, and interfaces release it late.
    let has_data = [key::snd_cc, key::rcv_cc, key::wmem_alloc, key::rmem_alloc]
        .into_iter()
        .any(|key| record.get(key).is_none_or(|bytes| bytes > 0));
    let idle = [key::idle_rcv, key::idle_snd, key::idle_ack].into_iter().filter_map(|key| record.get(key)).min();
    // It is not accepted yet, or was closed.
    let has_process = record.get(key::inode).is_some();
    has_data || !has_process || idle.is_none_or(|idle| idle < DELAYED_ACK_MAX_US)
}

/// Returns whether this is what remains of a connection after its socket is gone, in
/// `TIME_WAIT` or, with the same timer, in `FIN_WAIT_2`.
fn is_remains(record: &Record) -> bool {
    record.get(key::tt_2msl).is_some()
}

impl Bpf {
    /// Loads the programs.
    ///
    /// # Errors
    /// Returns the reason why they cannot be loaded, or the error of the kernel.
    pub fn open(filter: Option<Filter>) -> Result<Self, Error> {
        let marks = Marks::load()?;
        let mut source = Self {
            all: SockDiag::open(filter)?,
            complete: Vec::new(),
            listening: Vec::new(),
            opening: Vec::new(),
            requests: SocketRequests::new(&|_| true),
            marks,
            users: None,
            marked: HashMap::default(),
            again: Vec::new(),
            must_restart: true,
            changes: Changes::default(),
        };
        source.want(&|_| true);
        Ok(source)
    }

    /// Takes a snapshot of all connections.
    fn complete(&mut self, snapshot: &mut SnapshotBuffer) -> Result<(), Error> {
        let (changes, SockDiag { diag, record, filter, kernel, .. }) = (&mut self.changes, &mut self.all);
        for (_, mark) in self.marked.drain() {
            changes.mark(mark);
        }
        changes.restless.clear();
        let Changes { restless, new_listeners, opening, .. } = take(changes);
        *changes = Changes { restless, new_listeners, opening, ..Changes::default() };
        let (start, found) = dump(diag, &mut self.complete, record, snapshot, &mut |record, payload, snapshot| {
            fill(record, payload, None, *kernel)?;
            changes.exists(record);
            if filter.as_ref().is_none_or(|filter| filter.matches(record)) {
                snapshot.push(record);
            }
            Ok(())
        })?;
        changes.connections = usize::try_from(found.seen).unwrap_or(usize::MAX);
        self.all.finish(start, found, snapshot)
    }

    /// Takes a snapshot of the connections that were marked and of those that are restless.
    /// Returns false if only a complete snapshot can show what has happened.
    fn changed(&mut self, listeners_changed: bool, snapshot: &mut SnapshotBuffer) -> Result<bool, Error> {
        let start = Start::now();
        let mut seen = 0;
        snapshot.clear();
        let Self { all: SockDiag { diag, record, filter, kernel, .. }, changes, marked, .. } = self;
        let filter = filter.as_ref();
        changes.gone = take(&mut changes.ended);
        let mut requested: Vec<_> = changes.restless.drain(..).filter(|id| !marked.contains_key(&id.cookie)).collect();
        requested.extend(marked.drain().filter_map(|(_, mark)| changes.mark(mark)));
        if !changes.missing.is_empty() {
            return Ok(false);
        }
        // A complete snapshot can contain a connection twice.
        requested.sort_unstable_by_key(|id| id.cookie);
        requested.dedup_by_key(|id| id.cookie);
        if let Some(filter) = filter {
            changes.gone.extend(requested.extract_if(.., |id| !can_match(filter, id)).map(|id| id.cookie));
        }
        let needs_listening = listeners_changed || take(&mut changes.has_queue) || !changes.new_listeners.is_empty();
        let mut handle = |changes: &mut Changes, payload: &[u8], now_ns: u64| {
            seen += 1;
            record.clear();
            record.at_ns = now_ns.saturating_sub(start.mono_ns);
            fill(record, payload, None, *kernel)?;
            changes.handle(record, filter, snapshot);
            Ok(())
        };
        self.requests.clear();
        for id in &requested {
            self.requests.push(id);
        }
        let each = |number: usize, payload: Option<&[u8]>, now_ns| {
            if let Some(payload) = payload {
                return handle(changes, payload, now_ns);
            }
            changes.lacks(&requested[number]);
            Ok(())
        };
        diag.sockets(&mut self.requests, each).map_err(dump_failed)?;
        if needs_listening {
            diag.dump_all(&mut self.listening, &mut |payload, now_ns| handle(changes, payload, now_ns))
                .map_err(dump_failed)?;
        }
        if !changes.opening.is_empty() {
            // The others have been requested.
            let mut each = |payload: &[u8], now_ns| match cookie(payload) {
                Some(cookie) if changes.opening.contains(&cookie) => handle(changes, payload, now_ns),
                _ => Ok(()),
            };
            diag.dump_all(&mut self.opening, &mut each).map_err(dump_failed)?;
        }
        self.all.finish(start, Found { seen, flags: flag::CHANGED_ONLY }, snapshot)?;
        Ok(true)
    }
}

/// Returns whether the filter can match a connection with these addresses.
fn can_match(filter: &Filter, id: &SocketId) -> bool {
    let mut record = Record::new();
    record.set(key::lport, id.lport);
    record.set(key::fport, id.fport);
    record.set(key::laddr, id.laddr);
    record.set(key::faddr, id.faddr);
    // All other fields count as unknown.
    let comparisons = filter.comparisons(|field| record.has(field));
    filter.verdict_by(&record, comparisons) != Verdict::NoMatch
}

impl Source for Bpf {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        let counts = self.marks.begin_epoch()?;
        self.marked.clear();
        // The last mark of a connection contains its current addresses.
        let marks = std::iter::from_fn(|| self.marks.next()).take(Marks::MAX);
        self.marked.extend(marks.map(|mark| (mark.id.cookie, mark)));
        // The beginning and the end of a connection are always marked.
        let is_connection = |mark: &&Marked| ![State::CLOSED, State::LISTEN, State::SYN_SENT].contains(&mark.state);
        let connections = self.marked.values().filter(is_connection);
        let again = std::mem::replace(&mut self.again, connections.map(|mark| mark.id).collect());
        for id in again {
            self.marked.entry(id.cookie).or_insert(Marked { id, state: State::ESTABLISHED });
        }
        // Some may be in both.
        let due = self.changes.restless.len().max(self.again.len());
        let is_dump_cheaper = due > DUMP_MIN && due * 100 > self.changes.connections * DUMP_ABOVE_PER_CENT;
        self.must_restart |= counts.lost > 0;
        if !self.must_restart && !is_dump_cheaper {
            match self.changed(counts.listeners > 0, snapshot) {
                Ok(true) => return Ok(Sample::Taken),
                // A request that fails is replaced by a dump.
                Ok(false) | Err(Error::Dump(_)) => (),
                Err(error) => {
                    self.must_restart = true;
                    return Err(error);
                }
            }
        }
        self.must_restart = true;
        self.complete(snapshot)?;
        self.must_restart = false;
        Ok(Sample::Taken)
    }

    fn gone(&mut self) -> Vec<Numbered> {
        self.changes.gone.drain().map(|gencnt| Numbered { gencnt, vnet: None }).collect()
    }

    fn restart_changes(&mut self) {
        self.must_restart = true;
    }

    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool) {
        let dumps = |scope| Dump::all(scope, is_wanted);
        self.complete = dumps(Scope::Constant(self.all.filter.as_ref()));
        self.listening = dumps(Scope::State(TCP_LISTEN));
        self.opening = dumps(Scope::State(TCP_SYN_SENT));
        self.requests = SocketRequests::new(is_wanted);
    }

    fn start_ledger(&mut self) -> Result<bool, Error> {
        self.all.start_ledger()
    }

    fn note_users(&mut self) -> Result<(), Error> {
        self.users = Some(Users::load()?);
        Ok(())
    }

    fn user(&self, id: Numbered) -> Option<User> {
        self.users.as_ref()?.get(id.gencnt)
    }

    fn comes_back(&self) -> bool {
        true
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.must_restart = true;
        self.all.reopen()
    }

    fn reopen_path(&self) -> Option<&AnchoredPath> {
        None
    }
}
