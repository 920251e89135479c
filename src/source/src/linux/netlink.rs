// SPDX-License-Identifier: BSD-2-Clause

//! Netlink messages and attributes, read in place: linux/netlink.h.

use std::io;

pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;
pub const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_DUMP_INTR: u16 = 0x10;
pub const NLM_F_DUMP: u16 = 0x300;
pub const HEADER_LEN: usize = 16;
pub const ATTRIBUTE_HEADER_LEN: usize = 4;

/// Why a dump did not end well.
pub enum DumpError {
    /// The kernel or the socket refused.
    Io(io::Error),
    /// What came is no netlink.
    Malformed(&'static str),
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A netlink message in the buffer.
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub request: u32,
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message off `rest`.
    pub fn take(rest: &mut &'a [u8]) -> Result<Self, DumpError> {
        let cut = DumpError::Malformed("a message is cut off");
        let head = Bytes(rest);
        let (Some(len), Some(kind), Some(flags), Some(request)) = (head.u32(0), head.u16(4), head.u16(6), head.u32(8))
        else {
            return Err(cut);
        };
        let len = len as usize;
        let Some(payload) = rest.get(HEADER_LEN..len) else {
            return Err(cut);
        };
        *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(Self { kind, flags, request, payload })
    }
}

/// Bytes in native order, of which any may be missing.
#[derive(Clone, Copy, Default)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn at<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }

    pub fn u8(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    pub fn u16(self, offset: usize) -> Option<u16> {
        self.at(offset).map(u16::from_ne_bytes)
    }

    pub fn u32(self, offset: usize) -> Option<u32> {
        self.at(offset).map(u32::from_ne_bytes)
    }

    pub fn i32(self, offset: usize) -> Option<i32> {
        self.at(offset).map(i32::from_ne_bytes)
    }

    pub fn u64(self, offset: usize) -> Option<u64> {
        self.at(offset).map(u64::from_ne_bytes)
    }

    /// Milliseconds as microseconds.
    pub fn ms(self, offset: usize) -> Option<u64> {
        self.u32(offset).map(|ms| u64::from(ms) * 1000)
    }
}

/// The attributes in a message or in an attribute, as pairs of number and value.
/// What is truncated ends them.
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        /// Flags of a number: that its value has attributes in it, and the byte order.
        const FLAGS: u16 = 0xc000;
        let len = usize::from(Bytes(self.0).u16(0)?);
        let kind = Bytes(self.0).u16(2)? & !FLAGS;
        let value = self.0.get(ATTRIBUTE_HEADER_LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}
