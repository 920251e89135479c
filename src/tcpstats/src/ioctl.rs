// SPDX-License-Identifier: BSD-2-Clause

//! The ioctls of `/dev/tcpstats`, numbered as FreeBSD's `sys/ioccom.h` does.

/// Chooses the form of what read(2) gives: a 32-bit number, [`TEXT`] or [`BINARY`].
pub const SET_FORMAT: u64 = write(1, size_of::<u32>());

/// The device gives CSV text; so it is after open(2).
pub const TEXT: u32 = 0;

/// The device gives [frames](crate::frame).
pub const BINARY: u32 = 1;

/// `_IOW('T', number, len)`.
const fn write(number: u64, len: usize) -> u64 {
    const IOC_IN: u64 = 0x8000_0000;
    IOC_IN | (len as u64 & 0x1fff) << 16 | (b'T' as u64) << 8 | number
}
