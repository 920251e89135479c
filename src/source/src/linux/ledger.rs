// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The ledger: the messages that the kernel sends to multicast groups of
//! `sock_diag`(7) when a TCP socket is destroyed, see `sock_diag_broadcast_destroy()`
//! in `net/core/sock_diag.c`.
//!
//! The kernel sends them to sockets of the same network namespace, so there is a socket for
//! each namespace.
//!
//! A thread moves the messages from the sockets to memory, because a socket holds
//! only a few hundred of them without privileges.  Messages for which there is no
//! room in either are counted.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockopt, setsockopt, socket,
};
use nix::unistd::pipe2;
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Filter, Record, key};

use super::inet_diag::{Ended, SOCK_DIAG_BY_FAMILY, fill_final};
use super::namespaces::Name;
use super::netlink::{DumpError, Message};
use crate::system::mono_ns;

/// The groups `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY` of
/// `linux/sock_diag.h`.
const GROUPS: u32 = 1 << 0 | 1 << 2;

/// The size of the socket's buffer to ask for, in bytes.  A message uses about 1.3 KiB
/// of it.  Without `CAP_NET_ADMIN` the kernel allows up to `net.core.rmem_max`.
const SOCKET_BUFFER: usize = 32 << 20;

/// The memory for messages between two snapshots, in bytes: enough for about 160,000.
const MESSAGES_MAX: usize = 64 << 20;

/// If the buffers of all sockets have at least this size, the thread lets messages collect
/// for a while instead of waking up for each, unless there were many.
const BUFFER_FOR_PAUSE: usize = 4 << 20;
const PAUSE_MS: u8 = 2;
const MANY: usize = 256;

/// Larger than any of the messages.
const MESSAGE_MAX: usize = 4096;

/// The number of messages that share one reading of the clock.
const CLOCK_INTERVAL: usize = 16;

/// By how much the memory grows, in bytes.
const GROWTH: usize = 1 << 20;

sockopt_impl!(
    /// `SO_MEMINFO`: the array of `SK_MEMINFO_*` in `linux/sock_diag.h`.
    MemInfo, GetOnly, libc::SOL_SOCKET, SO_MEMINFO, [u32; 9]
);
const SO_MEMINFO: libc::c_int = 55;
/// `SK_MEMINFO_DROPS`.
const DROPS: usize = 8;

sockopt_impl!(
    /// `NETLINK_NO_ENOBUFS`: count messages for which there is no room, and continue.
    NoEnobufs, SetOnly, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, bool
);

/// Opens a socket that receives the messages of the network namespace of this thread; returns
/// `None` if the kernel has no such groups.
///
/// # Errors
/// Returns the error of the kernel.
pub fn listen() -> io::Result<Option<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    // Without this option the kernel drops everything after a message for which there
    // is no room, until the socket is empty.
    if setsockopt(&socket, NoEnobufs, &true).and_then(|()| getsockopt(&socket, MemInfo)).is_err() {
        return Ok(None);
    }
    if setsockopt(&socket, RcvBufForce, &SOCKET_BUFFER).is_err() {
        setsockopt(&socket, RcvBuf, &SOCKET_BUFFER)?;
    }
    match bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)) {
        Ok(()) => Ok(Some(socket)),
        // Before Linux 4.3 there are no such groups, and a security module may forbid them.
        Err(Errno::EINVAL | Errno::EPERM | Errno::EACCES | Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// A socket of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(u64);

/// A socket that receives messages.
struct Receiving {
    token: Token,
    socket: File,
    /// The namespace, for the field netns.
    netns: Option<Name>,
    /// Drops of the socket at the last snapshot, modulo 2^32.
    drops: u32,
}

/// The sockets, and the messages since the last snapshot.
#[derive(Default)]
struct Received {
    /// In the order of their tokens.
    sockets: Vec<Receiving>,
    /// Whether the thread lets messages collect.
    pauses: bool,
    /// For each message the time of the monotonic clock in nanoseconds, the token of its
    /// socket, and the message, padded to a multiple of 8 bytes.
    bytes: Vec<u8>,
    /// The number of bytes in use.
    len: usize,
    /// The number of messages for which there was no room.
    lost: u64,
    /// The error that ended the thread.
    failed: Option<io::Error>,
}

/// What precedes each message: the time and the token.
const HEAD_LEN: usize = 16;

impl Received {
    fn position(&self, token: Token) -> Option<usize> {
        self.sockets.binary_search_by_key(&token, |each| each.token).ok()
    }

    /// Moves the messages of a socket to memory; returns their number.
    fn drain(&mut self, token: Token) -> io::Result<usize> {
        let Some(position) = self.position(token) else {
            return Ok(0);
        };
        let Self { sockets, bytes, len: used, lost, .. } = self;
        let mut socket = &sockets[position].socket;
        let mut messages = 0;
        let mut time = [0; 8];
        loop {
            // Reading the clock costs a tenth as much as a message.
            if messages % CLOCK_INTERVAL == 0 {
                time = mono_ns().to_ne_bytes();
            }
            // Each message is read directly into its place after the previous ones.
            let start = *used;
            let end = start + HEAD_LEN + MESSAGE_MAX;
            if bytes.len() < end {
                bytes.resize(end + GROWTH, 0);
            }
            let (head, room) = bytes[start..end].split_at_mut(HEAD_LEN);
            let len = match socket.read(room) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            messages += 1;
            if start > MESSAGES_MAX {
                *lost += 1;
                continue;
            }
            let (time_at, token_at) = head.split_at_mut(time.len());
            time_at.copy_from_slice(&time);
            token_at.copy_from_slice(&token.0.to_ne_bytes());
            *used = start + HEAD_LEN + len.next_multiple_of(8);
        }
    }

    /// Returns how many messages the sockets have dropped since the last call.
    fn dropped(&mut self) -> io::Result<u64> {
        let mut dropped = 0;
        for each in &mut self.sockets {
            let drops = getsockopt(&each.socket, MemInfo)?[DROPS];
            dropped += u64::from(drops.wrapping_sub(std::mem::replace(&mut each.drops, drops)));
        }
        Ok(dropped)
    }

    /// Decides whether the thread lets messages collect.
    fn update_pauses(&mut self) -> io::Result<()> {
        self.pauses = true;
        for each in &self.sockets {
            self.pauses &= getsockopt(&each.socket, RcvBuf)? >= BUFFER_FOR_PAUSE;
        }
        Ok(())
    }
}

/// What the thread and the source share.
struct Receiver {
    /// Returns the tokens of the sockets that have messages.
    epoll: Epoll,
    received: Mutex<Received>,
}

impl Receiver {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all messages to memory; returns their number.
    fn drain(&self) -> io::Result<usize> {
        let mut received = self.lock();
        let mut messages = 0;
        let mut events = [EpollEvent::empty(); 32];
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => continue,
                ready => ready?,
            };
            for event in events.iter().take(ready) {
                messages += received.drain(Token(event.data()))?;
            }
            if ready < events.len() {
                return Ok(messages);
            }
        }
    }
}

/// The final records of the connections in some network namespaces.
pub struct Ledger {
    receiver: Arc<Receiver>,
    next: u64,
    /// The messages that are being converted to records.
    taken: Vec<u8>,
    /// The thread, which ends when this is dropped.
    thread: Option<OwnedFd>,
}

impl Ledger {
    /// Creates a ledger without sockets.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let receiver = Arc::new(Receiver { epoll, received: Mutex::default() });
        Ok(Self { receiver, next: 0, taken: Vec::new(), thread: None })
    }

    /// Starts to receive the messages of the network namespace of this thread; returns
    /// `None` if the kernel has no such groups.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub fn open() -> io::Result<Option<Self>> {
        let Some(socket) = listen()? else {
            return Ok(None);
        };
        let mut ledger = Self::new()?;
        ledger.add(socket, None)?;
        Ok(Some(ledger))
    }

    /// Adds a new socket that [`listen`] opened, and the name of its namespace for the field
    /// netns.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn add(&mut self, socket: OwnedFd, netns: Option<Name>) -> io::Result<Token> {
        let token = Token(self.next);
        self.next += 1;
        let mut received = self.receiver.lock();
        self.receiver.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token.0))?;
        received.sockets.push(Receiving { token, socket: File::from(socket), netns, drops: 0 });
        received.update_pauses()?;
        Ok(token)
    }

    /// Changes the name of a socket's namespace.
    pub fn rename(&mut self, token: Token, netns: Name) {
        let mut received = self.receiver.lock();
        if let Some(position) = received.position(token) {
            received.sockets[position].netns = Some(netns);
        }
    }

    /// Closes a socket.  Its messages must have been [taken](Ledger::take).
    pub fn remove(&mut self, token: Token) {
        let mut received = self.receiver.lock();
        if let Some(position) = received.position(token) {
            let closed = received.sockets.remove(position);
            // Closing it does so too, unless another process has the socket open.
            _ = self.receiver.epoll.delete(&closed.socket);
        }
    }

    /// Starts the thread unless it is running.  It inherits the restrictions of the
    /// caller, so it is started after the sandbox has been entered.
    ///
    /// # Errors
    /// Returns the error of the system.
    fn start_thread(&mut self) -> io::Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let (quit, ours) = pipe2(OFlag::O_CLOEXEC)?;
        let receiver = Arc::clone(&self.receiver);
        let run = move || {
            if let Err(error) = receive(&receiver, &quit) {
                receiver.lock().failed = Some(error);
            }
        };
        thread::Builder::new().name("ledger".into()).spawn(run)?;
        self.thread = Some(ours);
        Ok(())
    }

    /// Appends the final records since the last call that the filter matches, with
    /// times relative to `start_ns`.  Returns how many there are, and the number of
    /// connections that have ended without one.
    ///
    /// # Errors
    /// Returns the error of the system, or an error if a message is malformed.
    pub fn take(
        &mut self,
        start_ns: u64,
        filter: Option<&Filter>,
        snapshot: &mut SnapshotBuffer,
    ) -> Result<(u64, u64), DumpError> {
        self.start_thread()?;
        self.receiver.drain()?;
        let mut lost;
        let names: Vec<(Token, Option<Name>)>;
        let len = {
            let mut received = self.receiver.lock();
            if let Some(error) = received.failed.take() {
                return Err(error.into());
            }
            lost = received.dropped()?;
            names = received.sockets.iter().map(|each| (each.token, each.netns)).collect();
            std::mem::swap(&mut received.bytes, &mut self.taken);
            lost += std::mem::take(&mut received.lost);
            std::mem::take(&mut received.len)
        };
        let (mut rest, mut ended) = (self.taken.get(..len).unwrap_or_default(), 0);
        let mut record = Record::new();
        while let Some((time_ns, after)) = rest.split_first_chunk() {
            let Some((token, after)) = after.split_first_chunk() else {
                break;
            };
            rest = after;
            let message = Message::take(&mut rest)?;
            // Messages start at multiples of 8 bytes.
            rest = rest.get(rest.len() % 8..).unwrap_or_default();
            if message.kind != SOCK_DIAG_BY_FAMILY {
                continue;
            }
            record.clear();
            // Negative if the connection ended before the snapshot was started.
            record.at_ns = u64::from_ne_bytes(*time_ns).wrapping_sub(start_ns);
            let token = Token(u64::from_ne_bytes(*token));
            if let Ok(position) = names.binary_search_by_key(&token, |(token, _)| *token) {
                record.set_if(key::netns, names[position].1);
            }
            match fill_final(&mut record, message.payload, filter)? {
                Ended::Matched => {
                    snapshot.push(&record);
                    ended += 1;
                }
                Ended::Reset => lost += 1,
                Ended::Other => (),
            }
        }
        Ok((ended, lost))
    }
}

/// Receives messages until the other end of the pipe `quit` is closed.
fn receive(receiver: &Receiver, quit: &OwnedFd) -> io::Result<()> {
    let mut waiting =
        [PollFd::new(quit.as_fd(), PollFlags::POLLIN), PollFd::new(receiver.epoll.0.as_fd(), PollFlags::POLLIN)];
    // After an interrupted call, the sockets may be empty when they are read.
    let mut is_over = |events: usize, timeout: PollTimeout| {
        _ = poll(&mut waiting[..events], timeout);
        waiting[0].any().unwrap_or(false)
    };
    while !is_over(2, PollTimeout::NONE) {
        let messages = receiver.drain()?;
        let pauses = receiver.lock().pauses;
        if pauses && messages < MANY && is_over(1, PollTimeout::from(PAUSE_MS)) {
            break;
        }
    }
    Ok(())
}
