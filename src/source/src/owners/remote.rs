// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Finding owners in another process, which keeps the privileges for that.
//!
//! The processes are connected by a stream in both directions.  A request contains sockets, and
//! its reply their owners.  Each is preceded by its length.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::time::TimeVal;

use super::{FindOwners, Finder, Owner, Owners, Process, Socket};
use crate::{Error, Numbered};

/// Length of the longest message in bytes, for 10 million sockets.
const MESSAGE_MAX: u32 = 10_000_000 * 32;

/// How long the other process may take to receive a part of a request, and to reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lengths of a socket and of an owner in bytes.
const SOCKET_LEN: usize = 32;
const OWNER_LEN: usize = 160;

/// Bits for the members of a socket or an owner that are present.
const HAS_VNET: u8 = 1;
const HAS_INODE: u8 = 2;
const HAS_JID: u8 = 4;
const HAS_PROCESS: u8 = 1;
const HAS_CONTAINER: u8 = 2;
const HAS_JAIL: u8 = 4;

/// The other process, as the one that asks sees it.
pub struct Remote {
    socket: File,
}

impl Remote {
    /// Uses the process at the other end, which [answers](answer).
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let patience = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        setsockopt(&socket, ReceiveTimeout, &patience)?;
        // A process that is stopped does not receive a request that is longer than its buffer.
        setsockopt(&socket, SendTimeout, &patience)?;
        Ok(Self { socket: socket.into() })
    }

    fn ask(&mut self, sockets: &[Socket]) -> io::Result<Owners> {
        let request: Vec<u8> = sockets.iter().flat_map(encode_socket).collect();
        send(&mut self.socket, &request)?;
        let reply = receive(&mut self.socket)?;
        decode_owners(&reply, sockets.len()).ok_or_else(|| ErrorKind::InvalidData.into())
    }
}

impl FindOwners for Remote {
    fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
        self.ask(sockets).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Error::OwnersGone,
            ErrorKind::WouldBlock => Error::OwnersSlow { seconds: PATIENCE.as_secs() },
            _ => Error::OwnersLost(error),
        })
    }
}

/// Answers requests until the other end is closed, or the finder fails.
pub fn answer(mut finder: Finder, socket: OwnedFd) {
    let mut socket = socket.into();
    // The other process notices any error when this end is closed.
    while let Ok(request) = receive(&mut socket) {
        let sockets: Vec<_> = request.chunks_exact(SOCKET_LEN).filter_map(decode_socket).collect();
        let Ok(owners) = finder.find(&sockets) else {
            return;
        };
        if send(&mut socket, &encode_owners(&owners)).is_err() {
            return;
        }
    }
}

/// Sends a message.
fn send(socket: &mut File, message: &[u8]) -> io::Result<()> {
    let too_long = |_| io::Error::from(ErrorKind::InvalidInput);
    socket.write_all(&u32::try_from(message.len()).map_err(too_long)?.to_ne_bytes())?;
    let (begin, mut rest) = (Instant::now(), message);
    while !rest.is_empty() {
        match socket.write(rest) {
            // After the timeout, write(2) first reports what fitted into the buffer.
            Ok(len) if len < rest.len() && begin.elapsed() >= PATIENCE => return Err(ErrorKind::WouldBlock.into()),
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives a message.
fn receive(socket: &mut File) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    socket.read_exact(&mut len)?;
    let len = u32::from_ne_bytes(len);
    if len > MESSAGE_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    // Memory is used only for what has arrived.
    let mut message = Vec::new();
    socket.take(len.into()).read_to_end(&mut message)?;
    if message.len() < len as usize { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(message) }
}

fn encode_socket(socket: &Socket) -> [u8; SOCKET_LEN] {
    let Socket { id: Numbered { gencnt, vnet }, inode, jid } = *socket;
    let bit = |is_present, bit| if is_present { bit } else { 0 };
    let mut bytes = [0; SOCKET_LEN];
    put(&mut bytes, 0, gencnt.to_ne_bytes());
    put(&mut bytes, 8, vnet.unwrap_or(0).to_ne_bytes());
    put(&mut bytes, 16, inode.unwrap_or(0).to_ne_bytes());
    put(&mut bytes, 20, jid.unwrap_or(0).to_ne_bytes());
    put(
        &mut bytes,
        24,
        [bit(vnet.is_some(), HAS_VNET) | bit(inode.is_some(), HAS_INODE) | bit(jid.is_some(), HAS_JID)],
    );
    bytes
}

fn decode_socket(bytes: &[u8]) -> Option<Socket> {
    let [has] = take(bytes, 24)?;
    let id = Numbered {
        gencnt: u64::from_ne_bytes(take(bytes, 0)?),
        vnet: Some(u64::from_ne_bytes(take(bytes, 8)?)).filter(|_| has & HAS_VNET != 0),
    };
    Some(Socket {
        id,
        inode: Some(u32::from_ne_bytes(take(bytes, 16)?)).filter(|_| has & HAS_INODE != 0),
        jid: Some(u32::from_ne_bytes(take(bytes, 20)?)).filter(|_| has & HAS_JID != 0),
    })
}

/// Encodes owners: the number of different ones, those, and the place of each owner among them.
fn encode_owners(owners: &Owners) -> Vec<u8> {
    let different = u32::try_from(owners.different.len()).unwrap_or(u32::MAX).to_ne_bytes();
    let mut bytes = Vec::with_capacity(4 + OWNER_LEN * owners.different.len() + 4 * owners.places.len());
    bytes.extend(different);
    bytes.extend(owners.different.iter().flat_map(|owner| encode_owner(owner)));
    bytes.extend(owners.places.iter().flat_map(|place| place.to_ne_bytes()));
    bytes
}

/// Decodes this number of owners.
fn decode_owners(bytes: &[u8], count: usize) -> Option<Owners> {
    let different = u32::from_ne_bytes(take(bytes, 0)?) as usize;
    let (table, places) = bytes.get(4..)?.split_at_checked(different.checked_mul(OWNER_LEN)?)?;
    let different: Vec<_> =
        table.chunks_exact(OWNER_LEN).map(|bytes| decode_owner(bytes).map(Arc::new)).collect::<Option<_>>()?;
    let (places, []) = places.as_chunks() else {
        return None;
    };
    let places: Vec<_> = places.iter().map(|place| u32::from_ne_bytes(*place)).collect();
    let are_valid = places.len() == count && places.iter().all(|place| (*place as usize) < different.len());
    are_valid.then_some(Owners { different, places })
}

fn encode_owner(owner: &Owner) -> [u8; OWNER_LEN] {
    let mut bytes = [0; OWNER_LEN];
    let mut has = 0;
    if let Some(Process { pid, command, processes }) = &owner.process {
        has |= HAS_PROCESS;
        put(&mut bytes, 4, pid.to_ne_bytes());
        put(&mut bytes, 8, processes.to_ne_bytes());
        put(&mut bytes, 16, *command);
    }
    if let Some(container) = owner.container {
        has |= HAS_CONTAINER;
        put(&mut bytes, 32, container);
    }
    if let Some(jail) = owner.jail {
        has |= HAS_JAIL;
        put(&mut bytes, 96, jail);
    }
    put(&mut bytes, 0, [has]);
    bytes
}

fn decode_owner(bytes: &[u8]) -> Option<Owner> {
    let [has] = take(bytes, 0)?;
    let process = Process {
        pid: u32::from_ne_bytes(take(bytes, 4)?),
        processes: u32::from_ne_bytes(take(bytes, 8)?),
        command: take(bytes, 16)?,
    };
    Some(Owner {
        process: Some(process).filter(|_| has & HAS_PROCESS != 0),
        container: Some(take(bytes, 32)?).filter(|_| has & HAS_CONTAINER != 0),
        jail: Some(take(bytes, 96)?).filter(|_| has & HAS_JAIL != 0),
    })
}

/// Writes bytes at this position of a longer array.
fn put<const LEN: usize>(bytes: &mut [u8], at: usize, value: [u8; LEN]) {
    bytes[at..at + LEN].copy_from_slice(&value);
}

fn take<const LEN: usize>(bytes: &[u8], at: usize) -> Option<[u8; LEN]> {
    bytes.get(at..at + LEN)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use proptest::prelude::*;

    use super::*;

    fn any_socket() -> impl Strategy<Value = Socket> {
        (any::<u64>(), any::<Option<u64>>(), any::<Option<u32>>(), any::<Option<u32>>())
            .prop_map(|(gencnt, vnet, inode, jid)| Socket { id: Numbered { gencnt, vnet }, inode, jid })
    }

    fn any_owner() -> impl Strategy<Value = Owner> {
        let process = (any::<u32>(), any::<[u8; 16]>(), any::<u32>());
        let name = || prop::option::of(prop::array::uniform32(any::<u8>()));
        (prop::option::of(process), name(), name()).prop_map(|(process, container, jail)| {
            let long = |name: [u8; 32]| {
                let mut long = [0; 64];
                long[..32].copy_from_slice(&name);
                long
            };
            Owner {
                process: process.map(|(pid, command, processes)| Process { pid, command, processes }),
                container: container.map(long),
                jail: jail.map(long),
            }
        })
    }

    proptest! {
        #[test]
        fn sockets_and_owners_arrive_unchanged(sockets: Vec<u8>, socket in any_socket(), owners in prop::collection::vec(any_owner(), 0..20)) {
            prop_assert_eq!(decode_socket(&encode_socket(&socket)), Some(socket));
            let shared = Owners::collect(owners.iter(), Clone::clone);
            prop_assert!(shared.iter().map(|owner| &**owner).eq(&owners));
            prop_assert_eq!(decode_owners(&encode_owners(&shared), owners.len() + 1), None);
            prop_assert_eq!(decode_owners(&encode_owners(&shared), owners.len()), Some(shared));
            // Any bytes are decoded or refused.
            _ = decode_socket(&sockets);
            _ = decode_owners(&sockets, 3);
        }
    }

    fn pair() -> (File, File) {
        let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        (pair.0.into(), pair.1.into())
    }

    #[test]
    fn messages_of_any_length_arrive() {
        let (mut one, mut other) = pair();
        for len in [0, 1, 1_000_000] {
            let message: Vec<u8> = (0..=250).cycle().take(len).collect();
            let (sent, mut sender) = (message.clone(), one.try_clone().unwrap());
            let thread = std::thread::spawn(move || send(&mut sender, &sent).and_then(|()| send(&mut sender, &[7])));
            assert!(receive(&mut other).unwrap() == message, "{len} bytes");
            assert_eq!(receive(&mut other).unwrap(), [7]);
            thread.join().unwrap().unwrap();
        }
        one.write_all(&[3, 0, 0, 0, 1]).unwrap();
        drop(one);
        assert_eq!(receive(&mut other).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_process_that_is_gone_is_reported() {
        let (ours, theirs) = pair();
        let mut remote = Remote::new(ours.into()).unwrap();
        drop(theirs);
        assert!(matches!(remote.find(&[]), Err(Error::OwnersGone)));
    }

    #[test]
    fn a_process_that_is_stopped_is_reported() {
        let (ours, _theirs) = pair();
        let mut remote = Remote::new(ours.into()).unwrap();
        setsockopt(&remote.socket, SendTimeout, &TimeVal::new(0, 100_000)).unwrap();
        // More than fits into the buffers.
        let socket = Socket { id: Numbered { gencnt: 1, vnet: None }, inode: Some(7), jid: None };
        assert!(matches!(remote.find(&vec![socket; 100_000]), Err(Error::OwnersSlow { .. })));
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        let (mut one, mut other) = pair();
        one.write_all(&(MESSAGE_MAX + 1).to_ne_bytes()).unwrap();
        assert_eq!(receive(&mut other).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
