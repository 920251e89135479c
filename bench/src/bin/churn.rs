// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `churn COUNT`: opens COUNT connections over loopback, one after another, sends a
//! request and a response, and closes both ends.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

/// The number of addresses to connect to.
const ADDRESSES: u8 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("usage: churn COUNT")?.parse()?;
    // A closed connection keeps its port for a while, but only for this destination.
    let hosts = (1..=ADDRESSES).map(|host| TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)));
    let listeners = hosts.collect::<Result<Vec<_>, _>>()?;
    let mut buffer = [0; 4096];
    for (_, listener) in (0..count).zip(listeners.iter().cycle()) {
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        client.write_all(&buffer[..300])?;
        server.read_exact(&mut buffer[..300])?;
        server.write_all(&buffer[..1000])?;
        client.read_exact(&mut buffer[..1000])?;
        client.shutdown(Shutdown::Write)?;
        _ = server.read(&mut buffer)?;
        drop(server);
        _ = client.read(&mut buffer)?;
    }
    Ok(())
}
