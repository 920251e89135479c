// SPDX-License-Identifier: BSD-2-Clause

//! Frames: what the device gives in binary form and what a `bin` log holds.
//!
//! A frame is a header and a payload.  The payload of a snapshot is its
//! records, all of `record_len` bytes; the payload of a note is its text.  All
//! is in the byte order of the machine that wrote it, which the magic shows.
//!
//! A record is a preamble of 40 bytes, then the module's part of `module_len`
//! bytes, then the Linux part.  The preamble is the time and a mask of the
//! fields that are present: bits 0 to 127 for the module's part, 128 to 255 for
//! the Linux part.
//!
//! | offset | bytes | member |
//! |---|---|---|
//! | 0 | 4 | magic, the bytes `TCPS` from a little-endian writer, `SPCT` from a big-endian one |
//! | 4 | 2 | version of the layout, 2 |
//! | 6 | 2 | 1 snapshot, 2 note |
//! | 8 | 4 | length of the header |
//! | 12 | 4 | length of a record, 0 in a note |
//! | 16 | 8 | length of the payload |
//! | 24 | 8 | sequence number of the snapshot |
//! | 32 | 8 | start of the walk, nanoseconds since the UNIX epoch |
//! | 40 | 8 | start of the walk, nanoseconds of the monotonic clock |
//! | 48 | 8 | duration of the walk in nanoseconds |
//! | 56 | 8 | records seen |
//! | 64 | 8 | of those, matched by the filter |
//! | 72 | 8 | of those, written |
//! | 80 | 8 | matched and not written |
//! | 88 | 8 | ticks missed since the log began; 0 from the device |
//! | 96 | 4 | flags |
//! | 100 | 4 | hz of the kernel, 0 where it is not known |
//! | 104 | 4 | CRC-32 of the frame with this member 0, when a flag says so |
//! | 108 | 4 | length of the module's part of a record, 0 in a note |
//! | 112 | 4 | `__FreeBSD_version` of the kernel that took the snapshot, 0 on Linux or where it is not known |
//! | 116 | 4 | zero |
//!
//! Additions go to the end of the header and of either part of the record, whose
//! lengths grow; a reader skips what it does not know.  Version 1 of the layout,
//! which had a header of 112 bytes and records of one part, is still read.

use crate::record::{PREAMBLE_LEN, Record, Value};
use crate::table::MODULE_BODY_LEN;
use crate::v1;

/// The bytes `TCPS` of a little-endian writer, as a number.
pub const MAGIC: u32 = u32::from_le_bytes(*b"TCPS");

/// Version of the layout.
pub const VERSION: u16 = 2;

/// Bytes of the header that this version writes.
pub const HEADER_LEN: usize = 120;

/// Bytes of the shortest header, that of version 1.
const HEADER_MIN: usize = 112;

/// Where the header has the CRC.
pub const CRC_OFFSET: usize = 104;

/// The longest header, record and payload that a reader accepts.
pub const HEADER_MAX: usize = 4096;
/// See [`HEADER_MAX`].
pub const RECORD_MAX: usize = 16384;
/// See [`HEADER_MAX`].
pub const PAYLOAD_MAX: u64 = 1 << 32;

/// Bits of a header's flags.
pub mod flag {
    /// Memory or a limit ended the snapshot early; `missed` says by how much.
    pub const TRUNCATED: u32 = 1 << 0;
    /// Connections of all virtual network stacks are in it.
    pub const ALL_VNETS: u32 = 1 << 1;
    /// The kernel said that the tables changed during the walk in a way that
    /// may have hidden or doubled connections.
    pub const INTERRUPTED: u32 = 1 << 2;
    /// The CRC is filled in.
    pub const CRC: u32 = 1 << 3;
    /// Only the records that changed since they were last written are in it.
    pub const CHANGED_ONLY: u32 = 1 << 4;
    /// Converted from a log in which these records have no snapshot around
    /// them: of the header only number and records are known.
    pub const UNFINISHED: u32 = 1 << 5;
}

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Records.
    Snapshot,
    /// Text.
    Note,
}

/// A frame's header, without the lengths that its payload gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Number of the snapshot, from 1.
    pub sequence: u64,
    /// Start of the walk, nanoseconds since the UNIX epoch.
    pub wall_ns: u64,
    /// Start of the walk, nanoseconds of the monotonic clock.
    pub mono_ns: u64,
    /// Duration of the walk in nanoseconds.
    pub walk_ns: u64,
    /// Connections that the walk saw.
    pub seen: u64,
    /// Of those, the ones that the filter matched.
    pub matched: u64,
    /// Of those, the ones whose records follow.
    pub written: u64,
    /// Matched, but without a record, for want of memory or by a limit.
    pub missed: u64,
    /// Ticks that the logger missed since the log began.
    pub missed_ticks: u64,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Ticks a second of the kernel's clock, 0 where it is not known.
    pub hz: u32,
    /// `__FreeBSD_version` of the kernel, which says what the bits of `t_flags`
    /// and `t_flags2` mean; 0 on Linux or where it is not known.
    pub osversion: u32,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The frame goes on after the bytes given; it needs so many.
    Short {
        /// Bytes needed before more can be said.
        need: usize,
    },
    /// It does not begin with the magic.
    NoMagic,
    /// It is of a version that this reader does not know.
    Version(u16),
    /// Its lengths contradict each other or the limits.
    Lengths,
    /// It is neither a snapshot nor a note.
    UnknownKind(u16),
}

impl core::fmt::Display for FrameError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short { .. } => f.write_str("the frame is cut off"),
            Self::NoMagic => f.write_str("no frame begins here (no magic)"),
            Self::Version(version) => {
                write!(f, "the frame has layout version {version}; this program knows version {VERSION}")
            }
            Self::Lengths => f.write_str("the frame's lengths contradict each other"),
            Self::UnknownKind(kind) => write!(f, "the frame is of unknown kind {kind}"),
        }
    }
}

/// How the bytes of a record are laid out.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// As version 1 did.
    One,
    /// In two parts, of which the module's has that length.
    Parts { module_len: usize },
}

/// A frame in borrowed bytes, its lengths checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The header.
    pub header: Header,
    /// Length of the header in the bytes.
    pub header_len: usize,
    /// Length of a record.
    pub record_len: usize,
    layout: Layout,
    /// Whether the writer's byte order is the other one.
    pub swapped: bool,
    bytes: &'a [u8],
}

/// Reads numbers of either byte order at fixed places.
struct Numbers<'a> {
    bytes: &'a [u8],
    swapped: bool,
}

impl Numbers<'_> {
    fn at<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = <[u8; N]>::take(self.bytes.get(offset..).unwrap_or_default());
        if self.swapped {
            bytes.reverse();
        }
        bytes
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_ne_bytes(self.at(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.at(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.at(offset))
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame that `bytes` begins with; bytes after it are allowed.
    /// The CRC is not looked at.
    ///
    /// # Errors
    /// [`FrameError`] says why there is none; nothing makes it panic.
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
        let numbers = Numbers { bytes, swapped };
        let header_min = match numbers.u16(4) {
            1 => HEADER_MIN,
            VERSION => HEADER_LEN,
            other => return Err(FrameError::Version(other)),
        };
        if bytes.len() < header_min {
            return Err(FrameError::Short { need: header_min });
        }
        let kind = match numbers.u16(6) {
            1 => FrameKind::Snapshot,
            2 => FrameKind::Note,
            other => return Err(FrameError::UnknownKind(other)),
        };
        let as_len = |number: u32| usize::try_from(number).map_err(|_| FrameError::Lengths);
        let header_len = as_len(numbers.u32(8))?;
        let record_len = as_len(numbers.u32(12))?;
        let payload_len = numbers.u64(16);
        let header = Header {
            sequence: numbers.u64(24),
            wall_ns: numbers.u64(32),
            mono_ns: numbers.u64(40),
            walk_ns: numbers.u64(48),
            seen: numbers.u64(56),
            matched: numbers.u64(64),
            written: numbers.u64(72),
            missed: numbers.u64(80),
            missed_ticks: numbers.u64(88),
            flags: numbers.u32(96),
            hz: numbers.u32(100),
            osversion: if header_min == HEADER_LEN { numbers.u32(112) } else { 0 },
        };
        let (layout, preamble_len) = if header_min == HEADER_LEN {
            (Layout::Parts { module_len: as_len(numbers.u32(108))? }, PREAMBLE_LEN)
        } else {
            (Layout::One, v1::PREAMBLE_LEN)
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
        if !(header_min..=HEADER_MAX).contains(&header_len) || payload_len > PAYLOAD_MAX || !records_fit {
            return Err(FrameError::Lengths);
        }
        let payload_len = usize::try_from(payload_len).map_err(|_| FrameError::Lengths)?;
        let need = header_len.checked_add(payload_len).ok_or(FrameError::Lengths)?;
        let bytes = bytes.get(..need).ok_or(FrameError::Short { need })?;
        Ok(Self { kind, header, header_len, record_len, layout, swapped, bytes })
    }

    /// All bytes of the frame.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes after the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// The text of a note; none in a snapshot or where it is not UTF-8.
    #[must_use]
    pub fn note(&self) -> Option<&'a str> {
        match self.kind {
            FrameKind::Note => core::str::from_utf8(self.payload()).ok(),
            FrameKind::Snapshot => None,
        }
    }

    /// The records of a snapshot.
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

/// The header's bytes for a payload of that kind and length, with CRC 0; of
/// records as this version lays them out.
#[must_use]
pub fn header_bytes(kind: FrameKind, header: &Header, record_len: u32, payload_len: u64) -> [u8; HEADER_LEN] {
    #[allow(clippy::cast_possible_truncation, reason = "both are small")]
    const LEN: u32 = HEADER_LEN as u32;
    #[allow(clippy::cast_possible_truncation, reason = "both are small")]
    const MODULE_LEN: u32 = MODULE_BODY_LEN as u32;
    let mut bytes = [0; HEADER_LEN];
    let mut put = |offset: usize, value: &[u8]| {
        if let Some(to) = bytes.get_mut(offset..offset + value.len()) {
            to.copy_from_slice(value);
        }
    };
    let kind: u16 = match kind {
        FrameKind::Snapshot => 1,
        FrameKind::Note => 2,
    };
    put(0, &MAGIC.to_ne_bytes());
    put(4, &VERSION.to_ne_bytes());
    put(6, &kind.to_ne_bytes());
    put(8, &LEN.to_ne_bytes());
    put(12, &record_len.to_ne_bytes());
    put(16, &payload_len.to_ne_bytes());
    let words = [
        header.sequence,
        header.wall_ns,
        header.mono_ns,
        header.walk_ns,
        header.seen,
        header.matched,
        header.written,
        header.missed,
        header.missed_ticks,
    ];
    for (i, word) in words.into_iter().enumerate() {
        put(24 + 8 * i, &word.to_ne_bytes());
    }
    put(96, &header.flags.to_ne_bytes());
    put(100, &header.hz.to_ne_bytes());
    put(108, &if record_len == 0 { 0 } else { MODULE_LEN }.to_ne_bytes());
    put(112, &header.osversion.to_ne_bytes());
    bytes
}
