// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The tables of the running kernel.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::mem::size_of;

use libc::{c_int, c_void, iovec};
use nix::time::{ClockId, clock_gettime};

use super::join::{Kernel, NumberMap, NumberSet, StartedProcess};
use super::tables::{CONNECTION_LEN, CONNECTIONS_HEADER_LEN, OtherLayout, PROCESS_LEN, microseconds, process};
use crate::Error;

const FILES: [c_int; 2] = [libc::CTL_KERN, libc::KERN_FILE];
/// The last number is `TCPCTL_PCBLIST`.
const CONNECTIONS: [c_int; 4] = [libc::CTL_NET, libc::PF_INET, libc::IPPROTO_TCP, 11];
const BOOT_TIME: [c_int; 2] = [libc::CTL_KERN, libc::KERN_BOOTTIME];
const RELEASE: [c_int; 2] = [libc::CTL_KERN, libc::KERN_OSRELDATE];

/// Maximum size of a table in bytes.
const TABLE_MAX: usize = 1 << 30;

/// Number of attempts to read the processes while nobody sets the clock.
const ATTEMPTS: usize = 3;

/// `JAIL_DYING` of sys/jail.h: a jail without processes can have connections.
const JAIL_DYING: c_int = 0x08;

/// The first release with several lists of connections.
const SEVERAL_LISTS: c_int = 1_600_000;

fn failed(table: &'static str) -> impl Fn(io::Error) -> Error {
    move |cause| Error::Owners { table, cause }
}

/// Reads a sysctl into the buffer.  Returns the number of bytes, and whether this was everything.
fn read(name: &[c_int], buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut len = buffer.len();
    let levels = u32::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the name has `levels` numbers, and the kernel writes at most `len` bytes, the length of the buffer.
    let result =
        unsafe { libc::sysctl(name.as_ptr(), levels, buffer.as_mut_ptr().cast(), &raw mut len, std::ptr::null(), 0) };
    let error = io::Error::last_os_error();
    match result {
        0 => Ok((len.min(buffer.len()), true)),
        _ if error.raw_os_error() == Some(libc::ENOMEM) && len > 0 => Ok((len.min(buffer.len()), false)),
        _ => Err(error),
    }
}

/// A buffer that grows with a table.
#[derive(Default)]
struct Table {
    buffer: Vec<u8>,
    /// The length of the table when it was last read completely.
    len: usize,
}

impl Table {
    /// Reads a complete table.  The kernel wires the memory, so it should not be much more than is needed.
    fn read_all(&mut self, name: &[c_int]) -> io::Result<&[u8]> {
        let mut size = self.len + self.len / 8 + (64 << 10);
        loop {
            if self.buffer.len() < size {
                self.buffer.resize(size, 0);
            }
            let (len, is_complete) = read(name, &mut self.buffer[..size])?;
            if is_complete {
                self.len = len;
                return Ok(&self.buffer[..len]);
            }
            size *= 2;
            if size > TABLE_MAX {
                return Err(io::Error::from_raw_os_error(libc::ENOMEM));
            }
        }
    }

    /// Reads the start of a table.  Returns whether this is everything.
    fn read_start(&mut self, name: &[c_int], size: usize) -> io::Result<(&[u8], bool)> {
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        let (len, is_complete) = read(name, &mut self.buffer[..size])?;
        Ok((&self.buffer[..len], is_complete))
    }
}

/// Returns an integer sysctl.
fn integer(name: &[c_int]) -> io::Result<c_int> {
    let mut bytes = [0; size_of::<c_int>()];
    read(name, &mut bytes)?;
    Ok(c_int::from_ne_bytes(bytes))
}

/// Returns the time of the wall clock at which the host booted, in microseconds.
fn boot_us() -> io::Result<i64> {
    let mut bytes = [0; 16];
    let (len, _) = read(&BOOT_TIME, &mut bytes)?;
    microseconds(&bytes[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Returns the ID and the name of the jail for which the parameter, "jid" or "lastjid", is `jid`.
fn jail(parameter: &CStr, mut jid: c_int) -> Option<(u32, [u8; 64])> {
    let mut name = [0_u8; 256];
    let part = |base: *mut c_void, len| iovec { iov_base: base, iov_len: len };
    let mut parameters = [
        part(parameter.as_ptr().cast_mut().cast(), parameter.count_bytes() + 1),
        part((&raw mut jid).cast(), size_of::<c_int>()),
        part(c"name".as_ptr().cast_mut().cast(), 5),
        part(name.as_mut_ptr().cast(), name.len()),
    ];
    // SAFETY: each part has the length of the memory that it points to, which outlives the call.  The kernel only reads
    // the names of the parameters, and writes the value of "name" and, if it is an output, that of the other parameter.
    let found = unsafe { libc::jail_get(parameters.as_mut_ptr(), 4, JAIL_DYING) };
    let name = name.split(|byte| *byte == 0).next()?;
    // The end of the name is that of the innermost jail.
    let end = &name[name.len().saturating_sub(64)..];
    Some((u32::try_from(found).ok()?, tcpstats::name(end)))
}

/// The running kernel.
pub struct System {
    files: Table,
    connections: Table,
    is_jailed: bool,
    lists_newest_first: bool,
}

impl System {
    /// Determines where this process runs, and whether the tables can be read.
    pub fn open() -> Result<Self, Error> {
        let mut jailed = [0; size_of::<c_int>()];
        let mut len = jailed.len();
        // SAFETY: the name ends with a zero byte, and the kernel writes at most `len` bytes, the length of the array.
        let result = unsafe {
            libc::sysctlbyname(
                c"security.jail.jailed".as_ptr(),
                jailed.as_mut_ptr().cast(),
                &raw mut len,
                std::ptr::null(),
                0,
            )
        };
        if result != 0 {
            return Err(failed("security.jail.jailed")(io::Error::last_os_error()));
        }
        let mut system = Self {
            files: Table::default(),
            connections: Table::default(),
            is_jailed: c_int::from_ne_bytes(jailed) != 0,
            lists_newest_first: integer(&RELEASE).map_err(failed("kern.osreldate"))? < SEVERAL_LISTS,
        };
        system.files()?;
        system.connections(Some(CONNECTIONS_HEADER_LEN + CONNECTION_LEN))?;
        Ok(system)
    }

    /// Returns the names of all jails that can be seen.
    pub fn jails() -> HashMap<u32, [u8; 64]> {
        let mut jails = HashMap::new();
        let mut last = 0;
        while let Some((jid, name)) = jail(c"lastjid", last) {
            jails.insert(jid, name);
            match c_int::try_from(jid) {
                Ok(next) if next > last => last = next,
                _ => break,
            }
        }
        jails
    }
}

impl Kernel for System {
    fn uptime_us(&mut self) -> Result<i64, Error> {
        let now = clock_gettime(ClockId::CLOCK_UPTIME).map_err(io::Error::from).map_err(failed("CLOCK_UPTIME"))?;
        Ok(now.tv_sec().saturating_mul(1_000_000).saturating_add(now.tv_nsec() / 1000))
    }

    fn files(&mut self) -> Result<&[u8], Error> {
        self.files.read_all(&FILES).map_err(failed("kern.file"))
    }

    fn connections(&mut self, limit: Option<usize>) -> Result<(&[u8], bool), Error> {
        let list = match limit {
            Some(limit) => self.connections.read_start(&CONNECTIONS, limit.min(TABLE_MAX)),
            None => self.connections.read_all(&CONNECTIONS).map(|list| (list, true)),
        };
        list.map_err(failed("net.inet.tcp.pcblist"))
    }

    fn processes(&mut self, pids: &NumberSet) -> Result<NumberMap<StartedProcess>, Error> {
        let boot = || boot_us().map_err(failed("kern.boottime"));
        let mut found = NumberMap::default();
        for _ in 0..ATTEMPTS {
            // The kernel converts the times of processes to the wall clock, which may be set at any time.
            let boot_us = boot()?;
            for pid in pids {
                let mut entry = [0; PROCESS_LEN];
                let Ok(number) = c_int::try_from(*pid) else {
                    continue;
                };
                let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, number];
                // It has exited or cannot be seen.
                let Ok((len, _)) = read(&name, &mut entry) else {
                    continue;
                };
                let process = process(&entry[..len])
                    .map_err(|OtherLayout| Error::OwnersLayout { table: "kern.proc.pid" })?
                    .filter(|process| u64::from(process.pid) == *pid);
                if let Some(process) = process {
                    let start_us = process.start_us.saturating_sub(boot_us);
                    found.insert(*pid, StartedProcess { start_us, command: process.command });
                }
            }
            if boot()? == boot_us {
                return Ok(found);
            }
            found.clear();
        }
        Ok(found)
    }

    fn jail_name(&mut self, jid: u32) -> Option<[u8; 64]> {
        let (found, name) = jail(c"jid", jid.try_into().ok()?)?;
        (found == jid).then_some(name)
    }

    fn is_jailed(&self) -> bool {
        self.is_jailed
    }

    fn lists_newest_first(&self) -> bool {
        self.lists_newest_first
    }
}
