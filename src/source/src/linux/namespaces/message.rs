// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The messages of the watcher to the source, one in each packet of a socket pair: a kind,
//! the inode of a namespace and a text, with the sockets as `SCM_RIGHTS`.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The sockets of a namespace.
#[derive(Debug)]
pub struct Sockets {
    /// For dumps.
    pub diag: OwnedFd,
    /// For messages about destroyed sockets, if these are wanted and the kernel has them.
    pub destroyed: Option<OwnedFd>,
}

/// A message.
#[derive(Debug)]
pub enum Event {
    /// A namespace was opened: its inode, its name and its sockets.
    Opened(u64, String, Sockets),
    /// A namespace has another name.
    Renamed(u64, String),
    /// A namespace has neither a name nor a process any more.
    Gone(u64),
    /// Something that users must know.
    Warning(String),
    /// All namespaces were reported, after a request.
    Complete,
}

/// The maximum length of a text in bytes.
const TEXT_MAX: usize = 1024;

/// The kind and the inode.
const HEAD_LEN: usize = 1 + size_of::<u64>();

/// Sends a message.
///
/// # Errors
/// Returns the error of the system, if the source is gone.
pub fn send(socket: &OwnedFd, event: &Event) -> io::Result<()> {
    let (kind, inode, text) = match event {
        Event::Opened(inode, name, _) => (b'o', *inode, name.as_str()),
        Event::Renamed(inode, name) => (b'r', *inode, name.as_str()),
        Event::Gone(inode) => (b'g', *inode, ""),
        Event::Warning(text) => (b'w', 0, text.as_str()),
        Event::Complete => (b'c', 0, ""),
    };
    let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
    let packet = [&[kind][..], &inode.to_ne_bytes(), text.as_bytes()].concat();
    let descriptors: Vec<RawFd> = match event {
        Event::Opened(.., Sockets { diag, destroyed }) => {
            [diag].into_iter().chain(destroyed).map(AsRawFd::as_raw_fd).collect()
        }
        _ => Vec::new(),
    };
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    loop {
        let sent = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&packet)], control, MsgFlags::MSG_NOSIGNAL, None);
        match sent {
            Err(Errno::EINTR) => (),
            sent => return Ok(sent.map(|_| ())?),
        }
    }
}

/// What was received.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Event(Event),
    /// No message is waiting.
    Nothing,
    /// The watcher has exited.
    End,
}

/// Receives a message if one is waiting.
///
/// # Errors
/// Returns the error of the system, or an error if the message is malformed.
pub fn receive(socket: &OwnedFd) -> io::Result<Received> {
    let mut packet = [0; HEAD_LEN + TEXT_MAX];
    let mut control = cmsg_space!([RawFd; 2]);
    let (len, sockets) = {
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Err(Errno::EINTR) => (),
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                Err(Errno::ECONNRESET) => return Ok(Received::End),
                message => break message?,
            }
        };
        let mut sockets = Vec::new();
        for each in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = each {
                // SAFETY: the kernel has just created these descriptors for this process, and
                // nothing else knows them.
                sockets.extend(descriptors.into_iter().map(|each| unsafe { OwnedFd::from_raw_fd(each) }));
            }
        }
        (message.bytes, sockets)
    };
    match packet.get(..len) {
        None | Some([]) => Ok(Received::End),
        Some(packet) => parse(packet, sockets)
            .map(Received::Event)
            .ok_or_else(|| io::Error::other("a message about network namespaces is malformed")),
    }
}

/// Parses a message.
fn parse(packet: &[u8], sockets: Vec<OwnedFd>) -> Option<Event> {
    let (head, text) = packet.split_at_checked(HEAD_LEN)?;
    let (kind, inode) = head.split_first()?;
    let inode = u64::from_ne_bytes(*inode.first_chunk()?);
    let text = || Some(std::str::from_utf8(text).ok()?.to_owned());
    Some(match kind {
        b'o' => {
            let mut sockets = sockets.into_iter();
            Event::Opened(inode, text()?, Sockets { diag: sockets.next()?, destroyed: sockets.next() })
        }
        b'r' => Event::Renamed(inode, text()?),
        b'g' => Event::Gone(inode),
        b'w' => Event::Warning(text()?),
        b'c' => Event::Complete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use proptest::prelude::*;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    #[test]
    fn a_namespace_arrives_with_its_sockets() {
        let (here, there) = pair();
        assert!(matches!(receive(&here), Ok(Received::Nothing)));
        let (reader, writer) = std::io::pipe().unwrap();
        let sockets = Sockets { diag: reader.into(), destroyed: Some(writer.into()) };
        send(&there, &Event::Opened(7, "blue".into(), sockets)).unwrap();
        send(&there, &Event::Gone(8)).unwrap();
        drop(there);
        let Ok(Received::Event(Event::Opened(7, name, sockets))) = receive(&here) else {
            panic!("not what was sent");
        };
        assert_eq!(name, "blue");
        std::io::Write::write_all(&mut File::from(sockets.destroyed.unwrap()), b"x").unwrap();
        let mut read = Vec::new();
        File::from(sockets.diag).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"x");
        assert!(matches!(receive(&here), Ok(Received::Event(Event::Gone(8)))));
        assert!(matches!(receive(&here), Ok(Received::End)));
    }

    #[test]
    fn a_long_text_is_truncated() {
        let (here, there) = pair();
        send(&there, &Event::Warning("é".repeat(2000))).unwrap();
        let Ok(Received::Event(Event::Warning(text))) = receive(&here) else {
            panic!("not what was sent");
        };
        assert_eq!(text, "é".repeat(TEXT_MAX / 2));
    }

    proptest! {
        #[test]
        fn any_packet_is_parsed_or_rejected(packet in proptest::collection::vec(any::<u8>(), 0..40)) {
            let event = parse(&packet, Vec::new());
            prop_assert!(event.is_none() || packet.len() >= HEAD_LEN);
        }
    }
}
