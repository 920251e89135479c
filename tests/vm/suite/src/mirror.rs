// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A network in which every packet is observed: a tun(4) whose far end is this
//! machine too.
//!
//! A packet from `10.99.0.1` to `10.99.0.2` comes back as if `10.99.0.2` had
//! sent it to `10.99.0.1`, possibly late or never.  Both ends of a connection
//! are on this machine, no packet uses the loopback interface, and swapping the
//! addresses does not change any checksum.  What each end sends is counted from
//! the packets.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::system::run;

pub const INTERFACE: &str = "tun9";

/// `_IOW('t', 96, int)` in `net/if_tun.h`: packets are preceded by their
/// address family.
const TUNSIFHEAD: u64 = 0x8004_7460;

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;

/// The addresses of both ends.
pub const ENDS: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2))),
    (IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 2))),
];

/// What one end of a connection has sent, as far as it was observed.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// Sequence number after the last byte of payload.
    next: u32,
    position: u64,
    /// Gaps before `position` that were not observed: the kernel sent them, but
    /// the interface had no room.
    holes: Vec<Range<u64>>,
    /// Payload in all packets, in bytes.
    pub payload: u64,
    /// Number of packets with only bytes that were observed before.
    pub retransmitted_packets: u64,
    /// Number of packets with FIN.
    pub fins: u64,
}

impl Transmission {
    /// Returns the number of bytes up to the last one.
    pub fn unique_bytes(&self) -> u64 {
        self.position
    }

    /// Returns the number of bytes that the kernel sent more than once.  A byte
    /// that was not observed counts as sent once.
    pub fn retransmitted_bytes(&self) -> u64 {
        self.payload.saturating_sub(self.position)
    }

    fn count(&mut self, packet: &Packet<'_>) {
        let (mut sequence, len) = (packet.sequence(), u64::from(packet.payload()));
        if packet.flags() & SYN != 0 {
            sequence = sequence.wrapping_add(1);
            if self.position == 0 {
                self.next = sequence;
            }
        }
        self.fins += u64::from(packet.flags() & FIN != 0);
        if len == 0 {
            return;
        }
        self.payload += len;
        let start = self.position.wrapping_add_signed(i64::from(sequence.wrapping_sub(self.next).cast_signed()));
        let end = start + len;
        let mut seen_before = end <= self.position;
        if start > self.position {
            self.holes.push(self.position..start);
        }
        if end > self.position {
            self.next = sequence.wrapping_add(len as u32);
            self.position = end;
        }
        let holes = std::mem::take(&mut self.holes);
        for hole in holes {
            if end <= hole.start || start >= hole.end {
                self.holes.push(hole);
                continue;
            }
            seen_before = false;
            self.holes.extend(
                [hole.start..start.max(hole.start), end.min(hole.end)..hole.end]
                    .into_iter()
                    .filter(|rest| !rest.is_empty()),
            );
        }
        self.retransmitted_packets += u64::from(seen_before);
    }
}

/// A TCP packet, after the four bytes of its address family.
struct Packet<'a> {
    bytes: &'a [u8],
    tcp: usize,
    ipv4: bool,
}

impl<'a> Packet<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let ipv4 = bytes.get(4)? >> 4 == 4;
        let (protocol, tcp) =
            if ipv4 { (*bytes.get(13)?, 4 + 4 * usize::from(bytes[4] & 15)) } else { (*bytes.get(10)?, 44) };
        (protocol == 6 && bytes.len() >= tcp + 20).then_some(Self { bytes, tcp, ipv4 })
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn ports(&self) -> (u16, u16) {
        (self.u16(self.tcp), self.u16(self.tcp + 2))
    }

    fn sequence(&self) -> u32 {
        u32::from(self.u16(self.tcp + 4)) << 16 | u32::from(self.u16(self.tcp + 6))
    }

    fn flags(&self) -> u8 {
        self.bytes[self.tcp + 13]
    }

    fn payload(&self) -> u32 {
        let end = 4 + usize::from(if self.ipv4 { self.u16(6) } else { 40 + self.u16(8) });
        (end - self.tcp - 4 * usize::from(self.bytes[self.tcp + 12] >> 4)) as u32
    }
}

/// What happens to packets.
#[derive(Default)]
pub struct Policy {
    /// Delay of a packet in microseconds.
    pub delay_us: AtomicU64,
    /// Number of packets lost per 1000 packets with payload.
    pub loss: AtomicU64,
    /// Port to which nothing is delivered, or 0.
    pub closed_port: AtomicU64,
    /// Whether nothing is delivered at all.
    pub closed: AtomicBool,
    stop: AtomicBool,
}

type Counts = BTreeMap<(bool, u16, u16), Transmission>;

pub struct Mirror {
    pub policy: Arc<Policy>,
    counts: Arc<Mutex<Counts>>,
}

impl Mirror {
    pub fn start() -> Self {
        run(&format!(
            "ifconfig {INTERFACE} >/dev/null 2>&1 || {{ kldload -n if_tuntap; ifconfig {INTERFACE} create; }}"
        ));
        run("sysctl net.inet6.ip6.dad_count=0");
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(format!("/dev/{INTERFACE}")).unwrap();
        let on = 1_i32;
        // SAFETY: the command reads an int.
        assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSIFHEAD, &raw const on) }, 0);
        run(&format!("ifconfig {INTERFACE} inet 10.99.0.1 10.99.0.2 mtu 1500 up"));
        run(&format!("ifconfig {INTERFACE} inet6 fd99::1 fd99::2 prefixlen 128"));
        let mirror = Self { policy: Arc::default(), counts: Arc::default() };
        let (policy, counts) = (mirror.policy.clone(), mirror.counts.clone());
        std::thread::spawn(move || reflect(file, &policy, &counts));
        mirror
    }

    /// Returns what the end with the port `from` has sent to the other.
    pub fn sent(&self, ipv4: bool, from: u16, to: u16) -> Transmission {
        self.counts.lock().unwrap().get(&(ipv4, from, to)).cloned().unwrap_or_default()
    }

    pub fn set(&self, delay_us: u64, loss: u64) {
        self.policy.delay_us.store(delay_us, Relaxed);
        self.policy.loss.store(loss, Relaxed);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.policy.stop.store(true, Relaxed);
    }
}

/// Swaps the addresses of a packet.
fn swap(bytes: &mut [u8]) {
    let (first, len) = if bytes[4] >> 4 == 4 { (16, 4) } else { (12, 16) };
    let (source, destination) = bytes[first..first + 2 * len].split_at_mut(len);
    source.swap_with_slice(destination);
}

fn reflect(mut file: File, policy: &Policy, counts: &Mutex<Counts>) {
    let mut in_flight: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; 65536];
    // The same packets are lost in every run.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while !policy.stop.load(Relaxed) {
        let wait_ms = match in_flight.front() {
            Some((due, _)) => due.saturating_duration_since(Instant::now()).as_millis().min(20) as i32,
            None => 20,
        };
        let mut ready = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `ready` is one structure, and the count is 1.
        unsafe { libc::poll(&raw mut ready, 1, wait_ms) };
        loop {
            let len = match file.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{INTERFACE}: {error}"),
            };
            let Some(packet) = Packet::of(&buffer[..len]) else { continue };
            let (from, to) = packet.ports();
            counts.lock().unwrap().entry((packet.ipv4, from, to)).or_default().count(&packet);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let is_lost = packet.payload() > 0 && random % 1000 < policy.loss.load(Relaxed);
            let is_open = !policy.closed.load(Relaxed) && policy.closed_port.load(Relaxed) != u64::from(to);
            if is_open && !is_lost {
                swap(&mut buffer[..len]);
                let due = Instant::now() + Duration::from_micros(policy.delay_us.load(Relaxed));
                in_flight.push_back((due, buffer[..len].to_vec()));
            }
        }
        while in_flight.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, bytes) = in_flight.pop_front().unwrap();
            // The interface may have no room, like any network.
            _ = file.write(&bytes);
        }
    }
}
