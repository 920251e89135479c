// SPDX-License-Identifier: BSD-2-Clause

//! Snapshots from `/dev/tcpstats`, or from a file or pipe of frames.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tcpstats::frame::{Frame, FrameError, FrameKind, HEADER_LEN, flag};
use tcpstats::stream::{FrameReader, SnapshotBuffer};
use tcpstats::{Filter, Header, ioctl};

use super::{Sample, Source};
use crate::Sentence;
use crate::place::Place;

/// An open device or file of frames.
pub struct Device {
    name: String,
    place: Place,
    frames: FrameReader<File>,
    filter: Option<Filter>,
    endless: bool,
}

impl Device {
    /// Opens it, and has a device give frames.
    ///
    /// # Errors
    /// A sentence that names the path and what the system said.
    pub fn open(path: &Path, filter: Option<Filter>) -> Result<Self, Sentence> {
        let name = path.display().to_string();
        let said = |error: std::io::Error| format!("source {name}: {error}");
        let place = Place::of(path).map_err(said)?;
        let file = place.open(OFlag::O_RDONLY, Mode::empty()).map_err(said)?;
        let kind = file.metadata().map_err(said)?.file_type();
        if kind.is_dir() {
            return Err(format!("source {name}: expected a device or a file of frames, not a directory"));
        }
        if kind.is_char_device() {
            choose_binary(&file).map_err(said)?;
        } else if kind.is_file() {
            begins_with_frame(&file).map_err(|what| format!("source {name}: {what}"))?;
        }
        Ok(Self { name, place, frames: FrameReader::new(file), filter, endless: kind.is_char_device() })
    }

    /// Copies the records that the filter matches.
    fn next(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Sentence> {
        let said = |error| format!("source {}: {error}", self.name);
        loop {
            let Some(frame) = self.frames.next_frame().map_err(said)? else {
                return Ok(Sample::End);
            };
            if frame.kind == FrameKind::Note {
                continue;
            }
            snapshot.clear();
            for record in frame.records() {
                if self.filter.as_ref().is_none_or(|filter| filter.matches(&record)) {
                    snapshot.push(&record);
                }
            }
            let dropped = frame.header.written - snapshot.written();
            let matched = frame.header.matched.saturating_sub(dropped);
            snapshot.finish(&Header { matched, flags: frame.header.flags & !flag::CRC, ..frame.header });
            return Ok(Sample::Taken);
        }
    }
}

impl Source for Device {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Sentence> {
        // The device ends every snapshot with a read of nothing.
        match self.next(snapshot)? {
            Sample::End if self.endless => match self.next(snapshot)? {
                Sample::End => Err(format!("source {}: the device gives no snapshot", self.name)),
                taken @ Sample::Taken => Ok(taken),
            },
            sample => Ok(sample),
        }
    }

    fn comes_back(&self) -> bool {
        self.endless
    }

    fn reopen(&mut self) -> Result<(), Sentence> {
        let open = || {
            let file = self.place.open(OFlag::O_RDONLY, Mode::empty())?;
            choose_binary(&file)?;
            Ok(file)
        };
        let file = open().map_err(|error: std::io::Error| format!("source {}: {error}", self.name))?;
        self.frames = FrameReader::new(file);
        Ok(())
    }

    fn place(&self) -> Option<&Place> {
        self.endless.then_some(&self.place)
    }
}

/// Refuses a file that is no log of frames before anything is written for it.
fn begins_with_frame(mut file: &File) -> Result<(), Sentence> {
    let mut head = Vec::new();
    let read = file.take(HEADER_LEN as u64).read_to_end(&mut head).and_then(|_| file.rewind());
    read.map_err(|error| error.to_string())?;
    match Frame::parse(&head) {
        Ok(_) | Err(FrameError::Short { .. }) => Ok(()),
        Err(error) => Err(format!("expected a file of frames, as -F bin writes: {error}")),
    }
}

/// Has the device give frames instead of text.
fn choose_binary(file: &File) -> std::io::Result<()> {
    let format: u32 = ioctl::BINARY;
    // SAFETY: the ioctl reads a u32 from where it is told, and `format` outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), ioctl::SET_FORMAT as _, &raw const format) };
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
