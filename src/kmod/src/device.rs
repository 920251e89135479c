// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `/dev/tcpstats`: open, read, ioctl, poll, close, and the columns of text.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use tcpstats::text::Text;
use tcpstats::{Columns, Filter, ioctl};

use crate::Driver;
use crate::changes::Changes;
use crate::kpi::device::version;
use crate::kpi::{self, Block, CharDevice, Errno, Own, Readiness, Sleepable, StringSysctl, Sx, Uio, Wait, clock};
use crate::ledger::LedgerReader;
use crate::limits::{RateLimit, Refused, Who};
use crate::output::{Cursor, Form, SCRATCH_LEN};
use crate::pace::Pace;
use crate::registry::REGISTRY;
use crate::snapshot::{Options, Snapshot};
use crate::yielding::{record_hold, yield_if_due};

/// An open descriptor.
pub struct OpenFile {
    reader: Own<Sx<Reader>>,
    // Dropped last: after that the module may be unloaded.
    admission: Admission,
}

/// The settings of a descriptor and the state of its reads.
struct Reader {
    binary: bool,
    columns: Option<Columns>,
    filter: Option<Own<Filter>>,
    all_vnets: bool,
    ledger: Option<LedgerReader>,
    changes: Option<Changes>,
    snapshot: Snapshot,
    stage: Stage,
    scratch: Option<Block>,
    /// A signal interrupted the last walk.  The next one runs to its end, so that a
    /// reader makes progress even if a signal arrives during every walk.
    was_interrupted: bool,
}

/// The position of a reader.
#[allow(clippy::large_enum_variant, reason = "it is part of a reader, which is allocated")]
enum Stage {
    /// The next read starts a snapshot.
    Between,
    /// In a snapshot.
    Reading { form: Form, cursor: Cursor },
}

/// A descriptor that is counted in the limits until it is dropped.  It is charged to
/// the user who opened it, whoever reads it: a logger that was started by root is not
/// limited after it drops its privileges.
struct Admission {
    owner: Option<Who>,
    is_closing: AtomicBool,
}

impl Admission {
    /// Counts a descriptor of the running thread's user.
    fn request() -> Result<Self, Errno> {
        let who = limited_user();
        let now = clock::uptime_ns();
        let most = kpi::limits().opens_per_user_max.load(Relaxed);
        REGISTRY.with(|registry| registry.limits.open(who, now, most)).map_err(|refused| match refused {
            Refused::TooMany => Errno::MFILE,
            Refused::TooManyUsers => Errno::NFILE,
            Refused::Leaving => Errno::NXIO,
        })?;
        kpi::counters().open.fetch_add(1, Relaxed);
        Ok(Self { owner: who, is_closing: AtomicBool::new(false) })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        kpi::counters().open.fetch_sub(1, Relaxed);
        let (owner, is_lost) = (self.owner, !self.is_closing.load(Relaxed));
        REGISTRY.with(|registry| {
            registry.has_lost_files |= is_lost;
            registry.limits.close(owner);
        });
    }
}

/// Returns the running thread's user, or `None` for root on the host, which has no
/// limits.
fn limited_user() -> Option<Who> {
    if kpi::is_host_root() { None } else { Some(Who { uid: kpi::uid(), jid: kpi::outermost_jid() }) }
}

impl CharDevice for Driver {
    type File = OpenFile;

    /// # Errors
    /// EPERM for writing, EMFILE and ENFILE at the limits, ENXIO while the module is
    /// being unloaded.
    fn open(for_writing: bool, sleepable: &mut Sleepable) -> Result<Own<OpenFile>, Errno> {
        if for_writing {
            return Err(Errno::PERM);
        }
        let admission = Admission::request()?;
        let reader = Reader {
            binary: false,
            columns: None,
            filter: None,
            all_vnets: false,
            ledger: None,
            changes: None,
            snapshot: Snapshot::new(admission.owner),
            stage: Stage::Between,
            scratch: None,
            was_interrupted: false,
        };
        let reader = Sx::new(reader, sleepable).ok_or(Errno::NOMEM)?;
        Own::new(OpenFile { reader, admission }, Wait::Yes(sleepable)).ok_or(Errno::NOMEM)
    }

    fn close(file: &OpenFile) {
        // destroy_dev(9) waits for this thread.
        file.admission.is_closing.store(true, Relaxed);
    }

    fn release(mut file: Own<OpenFile>, sleepable: &mut Sleepable) {
        if let Some(ledger) = file.reader.get_mut().ledger.take() {
            ledger.stop(sleepable);
        }
    }

    /// Returns no bytes at the end of a snapshot.  The read after that, and a read at
    /// offset 0, starts the next snapshot.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives; EAGAIN if the descriptor does not block and
    /// the user may not take a snapshot yet; EFAULT; EPERM if all network stacks are
    /// selected and the reader is not root on the host.
    fn read(file: &OpenFile, uio: &mut Uio<'_>, is_nonblocking: bool, sleepable: &mut Sleepable) -> Result<(), Errno> {
        let mut reader = file.reader.lock(sleepable)?;
        if uio.room() == 0 {
            return Ok(());
        }
        if uio.offset() == 0 {
            reader.abandon();
        }
        if matches!(reader.stage, Stage::Between) {
            reader.begin(is_nonblocking, sleepable)?;
        }
        reader.copy_out(uio, sleepable)
    }

    /// # Errors
    /// EINVAL for an invalid argument, EPERM if only root on the host may use it, ENOTTY
    /// for an unknown command, and those of [`LedgerReader::start`].
    fn ioctl(file: &OpenFile, command: u64, data: &mut [u8], sleepable: &mut Sleepable) -> Result<(), Errno> {
        let mut reader = file.reader.lock(sleepable)?;
        match command {
            ioctl::SET_FORMAT => {
                reader.binary = match number(data)? {
                    ioctl::TEXT => false,
                    ioctl::BINARY => true,
                    _ => return Err(Errno::INVAL),
                };
            }
            ioctl::SET_FILTER => {
                let mut filter = Own::new(Filter::everything(), Wait::Yes(sleepable)).ok_or(Errno::NOMEM)?;
                filter.read(data).map_err(|_| Errno::INVAL)?;
                reader.filter = Some(filter);
            }
            ioctl::CLEAR_FILTER => reader.filter = None,
            ioctl::SET_ALL_VNETS => {
                let all_vnets = match number(data)? {
                    0 => false,
                    1 if kpi::is_host_root() => true,
                    1 => return Err(Errno::PERM),
                    _ => return Err(Errno::INVAL),
                };
                if let Some(ledger) = &mut reader.ledger {
                    ledger.update_viewer(all_vnets, sleepable)?;
                }
                reader.all_vnets = all_vnets;
            }
            ioctl::SET_LEDGER => reader.set_ledger(number(data)?, sleepable)?,
            ioctl::SET_CHANGES => {
                reader.changes = match number(data)? {
                    0 => None,
                    1 => Some(Changes::new(file.admission.owner, sleepable)?),
                    _ => return Err(Errno::INVAL),
                };
            }
            ioctl::SET_COLUMNS => reader.columns = Some(columns(data)?),
            ioctl::GET_INFO => return put(data, &ioctl::info(version())),
            ioctl::GET_FIELD => return put(data, &ioctl::field(data).ok_or(Errno::INVAL)?),
            _ => return Err(Errno::NOTTY),
        }
        reader.abandon();
        reader.end();
        if let Some(changes) = &mut reader.changes {
            changes.forget();
        }
        Ok(())
    }

    fn poll(file: &OpenFile, sleepable: &mut Sleepable) -> Result<Readiness, Errno> {
        let reader = file.reader.lock(sleepable)?;
        let (Stage::Between, Some(owner)) = (&reader.stage, reader.snapshot.records.owner()) else {
            return Ok(Readiness::Ready);
        };
        let now = clock::uptime_ns();
        let interval = rate_limit().interval_ns;
        Ok(match REGISTRY.with(|registry| registry.limits.wait_ns(owner, now, interval)) {
            0 => Readiness::Ready,
            wait => Readiness::After(wait),
        })
    }
}

impl Reader {
    /// Takes a snapshot.
    fn begin(&mut self, is_nonblocking: bool, sleepable: &mut Sleepable) -> Result<(), Errno> {
        if self.all_vnets && !kpi::is_host_root() {
            return Err(Errno::PERM);
        }
        let owner = self.snapshot.records.owner();
        wait_for_turn(owner, is_nonblocking, sleepable)?;
        if let Some(ledger) = &mut self.ledger {
            ledger.check(self.all_vnets, sleepable)?;
        }
        let options = Options {
            filter: self.filter.as_deref(),
            all_vnets: self.all_vnets,
            stops_on_signal: !self.was_interrupted,
        };
        let result = self.snapshot.take(&options, self.ledger.as_mut(), self.changes.as_mut(), sleepable);
        let (now, cost) = (clock::uptime_ns(), self.snapshot.cost_ns);
        REGISTRY.with(|registry| registry.limits.end_walk(owner, now, cost, rate_limit()));
        self.was_interrupted = result.is_err();
        result.inspect_err(|_| self.snapshot.records.release())?;
        let form = if self.binary {
            Form::Binary
        } else {
            let columns = self.columns.clone().or_else(|| REGISTRY.with(|registry| registry.columns.clone()));
            Form::Text(columns.unwrap_or_else(Columns::basic))
        };
        self.stage = Stage::Reading { form, cursor: Cursor::new() };
        Ok(())
    }

    /// Copies as much of the snapshot as the reader has room for.
    fn copy_out(&mut self, uio: &mut Uio<'_>, sleepable: &mut Sleepable) -> Result<(), Errno> {
        let Stage::Reading { form, cursor } = &mut self.stage else {
            return Ok(());
        };
        if self.scratch.is_none() {
            self.scratch = Block::new(SCRATCH_LEN, Wait::Yes(sleepable));
        }
        let scratch = self.scratch.as_mut().ok_or(Errno::NOMEM)?;
        let mut copied = 0;
        let mut at_end = false;
        let mut pace = Pace::start(clock::uptime_ns(), kpi::switches());
        while uio.room() > 0 {
            let Some(bytes) = cursor.bytes(form, &self.snapshot.header, &self.snapshot.records, scratch) else {
                at_end = copied == 0;
                break;
            };
            let taken = uio.put(bytes, sleepable)?;
            cursor.take(taken);
            copied += taken;
            // A short read is better than a signal that has to wait.
            if kpi::signal_is_pending() {
                break;
            }
            yield_if_due(&mut pace, sleepable);
        }
        record_hold(&pace);
        kpi::counters().bytes.fetch_add(copied as u64, Relaxed);
        if at_end {
            self.end();
        }
        Ok(())
    }

    /// Turns the ledger on or off.
    fn set_ledger(&mut self, on: u32, sleepable: &mut Sleepable) -> Result<(), Errno> {
        match (on, self.ledger.take()) {
            (0, None) => (),
            (0, Some(ledger)) => ledger.stop(sleepable),
            (1, None) => {
                let owner = self.snapshot.records.owner();
                self.ledger = Some(LedgerReader::start(owner, self.all_vnets, sleepable)?);
            }
            (on, ledger) => {
                self.ledger = ledger;
                if on != 1 {
                    return Err(Errno::INVAL);
                }
            }
        }
        Ok(())
    }

    /// Discards the rest of the snapshot.  Unless all of it was read, its final records
    /// count as lost and the next snapshot contains all connections.
    fn abandon(&mut self) {
        let Stage::Reading { form, cursor } = &mut self.stage else {
            return;
        };
        let (header, records) = (&self.snapshot.header, &self.snapshot.records);
        let is_read = match &mut self.scratch {
            Some(scratch) => cursor.bytes(form, header, records, scratch).is_none(),
            None => false,
        };
        if !is_read {
            if let Some(ledger) = &mut self.ledger {
                ledger.abandon(header.ended, header.ended_lost);
            }
            if let Some(changes) = &mut self.changes {
                changes.forget();
            }
        }
        self.stage = Stage::Between;
    }

    /// Ends the snapshot.
    fn end(&mut self) {
        self.stage = Stage::Between;
        self.snapshot.records.release();
        if self.snapshot.records.owner().is_some() {
            self.scratch = None;
        }
    }
}

fn rate_limit() -> RateLimit {
    let limits = kpi::limits();
    RateLimit {
        interval_ns: u64::from(limits.interval_min_us.load(Relaxed)) * 1000,
        percent: limits.walk_percent_max.load(Relaxed),
    }
}

/// Waits until the user may start another walk, and starts it.
fn wait_for_turn(owner: Option<Who>, is_nonblocking: bool, sleepable: &mut Sleepable) -> Result<(), Errno> {
    loop {
        let now = clock::uptime_ns();
        match REGISTRY.with(|registry| registry.limits.begin_walk(owner, now, rate_limit())) {
            Ok(()) => return Ok(()),
            Err(_) if is_nonblocking => return Err(Errno::AGAIN),
            Err(wait) => sleepable.pause_ns(wait)?,
        }
    }
}

/// Returns the 32-bit number in the data of an ioctl.
fn number(data: &[u8]) -> Result<u32, Errno> {
    data.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(Errno::INVAL)
}

/// Parses a NUL-terminated list of columns.
fn columns(text: &[u8]) -> Result<Columns, Errno> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = core::str::from_utf8(text).map_err(|_| Errno::INVAL)?;
    Columns::parse(text).map_err(|_| Errno::INVAL)
}

/// Stores the result of an ioctl in its data.
fn put(data: &mut [u8], result: &[u8]) -> Result<(), Errno> {
    let room = data.get_mut(..result.len()).ok_or(Errno::INVAL)?;
    room.copy_from_slice(result);
    Ok(())
}

/// The columns of text for descriptors that did not choose their own: the sysctl
/// `text`.
impl StringSysctl for Driver {
    const LEN: usize = ioctl::COLUMNS_LEN;

    fn get(value: &mut [u8]) {
        let columns = REGISTRY.with(|registry| registry.columns.clone()).unwrap_or_else(Columns::basic);
        let len = value.len().saturating_sub(1);
        let mut text = Text::new(value.get_mut(..len).unwrap_or_default());
        columns.write(&mut text);
        let used = text.len();
        if let Some(end) = value.get_mut(used) {
            *end = 0;
        }
    }

    /// # Errors
    /// EINVAL if the value is not a list of columns.
    fn set(value: &[u8]) -> Result<(), Errno> {
        let columns = columns(value)?;
        REGISTRY.with(|registry| registry.columns = Some(columns));
        Ok(())
    }
}
