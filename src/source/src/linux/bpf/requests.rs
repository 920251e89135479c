// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Requests for single sockets, to which `sock_diag`(7) replies without walking over all
//! sockets.

use std::io::{self, Write};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tcpstats::{Field, Record, State, key, mapped_ipv4};

use crate::linux::bytecode::Family;
use crate::linux::diag::{Diag, result_of};
use crate::linux::inet_diag::{DiagRequest, REQUEST_LEN, SOCK_DIAG_BY_FAMILY, extensions, request};
use crate::linux::layout::put;
use crate::linux::netlink::{DumpError, Message, MessageHeader, NLMSG_ERROR};
use crate::system::mono_ns;

/// What identifies one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId {
    pub cookie: u64,
    /// The interface to which the socket is bound, or 0.
    pub ifindex: u32,
    pub lport: u16,
    pub fport: u16,
    /// IPv4 addresses are mapped into IPv6.
    pub laddr: [u8; 16],
    pub faddr: [u8; 16],
    /// It is an incomplete handshake, which ends without a mark.
    pub is_handshake: bool,
}

impl SocketId {
    /// Returns the ID of the socket of a record, if the kernel has sent its cookie.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self {
            cookie: record.get(key::gencnt)?,
            ifindex: record.get(key::ifindex).unwrap_or(0),
            lport: record.get(key::lport)?,
            fport: record.get(key::fport)?,
            laddr: record.get(key::laddr)?,
            faddr: record.get(key::faddr)?,
            // It has no buffers yet.
            is_handshake: record.get(key::state) == Some(State::SYN_RCVD) && record.get(key::rcv_cc).is_none(),
        })
    }
}

/// Requests for single sockets, which are sent together.
pub struct SocketRequests {
    /// A request for each family, without a socket.
    inet: Vec<u8>,
    inet6: Vec<u8>,
    bytes: Vec<u8>,
}

impl SocketRequests {
    /// The number of requests in a batch.  Their replies, of less than 3 KiB each with the
    /// kernel's overhead, fit in the default buffer of a socket.
    const BATCH: usize = 32;

    /// Creates a list of requests for the wanted fields.
    pub fn new(is_wanted: &dyn Fn(&Field) -> bool) -> Self {
        let of = |family| request(family, extensions(family, is_wanted), u32::MAX);
        Self { inet: of(Family::Inet), inet6: of(Family::Inet6), bytes: Vec::new() }
    }

    /// Removes all requests.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds a request.
    pub fn push(&mut self, id: &SocketId) {
        let start = self.bytes.len();
        let ends = mapped_ipv4(id.laddr).zip(mapped_ipv4(id.faddr));
        self.bytes.extend(if ends.is_some() { &self.inet } else { &self.inet6 });
        let body = &mut self.bytes[start + MessageHeader::LEN..];
        let mut put_address = |at, address: [u8; 16], ipv4: Option<[u8; 4]>| {
            // The other bytes of an IPv4 address are zero.
            let [a, b, c, d] = ipv4.unwrap_or_default();
            let short = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            put(body, at, if ipv4.is_some() { short } else { address });
        };
        put_address(DiagRequest::src, id.laddr, ends.map(|(laddr, _)| laddr));
        put_address(DiagRequest::dst, id.faddr, ends.map(|(_, faddr)| faddr));
        put(body, DiagRequest::sport, id.lport.to_be_bytes());
        put(body, DiagRequest::dport, id.fport.to_be_bytes());
        put(body, DiagRequest::interface, id.ifindex);
        put(body, DiagRequest::cookie, id.cookie.to_ne_bytes());
    }

    /// Returns the next requests after the first `done` ones, with sequence numbers from
    /// `number`, and how many there are; `None` at the end.
    pub fn batch(&mut self, done: usize, number: u32) -> Option<(&[u8], usize)> {
        let rest = self.bytes.get_mut(done * REQUEST_LEN..)?;
        let len = rest.len().min(Self::BATCH * REQUEST_LEN);
        let batch = &mut rest[..len];
        for (request, number) in batch.chunks_mut(REQUEST_LEN).zip(number..) {
            put(request, MessageHeader::seq, number);
        }
        (len > 0).then_some((batch, len / REQUEST_LEN))
    }
}

impl Diag {
    /// Requests single sockets.  For each one, `each` is called with its number among the
    /// requests, and with its message or `None` if the socket no longer exists.
    ///
    /// # Errors
    /// Returns the error of the kernel, or an error if a reply is missing or malformed.
    pub fn sockets(
        &mut self,
        requests: &mut SocketRequests,
        mut each: impl FnMut(usize, Option<&[u8]>, u64) -> Result<(), DumpError>,
    ) -> Result<(), DumpError> {
        let mut done = 0;
        loop {
            let first = self.request.wrapping_add(1);
            let Some((bytes, count)) = requests.batch(done, first) else {
                return Ok(());
            };
            self.request = self.request.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
            self.socket.write_all(bytes)?;
            // The kernel has queued all replies by now.
            let now_ns = mono_ns();
            let mut replies = 0;
            while replies < count {
                let len = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                    Err(Errno::EINTR) => continue,
                    Err(Errno::EAGAIN) => return Err(io::Error::from(Errno::ENOBUFS).into()),
                    other => other.map_err(io::Error::from)?,
                };
                let mut rest = self.buffer.get(..len).unwrap_or_default();
                while !rest.is_empty() {
                    let message = Message::take(&mut rest)?;
                    let number = message.request.wrapping_sub(first) as usize;
                    if number >= count {
                        continue;
                    }
                    replies += 1;
                    match message.kind {
                        SOCK_DIAG_BY_FAMILY => each(done + number, Some(message.payload), now_ns)?,
                        NLMSG_ERROR => match result_of(&message) {
                            Err(error) if !is_of_missing_socket(&error) => return Err(error.into()),
                            _ => each(done + number, None, now_ns)?,
                        },
                        _ => (),
                    }
                }
            }
            done += count;
        }
    }
}

/// Returns whether there is no socket with the addresses, or only one with another cookie.
fn is_of_missing_socket(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE))
}
