// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Generates TCP traffic for `make demo` and `make plots`.
//!
//! `demo serve PORT` answers on every address, IPv4 and IPv6.  `demo send COUNT
//! SECONDS ADDRESS:PORT...` opens COUNT connections: every fourth sends as fast
//! as it can, the others exchange a few bytes ten times a second.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", port] => serve(port),
        ["send", count, seconds, to @ ..] if !to.is_empty() => send(count, seconds, to),
        _ => Err("usage: demo serve PORT | send COUNT SECONDS ADDRESS:PORT...".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port.parse()?))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            // Short messages are answered, long ones discarded.
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                if len <= 64 && stream.write_all(&buffer[..len]).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

fn send(count: &str, seconds: &str, to: &[&str]) -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let mut senders = Vec::new();
    for (i, to) in (0..count.parse()?).zip(to.iter().cycle()) {
        let mut stream = TcpStream::connect(to).map_err(|error| format!("connect to {to}: {error}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let bulk = i % 4 == 0;
        senders.push(thread::spawn(move || -> std::io::Result<()> {
            let data = [0; 16384];
            while Instant::now() < end {
                if bulk {
                    stream.write_all(&data)?;
                } else {
                    stream.write_all(b"how are you?")?;
                    let _ = stream.read(&mut [0; 64])?;
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Ok(())
        }));
    }
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    Ok(())
}
