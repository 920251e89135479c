// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots from `/dev/tcpstats`, or from a file or pipe of frames.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tcpstats::frame::{Frame, FrameError, FrameKind, HEADER_LEN, flag};
use tcpstats::stream::{FrameReader, SnapshotBuffer};
use tcpstats::{Field, Filter, Header, Record, ioctl, key};

use crate::{AnchoredPath, Error, FileId, Sample, Source};

/// An open device or file of frames.
pub struct Device {
    name: String,
    path: AnchoredPath,
    /// The identity of a file, or `None` for a device.
    file: Option<FileId>,
    frames: FrameReader<File>,
    filter: Option<Filter>,
    is_kernel: bool,
}

impl Device {
    /// Opens a device or a file of frames.  A device is configured to return
    /// frames and to apply the filter.
    ///
    /// # Errors
    /// Returns the error of the system, or an error if the path is neither a
    /// device nor a file of frames.
    pub fn open(path: &Path, filter: Option<Filter>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let failed = |cause| Error::System { name: name.clone(), cause };
        let anchored = AnchoredPath::of(path).map_err(failed)?;
        let file = anchored.open(OFlag::O_RDONLY, Mode::empty()).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            return Err(Error::Directory { name });
        }
        if kind.is_char_device() {
            set_up(&file, filter.as_ref()).map_err(failed)?;
        } else if kind.is_file() {
            match first_frame(&file).map_err(failed)? {
                Ok(()) | Err(FrameError::Short { .. }) => (),
                Err(cause) => return Err(Error::NotFrames { name, cause }),
            }
        }
        let is_kernel = kind.is_char_device();
        let id = if is_kernel { None } else { Some(FileId::of(&file).map_err(failed)?) };
        Ok(Self { name, path: anchored, file: id, frames: FrameReader::new(file), filter, is_kernel })
    }

    /// Copies the records that the filter matches.
    fn next(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        let failed = |cause| Error::Frame { name: self.name.clone(), cause };
        loop {
            let Some(frame) = self.frames.next_frame().map_err(failed)? else {
                return Ok(Sample::End);
            };
            if frame.kind == FrameKind::Note {
                continue;
            }
            snapshot.clear();
            // A device has already filtered its records.
            let filter = self.filter.as_ref().filter(|_| !self.is_kernel);
            let mut unique = UniqueConnections::of(&frame.header);
            for record in frame.records() {
                if unique.is_first(&record) && filter.is_none_or(|filter| filter.matches(&record)) {
                    snapshot.push(&record);
                }
            }
            let dropped = frame.header.written - snapshot.written();
            let matched = frame.header.matched.saturating_sub(dropped);
            let seen = frame.header.seen.saturating_sub(unique.repeated);
            snapshot.finish(&Header { seen, matched, flags: frame.header.flags & !flag::CRC, ..frame.header });
            return Ok(Sample::Taken);
        }
    }
}

/// Removes repeated connections from a snapshot.
///
/// Before FreeBSD 16 the kernel has a single list of all connections.  Since
/// then a walk visits several lists, and sees a connection twice if it moves
/// from one to another: see `inp_next()` in `netinet/in_pcb.c`.
struct UniqueConnections {
    /// `vnet` and `gencnt` of the connections so far, or `None` if no
    /// connection can be repeated.
    seen: Option<HashSet<(Option<u64>, u64)>>,
    repeated: u64,
}

impl UniqueConnections {
    const SEVERAL_LISTS: u32 = 1_600_000;

    fn of(header: &Header) -> Self {
        Self { seen: (header.osversion >= Self::SEVERAL_LISTS).then(HashSet::new), repeated: 0 }
    }

    fn is_first(&mut self, record: &Record) -> bool {
        let (Some(seen), Some(gencnt)) = (&mut self.seen, record.get(key::gencnt)) else {
            return true;
        };
        let is_first = seen.insert((record.get(key::vnet), gencnt));
        self.repeated += u64::from(!is_first);
        is_first
    }
}

impl Source for Device {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        // A device marks the end of every snapshot with a read of 0 bytes.
        match self.next(snapshot)? {
            Sample::End if self.is_kernel => match self.next(snapshot)? {
                Sample::End => Err(Error::NoSnapshot { name: self.name.clone() }),
                taken @ Sample::Taken => Ok(taken),
            },
            sample => Ok(sample),
        }
    }

    /// Does nothing: the fields of a frame are fixed.
    fn want(&mut self, _is_wanted: &dyn Fn(&Field) -> bool) {}

    fn start_ledger(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn comes_back(&self) -> bool {
        self.is_kernel
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let open = || {
            let file = self.path.open(OFlag::O_RDONLY, Mode::empty())?;
            set_up(&file, self.filter.as_ref())?;
            Ok(file)
        };
        let file = open().map_err(|cause| Error::System { name: self.name.clone(), cause })?;
        self.frames = FrameReader::new(file);
        Ok(())
    }

    fn reopen_path(&self) -> Option<&AnchoredPath> {
        self.is_kernel.then_some(&self.path)
    }

    fn file(&self) -> Option<FileId> {
        self.file
    }
}

/// Parses the start of a file, and rewinds the file.
fn first_frame(mut file: &File) -> std::io::Result<Result<(), FrameError>> {
    let mut head = Vec::new();
    file.take(HEADER_LEN as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(Frame::parse(&head).map(|_| ()))
}

/// Configures a device to return frames instead of text, and to apply the
/// filter in the kernel.
fn set_up(file: &File, filter: Option<&Filter>) -> std::io::Result<()> {
    set(file, ioctl::SET_FORMAT, &ioctl::BINARY.to_ne_bytes())?;
    filter.map_or(Ok(()), |filter| set(file, ioctl::SET_FILTER, &filter.to_bytes()))
}

/// Calls an ioctl that takes `data` as its argument.
fn set<const LEN: usize>(file: &File, command: u64, data: &[u8; LEN]) -> std::io::Result<()> {
    debug_assert_eq!(command >> 16 & 0x1fff, LEN as u64, "the command encodes the length of its argument");
    // SAFETY: the ioctl reads the number of bytes that is encoded in its
    // number, which is the length of `data`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), command as _, data.as_ptr()) };
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
