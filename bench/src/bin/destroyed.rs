// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `destroyed COUNT`: a reference for the cost of final records on Linux.
//!
//! Reads COUNT messages about destroyed TCP sockets from `sock_diag`, and discards
//! them.  Prints `ready` once it can receive them.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket};

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`.
const GROUPS: u32 = 0b101;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("usage: destroyed COUNT")?.parse()?;
    let kind = (AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkSockDiag);
    let socket = socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, kind.2)?;
    // As large as the logger's.
    setsockopt(&socket, RcvBufForce, &(32 << 20))?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    println!("ready");
    let mut socket = File::from(socket);
    let mut buffer = [0; 8192];
    for _ in 0..count {
        // Fails if messages were lost.
        _ = socket.read(&mut buffer)?;
    }
    Ok(())
}
