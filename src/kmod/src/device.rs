// SPDX-License-Identifier: BSD-2-Clause

//! `/dev/tcpstats`: load, open, read, ioctl, close, unload.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use tcpstats::text::Text;
use tcpstats::{Columns, Filter, MODULE_RECORD_LEN, ioctl};

use crate::kpi::{self, Block, Errno, Own, Sleepable, Uio, Wait, registry, system};
use crate::limits::{RateLimit, Refused, Who};
use crate::output::{Cursor, Form, SCRATCH_LEN};
use crate::pace::Pace;
use crate::snapshot::{Snapshot, Wanted, record_hold, yield_if_due};

/// An open descriptor.
pub struct OpenFile {
    reader: Own<Sleepable<Reader>>,
    // The last to be dropped: with it the module may be unloaded.
    admission: Admission,
}

impl OpenFile {
    /// Notes that it is being closed by a thread for which `destroy_dev`(9)
    /// waits.
    pub fn mark_closing(&self) {
        self.admission.is_closing.store(true, Relaxed);
    }
}

/// What a descriptor reads.
struct Reader {
    binary: bool,
    columns: Option<Columns>,
    filter: Option<Own<Filter>>,
    all_vnets: bool,
    snapshot: Snapshot,
    stage: Stage,
    scratch: Option<Block>,
    /// A signal interrupted the last walk.  The next one runs to its end, so that a
    /// reader whose signals arrive faster than a walk takes makes progress.
    was_interrupted: bool,
}

/// Where a reader is.
#[allow(clippy::large_enum_variant, reason = "it is part of a reader, which is allocated")]
enum Stage {
    /// The next read begins a snapshot.
    Between,
    /// In a snapshot.
    Reading { form: Form, cursor: Cursor },
}

/// A descriptor counted in the limits until it is dropped.  It is charged to the
/// user who opened it, whoever reads it: a logger that was started by root is not
/// limited after it drops its privileges.
struct Admission {
    owner: Option<Who>,
    is_closing: AtomicBool,
}

impl Admission {
    /// Counts a descriptor of the running thread's user.
    fn ask() -> Result<Self, Errno> {
        let who = limited_user();
        let now = system::uptime_ns();
        registry(|shared| shared.limits.open(who, now, system::opens_per_user_max())).map_err(
            |refused| match refused {
                Refused::TooMany => Errno::MFILE,
                Refused::TooManyUsers => Errno::NFILE,
                Refused::Leaving => Errno::NXIO,
            },
        )?;
        system::open().fetch_add(1, Relaxed);
        Ok(Self { owner: who, is_closing: AtomicBool::new(false) })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        system::open().fetch_sub(1, Relaxed);
        let is_lost = !self.is_closing.load(Relaxed);
        registry(|shared| {
            shared.has_lost_files |= is_lost;
            shared.limits.close(self.owner);
        });
    }
}

/// The running thread's user, none for root of the host, whom no limit binds.
fn limited_user() -> Option<Who> {
    if kpi::is_host_root() { None } else { Some(kpi::who()) }
}

/// open(2).
///
/// # Errors
/// EPERM for writing, EMFILE and ENFILE at the limits, ENXIO while the module
/// is being unloaded.
pub fn open(for_writing: bool) -> Result<(), Errno> {
    if for_writing {
        return Err(Errno::PERM);
    }
    let admission = Admission::ask()?;
    let reader = Sleepable::new(Reader {
        binary: false,
        columns: None,
        filter: None,
        all_vnets: false,
        snapshot: Snapshot::new(admission.owner),
        stage: Stage::Between,
        scratch: None,
        was_interrupted: false,
    });
    let file = OpenFile { reader: reader.ok_or(Errno::NOMEM)?, admission };
    kpi::set_private(Own::new(file, Wait::Yes).ok_or(Errno::NOMEM)?)
}

/// read(2).  Returns nothing at the end of a snapshot; the read after that, and
/// one at offset 0, begins the next.
///
/// # Errors
/// EINTR or ERESTART when a signal comes, EAGAIN when it is not this user's turn
/// and the descriptor does not block, EFAULT, EPERM where all network stacks
/// were asked for and the reader is not root of the host.
pub fn read(file: &OpenFile, uio: &mut Uio<'_>, nonblocking: bool) -> Result<(), Errno> {
    let mut reader = file.reader.lock()?;
    if uio.room() == 0 {
        return Ok(());
    }
    if uio.offset() == 0 {
        reader.stage = Stage::Between;
    }
    if matches!(reader.stage, Stage::Between) {
        reader.begin(nonblocking)?;
    }
    reader.copy_out(uio)
}

impl Reader {
    /// Takes a snapshot.
    fn begin(&mut self, nonblocking: bool) -> Result<(), Errno> {
        if self.all_vnets && !kpi::is_host_root() {
            return Err(Errno::PERM);
        }
        let owner = self.snapshot.owner();
        wait_for_turn(owner, nonblocking)?;
        let result = self.snapshot.take(&Wanted {
            filter: self.filter.as_deref(),
            all_vnets: self.all_vnets,
            stops_on_signal: !self.was_interrupted,
        });
        let (now, cost) = (system::uptime_ns(), self.snapshot.cost_ns);
        registry(|shared| shared.limits.end_walk(owner, now, cost, rate_limit()));
        self.was_interrupted = result.is_err();
        result.inspect_err(|_| self.snapshot.release())?;
        let form = if self.binary {
            Form::Binary
        } else {
            let columns = self.columns.clone().or_else(|| registry(|shared| shared.columns.clone()));
            Form::Text(columns.unwrap_or_else(Columns::basic))
        };
        self.stage = Stage::Reading { form, cursor: Cursor::new() };
        Ok(())
    }

    /// Gives the reader what fits.
    fn copy_out(&mut self, uio: &mut Uio<'_>) -> Result<(), Errno> {
        let Stage::Reading { form, cursor } = &mut self.stage else {
            return Ok(());
        };
        if self.scratch.is_none() {
            self.scratch = Block::new(SCRATCH_LEN, Wait::Yes);
        }
        let scratch = self.scratch.as_mut().ok_or(Errno::NOMEM)?;
        let mut given = 0;
        let mut at_end = false;
        let mut pace = Pace::start(system::uptime_ns(), kpi::switches());
        while uio.room() > 0 {
            let Some(bytes) = cursor.bytes(form, &self.snapshot.header, &self.snapshot, scratch) else {
                at_end = given == 0;
                break;
            };
            let taken = uio.put(bytes)?;
            cursor.take(taken);
            given += taken;
            // A long answer is cut short rather than kept from a signal.
            if kpi::signal_is_pending() {
                break;
            }
            yield_if_due(&mut pace);
        }
        record_hold(&pace);
        system::bytes().fetch_add(given as u64, Relaxed);
        if at_end {
            self.end();
        }
        Ok(())
    }

    /// Ends the snapshot.
    fn end(&mut self) {
        self.stage = Stage::Between;
        self.snapshot.release();
        if self.snapshot.owner().is_some() {
            self.scratch = None;
        }
    }
}

fn rate_limit() -> RateLimit {
    RateLimit { interval_ns: u64::from(system::interval_min_us()) * 1000, percent: system::walk_percent_max() }
}

/// Waits until the user may start another walk, and starts it.
fn wait_for_turn(owner: Option<Who>, nonblocking: bool) -> Result<(), Errno> {
    loop {
        let now = system::uptime_ns();
        match registry(|shared| shared.limits.begin_walk(owner, now, rate_limit())) {
            Ok(()) => return Ok(()),
            Err(_) if nonblocking => return Err(Errno::AGAIN),
            Err(wait) => kpi::pause_ns(wait)?,
        }
    }
}

/// Returns whether a read would not block.  If it would, calls `later` with the
/// number of nanoseconds until it would not; the registry is locked then.
pub fn is_readable(file: &OpenFile, later: impl FnOnce(u64)) -> bool {
    // A pending signal interrupts poll(2) too.
    let Ok(reader) = file.reader.lock() else {
        return false;
    };
    let (Stage::Between, Some(owner)) = (&reader.stage, reader.snapshot.owner()) else {
        return true;
    };
    let now = system::uptime_ns();
    registry(|shared| match shared.limits.wait_ns(owner, now, rate_limit().interval_ns) {
        0 => true,
        wait => {
            later(wait);
            false
        }
    })
}

/// ioctl(2), see [`ioctl`].
///
/// # Errors
/// EINVAL for what the command does not know, EPERM where only root of the host
/// may ask, ENOTTY for another command.
pub fn ioctl(file: &OpenFile, command: u64, data: &mut [u8]) -> Result<(), Errno> {
    let mut reader = file.reader.lock()?;
    match command {
        ioctl::SET_FORMAT => {
            reader.binary = match number(data)? {
                ioctl::TEXT => false,
                ioctl::BINARY => true,
                _ => return Err(Errno::INVAL),
            };
        }
        ioctl::SET_FILTER => {
            let mut filter = Own::new(Filter::everything(), Wait::Yes).ok_or(Errno::NOMEM)?;
            filter.read(data).map_err(|_| Errno::INVAL)?;
            reader.filter = Some(filter);
        }
        ioctl::CLEAR_FILTER => reader.filter = None,
        ioctl::SET_ALL_VNETS => {
            reader.all_vnets = match number(data)? {
                0 => false,
                1 if kpi::is_host_root() => true,
                1 => return Err(Errno::PERM),
                _ => return Err(Errno::INVAL),
            };
        }
        ioctl::SET_COLUMNS => reader.columns = Some(columns(data)?),
        ioctl::GET_INFO => return put(data, &ioctl::info(system::version())),
        ioctl::GET_FIELD => return put(data, &ioctl::field(data).ok_or(Errno::INVAL)?),
        _ => return Err(Errno::NOTTY),
    }
    reader.end();
    Ok(())
}

/// The 32-bit number that an ioctl came with.
fn number(data: &[u8]) -> Result<u32, Errno> {
    data.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(Errno::INVAL)
}

/// The columns that a text ended by zero names.
fn columns(text: &[u8]) -> Result<Columns, Errno> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = core::str::from_utf8(text).map_err(|_| Errno::INVAL)?;
    Columns::parse(text).map_err(|_| Errno::INVAL)
}

/// Answers an ioctl.
fn put(data: &mut [u8], answer: &[u8]) -> Result<(), Errno> {
    let room = data.get_mut(..answer.len()).ok_or(Errno::INVAL)?;
    room.copy_from_slice(answer);
    Ok(())
}

/// Sets the columns of text for descriptors that did not choose their own.
///
/// # Errors
/// EINVAL where the text is no list of columns.
pub fn set_default_columns(text: &[u8]) -> Result<(), Errno> {
    let columns = columns(text)?;
    registry(|shared| shared.columns = Some(columns));
    Ok(())
}

/// Writes the list of those columns, ended by a zero.
pub fn default_columns(to: &mut [u8]) {
    let columns = registry(|shared| shared.columns.clone()).unwrap_or_else(Columns::basic);
    let len = to.len().saturating_sub(1);
    let mut text = Text::new(to.get_mut(..len).unwrap_or_default());
    columns.write(&mut text);
    let used = text.len();
    if let Some(end) = to.get_mut(used) {
        *end = 0;
    }
}

/// What the kernel tells a module.
pub enum Event {
    Load,
    Quiesce,
    Unload,
    Shutdown,
    Unknown,
}

/// Refuses new descriptors if none is open, and waits for threads that are about to
/// leave the module.
///
/// # Errors
/// EBUSY if a descriptor is open; EINTR or ERESTART if a signal arrives.
pub fn prepare_unload() -> Result<(), Errno> {
    let Some(has_lost_files) = registry(|shared| shared.limits.leave().then_some(shared.has_lost_files)) else {
        return Err(Errno::BUSY);
    };
    if has_lost_files {
        system::quiesce().inspect_err(|_| cancel_unload())?;
        registry(|shared| shared.has_lost_files = false);
    }
    Ok(())
}

/// Accepts new descriptors again.
pub fn cancel_unload() {
    registry(|shared| shared.limits.stay());
}

/// Loads and unloads.
///
/// # Errors
/// EEXIST where `/dev/tcpstats` is another driver's, EBUSY for unloading while a
/// descriptor is open.
pub fn module_event(event: &Event) -> Result<(), Errno> {
    match event {
        Event::Load => {
            system::make_device().inspect_err(|error| system::say_no_device(*error))?;
            system::say_loaded(u32::try_from(MODULE_RECORD_LEN).unwrap_or(0));
            Ok(())
        }
        Event::Quiesce => prepare_unload(),
        Event::Unload => {
            if !registry(|shared| shared.limits.leave()) {
                return Err(Errno::BUSY);
            }
            system::destroy_device();
            Ok(())
        }
        Event::Shutdown => Ok(()),
        Event::Unknown => Err(Errno::OPNOTSUPP),
    }
}
