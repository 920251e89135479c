// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots of several network namespaces, from a netlink socket in each of them.
//!
//! A socket belongs to the namespace in which it was created.  The [`Watcher`] enters the
//! namespaces and passes the sockets to the source, which needs no privileges.  An open
//! socket keeps its namespace in existence, so the source closes it when the watcher reports
//! that the namespace is gone.

mod find;
mod message;
mod watcher;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use tcpstats::frame::flag;
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter, Record, key, name};

use self::message::{Event, Received, receive};
use self::watcher::ScanError;
pub use self::watcher::Watcher;
use super::diag::Diag;
use super::inet_diag::{Dump, KernelTraits, Scope, fill};
use super::ledger::{Ledger, Token};
use super::{Found, finish, repeat};
use crate::system::System;
use crate::{AnchoredPath, Error, Sample, Source, Stacks};

/// The name of a namespace, padded with zeros.
pub type Name = [u8; 64];

/// How long the watcher may take to open all namespaces again.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open namespace.
struct Namespace {
    inode: u64,
    name: Name,
    diag: Diag,
    token: Option<Token>,
    /// Whether the filter can match a connection in it.
    can_match: bool,
    is_gone: bool,
}

/// Who enters namespaces.
enum Watching {
    /// Nobody yet.
    Ready(Watcher),
    /// A thread or another process, at the other end of this socket.
    Elsewhere(OwnedFd),
    /// The watcher was passed on, or has exited.
    Nobody,
}

/// Snapshots of several network namespaces.
pub struct Namespaces {
    list: Vec<Namespace>,
    watching: Watching,
    /// The watcher was asked for all namespaces again.
    is_awaited: bool,
    warnings: Vec<String>,
    filter: Option<Filter>,
    kernel: KernelTraits,
    dumps: Vec<Dump>,
    /// The buffer for replies, which the namespaces share.
    buffer: Vec<u8>,
    sequence: u64,
    flags: u32,
    record: Record,
    ledger: Option<Ledger>,
}

impl Namespaces {
    /// Opens the selected namespaces.
    ///
    /// # Errors
    /// Returns the error of the kernel, or an error if this process cannot enter namespaces,
    /// or if one of them does not exist.
    pub fn open(stacks: &Stacks, filter: Option<Filter>) -> Result<Self, Error> {
        let version = System::this().version;
        // Before, each namespace had its own numbers, see __sock_gen_cookie() in the kernel.
        if version != 0 && version < 0x05_04_00 {
            return Err(Error::NetnsKernel);
        }
        allow_more_descriptors();
        let mut opened = Self {
            list: Vec::new(),
            watching: Watching::Ready(Watcher::new(stacks.clone()).map_err(Error::NetnsFind)?),
            is_awaited: false,
            warnings: Vec::new(),
            dumps: Dump::few(Scope::Matching(filter.as_ref()), &|_| true),
            filter,
            kernel: KernelTraits::of_version(version),
            buffer: Diag::buffer(),
            sequence: 0,
            flags: if *stacks == Stacks::AllNetns { flag::ALL_VNETS } else { 0 },
            record: Record::new(),
            ledger: None,
        };
        opened.open_all()?;
        Ok(opened)
    }

    /// Opens all namespaces, if the watcher is here.
    fn open_all(&mut self) -> Result<(), Error> {
        let Watching::Ready(watcher) = &mut self.watching else {
            return Err(Error::NetnsUnwatched);
        };
        watcher.restart();
        // Only this thread enters namespaces.
        let scanned = in_thread(|| if watcher::can_enter() { Some(watcher.scan()) } else { None });
        let events = match scanned.map_err(Error::NetnsFind)? {
            None => return Err(Error::NetnsNotAllowed),
            Some(Err(ScanError::Find(error) | ScanError::Return(error))) => return Err(Error::NetnsFind(error)),
            Some(Ok(events)) => events,
        };
        if let Some(name) = watcher.finder().missing().map_err(Error::NetnsFind)? {
            let names = watcher.finder().names().map_err(Error::NetnsFind)?;
            return Err(Error::NetnsUnknown { name, expected: names.join(", ") });
        }
        self.list.clear();
        self.warnings.clear();
        for event in events {
            self.apply(event)?;
        }
        Ok(())
    }

    /// Does what a message of the watcher requires.
    fn apply(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Opened(inode, text, sockets) => {
                let name = name(text.as_bytes());
                let token = match (&mut self.ledger, sockets.destroyed) {
                    (Some(ledger), Some(socket)) => Some(ledger.add(socket, Some(name)).map_err(Error::Ledger)?),
                    _ => None,
                };
                let mut diag = Diag::on(sockets.diag.into());
                diag.buffer = Vec::new();
                let can_match = self.can_match(name);
                self.list.push(Namespace { inode, name, diag, token, can_match, is_gone: false });
            }
            Event::Renamed(inode, text) => {
                let name = name(text.as_bytes());
                let can_match = self.can_match(name);
                for each in self.list.iter_mut().filter(|each| each.inode == inode && !each.is_gone) {
                    (each.name, each.can_match) = (name, can_match);
                    if let (Some(ledger), Some(token)) = (&mut self.ledger, each.token) {
                        ledger.rename(token, name);
                    }
                }
            }
            Event::Gone(inode) => {
                for each in self.list.iter_mut().filter(|each| each.inode == inode) {
                    each.is_gone = true;
                }
            }
            Event::Warning(text) => self.warnings.push(text),
            Event::Complete => self.is_awaited = false,
        }
        Ok(())
    }

    fn can_match(&self, netns: Name) -> bool {
        let mut record = Record::new();
        record.set(key::netns, netns);
        self.filter.as_ref().is_none_or(|filter| filter.can_match_by(&record, key::netns.field()))
    }

    /// Starts the watcher in a thread if nobody else runs it.
    fn start_thread(&mut self) -> Result<(), Error> {
        if !matches!(self.watching, Watching::Ready(_)) {
            return Ok(());
        }
        let Watching::Ready(watcher) = std::mem::replace(&mut self.watching, Watching::Nobody) else {
            return Ok(());
        };
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (ours, theirs) = pair.map_err(|errno| Error::NetnsFind(errno.into()))?;
        let run = move || watcher.run(theirs);
        thread::Builder::new().name("netns".into()).spawn(run).map_err(Error::NetnsFind)?;
        self.watching = Watching::Elsewhere(ours);
        Ok(())
    }

    /// Receives the messages of the watcher.  If it was asked for all namespaces, waits for
    /// them.
    fn receive(&mut self) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Watching::Elsewhere(socket) = &self.watching else {
                return if self.is_awaited { Err(Error::NetnsUnwatched) } else { Ok(()) };
            };
            match receive(socket) {
                Ok(Received::Event(event)) => self.apply(event)?,
                Ok(Received::Nothing) if !self.is_awaited => return Ok(()),
                Ok(Received::Nothing) => {
                    if Instant::now() > until {
                        return Err(Error::NetnsUnwatched);
                    }
                    _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(100_u8));
                }
                Ok(Received::End) | Err(_) => {
                    self.watching = Watching::Nobody;
                    self.warnings.push(
                        "the process that opens network namespaces has exited; new ones are not noticed until \
                         the program is restarted"
                            .into(),
                    );
                }
            }
        }
    }

    /// Closes the namespaces that are gone, or all of them.
    fn close(&mut self, all: bool) {
        let ledger = &mut self.ledger;
        self.list.retain(|each| {
            let is_closed = each.is_gone || all;
            if let (true, Some(token), Some(ledger)) = (is_closed, each.token, ledger.as_mut()) {
                ledger.remove(token);
            }
            !is_closed
        });
    }
}

/// Runs a function in a thread of its own, and waits for it.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| io::Error::other("the thread panicked"))
    })
}

/// Raises the limit of open files: each namespace needs two.
fn allow_more_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Without it, the first namespaces can be opened.
        _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

impl Source for Namespaces {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        self.start_thread()?;
        self.receive()?;
        let Self { list, dumps, record, filter, kernel, buffer, .. } = self;
        let (start, found) = repeat(snapshot, &mut |snapshot, start, seen| {
            let mut interrupted = false;
            for each in list.iter_mut().filter(|each| !each.is_gone && each.can_match) {
                std::mem::swap(&mut each.diag.buffer, buffer);
                let netns = each.name;
                let dumped = each.diag.dump_all(dumps, &mut |payload, now_ns| {
                    *seen += 1;
                    record.clear();
                    record.at_ns = now_ns.saturating_sub(start.mono_ns);
                    record.set(key::netns, netns);
                    if fill(record, payload, filter.as_ref(), *kernel)? {
                        snapshot.push(record);
                    }
                    Ok(())
                });
                std::mem::swap(&mut each.diag.buffer, buffer);
                interrupted |= dumped?;
            }
            Ok(interrupted)
        })?;
        self.sequence += 1;
        let found = Found { flags: found.flags | self.flags, ..found };
        finish(self.sequence, self.ledger.as_mut(), self.filter.as_ref(), start, found, snapshot)?;
        // The final records of their connections are in the snapshot.
        self.close(false);
        Ok(Sample::Taken)
    }

    fn comes_back(&self) -> bool {
        true
    }

    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool) {
        self.dumps = Dump::few(Scope::Matching(self.filter.as_ref()), is_wanted);
    }

    fn start_ledger(&mut self) -> Result<bool, Error> {
        let Watching::Ready(watcher) = &mut self.watching else {
            return Ok(self.ledger.is_some());
        };
        watcher.set_ledger(true);
        self.ledger = Some(Ledger::new().map_err(Error::Ledger)?);
        self.open_all()?;
        if self.list.iter().all(|each| each.token.is_none()) {
            self.ledger = None;
        }
        Ok(self.ledger.is_some())
    }

    /// Asks the watcher for all namespaces again.  Snapshot numbers continue.
    fn reopen(&mut self) -> Result<(), Error> {
        let Watching::Elsewhere(socket) = &self.watching else {
            return Err(Error::NetnsUnwatched);
        };
        send(socket.as_raw_fd(), b"again", MsgFlags::MSG_NOSIGNAL).map_err(|_| Error::NetnsUnwatched)?;
        self.is_awaited = true;
        self.close(true);
        Ok(())
    }

    fn reopen_path(&self) -> Option<&AnchoredPath> {
        None
    }

    fn watcher(&mut self) -> Option<Watcher> {
        match std::mem::replace(&mut self.watching, Watching::Nobody) {
            Watching::Ready(watcher) => Some(watcher),
            other => {
                self.watching = other;
                None
            }
        }
    }

    fn connect(&mut self, watcher: OwnedFd) {
        self.watching = Watching::Elsewhere(watcher);
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}
