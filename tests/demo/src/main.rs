// SPDX-License-Identifier: BSD-2-Clause

//! Makes TCP traffic, and sums up what the logger saw of it.
//!
//! `demo serve PORT` answers on every address, IPv4 and IPv6; `demo send
//! COUNT SECONDS ADDRESS:PORT...` opens connections, of which every fourth
//! sends as fast as it can and the others exchange a few bytes ten times a
//! second; `demo summary LOG` reads a CSV log.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
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
        ["summary", log] => summary(log),
        _ => Err("usage: demo serve PORT | send COUNT SECONDS ADDRESS:PORT... | summary LOG".into()),
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
            // Short messages are answered, long ones swallowed.
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

/// Smallest and largest of what was seen.
#[derive(Clone, Copy)]
struct Range(f64, f64);

impl Range {
    fn add(range: &mut Option<Self>, cell: &str) {
        if let Ok(value) = cell.parse::<f64>() {
            let Self(low, high) = range.unwrap_or(Self(value, value));
            *range = Some(Self(low.min(value), high.max(value)));
        }
    }

    fn show(range: Option<Self>, unit: &str, scale: f64) -> String {
        range.map_or("not seen".into(), |Self(low, high)| format!("{:.1} to {:.1} {unit}", low / scale, high / scale))
    }
}

fn summary(log: &str) -> Result<(), Box<dyn Error>> {
    let file = std::fs::File::open(log).map_err(|error| format!("{log}: {error}"))?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut connections = HashMap::new();
    let mut states = BTreeMap::new();
    let (mut samples, mut snapshots, mut end) = (0_u64, 0_u64, None);
    let (mut cwnd, mut srtt) = (None, None);
    for line in BufReader::new(file).lines() {
        let line = line?;
        if let Some(note) = line.strip_prefix("# ") {
            snapshots += u64::from(note.starts_with("snapshot "));
            end = note.strip_prefix("end ").map(ToOwned::to_owned).or(end);
        } else if places.is_empty() {
            places = line.split(',').enumerate().map(|(place, name)| (name.into(), place)).collect();
        } else {
            let cells: Vec<_> = line.split(',').collect();
            let cell = |name: &str| -> Result<&str, String> {
                let place = places.get(name).ok_or_else(|| format!("{log} has no column {name}"))?;
                cells.get(*place).copied().ok_or_else(|| format!("{log}: a row is cut off: {line}"))
            };
            samples += 1;
            connections.insert(cell("gencnt")?.to_owned(), cell("state")?.to_owned());
            if cell("state")? == "ESTABLISHED" {
                Range::add(&mut cwnd, cell("snd_cwnd")?);
                Range::add(&mut srtt, cell("srtt")?);
            }
        }
    }
    for state in connections.values() {
        *states.entry(state.as_str()).or_insert(0) += 1;
    }
    let states: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let end = end.ok_or_else(|| format!("{log} has no end note: the logger did not end cleanly"))?;
    let missed = end.split(' ').find_map(|pair| pair.strip_prefix("missed_ticks=")).ok_or("no missed_ticks")?;
    println!("connections   {} ({})", connections.len(), states.join(", "));
    println!("samples       {samples} in {snapshots} snapshots");
    println!("cwnd          {}", Range::show(cwnd, "KiB", 1024.0));
    println!("srtt          {}", Range::show(srtt, "ms", 1000.0));
    println!("missed ticks  {missed}");
    println!("the log       {log}");
    Ok(())
}
