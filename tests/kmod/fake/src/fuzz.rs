// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Random ioctls, filters and reads.

use std::time::{Duration, Instant};

use tcpstats::filter::FILTER_LEN;
use tcpstats::frame::Frame;
use tcpstats::{Columns, FIELDS, Filter, ioctl};

use crate::help::{COMMANDS, connections, ends};
use crate::kernel::{self, Cred, Errno, File, Jail, Pcb, Vnet};

/// Random numbers by xorshift64*, which depend only on the seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).expect("64 bits") % end
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn byte(&mut self) -> u8 {
        // Boundary values are more likely than others.
        match self.below(4) {
            0 => *self.one_of(&[0, 1, 0x7f, 0x80, 0xff, b',', 8, 64]),
            _ => self.next().to_le_bytes()[7],
        }
    }
}

/// Filters to modify.
const FILTERS: [&str; 10] = [
    "port 443 and not state listen",
    "net 10.0.0.0/8 and srtt > 100ms",
    "(lport 22 or fport 22) and idle < 1s and uid != 0",
    "cc cubic and rexmit_bytes > 1M",
    "ip6 or not (stack rack and snd_cwnd < 10k)",
    "options sack",
    "host 192.0.2.1 and t_flags != 0x20",
    "lport 1 or lport 2 or lport 3 or lport 4 or lport 5 or lport 6 or lport 7 or lport 8",
    "state established",
    "gencnt >= 5",
];

/// Returns the bytes of a filter that is valid or almost valid.
fn filter(random: &mut Random) -> Vec<u8> {
    let mut bytes = Filter::parse(random.one_of::<&str>(&FILTERS)).expect("a filter").to_bytes().to_vec();
    for _ in 0..random.below(6) {
        let used = 8 + 40 * usize::from(u16::from_ne_bytes([bytes[2], bytes[3]]).clamp(1, 64));
        match random.below(6) {
            // A byte of the operations.
            0 | 1 => {
                let at = random.below(used);
                bytes[at] = random.byte();
            }
            // A byte anywhere.
            2 => {
                let at = random.below(FILTER_LEN);
                bytes[at] = random.byte();
            }
            // The number of operations.
            3 => {
                let (low, high) = (random.byte(), u8::from(random.chance(8)));
                bytes[2..4].copy_from_slice(&u16::from_le_bytes([low, high]).to_ne_bytes());
            }
            // Copy one operation over another.
            4 => {
                let (from, to) = (8 + 40 * random.below(64), 8 + 40 * random.below(64));
                bytes.copy_within(from..from + 40, to);
            }
            // The kind, field or comparison of an operation.
            _ => {
                let at = 8 + 40 * random.below((used - 8) / 40) + random.below(4);
                bytes[at] = u8::try_from(random.below(160)).expect("small");
            }
        }
    }
    bytes
}

/// Returns a list of columns that is valid or almost valid.
fn columns(random: &mut Random) -> Vec<u8> {
    let mut text = match random.below(4) {
        0 => random.one_of::<&str>(&["all", "basic", ""]).to_string(),
        _ => (0..random.below(90)).map(|_| random.one_of(&FIELDS).name).collect::<Vec<_>>().join(","),
    }
    .into_bytes();
    text.resize(ioctl::COLUMNS_LEN, 0);
    for _ in 0..random.below(3) {
        let at = random.below(text.len());
        text[at] = random.byte();
    }
    text
}

/// Returns data for a command, usually of the right kind.
fn data(random: &mut Random, command: u64) -> Vec<u8> {
    match command {
        ioctl::SET_FILTER => filter(random),
        ioctl::SET_COLUMNS => columns(random),
        ioctl::SET_FORMAT | ioctl::SET_ALL_VNETS => match random.below(8) {
            0 => u32::from_ne_bytes([0; 4].map(|_: u8| random.byte())),
            number => u32::from(number % 2 == 0),
        }
        .to_ne_bytes()
        .to_vec(),
        _ => {
            let len = usize::try_from(command >> 16 & 0x1fff).expect("small");
            let mut bytes = vec![0; len];
            bytes.iter_mut().take(16).for_each(|byte| *byte = random.byte());
            if command == ioctl::GET_FIELD && random.chance(2) {
                bytes[..4].copy_from_slice(&u32::try_from(random.below(140)).expect("small").to_ne_bytes());
            }
            bytes
        }
    }
}

/// The expected state of a descriptor, to compare with its behaviour.
struct Reader {
    file: File,
    binary: bool,
    /// The bytes of the current snapshot so far, or `None` if some were lost.
    bytes: Option<Vec<u8>>,
    at_start: bool,
}

impl Reader {
    fn open() -> Option<Self> {
        Some(Self { file: File::open().ok()?, binary: false, bytes: Some(Vec::new()), at_start: true })
    }

    fn ioctl(&mut self, random: &mut Random) {
        let mut command = *random.one_of(&COMMANDS);
        match random.below(16) {
            0 => command = random.next() & 0xffff_ffff,
            1 => command ^= 1 << random.below(32),
            2 => command = command & !0x1fff_0000 | (random.next() & 0x1fff) << 16,
            _ => (),
        }
        let mut bytes = data(random, command);
        let valid = match command {
            ioctl::SET_FILTER => Some(Filter::from_bytes(&bytes).is_ok()),
            ioctl::SET_COLUMNS => Some({
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                std::str::from_utf8(text).is_ok_and(|text| Columns::parse(text).is_ok())
            }),
            ioctl::SET_FORMAT => Some(u32::from_ne_bytes(*bytes.first_chunk().expect("four bytes")) < 2),
            ioctl::CLEAR_FILTER | ioctl::GET_INFO => Some(true),
            _ => None,
        };
        let before = bytes.clone();
        let result = self.file.ioctl(command, &mut bytes);
        if let Some(valid) = valid {
            assert_eq!(result.is_ok(), valid, "command {command:#x} with {before:02x?}");
        }
        let sets = ![ioctl::GET_INFO, ioctl::GET_FIELD].contains(&command) && COMMANDS.contains(&command);
        if result.is_ok() && sets {
            self.bytes = Some(Vec::new());
            if command == ioctl::SET_FORMAT {
                self.binary = before[0] == 1;
            }
        }
    }

    fn read(&mut self, random: &mut Random) {
        let len = match random.below(4) {
            0 => random.below(16),
            1 => random.below(300),
            2 => random.below(70_000),
            _ => 1 << 20,
        };
        let mut buffer = vec![0; len];
        let fault_at = if random.chance(20) { random.below(len + 1) } else { usize::MAX };
        let piece = if random.chance(4) { 1 + random.below(5000) } else { 0 };
        if len > 0 && self.at_start {
            self.bytes = Some(Vec::new());
        }
        let (result, moved) = self.file.read_with(&mut buffer, fault_at, piece);
        self.at_start &= moved == 0;
        match result {
            Ok(0) if len > 0 => {
                if let Some(bytes) = self.bytes.replace(Vec::new()) {
                    check(&bytes, self.binary);
                }
            }
            Ok(got) => {
                if let Some(bytes) = &mut self.bytes {
                    bytes.extend_from_slice(&buffer[..got]);
                }
            }
            // The reader does not know how much was copied before the fault.
            Err(error) if error == Errno::named("EFAULT") => self.bytes = None,
            // No snapshot was taken.
            Err(_) => self.bytes = Some(Vec::new()),
        }
    }

    fn seek(&mut self, random: &mut Random) {
        self.at_start = random.chance(2);
        self.file.seek(if self.at_start { 0 } else { 1 + i64::try_from(random.next() >> 2).expect("62 bits") });
    }
}

/// Checks that a snapshot is complete.
fn check(bytes: &[u8], binary: bool) {
    if binary {
        let frame = Frame::parse(bytes).expect("a frame");
        assert_eq!(frame.bytes().len(), bytes.len());
    } else {
        let text = std::str::from_utf8(bytes).expect("ASCII");
        let columns = text.lines().next().expect("a row of names").split(',').count();
        let (note, rows) =
            text.lines().collect::<Vec<_>>().split_last().map(|(note, rows)| (*note, rows.to_vec())).expect("lines");
        assert!(note.starts_with("# snapshot "), "{note}");
        assert!(rows.iter().all(|row| row.split(',').count() == columns));
    }
}

/// Fuzzes for some seconds, with operations that depend only on the seed.
pub fn run(seconds: u64, seed: u64) {
    println!("seed {seed}");
    let mut random = Random(seed.max(1));
    let vnet = Vnet::new();
    let creds =
        [Cred::user(0), Cred::user(1001), Cred::new(0, Jail::new(3, vnet)), Cred::new(1002, Jail::new(4, Vnet::HOST))];
    connections(150);
    for (port, cred) in (1..).zip(creds) {
        Pcb::of(vnet, cred).ends(&["INP_IPV4"], ends(port));
        kernel::half_open(Vnet::HOST, cred, false, ends(port));
    }
    kernel::load().expect("the module loads");
    kernel::set_sysctl("snapshot_bytes_max", 1 << 20);
    kernel::set_sysctl("total_bytes_max", 4 << 20);
    let mut readers: Vec<Reader> = Vec::new();
    let (mut ioctls, mut reads, mut others) = (0_u64, 0_u64, 0_u64);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1000 {
            random.one_of(&creds).assume();
            let at = random.below(readers.len().max(1));
            match random.below(100) {
                0..60 if !readers.is_empty() => {
                    readers[at].ioctl(&mut random);
                    ioctls += 1;
                }
                60..90 if !readers.is_empty() => {
                    readers[at].read(&mut random);
                    reads += 1;
                }
                90..92 if !readers.is_empty() => readers[at].seek(&mut random),
                92 if !readers.is_empty() => readers[at].file.nonblocking(random.chance(2)),
                93 if !readers.is_empty() => drop(readers.swap_remove(at)),
                94 => {
                    let text = columns(&mut random);
                    let len = random.below(text.len());
                    // The list may be invalid.
                    let _ = kernel::set_sysctl_bytes("text", &text[..len]);
                }
                95 => kernel::fail_allocations_after(random.next() % 4),
                96 => kernel::fail_no_allocations(),
                97 => kernel::signal(random.one_of::<&str>(&["EINTR", "ERESTART"])),
                98 => kernel::signal_gone(),
                _ if readers.len() < 12 => readers.extend(Reader::open()),
                _ => (),
            }
            others += 1;
        }
    }
    kernel::become_root();
    readers.clear();
    kernel::unload().expect("the module unloads");
    println!("{others} executions in {seconds} s: {ioctls} ioctls, {reads} reads; no failure");
}
