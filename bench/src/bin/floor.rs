// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `floor COUNT [BYTES]`: measures the minimum cost of a snapshot on Linux.
//!
//! Requests COUNT dumps of all TCP sockets from `sock_diag`, with the same
//! attributes as the logger, and discards the replies.  With BYTES it also
//! writes BYTES zeros to standard output after each dump, which is the minimum
//! cost of a snapshot that is logged in a format of that size.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// The size of the logger's buffer.
const REPLY_MAX: usize = 128 * 1024;

// Constants in linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const FAMILIES: [u8; 2] = [2, 10];

/// Returns `nlmsghdr` and `inet_diag_req_v2` for all TCP sockets of a family in
/// any state, with `INET_DIAG_INFO`, `_CONG` and `_SKMEMINFO`.
fn request(family: u8) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[0..4].copy_from_slice(&72_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&20_u16.to_ne_bytes());
    bytes[6..8].copy_from_slice(&0x301_u16.to_ne_bytes());
    bytes[16..19].copy_from_slice(&[family, 6, 0b0100_1010]);
    bytes[20..24].copy_from_slice(&0x1ffe_u32.to_ne_bytes());
    bytes
}

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("usage: floor COUNT [BYTES]")?.parse()?;
    let zeros = vec![0; std::env::args().nth(2).map_or(Ok(0), |bytes| bytes.parse())?];
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let kind = (AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkSockDiag);
    let mut socket = File::from(socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, kind.2)?);
    let mut buffer = vec![0; REPLY_MAX];
    for _ in 0..count {
        for family in FAMILIES {
            socket.write_all(&request(family))?;
            loop {
                if socket.read(&mut buffer)? == 0 {
                    return Err("the kernel sent an empty reply".into());
                }
                // The end of a dump is a separate reply.
                match u16::from_ne_bytes([buffer[4], buffer[5]]) {
                    NLMSG_DONE => break,
                    NLMSG_ERROR => return Err("the kernel returned an error".into()),
                    _ => (),
                }
            }
        }
        output.write_all(&zeros)?;
    }
    Ok(())
}
