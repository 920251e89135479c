// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The BPF programs of `marks.bpf.c`, and what they send.

use std::error::Error as StdError;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use aya::maps::{Array, MapData, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError, ProgramFd};
use aya::{Btf, Ebpf};
use tcpstats::{State, ipv4};

use super::object::{load, load_failed, missing};
use super::requests::SocketId;
use crate::Error;
use crate::linux::bytecode::Family;
use crate::linux::layout::{Bytes, c_struct};
use crate::linux::state::freebsd_state;

/// The compiled programs.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/marks.bpf.o"));

/// A program, and the tracepoint to which it is attached.
type Program = (&'static str, &'static str);

/// The programs.  Of several that are alternatives, the first that the kernel supports is used.
const PROGRAMS: [&[Program]; 4] = [
    &[("segment_received", "tcp_probe")],
    &[("segment_retransmitted", "tcp_retransmit_skb")],
    // Since Linux 6.16, and 6.3.
    &[("data_queued", "tcp_sendmsg_locked"), ("data_sent", "sock_send_length")],
    &[("state_changed", "inet_sock_set_state")],
];

/// The size of the ring buffer in bytes, a power of 2: room for 130,000 marks.
const RING_BYTES: u32 = 8 << 20;

c_struct! {
    /// `struct mark` in `marks.bpf.c`.
    Mark {
        cookie: u64,
        ifindex: u32,
        family: u16,
        lport: u16,
        fport: [u8; 2],
        state: u8,
        pad: [u8; 5],
        laddr: [u8; 16],
        faddr: [u8; 16],
    }
}

c_struct! {
    /// The start of `struct bpf_prog_info` in linux/bpf.h.
    ProgramInfo {
        first: [u8; 208],
        recursion_misses: u64,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is 216")]
const PROGRAM_INFO_LEN: u32 = ProgramInfo::LEN as u32;

/// A socket that has changed.
pub struct Marked {
    /// Its identity.  A port is 0 if the socket had none.
    pub id: SocketId,
    /// Its state.
    pub state: State,
}

impl Marked {
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = Bytes(bytes);
        let is_ipv4 = bytes.get(Mark::family)? == u16::from(Family::Inet.number());
        let address = |at| -> Option<[u8; 16]> {
            let address: [u8; 16] = bytes.get(at)?;
            Some(if is_ipv4 { ipv4(*address.first_chunk()?) } else { address })
        };
        let id = SocketId {
            cookie: bytes.get(Mark::cookie)?,
            ifindex: bytes.get(Mark::ifindex)?,
            lport: bytes.get(Mark::lport)?,
            fport: bytes.get(Mark::fport).map(u16::from_be_bytes)?,
            laddr: address(Mark::laddr)?,
            faddr: address(Mark::faddr)?,
            is_handshake: false,
        };
        Some(Self { id, state: freebsd_state(bytes.get(Mark::state)?) })
    }
}

/// What has happened since the previous epoch, besides the marks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes that were not marked: there was no room, or the event interrupted its own
    /// program, which the kernel does not run recursively.
    pub lost: u64,
    /// Events that may have changed the queue of a listening socket.
    pub listeners: u64,
}

/// The loaded programs.
pub struct Marks {
    ring: RingBuf<MapData>,
    epochs: Array<MapData, u32>,
    epoch: u32,
    counts: Array<MapData, [u64; 2]>,
    before: Counts,
    programs: Vec<ProgramFd>,
    /// The programs are detached when this is dropped.
    #[allow(dead_code, reason = "it owns what the kernel runs")]
    attached: Ebpf,
}

impl Marks {
    /// The number of marks for which there is room.  No more are taken for one snapshot.
    pub const MAX: usize = RING_BYTES as usize / (Mark::LEN + 8);

    /// Loads the programs, which mark the sockets of this network namespace.
    ///
    /// # Errors
    /// Returns the reason why they cannot be loaded.
    pub fn load() -> Result<Self, Error> {
        let (mut loaded, btf) = load(OBJECT, |loader| _ = loader.map_max_entries("marks", RING_BYTES))?;
        let mut programs = Vec::new();
        let mut names = Vec::new();
        for alternatives in PROGRAMS {
            let (name, program) = load_one(&mut loaded, alternatives, &btf)?;
            names.push(name);
            programs.push(program);
        }
        let mut map = |name| loaded.take_map(name).ok_or_else(|| missing(name));
        let (ring, epochs, counts) = (map("marks")?, map("epoch")?, map("counts")?);
        let mut marks = Self {
            ring: ring.try_into().map_err(load_failed)?,
            epochs: epochs.try_into().map_err(load_failed)?,
            epoch: 0,
            counts: counts.try_into().map_err(load_failed)?,
            before: Counts::default(),
            programs,
            attached: loaded,
        };
        marks.begin_epoch()?;
        for name in names {
            if let Some(program) = marks.attached.program_mut(name) {
                let program: &mut BtfTracePoint = program.try_into().map_err(load_failed)?;
                program.attach().map_err(load_failed)?;
            }
        }
        Ok(marks)
    }

    /// Begins an epoch.  Returns what has happened since the last one began; further marks
    /// can still arrive in it, and are taken with those of the next.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub fn begin_epoch(&mut self) -> Result<Counts, Error> {
        // No socket was sent in epoch 0.
        self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        self.epochs.set(0, self.epoch, 0).map_err(read_failed)?;
        let [lost, listeners] = self.counts.get(&0, 0).map_err(read_failed)?;
        let mut now = Counts { lost, listeners };
        for program in &self.programs {
            now.lost += recursion_misses(program.as_fd()).map_err(read_failed)?;
        }
        let before = std::mem::replace(&mut self.before, now);
        Ok(Counts { lost: now.lost - before.lost, listeners: now.listeners - before.listeners })
    }

    /// Takes the next mark.
    pub fn next(&mut self) -> Option<Marked> {
        // All marks have the same size.
        self.ring.next().and_then(|bytes| Marked::read(&bytes))
    }
}

/// Loads the first of these programs whose tracepoint the kernel has; returns its name.
fn load_one(loaded: &mut Ebpf, alternatives: &[Program], btf: &Btf) -> Result<(&'static str, ProgramFd), Error> {
    let mut lacks = "program";
    for (name, tracepoint) in alternatives {
        let program = loaded.program_mut(name).and_then(|program| program.try_into().ok());
        let program: &mut BtfTracePoint = program.ok_or_else(|| missing(name))?;
        match program.load(tracepoint, btf) {
            Err(ProgramError::Btf(_)) => lacks = tracepoint,
            loaded => {
                loaded.map_err(load_failed)?;
                return Ok((name, program.fd().map_err(load_failed)?.try_clone().map_err(load_failed)?));
            }
        }
    }
    Err(missing(&format!("tracepoint {lacks}")))
}

/// Returns how often the kernel did not run a program because it was interrupted by
/// an event for itself.
fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    /// The member `info` of `union bpf_attr`.
    #[repr(C)]
    struct Attributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut info = [0_u8; ProgramInfo::LEN];
    let mut attributes = Attributes {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: PROGRAM_INFO_LEN,
        info: info.as_mut_ptr().addr() as u64,
    };
    // SAFETY: the attributes are those of the command, and the kernel writes at most
    // `info_len` bytes to `info`, which is that long and zero, so that it requests no arrays.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw mut attributes, size_of::<Attributes>()) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(Bytes(&info).get(ProgramInfo::recursion_misses).unwrap_or(0))
}

fn read_failed(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::BpfRead(error.into())
}
