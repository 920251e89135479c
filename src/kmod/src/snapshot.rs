// SPDX-License-Identifier: BSD-2-Clause

//! One pass over all connections, into memory.
//!
//! Nothing is copied out before the pass is over.  Memory is allocated before the
//! pass, for as many records as the reader got last time or, for root without a
//! filter, for all connections.  During the pass it is allocated without
//! waiting; connections for which there is no memory are counted.
//!
//! Between connections the pass checks at short intervals whether another thread
//! wants the CPU, and yields.

use core::sync::atomic::Ordering::Relaxed;

use tcpstats::filter::Verdict;
use tcpstats::frame::flag;
use tcpstats::{Filter, Header, MODULE_RECORD_LEN};

use crate::fill::{self, Clock};
use crate::kpi::probe::{self, Skip};
use crate::kpi::{self, Block, Errno, KernelRecord, List, Pcb, Step, Syncache, Visitor, Wait, registry, system};
use crate::limits::{MemoryLimits, Shortage, Who};
use crate::output::Blocks;
use crate::pace::Pace;

/// Bytes of memory taken at once: the longest that malloc(9) keeps a cache of.
const BLOCK_LEN: usize = 64 * 1024;

/// Records in a block.
const BLOCK_RECORDS: usize = BLOCK_LEN / MODULE_RECORD_LEN;

/// How many connections are looked at between two looks for a signal.
const SIGNAL_INTERVAL: u64 = 64;

/// How many connections share one look at the clock: some microseconds of a walk,
/// and a clock can cost more than a record.
const CLOCK_INTERVAL: u64 = 16;

/// The maximum number of blocks that a user's descriptor keeps between two
/// snapshots: 1 MB.
const IDLE_BLOCKS: usize = 16;

/// What a reader wants.
pub struct Wanted<'a> {
    pub filter: Option<&'a Filter>,
    pub all_vnets: bool,
    /// Stop on any signal that interrupts the call, and not only if the process is
    /// killed.
    pub stops_on_signal: bool,
}

/// The records of a pass, and memory for those of the next.
pub struct Snapshot {
    pub header: Header,
    /// The user to whom its memory is charged, `None` for root of the host.
    owner: Option<Who>,
    /// Identifies its idle memory; 0 if it has none.
    idle_id: u64,
    blocks: List,
    /// The most blocks that the limit of a snapshot lets it have.
    most: usize,
    /// An allocation failed in this pass; no other is attempted.
    is_starved: bool,
    /// The number of connections that matched in the last pass.
    matched: Option<usize>,
    /// The CPU time of the last snapshot, completed or not.
    pub cost_ns: u64,
    /// How many blocks are full.
    full: usize,
    /// Records in the block behind those.
    at: usize,
    spare: KernelRecord,
}

/// What a pass comes by.
trait Seen {
    fn identity(&self, record: &mut KernelRecord, clock: &Clock);

    /// The connection, if it is more than an entry of the SYN cache.
    fn pcb(&self) -> Option<&Pcb<'_>>;
}

impl Seen for Pcb<'_> {
    fn identity(&self, record: &mut KernelRecord, clock: &Clock) {
        fill::identity(record, self, clock);
    }

    fn pcb(&self) -> Option<&Pcb<'_>> {
        Some(self)
    }
}

impl Seen for Syncache<'_> {
    fn identity(&self, record: &mut KernelRecord, clock: &Clock) {
        fill::half_open(record, self, clock);
    }

    fn pcb(&self) -> Option<&Pcb<'_>> {
        None
    }
}

/// A pass in progress.
struct Pass<'a> {
    snapshot: &'a mut Snapshot,
    filter: Option<&'a Filter>,
    stops_on_signal: bool,
    clock: Clock,
    pace: Pace,
    /// The number of connections that were visited or skipped.
    visited: u64,
    was_stopped: bool,
}

impl Pass<'_> {
    /// Counts a connection, and reads the clock every few connections.
    fn tick(&mut self) {
        if self.visited.is_multiple_of(CLOCK_INTERVAL) {
            self.clock.look();
        }
        self.visited += 1;
    }

    /// Returns whether the call must return to the user now.
    fn must_stop(&mut self) -> bool {
        let ends = || if self.stops_on_signal { kpi::signal_is_pending() } else { kpi::is_killed() };
        self.was_stopped |= self.visited.is_multiple_of(SIGNAL_INTERVAL) && ends();
        self.was_stopped
    }

    /// Decides what to do after a connection.
    fn step(&mut self) -> Step {
        if self.pace.is_due(self.clock.at_ns) {
            self.pace.check(self.clock.at_ns, kpi::switches());
            if kpi::wants_to_yield() {
                return Step::Yield;
            }
        }
        Step::Continue
    }
}

impl Visitor for Pass<'_> {
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step {
        self.tick();
        if self.must_stop() {
            return Step::End;
        }
        if pcb.is_visible() {
            self.snapshot.look_at(pcb, self.filter, &self.clock);
        } else {
            probe::record_skip(Some(pcb), Skip::Hidden);
        }
        self.step()
    }

    fn skip(&mut self) -> Step {
        self.tick();
        if self.must_stop() { Step::End } else { self.step() }
    }

    fn yield_cpu(&mut self) {
        kpi::yield_cpu();
        self.clock.look();
        self.pace.yielded(self.clock.at_ns, kpi::switches());
    }
}

/// Yields the CPU if a check is due and another thread wants it.  The caller must
/// be sleepable.
pub fn yield_if_due(pace: &mut Pace) {
    let now = system::uptime_ns();
    if pace.is_due(now) {
        pace.check(now, kpi::switches());
        if kpi::wants_to_yield() {
            kpi::yield_cpu();
            pace.yielded(system::uptime_ns(), kpi::switches());
        }
    }
}

/// Records how long the CPU was held in `hold_max_ns`.
pub fn record_hold(pace: &Pace) {
    system::hold_max_ns().fetch_max(pace.longest_ns(), Relaxed);
}

fn memory_limits() -> MemoryLimits {
    MemoryLimits {
        total: system::total_bytes_max(),
        reserved: system::reserved_bytes(),
        jail: system::jail_bytes_max(),
        user: system::user_bytes_max(),
    }
}

/// Charges one block, and frees idle memory if that is needed for it; returns
/// whether there was room.
fn charge(owner: Option<Who>) -> bool {
    loop {
        let (charged, idle) = registry(|shared| {
            let charged = shared.limits.charge(owner, BLOCK_LEN as u64, memory_limits());
            let idle = if charged == Err(Shortage::Total) { shared.idle.pop() } else { None };
            (charged.is_ok(), idle)
        });
        let Some(block) = idle else {
            if charged {
                system::memory_bytes().fetch_add(BLOCK_LEN as u64, Relaxed);
            }
            return charged;
        };
        drop(block);
        refund(None);
    }
}

/// Undoes [`charge`].
fn refund(owner: Option<Who>) {
    registry(|shared| shared.limits.refund(owner, BLOCK_LEN as u64));
    system::memory_bytes().fetch_sub(BLOCK_LEN as u64, Relaxed);
}

/// Frees all idle memory, when the system runs low on memory.
pub fn release_idle_memory() {
    while let Some(block) = registry(|shared| shared.idle.pop()) {
        drop(block);
        refund(None);
    }
}

impl Snapshot {
    pub const fn new(owner: Option<Who>) -> Self {
        let header = Header {
            sequence: 0,
            wall_ns: 0,
            mono_ns: 0,
            walk_ns: 0,
            seen: 0,
            matched: 0,
            written: 0,
            missed: 0,
            missed_ticks: 0,
            flags: 0,
            hz: 0,
            osversion: 0,
        };
        Self {
            header,
            owner,
            idle_id: 0,
            blocks: List::new(),
            most: 0,
            is_starved: false,
            matched: None,
            cost_ns: 0,
            full: 0,
            at: 0,
            spare: KernelRecord::absent(),
        }
    }

    /// Returns the user to whom it is charged, `None` for root of the host.
    pub const fn owner(&self) -> Option<Who> {
        self.owner
    }

    /// Walks over the connections that the running thread may see.  The caller
    /// must be sleepable.
    ///
    /// # Errors
    /// EINTR or ERESTART when a signal comes; there is no snapshot then.
    pub fn take(&mut self, wanted: &Wanted<'_>) -> Result<(), Errno> {
        let start = system::uptime_ns();
        let mut expected = 0;
        kpi::each_vnet(wanted.all_vnets, || expected += kpi::count());
        let mut yielded = self.make_room(expected, wanted.filter.is_some());
        probe::snapshot_start(self.header.sequence + 1, expected as u64);
        let (mut is_whole, walk_yielded) = self.walk(wanted, wanted.stops_on_signal);
        yielded += walk_yielded;
        let mut result = Ok(());
        if !is_whole {
            result = kpi::check_signals();
            // The signal was none that ends the call.  It may stay pending: do not look again.
            if result.is_ok() && wanted.stops_on_signal {
                let (again, walk_yielded) = self.walk(wanted, false);
                (is_whole, yielded) = (again, yielded + walk_yielded);
            }
        }
        self.cost_ns = system::uptime_ns().saturating_sub(start).saturating_sub(yielded);
        result?;
        if !is_whole {
            return Err(Errno::INTR);
        }
        self.count();
        Ok(())
    }

    fn written(&self) -> usize {
        self.full * BLOCK_RECORDS + self.at
    }

    /// Allocates memory for a number of connections and some more, within the
    /// limits.  Returns the time that it yielded.
    fn make_room(&mut self, expected: usize, is_filtered: bool) -> u64 {
        self.reclaim_idle();
        // A user may see few of all connections, and a filter may match few: the first snapshot grows as needed.
        let likely = match self.owner {
            None if !is_filtered => expected,
            _ => self.matched.unwrap_or(0),
        };
        let blocks = |records: usize| (records + records / 8).div_ceil(BLOCK_RECORDS) + 1;
        self.most = usize::try_from(system::snapshot_bytes_max()).unwrap_or(usize::MAX) / BLOCK_LEN;
        let wanted = blocks(likely).min(self.most);
        self.shrink(wanted.saturating_mul(2).min(self.most));
        self.blocks.reserve(blocks(expected).saturating_mul(2).min(self.most));
        let mut pace = Pace::start(system::uptime_ns(), kpi::switches());
        while self.blocks.len() < wanted && self.grow(Wait::Yes) {
            yield_if_due(&mut pace);
        }
        record_hold(&pace);
        pace.yielded_ns()
    }

    /// Takes one more block; whether there was one.
    fn grow(&mut self, wait: Wait) -> bool {
        if self.blocks.len() >= self.most || !charge(self.owner) {
            return false;
        }
        let grown = Block::new(BLOCK_LEN, wait).is_some_and(|block| self.blocks.push(block).is_ok());
        if !grown {
            refund(self.owner);
        }
        grown
    }

    /// Gives back all blocks beyond so many.
    fn shrink(&mut self, keep: usize) {
        while self.blocks.len() > keep && self.blocks.pop().is_some() {
            refund(self.owner);
        }
    }

    /// Frees the records.  A user's descriptor keeps little memory until the next
    /// snapshot; root's keeps all of it as idle memory, which others can take.
    pub fn release(&mut self) {
        (self.full, self.at) = (0, 0);
        if self.owner.is_some() {
            return self.shrink(IDLE_BLOCKS);
        }
        if self.idle_id != 0 || self.blocks.len() == 0 {
            return;
        }
        let blocks = core::mem::replace(&mut self.blocks, List::new());
        let stored = registry(|shared| {
            let id = shared.idle.new_id();
            shared.idle.store(id, blocks).map(|()| id)
        });
        match stored {
            Ok(id) => self.idle_id = id,
            Err(blocks) => {
                self.blocks = blocks;
                self.shrink(0);
            }
        }
    }

    /// Takes back what is left of its idle memory.
    fn reclaim_idle(&mut self) {
        let id = core::mem::replace(&mut self.idle_id, 0);
        if id != 0
            && let Some(blocks) = registry(|shared| shared.idle.reclaim(id))
        {
            self.blocks = blocks;
        }
    }

    /// Makes one pass.  Returns whether it is complete, and the time that it yielded.
    fn walk(&mut self, wanted: &Wanted<'_>, stops_on_signal: bool) -> (bool, u64) {
        let hz = system::hz();
        (self.full, self.at, self.is_starved) = (0, 0, false);
        self.header = Header {
            sequence: self.header.sequence,
            wall_ns: system::wall_ns(),
            mono_ns: system::uptime_ns(),
            flags: if wanted.all_vnets { flag::ALL_VNETS } else { 0 },
            hz,
            osversion: system::osversion(),
            ..Header::default()
        };
        // After the header's time: no record is later than the walk is long.
        let clock = Clock::start(hz);
        let pace = Pace::start(clock.at_ns, kpi::switches());
        let mut pass = Pass {
            snapshot: self,
            filter: wanted.filter,
            stops_on_signal,
            clock,
            pace,
            visited: 0,
            was_stopped: false,
        };
        kpi::each_vnet(wanted.all_vnets, || {
            if pass.was_stopped {
                return;
            }
            pass.clock.enter_stack();
            // First what has no pcb yet: what gets one now is seen twice and not missed.
            kpi::each_half_open(|entry| {
                pass.tick();
                pass.snapshot.look_at(entry, pass.filter, &pass.clock);
            });
            kpi::each_connection(&mut pass);
        });
        pass.clock.look();
        pass.pace.check(pass.clock.at_ns, kpi::switches());
        record_hold(&pass.pace);
        let (is_whole, yielded) = (!pass.was_stopped, pass.pace.yielded_ns());
        self.header.written = self.written() as u64;
        self.header.matched = self.header.written + self.header.missed;
        self.header.walk_ns = system::uptime_ns().saturating_sub(self.header.mono_ns);
        (is_whole, yielded)
    }

    /// Makes a record where the next one goes, and keeps it if it is wanted.
    fn look_at(&mut self, seen: &impl Seen, filter: Option<&Filter>, clock: &Clock) {
        self.header.seen += 1;
        let has_room = self.full < self.blocks.len() || !self.is_starved && self.grow(Wait::No);
        self.is_starved |= !has_room;
        let room = self.blocks.get_mut(self.full).and_then(|block| block.record_mut(self.at));
        // Without room the record is made all the same, to count it as missed.
        let record = room.unwrap_or(&mut self.spare);

        seen.identity(record, clock);
        let verdict = filter.map_or(Verdict::Match, |filter| filter.verdict_by_identity(record));
        if verdict == Verdict::NoMatch {
            return probe::record_skip(seen.pcb(), Skip::Filtered);
        }
        record.at_ns = clock.at_ns;
        if let Some(pcb) = seen.pcb() {
            fill::statistics(record, pcb, clock);
        }
        if verdict == Verdict::Unknown && filter.is_some_and(|filter| !filter.matches(record)) {
            return probe::record_skip(seen.pcb(), Skip::Filtered);
        }
        if has_room {
            self.at += 1;
            if self.at == BLOCK_RECORDS {
                (self.full, self.at) = (self.full + 1, 0);
            }
        } else {
            self.header.missed += 1;
            self.header.flags |= flag::TRUNCATED;
            probe::record_skip(seen.pcb(), Skip::NoMemory);
        }
    }

    /// Counts a pass that went through.
    fn count(&mut self) {
        self.header.sequence += 1;
        self.matched = usize::try_from(self.header.matched).ok();
        system::snapshots().fetch_add(1, Relaxed);
        system::records().fetch_add(self.header.written, Relaxed);
        system::missed().fetch_add(self.header.missed, Relaxed);
        system::walk_last_ns().store(self.header.walk_ns, Relaxed);
        system::walk_max_ns().fetch_max(self.header.walk_ns, Relaxed);
        probe::snapshot_done(&self.header);
    }
}

impl Blocks for Snapshot {
    fn block(&self, at: usize) -> Option<&[u8]> {
        let records = self.written().checked_sub(at.checked_mul(BLOCK_RECORDS)?)?.min(BLOCK_RECORDS);
        if records == 0 { None } else { self.blocks.get(at)?.get(..records * MODULE_RECORD_LEN) }
    }

    fn interface_name(&self, vnet: u64, index: u32) -> Option<[u8; 16]> {
        kpi::interface_name(vnet, index)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.reclaim_idle();
        self.shrink(0);
    }
}
