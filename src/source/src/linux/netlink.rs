// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Netlink messages and attributes of linux/netlink.h, parsed in place.

use std::io;

use super::layout::{Bytes, c_struct};

pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;
pub const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_DUMP_INTR: u16 = 0x10;
pub const NLM_F_DUMP: u16 = 0x300;

c_struct! {
    /// `struct nlmsghdr`, without the prefix `nlmsg_` of its members.
    MessageHeader {
        len: u32,
        kind: u16,
        flags: u16,
        seq: u32,
        pid: u32,
    }
}

c_struct! {
    /// `struct nlattr`, without the prefix `nla_` of its members.
    AttributeHeader {
        len: u16,
        kind: u16,
    }
}

/// Why a dump failed.
pub enum DumpError {
    /// The kernel or the socket returned an error.
    Io(io::Error),
    /// The bytes are not valid netlink messages.
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
    /// Removes the first message from `rest` and returns it.
    pub fn take(rest: &mut &'a [u8]) -> Result<Self, DumpError> {
        let truncated = DumpError::Malformed("a message is truncated");
        let head = Bytes(rest);
        let (Some(len), Some(kind), Some(flags), Some(request)) = (
            head.get(MessageHeader::len),
            head.get(MessageHeader::kind),
            head.get(MessageHeader::flags),
            head.get(MessageHeader::seq),
        ) else {
            return Err(truncated);
        };
        let len = len as usize;
        let Some(payload) = rest.get(MessageHeader::LEN..len) else {
            return Err(truncated);
        };
        *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(Self { kind, flags, request, payload })
    }
}

/// An iterator over the attributes in a message or in an attribute, as pairs of
/// type and value.  It ends before a truncated attribute.
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        /// Flags of a type: its value contains attributes, or is in network
        /// byte order.
        const FLAGS: u16 = 0xc000;
        let len = usize::from(Bytes(self.0).get(AttributeHeader::len)?);
        let kind = Bytes(self.0).get(AttributeHeader::kind)? & !FLAGS;
        let value = self.0.get(AttributeHeader::LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}
