// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots from `/dev/tcpstats`, or from a file or pipe of frames.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::mem::take;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tcpstats::frame::{Frame, FrameError, FrameKind, HEADER_LEN, flag};
use tcpstats::stream::{FrameReader, SnapshotBuffer};
use tcpstats::{Field, Filter, Header, Record, State, ioctl, key};

use crate::{AnchoredPath, Error, FileId, Numbered, Sample, Source, Stacks};

/// An open device or file of frames.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Device {
    name: String,
    path: AnchoredPath,
    /// The identity of a file, or `None` for a device.
    file: Option<FileId>,
    frames: FrameReader<File>,
    filter: Option<Filter>,
    /// The part of the filter that a kernel can apply.
    filter_of_kernel: Option<Filter>,
    /// The device adds final records.
    has_ledger: bool,
    is_kernel: bool,
    /// The reader needs only changes.
    of_changes: bool,
    /// The device returns the connections of all virtual network stacks.
    all_vnets: bool,
    changes: Option<Changes>,
}

/// What is known about the connections between two snapshots of changes.
#[derive(Default)]
struct Changes {
    must_restart: bool,
    /// The connections of the previous snapshot in states that are in every snapshot.
    unestablished: HashSet<Numbered>,
    gone: Vec<Numbered>,
}

impl Changes {
    /// Begins the next snapshot; returns the connections that are gone unless it has them.
    fn begin(&mut self, is_of_changes: bool) -> HashSet<Numbered> {
        self.gone.clear();
        let before = take(&mut self.unestablished);
        if is_of_changes { before } else { HashSet::new() }
    }

    /// Registers a record; `is_logged` means that the filter matches it.
    fn record(&mut self, record: &Record, is_logged: bool, missing: &mut HashSet<Numbered>) {
        let Some(connection) = numbered(record) else {
            return;
        };
        missing.remove(&connection);
        if !is_logged {
            self.gone.push(connection);
        } else if record.get(key::state).is_some_and(|state| state.0 < State::ESTABLISHED.0) {
            self.unestablished.insert(connection);
        }
    }
}

fn numbered(record: &Record) -> Option<Numbered> {
    Some(Numbered { gencnt: record.get(key::gencnt)?, vnet: record.get(key::vnet) })
}

impl Device {
    /// Opens a device or a file of frames.  A device is configured to return
    /// frames and to apply the filter.  If `of_changes` is set, it returns only changes
    /// after [`Source::start_ledger`], if it can.
    ///
    /// # Errors
    /// Returns the error of the system, or an error if the path is neither a
    /// device nor a file of frames, or is not a device that has the stacks.
    pub fn open(path: &Path, filter: Option<Filter>, of_changes: bool, stacks: &Stacks) -> Result<Self, Error> {
        let name = path.display().to_string();
        let all_vnets = *stacks == Stacks::AllVnets;
        let failed = |cause| Error::System { name: name.clone(), cause };
        let anchored = AnchoredPath::of(path).map_err(failed)?;
        let file = anchored.open(OFlag::O_RDONLY, Mode::empty()).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            return Err(Error::Directory { name });
        }
        // A kernel does not know the fields that are joined to its records.
        let filter_of_kernel = filter.as_ref().and_then(|filter| filter.without(Field::is_joined));
        if kind.is_char_device() {
            set_up(&file, filter_of_kernel.as_ref()).map_err(failed)?;
            if all_vnets {
                set_all_vnets(&file, &name)?;
            }
        } else if all_vnets {
            return Err(Error::AllVnetsSource { name });
        } else if kind.is_file() {
            match first_frame(&file).map_err(failed)? {
                Ok(()) | Err(FrameError::Short { .. }) => (),
                Err(cause) => return Err(Error::NotFrames { name, cause }),
            }
        }
        let is_kernel = kind.is_char_device();
        let id = if is_kernel { None } else { Some(FileId::of(&file).map_err(failed)?) };
        Ok(Self {
            name,
            path: anchored,
            file: id,
            frames: FrameReader::new(file),
            filter,
            filter_of_kernel,
            has_ledger: false,
            is_kernel,
            of_changes,
            all_vnets,
            changes: None,
        })
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
            let is_of_changes = frame.header.flags & flag::CHANGED_ONLY != 0;
            // A device has already filtered the records of a complete snapshot.
            let is_filtered = self.is_kernel && !is_of_changes && self.filter == self.filter_of_kernel;
            let filter = self.filter.as_ref().filter(|_| !is_filtered);
            let mut missing = self.changes.as_mut().map(|changes| changes.begin(is_of_changes)).unwrap_or_default();
            let mut unique = UniqueConnections::of(&frame.header);
            let (mut dropped, mut ended) = (0, 0);
            for record in frame.records() {
                let is_final = record.is_final();
                let is_first = is_final || unique.is_first(&record);
                let is_wanted = is_first && filter.is_none_or(|filter| filter.matches(&record));
                if is_wanted {
                    snapshot.push(&record);
                    ended += u64::from(is_final);
                } else if !is_final {
                    dropped += 1;
                }
                if let Some(changes) = self.changes.as_mut().filter(|_| is_first) {
                    changes.record(&record, is_wanted, &mut missing);
                }
            }
            if let Some(changes) = &mut self.changes {
                changes.gone.extend(missing);
                // Nothing else reports which connections have ended.
                changes.must_restart = is_of_changes && frame.header.ended_lost > 0;
            }
            // Final records are not counted as connections.
            let matched = frame.header.matched.saturating_sub(dropped);
            let seen = frame.header.seen.saturating_sub(unique.repeated);
            snapshot.finish(&Header { seen, matched, ended, flags: frame.header.flags & !flag::CRC, ..frame.header });
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
        if self.changes.as_ref().is_some_and(|changes| changes.must_restart) {
            let failed = |cause| Error::System { name: self.name.clone(), cause };
            set_switch(self.frames.get_ref(), ioctl::SET_CHANGES).map_err(failed)?;
        }
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

    /// Final records of a file of frames are passed on in any case.
    fn start_ledger(&mut self) -> Result<bool, Error> {
        let failed = |cause| Error::System { name: self.name.clone(), cause };
        let file = self.frames.get_ref();
        self.has_ledger = self.is_kernel && set_switch(file, ioctl::SET_LEDGER).map_err(failed)?;
        // Only final records report that an established connection has ended.
        if self.has_ledger && self.of_changes && set_switch(file, ioctl::SET_CHANGES).map_err(failed)? {
            self.changes = Some(Changes::default());
        }
        Ok(self.has_ledger)
    }

    fn gone(&mut self) -> Vec<Numbered> {
        self.changes.as_mut().map(|changes| take(&mut changes.gone)).unwrap_or_default()
    }

    fn restart_changes(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.must_restart = true;
        }
    }

    fn comes_back(&self) -> bool {
        self.is_kernel
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let open = || {
            let file = self.path.open(OFlag::O_RDONLY, Mode::empty())?;
            set_up(&file, self.filter_of_kernel.as_ref())?;
            // Before the ledger is turned on, so that it has all of them, too.
            if self.all_vnets {
                set(&file, ioctl::SET_ALL_VNETS, &1_u32.to_ne_bytes())?;
            }
            if self.has_ledger {
                set_switch(&file, ioctl::SET_LEDGER)?;
            }
            if self.changes.is_some() {
                set_switch(&file, ioctl::SET_CHANGES)?;
            }
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

/// Selects the connections of all virtual network stacks.
fn set_all_vnets(file: &File, name: &str) -> Result<(), Error> {
    let name = || name.to_owned();
    set(file, ioctl::SET_ALL_VNETS, &1_u32.to_ne_bytes()).map_err(|cause| match cause.raw_os_error() {
        Some(libc::EPERM) => Error::AllVnetsNotAllowed { name: name() },
        _ => Error::System { name: name(), cause },
    })
}

/// Turns on a feature by its ioctl; returns whether the device has the feature.
fn set_switch(file: &File, command: u64) -> std::io::Result<bool> {
    match set(file, command, &1_u32.to_ne_bytes()) {
        Ok(()) => Ok(true),
        // A module of an earlier version.
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Calls an ioctl that takes `data` as its argument.
fn set<const LEN: usize>(file: &File, command: u64, data: &[u8; LEN]) -> std::io::Result<()> {
    debug_assert_eq!(command >> 16 & 0x1fff, LEN as u64, "the command encodes the length of its argument");
    // SAFETY: the ioctl reads the number of bytes that is encoded in its
    // number, which is the length of `data`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), command as _, data.as_ptr()) };
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_not_established_are_gone_if_a_snapshot_of_changes_lacks_them() {
        let mut changes = Changes::default();
        let numbers = |list: Vec<Numbered>| list.into_iter().map(|each| each.gencnt).collect::<HashSet<_>>();
        let mut snapshot = |is_of_changes, records: &[(u64, State, bool)]| {
            let mut missing = changes.begin(is_of_changes);
            for (gencnt, state, is_wanted) in records {
                let mut record = Record::new();
                record.set(key::gencnt, *gencnt);
                record.set(key::state, *state);
                changes.record(&record, *is_wanted, &mut missing);
            }
            changes.gone.extend(missing);
            numbers(take(&mut changes.gone))
        };
        let first = [(1, State::LISTEN, true), (2, State::SYN_SENT, true), (3, State::ESTABLISHED, true)];
        assert_eq!(snapshot(false, &first), HashSet::new());
        // An established connection that is left out is unchanged.
        assert_eq!(snapshot(true, &[(1, State::LISTEN, true)]), HashSet::from([2]));
        // The filter no longer matches the first, and matches another.
        let third = [(1, State::LISTEN, false), (4, State::SYN_RCVD, true), (5, State::ESTABLISHED, false)];
        assert_eq!(snapshot(true, &third), HashSet::from([1, 5]));
        assert_eq!(snapshot(true, &[(4, State::ESTABLISHED, true)]), HashSet::new());
        // A complete snapshot itself shows what is gone.
        assert_eq!(snapshot(true, &[(6, State::LISTEN, true)]), HashSet::new());
        assert_eq!(snapshot(false, &[]), HashSet::new());
    }

    #[test]
    fn a_kernel_applies_the_filter_without_owners_and_the_rest_is_applied_to_its_records() {
        let mut snapshot = SnapshotBuffer::new();
        for (gencnt, pid) in [(1, Some(812)), (2, Some(813)), (3, None)] {
            let mut record = Record::new();
            record.set(key::gencnt, gencnt);
            record.set(key::lport, 443);
            record.set_if(key::pid, pid);
            snapshot.push(&record);
        }
        snapshot.finish(&Header { seen: 3, matched: 3, ..Header::default() });
        let path = std::env::temp_dir().join(format!("siftr_cdev-owners-{}.bin", std::process::id()));
        std::fs::write(&path, snapshot.bytes()).unwrap();
        for (text, of_kernel, expected) in [
            ("lport 443", Some("lport 443"), vec![1, 2, 3]),
            ("lport 443 and pid 812", Some("lport 443"), vec![1]),
            ("lport 443 and not pid 812", Some("lport 443"), vec![2, 3]),
            ("pid 813 or lport 22", None, vec![2]),
        ] {
            let mut device = Device::open(&path, Some(Filter::parse(text).unwrap()), false, &Stacks::Own).unwrap();
            assert_eq!(device.filter_of_kernel, of_kernel.map(|text| Filter::parse(text).unwrap()), "{text}");
            device.is_kernel = true;
            let mut filtered = SnapshotBuffer::new();
            device.next(&mut filtered).unwrap();
            let found: Vec<_> =
                Frame::parse(filtered.bytes()).unwrap().records().map(|each| each.get(key::gencnt)).collect();
            assert_eq!(found, expected.iter().copied().map(Some).collect::<Vec<_>>(), "{text}");
            assert_eq!(filtered.header().matched, expected.len() as u64, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn final_records_of_a_file_are_filtered_and_counted_apart_from_connections() {
        let mut snapshot = SnapshotBuffer::new();
        for (lport, state) in [(1, State::ESTABLISHED), (2, State::ESTABLISHED), (1, State::ENDED), (2, State::ENDED)] {
            let mut record = Record::new();
            record.set(key::lport, lport);
            record.set(key::state, state);
            // A connection and its final record have the same number.
            record.set(key::gencnt, 7 + u64::from(lport));
            snapshot.push(&record);
        }
        let flags = flag::LEDGER;
        let osversion = UniqueConnections::SEVERAL_LISTS;
        snapshot.finish(&Header {
            seen: 2,
            matched: 2,
            ended: 2,
            ended_lost: 5,
            flags,
            osversion,
            ..Header::default()
        });
        let path = std::env::temp_dir().join(format!("siftr_cdev-device-{}.bin", std::process::id()));
        std::fs::write(&path, snapshot.bytes()).unwrap();
        let mut device = Device::open(&path, Some(Filter::parse("lport 1").unwrap()), false, &Stacks::Own).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!device.start_ledger().unwrap(), "a file has no ledger to turn on");
        let mut filtered = SnapshotBuffer::new();
        assert_eq!(device.sample(&mut filtered).unwrap(), Sample::Taken);
        let Header { seen, matched, written, ended, ended_lost, flags, .. } = *filtered.header();
        assert_eq!((seen, matched, written, ended, ended_lost, flags), (2, 1, 2, 1, 5, flag::LEDGER));
    }
}
