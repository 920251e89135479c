// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `/dev/tcpstats`, as a program uses it.

use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use tcpstats::frame::Frame;
use tcpstats::{Filter, Header, Record, ioctl};

pub const PATH: &str = "/dev/tcpstats";

/// An open descriptor of the device.
pub struct Device(pub File);

/// A snapshot that was read.
pub struct Snapshot {
    pub header: Header,
    pub records: Vec<Record>,
}

impl Device {
    pub fn open() -> Result<Self> {
        File::open(PATH).map(Self)
    }

    pub fn open_nonblocking() -> Result<Self> {
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(PATH).map(Self)
    }

    pub fn binary() -> Self {
        let device = Self::open().unwrap();
        device.ioctl(ioctl::SET_FORMAT, &mut ioctl::BINARY.to_ne_bytes()).unwrap();
        device
    }

    pub fn ioctl(&self, command: u64, data: &mut [u8]) -> Result<()> {
        assert!(data.len() >= (command >> 16 & 0x1fff) as usize);
        // SAFETY: the kernel reads and writes as many bytes as the command
        // encodes, and the buffer has that many.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), command, data.as_mut_ptr()) };
        if result == -1 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    pub fn set_filter(&self, text: &str) {
        self.ioctl(ioctl::SET_FILTER, &mut Filter::parse(text).unwrap().to_bytes()).unwrap();
    }

    /// Reads to the end of a snapshot, at most `size` bytes at a time.
    pub fn read_all(&mut self, size: usize) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match self.0.read(&mut buffer)? {
                0 => return Ok(all),
                len => all.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Takes a snapshot in the binary format.
    pub fn snapshot(&mut self) -> Snapshot {
        let bytes = self.read_all(1 << 20).unwrap();
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(frame.bytes().len(), bytes.len(), "a snapshot is one frame");
        Snapshot { header: frame.header, records: frame.records().collect() }
    }
}

/// Returns the error number of a call that must fail.
pub fn errno<T>(result: Result<T>) -> i32 {
    result.err().expect("the call must fail").raw_os_error().unwrap()
}
