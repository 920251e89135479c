// SPDX-License-Identifier: BSD-2-Clause

//! Holds many established connections on loopback.
//!
//! `hold SOCKETS [ACTIVE_PER_CENT [PERIOD_MS]]` makes connections with so many
//! sockets in all (two a connection), says `ready` and a line of numbers, and
//! holds them until its standard input ends.  Of the connections a share sends
//! 100 bytes every period.
//!
//! As many processes as the limit of descriptors asks for have a part each, on
//! a loopback address of its own, since an address has 28,000 ports to connect
//! from.

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

/// The most connections of a process: some less than an address has ports.
const CONNECTIONS_MAX: u64 = 20_000;

/// Descriptors for other things than connections.
const SPARE: u64 = 32;

type Done = Result<(), Box<dyn Error>>;

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

/// Starts the parts, and ends them when its own input does.
fn hold(sockets: &str, active: &str, period_ms: &str) -> Done {
    let mut left = sockets.parse::<u64>()? / 2;
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = (descriptors.saturating_sub(SPARE) / 2).min(CONNECTIONS_MAX);
    if most == 0 {
        return Err(format!("a limit of {descriptors} descriptors is too small").into());
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

/// Holds the connections of one process.
fn part(number: &str, connections: &str, active: &str, period_ms: &str) -> Done {
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
        // Closed they are gone, and do not wait in TIME_WAIT for the next measurement.
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

/// Sends on the first connections, evenly over the period, and keeps the others.
fn work(pairs: &mut [(TcpStream, TcpStream)], active: usize, period: Duration) {
    /// How often a period is begun anew, so that no two seconds are alike in load.
    const STEPS: u32 = 10;
    let mut next = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        for step in pairs[..active].chunks_mut(active.div_ceil(STEPS as usize).max(1)) {
            for (client, server) in step {
                if client.write_all(&[b'x'; 100]).is_err() {
                    return;
                }
                // What came before; nothing may have yet.
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
