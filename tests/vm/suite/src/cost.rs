// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The cost of a snapshot per connection, by how many connections have changed and by
//! what the filter excludes.
//!
//! Under `qemu -icount shift=0` a nanosecond of the guest is an instruction.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tcpstats::frame::Frame;
use tcpstats::{Header, ioctl};

use crate::device::Device;
use crate::system::run as run_command;

/// Number of measurements, of which the median is used.
const ROUNDS: usize = 9;

/// Longer than any delayed acknowledgement.
const SETTLE: Duration = Duration::from_millis(500);

/// Allows this process and the host to have this number of files open.
pub fn allow_files(files: u64) {
    for limit in ["kern.maxfiles", "kern.maxfilesperproc", "kern.ipc.maxsockets"] {
        run_command(&format!("[ $(sysctl -n {limit}) -ge {files} ] || sysctl {limit}={files}"));
    }
    // SAFETY: the call only sets a limit.
    let result = unsafe {
        let limit = libc::rlimit { rlim_cur: files.cast_signed(), rlim_max: files.cast_signed() };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Both ends of connections over the loopback interface.
struct Pairs(Vec<(TcpStream, TcpStream)>);

impl Pairs {
    /// Opens connections until there are `count` ends.
    fn open(count: u64) -> Self {
        allow_files(count + 10_000);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let pair = |_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0);
        Self((0..count / 2).map(pair).collect())
    }

    /// Sends a byte in each direction on `per_mille` of every 1000 connections.
    fn exchange(&self, per_mille: usize) {
        for (i, (client, server)) in self.0.iter().enumerate() {
            if i % 1000 >= per_mille {
                continue;
            }
            for (mut from, mut to) in [(client, server), (server, client)] {
                from.write_all(b"x").unwrap();
                to.read_exact(&mut [0]).unwrap();
            }
        }
        thread::sleep(SETTLE);
    }
}

/// Takes a snapshot.  Returns its header and the duration of the reads in nanoseconds.
fn read(device: &mut Device, buffer: &mut [u8]) -> (Header, u64) {
    let start = Instant::now();
    let mut len = 0;
    loop {
        match device.0.read(&mut buffer[len..]).unwrap() {
            0 => break,
            got => len += got,
        }
    }
    let ns = u64::try_from(start.elapsed().as_nanos()).unwrap();
    (Frame::parse(&buffer[..len]).unwrap().header, ns)
}

/// Runs a loop of a known number of instructions; returns the nanoseconds for 1000.
pub fn ns_of_1000_instructions() -> u64 {
    const LOOPS: u64 = 50_000_000;
    let start = Instant::now();
    let mut left = LOOPS;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the code only counts a register down.
    unsafe {
        std::arch::asm!("2:", "sub {left}, 1", "jnz 2b", left = inout(reg) left);
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("2:", "subs {left}, {left}, #1", "b.ne 2b", left = inout(reg) left);
    }
    assert_eq!(left, 0);
    u64::try_from(start.elapsed().as_nanos()).unwrap() * 1000 / (2 * LOOPS)
}

fn with_filter(text: &str) -> Device {
    let device = Device::binary();
    device.set_filter(text);
    device
}

/// Measures snapshots of `count` connections.
pub fn run(count: u64) -> bool {
    println!("# 1000 instructions take {} ns", ns_of_1000_instructions());
    let pairs = Pairs::open(count);
    thread::sleep(SETTLE);
    let mut buffer = vec![0; usize::try_from(count + 1000).unwrap() * tcpstats::RECORD_LEN];
    let changes = Device::binary();
    changes.ioctl(ioctl::SET_CHANGES, &mut 1_u32.to_ne_bytes()).unwrap();
    let everything = Device::binary();
    println!("# {count} connections; ns per connection, median of {ROUNDS}");
    println!("{:38}{:>9}{:>9}{:>9}", "", "records", "read", "walk");
    let mut changes = Some(changes);
    let ways: [(&str, Option<Device>, usize); 8] = [
        ("all", Some(everything), 0),
        ("changes, none", None, 0),
        ("changes, 1 %", None, 10),
        ("changes, 10 %", None, 100),
        ("excluded by port", Some(with_filter("lport 1")), 0),
        ("excluded by port or network", Some(with_filter("port 1 or net 10.0.0.0/8")), 0),
        ("excluded by state", Some(with_filter("state time_wait")), 0),
        ("excluded by user", Some(with_filter("uid 12345")), 0),
    ];
    for (what, device, per_mille) in ways {
        let is_of_changes = device.is_none();
        let mut device = device.or_else(|| changes.take()).expect("given back below");
        read(&mut device, &mut buffer);
        let (mut reads, mut walks, mut written) = (Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            pairs.exchange(per_mille);
            let (header, ns) = read(&mut device, &mut buffer);
            assert_eq!(header.missed, 0);
            written = header.written;
            reads.push(ns);
            walks.push(header.walk_ns);
        }
        reads.sort_unstable();
        walks.sort_unstable();
        #[allow(clippy::cast_precision_loss, reason = "there are no 2^52 connections")]
        let each = |times: &[u64]| times[ROUNDS / 2] as f64 / count as f64;
        println!("{what:38}{written:>9}{:>9.1}{:>9.1}", each(&reads), each(&walks));
        if is_of_changes {
            changes = Some(device);
        }
    }
    true
}
