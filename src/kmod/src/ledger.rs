// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The ledger: a final record of every connection that ends while somebody reads it.
//!
//! The records are in a ring.  Each is marked with the readers that may see it, which
//! is decided when the connection ends, and each reader has a position.  If the ring is
//! full, the oldest record is overwritten, and counted as lost by each reader that has
//! not read it.
//!
//! A connection that changes to another TCP stack seems to end, until the change is
//! complete.  It stays locked meanwhile.  So a reader notes where the ring ends, walks
//! over all connections, locking each of them, and then reads up to the noted position.

use core::sync::atomic::Ordering::Relaxed;

use tcpstats::{MODULE_RECORD_LEN, State, key};

use crate::Driver;
use crate::ending::{ECONNABORTED, ECONNREFUSED, ECONNRESET, ETIMEDOUT, End, c_name};
use crate::fill::{self, Clock};
use crate::kpi::{
    self, Block, Credential, Endings, Errno, LedgerLock, Pcb, Plain, Sleepable, Step, Visitor, Vnet, Wait, clock,
    probe, tcp,
};
use crate::limits::Who;
use crate::pace::Pace;
use crate::record::KernelRecord;
use crate::seats::{Refused, Seats};
use crate::storage::{charge_shared, refund_shared};
use crate::units::Tick;
use crate::yielding::{must_yield, pause_on, record_hold};

const _: () = assert!(
    ECONNABORTED.cast_unsigned() == tcp::ECONNABORTED
        && ECONNREFUSED.cast_unsigned() == tcp::ECONNREFUSED
        && ECONNRESET.cast_unsigned() == tcp::ECONNRESET
        && ETIMEDOUT.cast_unsigned() == tcp::ETIMEDOUT
);

/// The number of entries that a reader skips with the ledger locked.
const SKIPS: usize = 64;

/// A final record in the ring.
#[repr(C)]
struct Entry {
    /// The readers that may see it, one bit each.
    readers: u64,
    /// The address of the connection.
    address: u64,
    /// Its `at_ns` is the time of the end, in nanoseconds since boot.
    record: KernelRecord,
}

const _: () = assert!(size_of::<Entry>() == MODULE_RECORD_LEN + 16);

#[allow(unsafe_code, reason = "a promise about the type")]
// SAFETY: two integers and a record, which is plain bytes and as aligned as they are.
unsafe impl Plain for Entry {}

/// Whose connections a reader may see.
pub struct Viewer {
    credential: Credential,
    /// The network stack, or `None` for all.
    vnet: Option<u64>,
}

impl Viewer {
    /// Returns what the running thread may see, in its network stack or in all.
    pub fn of_thread(all_vnets: bool, sleepable: &mut Sleepable) -> Option<Self> {
        let credential = Credential::of_thread()?;
        let mut vnet = None;
        if !all_vnets {
            let wrap_ns = Tick::of(clock::hz()).wrap_ns();
            kpi::each_vnet(false, sleepable, |own, _| vnet = own.identity(wrap_ns).map(|identity| identity.id));
            // Before the network stack is known, there are no connections.
            vnet?;
        }
        Some(Self { credential, vnet })
    }

    fn may_see(&self, pcb: &Pcb<'_>, vnet: Option<u64>) -> bool {
        (self.vnet.is_none() || self.vnet == vnet) && pcb.is_visible_to(&self.credential)
    }
}

/// The ring and its readers.
pub struct Ledger {
    ring: Option<Block>,
    seats: Seats<Viewer>,
}

kpi::mutex! {
    /// The ledger.
    pub static ledger LEDGER: Ledger = Ledger { ring: None, seats: Seats::new() }
}

impl Ledger {
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = number.checked_rem(self.capacity())?;
        self.ring.as_mut()?.value_mut(usize::try_from(at).ok()?)
    }

    fn capacity(&self) -> u64 {
        self.ring.as_ref().map_or(0, |ring| (ring.len() / size_of::<Entry>()) as u64)
    }

    /// Appends a record for the readers that may see the connection.
    fn append(&mut self, record: &KernelRecord, pcb: &Pcb<'_>, vnet: Option<u64>) {
        let readers = self.seats.who(|viewer| viewer.may_see(pcb, vnet));
        let (number, capacity) = (self.seats.end(), self.capacity());
        if readers == 0 || capacity == 0 {
            return;
        }
        let Some(entry) = self.entry(number) else {
            return;
        };
        let overwritten = core::mem::replace(&mut entry.readers, readers);
        entry.address = pcb.address();
        entry.record.clone_from(record);
        let lost = self.seats.append(overwritten, capacity);
        kpi::counters().ended.fetch_add(1, Relaxed);
        kpi::counters().ended_lost.fetch_add(lost, Relaxed);
    }

    /// Withdraws the record of a connection that continues.
    fn withdraw(&mut self, pcb: &Pcb<'_>, vnet: Option<u64>) {
        // A search for a record that nobody may see would not end early.
        if self.seats.who(|viewer| viewer.may_see(pcb, vnet)) == 0 {
            return;
        }
        let (end, gencnt) = (self.seats.end(), Some(pcb.gencnt()));
        for number in (end.saturating_sub(self.capacity())..end).rev() {
            let Some(entry) = self.entry(number) else {
                return;
            };
            if entry.address == pcb.address() && entry.record.get(key::gencnt) == gencnt {
                entry.readers = 0;
                kpi::counters().ended.fetch_sub(1, Relaxed);
                return;
            }
        }
    }

    /// Skips the next entries of a reader.  Returns how many of them it could see, and
    /// whether no entries are left.
    fn skip(&mut self, seat: usize) -> (u64, bool) {
        let (end, mut skipped) = (self.seats.end(), 0);
        let first = end.saturating_sub(self.capacity());
        for _ in 0..SKIPS {
            let Some(number) = self.seats.advance(seat, first, end) else {
                return (skipped, true);
            };
            skipped += u64::from(self.entry(number).is_some_and(|entry| entry.readers & 1 << seat != 0));
        }
        (skipped, false)
    }

    /// Finds the next record of a reader before `until`.
    fn next(&mut self, seat: usize, until: u64, into: &mut KernelRecord) -> Found {
        let first = self.seats.end().saturating_sub(self.capacity());
        for _ in 0..SKIPS {
            let Some(number) = self.seats.advance(seat, first, until) else {
                return Found::None;
            };
            if let Some(entry) = self.entry(number)
                && entry.readers & 1 << seat != 0
            {
                into.clone_from(&entry.record);
                return Found::Record;
            }
        }
        Found::NoneYet
    }
}

/// The result of looking for a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Record,
    /// There is none.
    None,
    /// There is none among the next entries.
    NoneYet,
}

/// A reader of the ledger.
pub struct LedgerReader {
    seat: usize,
    /// No snapshot has been taken.
    is_new: bool,
    /// Records that were in snapshots which were not read to their ends.
    abandoned: u64,
}

impl LedgerReader {
    /// Starts to record the ends of connections for a reader.
    ///
    /// # Errors
    /// ENOMEM if there is no memory for the ring; EMFILE or ENFILE if there are too many
    /// readers; ENFILE if there are too many TCP stacks; ENXIO if the network stack is not
    /// known.
    pub fn start(owner: Option<Who>, all_vnets: bool, sleepable: &mut Sleepable) -> Result<Self, Errno> {
        let viewer = Viewer::of_thread(all_vnets, sleepable).ok_or(Errno::NXIO)?;
        LedgerLock::with(sleepable, |calls, sleepable| {
            let is_first = LEDGER.with(|ledger| ledger.ring.is_none());
            if is_first {
                let ring = new_ring(sleepable)?;
                LEDGER.with(|ledger| ledger.ring = Some(ring));
            }
            let result = LEDGER.with(|ledger| ledger.seats.take(owner, viewer));
            // The credential must not be freed with the mutex locked.
            let result = result.map_err(|(_, refused)| match refused {
                Refused::TooMany => Errno::MFILE,
                Refused::Full => Errno::NFILE,
            });
            let result = result.and_then(|seat| {
                if is_first {
                    let started = calls.start(&mut Rundown::new(), sleepable);
                    started.inspect_err(|_| drop(LEDGER.with(|ledger| ledger.seats.leave(seat))))?;
                }
                Ok(seat)
            });
            if is_first && result.is_err() {
                free_ring();
            }
            let seat = result?;
            kpi::counters().ledger_readers.fetch_add(1, Relaxed);
            Ok(Self { seat, is_new: true, abandoned: 0 })
        })
    }

    /// Stops recording the ends of connections for the reader.
    pub fn stop(self, sleepable: &mut Sleepable) {
        LedgerLock::with(sleepable, |calls, sleepable| {
            let (viewer, is_last) = LEDGER.with(|ledger| (ledger.seats.leave(self.seat), ledger.seats.is_empty()));
            drop(viewer);
            kpi::counters().ledger_readers.fetch_sub(1, Relaxed);
            if is_last {
                calls.stop(&mut Rundown::new(), sleepable);
                free_ring();
            }
        });
    }

    /// Decides again whose connections the reader may see, if the running thread's
    /// credentials differ from those of the last one.  Records of connections that ended
    /// before that are lost.
    ///
    /// # Errors
    /// ENXIO if the network stack is not known.
    pub fn check(&mut self, all_vnets: bool, sleepable: &mut Sleepable) -> Result<(), Errno> {
        let seat = self.seat;
        let is_same =
            LEDGER.with(|ledger| ledger.seats.viewer(seat).is_some_and(|viewer| viewer.credential.is_of_thread()));
        if is_same { Ok(()) } else { self.update_viewer(all_vnets, sleepable) }
    }

    /// Decides again whose connections the reader may see.
    ///
    /// # Errors
    /// ENXIO if the network stack is not known.
    pub fn update_viewer(&mut self, all_vnets: bool, sleepable: &mut Sleepable) -> Result<(), Errno> {
        let mut viewer = Some(Viewer::of_thread(all_vnets, sleepable).ok_or(Errno::NXIO)?);
        let (seat, is_new) = (self.seat, self.is_new);
        while let Some(next) = viewer.take() {
            // A credential must not be freed with the mutex locked.
            let (skipped, result) = LEDGER.with(|ledger| match ledger.skip(seat) {
                (skipped, true) => (skipped, Err(ledger.seats.replace(seat, next))),
                (skipped, false) => (skipped, Ok(next)),
            });
            viewer = result.ok();
            // If the credentials change before the first snapshot, the descriptor's ledger starts with that snapshot.
            if !is_new {
                LEDGER.with(|ledger| ledger.seats.lose(seat, skipped));
                kpi::counters().ended_lost.fetch_add(skipped, Relaxed);
            }
        }
        Ok(())
    }

    /// Returns the maximum number of records for the next snapshot.
    pub fn unread(&self) -> usize {
        let seat = self.seat;
        let (unread, capacity) = LEDGER.with(|ledger| (ledger.seats.unread(seat), ledger.capacity()));
        usize::try_from(unread.min(capacity)).unwrap_or(usize::MAX)
    }

    /// Returns where the ring ends now.
    pub fn end() -> u64 {
        LEDGER.with(|ledger| ledger.seats.end())
    }

    /// Copies the next record that ended before `until`.
    pub fn next(&self, until: u64, into: &mut KernelRecord) -> Found {
        let seat = self.seat;
        // `into` is memory of a snapshot, not of a connection.
        LEDGER.with(|ledger| ledger.next(seat, until, into))
    }

    /// Returns the number of records that were lost since the last call.
    pub fn lost(&mut self) -> u64 {
        self.is_new = false;
        let seat = self.seat;
        core::mem::take(&mut self.abandoned) + LEDGER.with(|ledger| ledger.seats.take_lost(seat))
    }

    /// Counts records of a snapshot that was not read to its end.
    pub fn abandon(&mut self, records: u64, lost: u64) {
        kpi::counters().ended_lost.fetch_add(records, Relaxed);
        self.abandoned = self.abandoned.saturating_add(records).saturating_add(lost);
    }
}

/// Allocates the ring.
fn new_ring(sleepable: &mut Sleepable) -> Result<Block, Errno> {
    let most = kpi::limits().ledger_bytes_max.load(Relaxed);
    let entries = usize::try_from(most).unwrap_or(usize::MAX) / size_of::<Entry>();
    let len = entries.max(1).checked_mul(size_of::<Entry>()).ok_or(Errno::NOMEM)?;
    if !charge_shared(len as u64) {
        return Err(Errno::NOMEM);
    }
    Block::new(len, Wait::Yes(sleepable)).ok_or(Errno::NOMEM).inspect_err(|_| refund_shared(len as u64))
}

/// Frees the ring.  There are no readers.
fn free_ring() {
    let ring = LEDGER.with(|ledger| ledger.ring.take());
    let len = ring.as_ref().map_or(0, |ring| ring.len());
    drop(ring);
    refund_shared(len as u64);
}

/// Yields while the connections are locked one after the other.
struct Rundown {
    pace: Pace,
    visited: u32,
}

impl Rundown {
    fn new() -> Self {
        Self { pace: Pace::start(clock::uptime_ns(), kpi::switches()), visited: 0 }
    }
}

impl Visitor for Rundown {
    fn visit(&mut self, _: &Pcb<'_>) -> Step {
        self.skip()
    }

    fn skip(&mut self) -> Step {
        self.visited = self.visited.wrapping_add(1);
        let yields = self.visited.is_multiple_of(64) && must_yield(&mut self.pace, clock::uptime_ns());
        if yields { Step::Yield } else { Step::Continue }
    }

    fn pause(&mut self, pause: fn(&mut Sleepable), sleepable: &mut Sleepable) {
        pause_on(&mut self.pace, clock::uptime_ns, pause, sleepable);
    }
}

impl Drop for Rundown {
    fn drop(&mut self) {
        record_hold(&self.pace);
    }
}

/// Returns whether the connection was established and has not ended before.
fn is_in_ledger(pcb: &Pcb<'_>) -> bool {
    // Only an established connection has a starting time.
    pcb.t_starttime() != 0 && !pcb.is_dropped() && pcb.state() != State::LISTEN.0
}

/// Returns the facts that show how the connection ends.
fn how(pcb: &Pcb<'_>) -> End {
    let (error, does_not_linger) = pcb.socket_end();
    let idle = clock::ticks().wrapping_sub(pcb.t_rcvtime());
    End {
        state: State(pcb.state()),
        error,
        soft_error: pcb.t_softerror().cast_signed(),
        is_acknowledged: pcb.snd_una() == pcb.snd_max(),
        // The thread may have been preempted since then; timers are longer.
        has_just_received: idle <= clock::hz() / 10,
        is_closed: pcb.t_flags() & tcp::TF_CLOSED != 0,
        does_not_linger,
        by_sysctl: kpi::is_in_sysctl(),
    }
}

impl Endings for Driver {
    fn ended(pcb: &Pcb<'_>, vnet: &Vnet) {
        if !is_in_ledger(pcb) {
            return;
        }
        let ending = how(pcb).ending();
        let mut clock = Clock::start(clock::hz());
        clock.enter(vnet);
        let mut record = KernelRecord::absent();
        fill::identity(&mut record, pcb, &clock);
        fill::statistics(&mut record, pcb, &clock);
        fill::end(&mut record, pcb, &clock, ending);
        probe::connection_ended(pcb, c_name(ending));
        let vnet = clock.vnet();
        LEDGER.with_pcb(pcb, |ledger, pcb| ledger.append(&record, pcb, vnet));
    }

    fn continued(pcb: &Pcb<'_>, vnet: &Vnet) {
        if is_in_ledger(pcb) {
            let vnet = vnet.identity(Tick::of(clock::hz()).wrap_ns()).map(|identity| identity.id);
            LEDGER.with_pcb(pcb, |ledger, pcb| ledger.withdraw(pcb, vnet));
        }
    }
}
