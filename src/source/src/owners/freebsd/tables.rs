// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The kernel's tables of files, connections and processes, as sysctl(3) returns them.
//!
//! The bytes may end anywhere, because a sysctl fills as much of a buffer as fits.

/// Sizes and offsets of the structures, in bytes.  They are the same in FreeBSD 14 and 15, on amd64 and aarch64.
/// `tests/kmod/test_sysctl.py` compiles the comments with the headers of the kernels.
mod layout {
    pub const XFILE: usize = 128; // sizeof(struct xfile)
    pub const XF_SIZE: usize = 0; // offsetof(struct xfile, xf_size)
    pub const XF_PID: usize = 8; // offsetof(struct xfile, xf_pid)
    pub const XF_TYPE: usize = 32; // offsetof(struct xfile, xf_type)
    pub const XF_DATA: usize = 56; // offsetof(struct xfile, xf_data)
    pub const DTYPE_SOCKET: i16 = 2; // DTYPE_SOCKET
    pub const XINPGEN: usize = 64; // sizeof(struct xinpgen)
    pub const XIG_LEN: usize = 0; // offsetof(struct xinpgen, xig_len)
    pub const XIG_COUNT: usize = 8; // offsetof(struct xinpgen, xig_count)
    pub const XIG_GEN: usize = 16; // offsetof(struct xinpgen, xig_gen)
    pub const XIG_SOGEN: usize = 24; // offsetof(struct xinpgen, xig_sogen)
    pub const XTCPCB: usize = 744; // sizeof(struct xtcpcb)
    pub const XT_LEN: usize = 0; // offsetof(struct xtcpcb, xt_len)
    pub const XSO_SO: usize = 24; // offsetof(struct xtcpcb, xt_inp.xi_socket.xso_so)
    pub const INP_GENCNT: usize = 304; // offsetof(struct xtcpcb, xt_inp.inp_gencnt)
    pub const KINFO_PROC: usize = 1088; // sizeof(struct kinfo_proc)
    pub const KI_STRUCTSIZE: usize = 0; // offsetof(struct kinfo_proc, ki_structsize)
    pub const KI_PID: usize = 72; // offsetof(struct kinfo_proc, ki_pid)
    pub const KI_START: usize = 336; // offsetof(struct kinfo_proc, ki_start)
    pub const KI_COMM: usize = 447; // offsetof(struct kinfo_proc, ki_comm)
    pub const COMMLEN: usize = 19; // COMMLEN
    pub const TIMEVAL: usize = 16; // sizeof(struct timeval)
    pub const TV_USEC: usize = 8; // offsetof(struct timeval, tv_usec)
}

/// The length of the list of connections without any connection, in bytes.
pub const CONNECTIONS_HEADER_LEN: usize = layout::XINPGEN;
/// The length of a connection in the list, in bytes.
pub const CONNECTION_LEN: usize = layout::XTCPCB;
/// The length of a process, in bytes.
pub const PROCESS_LEN: usize = layout::KINFO_PROC;

/// The kernel's structures have other sizes than expected.
#[derive(Debug, PartialEq, Eq)]
pub struct OtherLayout;

/// Reads a member of a structure.
trait Member: Sized {
    fn read(bytes: &[u8], offset: usize) -> Option<Self>;
}

macro_rules! members {
    ($($type:ty)*) => {$(
        impl Member for $type {
            #[inline]
            fn read(bytes: &[u8], offset: usize) -> Option<Self> {
                bytes.get(offset..)?.first_chunk().copied().map(Self::from_ne_bytes)
            }
        }
    )*};
}

members! { i16 u32 i32 u64 i64 }

#[inline]
fn number<T: Member>(bytes: &[u8], offset: usize) -> Option<T> {
    T::read(bytes, offset)
}

/// An open socket of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenSocket {
    /// The address of the socket in the kernel.
    pub address: u64,
    /// The process.
    pub pid: u32,
}

/// Calls `each` with each socket in `kern.file`.
#[inline]
fn each_open_socket(table: &[u8], mut each: impl FnMut(OpenSocket)) -> Result<(), OtherLayout> {
    for entry in table.as_chunks::<{ layout::XFILE }>().0 {
        if number(entry, layout::XF_SIZE) != Some(layout::XFILE as u64) {
            return Err(OtherLayout);
        }
        let (Some(kind), Some(pid), Some(address)) = (
            number::<i16>(entry, layout::XF_TYPE),
            number::<i32>(entry, layout::XF_PID),
            number::<u64>(entry, layout::XF_DATA),
        ) else {
            continue;
        };
        if let (layout::DTYPE_SOCKET, Ok(pid), 1..) = (kind, u32::try_from(pid), address) {
            each(OpenSocket { address, pid });
        }
    }
    Ok(())
}

/// Returns the sockets in `kern.file`.  Those of a process are in succession.
///
/// # Errors
/// Returns an error if an entry has another size.
pub fn open_sockets(table: &[u8]) -> Result<Vec<OpenSocket>, OtherLayout> {
    let mut sockets = Vec::with_capacity(table.len() / layout::XFILE);
    each_open_socket(table, |socket| sockets.push(socket))?;
    Ok(sockets)
}

/// Returns whether the sockets in `kern.file` are these, in this order.
///
/// # Errors
/// Returns an error if an entry has another size.
pub fn has_open_sockets(table: &[u8], sockets: &[OpenSocket]) -> Result<bool, OtherLayout> {
    let (mut rest, mut is_same) = (sockets.iter(), true);
    each_open_socket(table, |socket| is_same &= rest.next() == Some(&socket))?;
    Ok(is_same && rest.next().is_none())
}

/// The header of `net.inet.tcp.pcblist`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionsHeader {
    /// The approximate number of connections.
    pub count: u32,
    /// The greatest number of a connection so far.
    pub last: u64,
    /// The number of times that a socket of any kind was created or freed since boot.
    pub socket_generation: u64,
}

/// Returns the header of `net.inet.tcp.pcblist`.
///
/// # Errors
/// Returns an error if it is truncated or has another size.
pub fn connections_header(list: &[u8]) -> Result<ConnectionsHeader, OtherLayout> {
    let of = |list| {
        let is_known = number(list, layout::XIG_LEN) == Some(layout::XINPGEN as u64);
        Some(ConnectionsHeader {
            count: number(list, layout::XIG_COUNT).filter(|_| is_known)?,
            last: number(list, layout::XIG_GEN)?,
            socket_generation: number(list, layout::XIG_SOGEN)?,
        })
    };
    of(list.get(..layout::XINPGEN).ok_or(OtherLayout)?).ok_or(OtherLayout)
}

/// A connection that has a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number, which is unique in its network stack.
    pub gencnt: u64,
    /// The address of its socket in the kernel.
    pub address: u64,
}

/// Returns the connections in `net.inet.tcp.pcblist` that have a socket, in the order of the list.
///
/// # Errors
/// Returns an error if an entry has another size.
pub fn connections(list: &[u8]) -> Result<Vec<Connection>, OtherLayout> {
    let entries = list.get(layout::XINPGEN..).unwrap_or_default();
    let mut connections = Vec::with_capacity(entries.len() / layout::XTCPCB);
    for entry in entries.as_chunks::<{ layout::XTCPCB }>().0 {
        if number(entry, layout::XT_LEN) != Some(layout::XTCPCB as u64) {
            return Err(OtherLayout);
        }
        let (gencnt, address) = (number(entry, layout::INP_GENCNT), number(entry, layout::XSO_SO));
        // Half-open connections are in the SYN cache and have neither.
        if let (Some(gencnt @ 1..), Some(address @ 1..)) = (gencnt, address) {
            connections.push(Connection { gencnt, address });
        }
    }
    Ok(connections)
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEntry {
    /// The process ID.
    pub pid: u32,
    /// When it was created, in microseconds of the wall clock.
    pub start_us: i64,
    /// The name of its command, truncated, and padded with zero bytes.
    pub command: [u8; 16],
}

/// Returns the process in `kern.proc.pid`, or `None` if the bytes are not a complete process.
///
/// # Errors
/// Returns an error if it has another size.
pub fn process(entry: &[u8]) -> Result<Option<ProcessEntry>, OtherLayout> {
    if entry.len() < layout::KINFO_PROC {
        return Ok(None);
    }
    if number::<i32>(entry, layout::KI_STRUCTSIZE).and_then(|len| usize::try_from(len).ok()) != Some(layout::KINFO_PROC)
    {
        return Err(OtherLayout);
    }
    let of = || {
        Some(ProcessEntry {
            pid: number::<i32>(entry, layout::KI_PID)?.try_into().ok()?,
            start_us: microseconds(entry.get(layout::KI_START..)?)?,
            command: tcpstats::name(entry.get(layout::KI_COMM..)?.get(..layout::COMMLEN)?),
        })
    };
    Ok(of())
}

/// Returns the time in a `struct timeval`, in microseconds, or `None` if it is truncated.
pub fn microseconds(timeval: &[u8]) -> Option<i64> {
    let timeval = timeval.get(..layout::TIMEVAL)?;
    number::<i64>(timeval, 0)?.checked_mul(1_000_000)?.checked_add(number(timeval, layout::TV_USEC)?)
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
        bytes[offset..offset + value.len()].copy_from_slice(value);
    }

    /// Returns an entry of `kern.file`.
    pub fn file(kind: i16, pid: u32, address: u64) -> Vec<u8> {
        let mut entry = vec![0; layout::XFILE];
        put(&mut entry, layout::XF_SIZE, &(layout::XFILE as u64).to_ne_bytes());
        put(&mut entry, layout::XF_PID, &pid.to_ne_bytes());
        put(&mut entry, layout::XF_TYPE, &kind.to_ne_bytes());
        put(&mut entry, layout::XF_DATA, &address.to_ne_bytes());
        entry
    }

    /// Returns the header of `net.inet.tcp.pcblist`.
    pub fn header(header: ConnectionsHeader) -> Vec<u8> {
        let mut bytes = vec![0; layout::XINPGEN];
        put(&mut bytes, layout::XIG_LEN, &(layout::XINPGEN as u64).to_ne_bytes());
        put(&mut bytes, layout::XIG_COUNT, &header.count.to_ne_bytes());
        put(&mut bytes, layout::XIG_GEN, &header.last.to_ne_bytes());
        put(&mut bytes, layout::XIG_SOGEN, &header.socket_generation.to_ne_bytes());
        bytes
    }

    /// Returns an entry of `net.inet.tcp.pcblist`.
    pub fn connection(of: Connection) -> Vec<u8> {
        let mut entry = vec![0; layout::XTCPCB];
        put(&mut entry, layout::XT_LEN, &(layout::XTCPCB as u64).to_ne_bytes());
        put(&mut entry, layout::INP_GENCNT, &of.gencnt.to_ne_bytes());
        put(&mut entry, layout::XSO_SO, &of.address.to_ne_bytes());
        entry
    }

    fn kinfo(pid: i32, seconds: i64, name: &[u8]) -> Vec<u8> {
        let mut entry = vec![0; layout::KINFO_PROC];
        put(&mut entry, layout::KI_STRUCTSIZE, &i32::try_from(layout::KINFO_PROC).unwrap().to_ne_bytes());
        put(&mut entry, layout::KI_PID, &pid.to_ne_bytes());
        put(&mut entry, layout::KI_START, &seconds.to_ne_bytes());
        put(&mut entry, layout::KI_START + layout::TV_USEC, &7_i64.to_ne_bytes());
        put(&mut entry, layout::KI_COMM, name);
        entry
    }

    #[test]
    fn only_files_that_are_sockets_are_returned() {
        let table = [file(1, 5, 0x10), file(2, 5, 0x20), file(2, 6, 0), file(2, u32::MAX, 0x30), file(2, 7, 0x20)];
        let expected = [OpenSocket { address: 0x20, pid: 5 }, OpenSocket { address: 0x20, pid: 7 }];
        assert_eq!(open_sockets(&table.concat()).unwrap(), expected);
    }

    #[test]
    fn entries_of_the_syn_cache_are_skipped() {
        let of = ConnectionsHeader { count: 3, last: 9, socket_generation: 77 };
        let (half_open, open) = (Connection { gencnt: 0, address: 0 }, Connection { gencnt: 9, address: 0x40 });
        let list = [header(of), connection(half_open), connection(open), header(of)].concat();
        assert_eq!(connections_header(&list), Ok(of));
        assert_eq!(connections(&list).unwrap(), [open]);
    }

    #[test]
    fn a_command_is_truncated_to_the_length_of_the_field() {
        let read = |name: &[u8]| process(&kinfo(42, 1, name)).unwrap().unwrap();
        assert_eq!(
            read(b"nginx\0old"),
            ProcessEntry { pid: 42, start_us: 1_000_007, command: *b"nginx\0\0\0\0\0\0\0\0\0\0\0" }
        );
        assert_eq!(read(b"0123456789abcdefXYZ").command, *b"0123456789abcdef");
        assert_eq!(process(&kinfo(-1, 1, b"x")), Ok(None));
        assert_eq!(process(&kinfo(1, i64::MAX, b"x")), Ok(None), "a time that does not fit");
    }

    #[test]
    fn structures_of_another_size_are_rejected() {
        let of = ConnectionsHeader { count: 3, last: 9, socket_generation: 77 };
        let with = |mut bytes: Vec<u8>, at: usize, len: u8| {
            bytes[at] = len;
            bytes
        };
        assert_eq!(open_sockets(&with(file(2, 5, 1), layout::XF_SIZE, 120)), Err(OtherLayout));
        assert_eq!(connections_header(&with(header(of), layout::XIG_LEN, 56)), Err(OtherLayout));
        let entry = with(connection(Connection { gencnt: 1, address: 1 }), layout::XT_LEN, 1);
        assert_eq!(connections(&[header(of), entry].concat()), Err(OtherLayout));
        assert_eq!(process(&with(kinfo(1, 1, b"x"), layout::KI_STRUCTSIZE, 0)), Err(OtherLayout));
    }

    proptest! {
        #[test]
        fn a_table_truncated_anywhere_has_its_complete_entries(
            sockets in prop::collection::vec((1..9_u32, 1..9_u64), 0..9), cut in 0..2000_usize,
        ) {
            let of = ConnectionsHeader { count: 9, last: 9, socket_generation: 9 };
            let files: Vec<u8> = sockets.iter().flat_map(|(pid, address)| file(2, *pid, *address)).collect();
            let cut_files = &files[..cut.min(files.len())];
            let found = open_sockets(cut_files).unwrap();
            prop_assert_eq!(found.len(), cut_files.len() / layout::XFILE);
            prop_assert_eq!(has_open_sockets(cut_files, &found), Ok(true));
            prop_assert_eq!(has_open_sockets(&files, &found), Ok(found.len() == sockets.len()));
            let longer = [&found[..], &[OpenSocket { address: 1, pid: 1 }]].concat();
            prop_assert_eq!(has_open_sockets(cut_files, &longer), Ok(false));
            let mut list = header(of);
            list.extend(sockets.iter().flat_map(|(_, gencnt)| connection(Connection { gencnt: *gencnt, address: 1 })));
            let cut_list = &list[..cut.min(list.len())];
            prop_assert_eq!(connections_header(cut_list).is_ok(), cut_list.len() >= layout::XINPGEN);
            let complete = cut_list.len().saturating_sub(layout::XINPGEN) / layout::XTCPCB;
            prop_assert_eq!(connections(cut_list).unwrap().len(), complete);
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..2500)) {
            let _ = open_sockets(&bytes);
            let _ = connections_header(&bytes);
            let _ = connections(&bytes);
            let _ = process(&bytes);
            let _ = microseconds(&bytes);
        }
    }
}
