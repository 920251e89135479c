// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The netlink socket of `sock_diag`(7), on which the kernel answers one request at a
//! time.  Replies are parsed in place.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockProtocol, SockType};

use super::bytecode::Family;
use super::inet_diag::{Dump, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK};
use super::layout::Bytes;
use super::netlink::{DumpError, Message, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};
use crate::system::mono_ns;
use crate::{Error, SOCK_DIAG};

/// Larger than any reply: the kernel uses at most 32 KiB for a dump.
const REPLY_MAX: usize = 128 * 1024;

/// What is done with the message of a socket, given with the time of the monotonic
/// clock at which it was received.
type Each<'a> = &'a mut dyn FnMut(&[u8], u64) -> Result<(), DumpError>;

/// Opens a netlink socket, which belongs to the network namespace of this thread.
pub fn socket() -> nix::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkSockDiag;
    socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
}

/// An open netlink socket.
pub struct Diag {
    pub socket: File,
    pub buffer: Vec<u8>,
    /// The number of the last request.
    pub request: u32,
}

impl Diag {
    /// Opens the socket.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub fn open() -> Result<Self, Error> {
        socket().map(|socket| Self::on(socket.into())).map_err(|errno| match errno {
            Errno::EPROTONOSUPPORT => Error::NoDiagnostics(errno.into()),
            Errno::EAFNOSUPPORT | Errno::EPERM | Errno::EACCES => Error::NotAllowed(errno.into()),
            _ => Error::System { name: SOCK_DIAG.into(), cause: errno.into() },
        })
    }

    pub fn on(socket: File) -> Self {
        Self { socket, buffer: Self::buffer(), request: 0 }
    }

    /// Returns a buffer for replies.
    pub fn buffer() -> Vec<u8> {
        vec![0; REPLY_MAX]
    }

    /// Makes several dumps, and returns whether the kernel reported that one was
    /// interrupted.
    ///
    /// # Errors
    /// Returns the error of the kernel, or an error if a reply is malformed.
    pub fn dump_all(&mut self, dumps: &mut [Dump], each: Each<'_>) -> Result<bool, DumpError> {
        let mut interrupted = false;
        for dump in dumps {
            match self.dump(dump, each) {
                Ok(again) => interrupted |= again,
                // A kernel without IPv6 has no such sockets.
                Err(DumpError::Io(error))
                    if dump.family == Family::Inet6 && error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(interrupted)
    }

    fn dump(&mut self, dump: &mut Dump, each: Each<'_>) -> Result<bool, DumpError> {
        self.request = self.request.wrapping_add(1);
        self.socket.write_all(dump.request(self.request))?;
        let mut interrupted = false;
        loop {
            let len = match self.socket.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let now_ns = mono_ns();
            let mut rest = self.buffer.get(..len).unwrap_or_default();
            while !rest.is_empty() {
                let message = Message::take(&mut rest)?;
                if message.request != self.request {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => return result_of(&message).map(|()| interrupted).map_err(Into::into),
                    SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => each(message.payload, now_ns)?,
                    _ => (),
                }
            }
        }
    }
}

/// Returns the result that the end of a dump or an acknowledgement reports: both start
/// with zero or a negated errno.
pub fn result_of(message: &Message<'_>) -> io::Result<()> {
    let code = Bytes(message.payload).first::<i32>().unwrap_or(0);
    if code < 0 { Err(io::Error::from_raw_os_error(-code)) } else { Ok(()) }
}
