// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `pingpong COUNT`: makes COUNT round trips of 100 bytes each way on one connection over
//! loopback.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("usage: pingpong COUNT")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut buffer = [0; 100];
    for _ in 0..count {
        client.write_all(&buffer)?;
        server.read_exact(&mut buffer)?;
        server.write_all(&buffer)?;
        client.read_exact(&mut buffer)?;
    }
    Ok(())
}
