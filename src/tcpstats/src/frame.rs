// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Frames: the binary format of the device and of `bin` logs.
//!
//! A frame is a header and a payload.  The payload of a snapshot is its
//! records, each of `record_len` bytes; the payload of a note is its text.
//! Everything is in the byte order of the machine that wrote it, which a reader
//! recognizes by the magic.
//!
//! A record is a preamble of 40 bytes, then the module's part of `module_len`
//! bytes, then the other part.  The preamble is the time and a mask of the
//! fields that are present: bits 0 to 127 for the module's part, 128 to 255 for
//! the other part, which is shorter if no record has the last fields.
//!
//! [`HEADER_MEMBERS`] lists the members of the header with their offsets.
//!
//! New members are appended to the header and new fields to either part of the
//! record, whose lengths grow; a reader skips what it does not know.  Version 1
//! of the layout, which has a header of 112 bytes and records of a single part,
//! can still be read.

use core::mem::offset_of;

use crate::mask::PREAMBLE_LEN;
use crate::record::{Record, Value};
use crate::table::MODULE_BODY_LEN;
use crate::v1;

/// The bytes `TCPS` of a little-endian writer, as a number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"TCPS");

/// Version of the layout.
pub const VERSION: u16 = 2;

/// Length in bytes of the header that this version writes.
pub const HEADER_LEN: usize = size_of::<Raw>();

/// Length in bytes of the shortest header, that of version 1.
const HEADER_MIN: usize = offset_of!(Raw, osversion);

/// Length in bytes of the shortest header of this version.
const VERSION_HEADER_MIN: usize = offset_of!(Raw, ended);

/// Offset of the CRC in the header.
pub const CRC_OFFSET: usize = offset_of!(Raw, crc);

/// Maximum length in bytes of the header that a reader accepts.
pub const HEADER_MAX: usize = 4096;
/// Maximum length in bytes of a record that a reader accepts.
pub const RECORD_MAX: usize = 16384;
/// Maximum length in bytes of the payload that a reader accepts.
pub const PAYLOAD_MAX: u64 = 1 << 32;

/// Bits of the flags in a header.
pub mod flag {
    /// Connections are missing because memory ran out or a limit was reached; `missed`
    /// is their number.
    pub const TRUNCATED: u32 = 1 << 0;
    /// The snapshot contains connections of all virtual network stacks or, on Linux, of all
    /// network namespaces.
    pub const ALL_VNETS: u32 = 1 << 1;
    /// The kernel reported that its tables changed during the walk in a way
    /// that may have hidden or duplicated connections.
    pub const INTERRUPTED: u32 = 1 << 2;
    /// The header contains a CRC.
    pub const CRC: u32 = 1 << 3;
    /// Records that have not changed since they were last written may be missing from
    /// the snapshot.
    pub const CHANGED_ONLY: u32 = 1 << 4;
    /// The snapshot was converted from records without a snapshot note, so only
    /// its number and its records are known.
    pub const UNFINISHED: u32 = 1 << 5;
    /// The snapshot contains the final records of the connections that ended since
    /// the previous snapshot, whose state is [`ENDED`](crate::State::ENDED).
    pub const LEDGER: u32 = 1 << 6;
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A snapshot, whose payload is records.
    Snapshot,
    /// A note, whose payload is text.
    Note,
}

/// A member of the header layout.
#[derive(Clone, Copy, Debug)]
pub struct HeaderMember {
    /// Name.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: usize,
    /// Length in bytes: 2, 4 or 8.
    pub len: usize,
    /// Meaning, with the unit.
    pub meaning: &'static str,
}

/// Defines the header from its members in order: `layout` members describe the
/// frame, `snapshot` members are those of [`Header`].
macro_rules! header {
    ($(
        layout { $($layout:ident: $layout_type:ty = $layout_meaning:literal;)* }
        snapshot { $($name:ident: $type:ty = $meaning:literal;)* }
    )*) => {
        /// The header as it is laid out, without padding.
        #[repr(C)]
        struct Raw {
            $($($layout: $layout_type,)* $($name: $type,)*)*
        }

        /// The header of a frame, without the lengths, which follow from the
        /// payload.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Header {
            $($(#[doc = $meaning] pub $name: $type,)*)*
        }

        /// The members of the header, in order.
        pub const HEADER_MEMBERS: &[HeaderMember] = &[
            $($(HeaderMember {
                name: stringify!($layout),
                offset: offset_of!(Raw, $layout),
                len: size_of::<$layout_type>(),
                meaning: $layout_meaning,
            },)* $(HeaderMember {
                name: stringify!($name),
                offset: offset_of!(Raw, $name),
                len: size_of::<$type>(),
                meaning: $meaning,
            },)*)*
        ];

        impl Raw {
            /// Reads a header; members beyond the end of `bytes` are 0.
            fn read(bytes: &[u8], swapped: bool) -> Self {
                let mut rest = Numbers { bytes, swapped };
                Self { $($($layout: <$layout_type>::from_ne_bytes(rest.next()),)* $($name: <$type>::from_ne_bytes(rest.next()),)*)* }
            }

            /// Returns the bytes of the header.
            fn bytes(&self) -> [u8; HEADER_LEN] {
                let mut bytes = [0; HEADER_LEN];
                let mut rest = &mut bytes[..];
                $($(rest = put(rest, &self.$layout.to_ne_bytes());)* $(rest = put(rest, &self.$name.to_ne_bytes());)*)*
                _ = rest;
                bytes
            }

            /// Returns the members that describe the snapshot.
            fn header(&self) -> Header {
                Header { $($($name: self.$name,)*)* }
            }

            /// Returns a header with the given members and all others 0.
            fn of(header: &Header) -> Self {
                Self { $($($layout: 0,)* $($name: header.$name,)*)* }
            }
        }

        const _: () = assert!(size_of::<Raw>() == 0 $($(+ size_of::<$layout_type>())* $(+ size_of::<$type>())*)*, "no padding");
    };
}

header! {
    layout {
        magic: u32 = "The bytes TCPS from a little-endian writer, SPCT from a big-endian one";
        version: u16 = "Version of the layout, 2";
        kind: u16 = "1 snapshot, 2 note";
        header_len: u32 = "Length of the header in bytes";
        record_len: u32 = "Length of a record in bytes, 0 in a note";
        payload_len: u64 = "Length of the payload in bytes";
    }
    snapshot {
        sequence: u64 = "Number of the snapshot, from 1";
        wall_ns: u64 = "Start of the walk, in nanoseconds since the Epoch";
        mono_ns: u64 = "Start of the walk, in nanoseconds of the monotonic clock";
        walk_ns: u64 = "Duration of the walk in nanoseconds";
        seen: u64 = "Connections that the reader may see, except some that the filter excludes";
        matched: u64 = "Of those, connections that the filter matched";
        written: u64 = "Records that follow: of those connections, and final records";
        missed: u64 = "Matching connections without a record: memory ran out or a limit was reached";
        missed_ticks: u64 = "Ticks that the logger has missed since the log began; 0 from the device";
        flags: u32 = "Flags";
        hz: u32 = "Ticks per second of the kernel's clock, 0 if unknown";
    }
    layout {
        crc: u32 = "CRC-32 of the frame, computed with this member 0; 0 without flag 8";
        module_len: u32 = "Length in bytes of the module's part of a record, 0 in a note";
    }
    snapshot {
        osversion: u32 = "Kernel version (kern.osreldate), which defines the flag bits; 0 if unknown";
    }
    layout {
        zero: u32 = "0";
    }
    snapshot {
        ended: u64 = "Of the records, final records of connections that have ended";
        ended_lost: u64 = "Connections that ended since the previous snapshot, but have no final record";
    }
}

/// Writes `bytes` to the start of `to`, and returns the rest of `to`.
fn put<'a>(to: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    match to.split_at_mut_checked(bytes.len()) {
        Some((start, rest)) => {
            start.copy_from_slice(bytes);
            rest
        }
        None => &mut [],
    }
}

/// A cursor over numbers of either byte order.
struct Numbers<'a> {
    bytes: &'a [u8],
    swapped: bool,
}

impl Numbers<'_> {
    /// Takes the next number and returns its bytes in this machine's byte
    /// order.
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = <[u8; N]>::take(self.bytes);
        self.bytes = self.bytes.get(N..).unwrap_or_default();
        if self.swapped {
            bytes.reverse();
        }
        bytes
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame continues after the given bytes.
    Short {
        /// Bytes needed to continue parsing.
        need: usize,
    },
    /// The bytes do not start with the magic.
    NoMagic,
    /// The reader does not support this version of the layout.
    Version(u16),
    /// The lengths contradict each other or exceed the limits.
    Lengths,
    /// The frame is neither a snapshot nor a note.
    UnknownKind(u16),
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short { .. } => f.write_str("the frame is truncated"),
            Self::NoMagic => f.write_str("no frame starts here (bad magic)"),
            Self::Version(version) => {
                write!(f, "the frame has layout version {version}; expected version {VERSION} or 1")
            }
            Self::Lengths => f.write_str("the lengths in the frame's header contradict each other"),
            Self::UnknownKind(kind) => write!(f, "the frame has the unknown kind {kind}; expected 1 or 2"),
        }
    }
}

impl core::error::Error for FrameError {}

/// The layout of a record's bytes.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// The layout of version 1.
    One,
    /// Two parts, of which the module's has `module_len` bytes.
    Parts { module_len: usize },
}

/// A frame in borrowed bytes, with checked lengths.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The kind of the frame.
    pub kind: FrameKind,
    /// The header.
    pub header: Header,
    /// Length of the header in bytes.
    pub header_len: usize,
    /// Length of a record in bytes.
    pub record_len: usize,
    layout: Layout,
    /// Whether the frame is in the other byte order.
    pub swapped: bool,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses the frame at the start of `bytes`, which may be followed by other
    /// bytes.  The CRC is not checked.
    ///
    /// # Errors
    /// Returns [`FrameError`] if `bytes` do not start with a complete and valid
    /// frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let magic: [u8; 4] = *bytes.first_chunk().ok_or(FrameError::Short { need: HEADER_MIN })?;
        let swapped = match u32::from_ne_bytes(magic) {
            MAGIC => false,
            other if other.swap_bytes() == MAGIC => true,
            _ => return Err(FrameError::NoMagic),
        };
        if bytes.len() < HEADER_MIN {
            return Err(FrameError::Short { need: HEADER_MIN });
        }
        let as_len = |number: u32| usize::try_from(number).map_err(|_| FrameError::Lengths);
        let start = Raw::read(bytes, swapped);
        let header_min = match start.version {
            1 => HEADER_MIN,
            VERSION => VERSION_HEADER_MIN,
            other => return Err(FrameError::Version(other)),
        };
        let header_len = as_len(start.header_len)?;
        if !(header_min..=HEADER_MAX).contains(&header_len) {
            return Err(FrameError::Lengths);
        }
        // Records follow the members that this version of the layout has.
        let header_len_known = if start.version == 1 { HEADER_MIN } else { header_len };
        let raw = match bytes.get(..header_len_known) {
            Some(header) => Raw::read(header, swapped),
            None => return Err(FrameError::Short { need: header_len_known }),
        };
        let kind = match raw.kind {
            1 => FrameKind::Snapshot,
            2 => FrameKind::Note,
            other => return Err(FrameError::UnknownKind(other)),
        };
        let record_len = as_len(raw.record_len)?;
        let payload_len = raw.payload_len;
        let header = raw.header();
        let (layout, preamble_len) = match raw.version {
            1 => (Layout::One, v1::PREAMBLE_LEN),
            _ => (Layout::Parts { module_len: as_len(raw.module_len)? }, PREAMBLE_LEN),
        };
        let records_fit = match kind {
            FrameKind::Snapshot => {
                let parts_fit = match layout {
                    Layout::One => true,
                    Layout::Parts { module_len } => PREAMBLE_LEN.saturating_add(module_len) <= record_len,
                };
                parts_fit
                    && (preamble_len..=RECORD_MAX).contains(&record_len)
                    && header.written.checked_mul(record_len as u64) == Some(payload_len)
            }
            FrameKind::Note => record_len == 0,
        };
        if payload_len > PAYLOAD_MAX || !records_fit {
            return Err(FrameError::Lengths);
        }
        let payload_len = usize::try_from(payload_len).map_err(|_| FrameError::Lengths)?;
        let need = header_len.checked_add(payload_len).ok_or(FrameError::Lengths)?;
        let bytes = bytes.get(..need).ok_or(FrameError::Short { need })?;
        Ok(Self { kind, header, header_len, record_len, layout, swapped, bytes })
    }

    /// Returns all bytes of the frame.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the bytes after the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// Returns the text of a note, or `None` for a snapshot or for text that is
    /// not UTF-8.
    #[must_use]
    pub fn note(&self) -> Option<&'a str> {
        match self.kind {
            FrameKind::Note => core::str::from_utf8(self.payload()).ok(),
            FrameKind::Snapshot => None,
        }
    }

    /// Returns the records of a snapshot.
    #[must_use]
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record> + use<'a> {
        let (swapped, layout) = (self.swapped, self.layout);
        let payload = match self.kind {
            FrameKind::Snapshot => self.payload(),
            FrameKind::Note => &[],
        };
        payload.chunks_exact(self.record_len.max(1)).map(move |bytes| match layout {
            Layout::One => v1::record(bytes, swapped),
            Layout::Parts { module_len } => Record::from_parts(bytes, module_len, swapped),
        })
    }
}

/// Returns the bytes of a header, with CRC 0, for a payload of this kind and
/// length.  Records have the layout of this version.
#[must_use]
pub fn header_bytes(kind: FrameKind, header: &Header, record_len: u32, payload_len: u64) -> [u8; HEADER_LEN] {
    #[allow(clippy::cast_possible_truncation, reason = "both are small")]
    const LENGTHS: (u32, u32) = (HEADER_LEN as u32, MODULE_BODY_LEN as u32);
    let (header_len, module_len) = LENGTHS;
    let raw = Raw {
        magic: MAGIC,
        version: VERSION,
        kind: match kind {
            FrameKind::Snapshot => 1,
            FrameKind::Note => 2,
        },
        header_len,
        record_len,
        payload_len,
        module_len: if record_len == 0 { 0 } else { module_len },
        ..Raw::of(header)
    };
    raw.bytes()
}
