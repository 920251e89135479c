// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Keeps many established connections open on loopback.
//!
//! `hold SOCKETS [ACTIVE_PER_CENT [PERIOD_MS]]` opens `SOCKETS` sockets, two per
//! connection, prints a line that starts with `ready`, and keeps the
//! connections open until the end of its standard input.  `ACTIVE_PER_CENT` per
//! cent of the connections send 100 bytes every `PERIOD_MS` milliseconds.
//!
//! The connections are distributed over as many processes as the descriptor
//! limit requires.  Each process uses its own loopback address, because an
//! address only has 28,000 ports to connect from.

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write, stdin, stdout};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Linger;

/// Maximum number of connections per process, below the number of ports of an
/// address.
const CONNECTIONS_MAX: u64 = 20_000;

/// Number of descriptors reserved for other purposes.
const RESERVED: u64 = 32;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["part", number, connections, active, period_ms] => part(number, connections, active, period_ms),
        [sockets] => hold(sockets, "0", "1000"),
        [sockets, active] => hold(sockets, active, "1000"),
        [sockets, active, period_ms] => hold(sockets, active, period_ms),
        _ => Err("usage: hold SOCKETS [ACTIVE_PER_CENT [PERIOD_MS]]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hold: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the processes, and ends them at the end of standard input.
fn hold(sockets: &str, active: &str, period_ms: &str) -> Outcome {
    let mut left = sockets.parse::<u64>()? / 2;
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = (descriptors.saturating_sub(RESERVED) / 2).min(CONNECTIONS_MAX);
    if most == 0 {
        return Err(format!("a limit of {descriptors} descriptors is too low").into());
    }
    let mut parts: Vec<Child> = Vec::new();
    while left > 0 {
        let connections = left.min(most);
        left -= connections;
        let numbers = [parts.len() as u64, connections].map(|number| number.to_string());
        let part = Command::new(std::env::current_exe()?)
            .args(["part", &numbers[0], &numbers[1], active, period_ms])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        parts.push(part);
    }
    for part in &mut parts {
        let mut line = String::new();
        BufReader::new(part.stdout.take().ok_or("a part has no output")?).read_line(&mut line)?;
        if line != "ready\n" {
            return Err("a part failed".into());
        }
    }
    println!("ready {sockets} sockets in {} processes", parts.len());
    stdin().read_to_end(&mut Vec::new())?;
    for part in &mut parts {
        drop(part.stdin.take());
    }
    for part in &mut parts {
        part.wait()?;
    }
    Ok(())
}

/// Keeps the connections of one process open.
fn part(number: &str, connections: &str, active: &str, period_ms: &str) -> Outcome {
    let (number, connections): (u16, usize) = (number.parse()?, connections.parse()?);
    let (active, period_ms): (usize, u64) = (active.parse()?, period_ms.parse()?);
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors)?;
    let [high, low] = (number + 1).to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 100 + high, low, 1), 0))?;
    let to = listener.local_addr()?;
    let mut pairs = Vec::with_capacity(connections);
    for _ in 0..connections {
        let client = TcpStream::connect(to)?;
        let (server, _) = listener.accept()?;
        server.set_nonblocking(true)?;
        // Reset the connections when they are closed, so that none is left in
        // TIME_WAIT for the next measurement.
        setsockopt(&client, Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        setsockopt(&server, Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        pairs.push((client, server));
    }
    stdout().write_all(b"ready\n")?;
    let active = connections * active / 100;
    thread::spawn(move || work(&mut pairs, active, Duration::from_millis(period_ms)));
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Sends on the first `active` connections, evenly distributed over the period,
/// and keeps the others open.
fn work(pairs: &mut [(TcpStream, TcpStream)], active: usize, period: Duration) {
    /// Number of batches per period, which spread the load evenly.
    const STEPS: u32 = 10;
    let mut next = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        for step in pairs[..active].chunks_mut(active.div_ceil(STEPS as usize).max(1)) {
            for (client, server) in step {
                if client.write_all(&[b'x'; 100]).is_err() {
                    return;
                }
                // Read the data that has arrived, if any.
                match server.read(&mut buffer) {
                    Ok(_) => (),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                    Err(_) => return,
                }
            }
            next += period / STEPS;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        if active == 0 {
            thread::park();
        }
    }
}
