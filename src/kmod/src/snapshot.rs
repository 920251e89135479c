// SPDX-License-Identifier: BSD-2-Clause

//! One pass over all connections, into memory.
//!
//! Nothing is copied out before the pass is over.  Memory is taken before it, as
//! much as the number of connections says, and without waiting while it lasts;
//! what finds no room is counted.

use core::ops::ControlFlow;
use core::sync::atomic::Ordering::Relaxed;

use tcpstats::filter::Verdict;
use tcpstats::frame::flag;
use tcpstats::{Filter, Header, MODULE_RECORD_LEN};

use crate::fill::{self, Clock};
use crate::kpi::probe::{self, Skip};
use crate::kpi::{self, Block, Errno, KernelRecord, List, Pcb, Syncache, Wait, system};
use crate::output::Blocks;

/// Bytes of memory taken at once: the longest that malloc(9) keeps a cache of.
const BLOCK_LEN: usize = 64 * 1024;

/// Records in a block.
const BLOCK_RECORDS: usize = BLOCK_LEN / MODULE_RECORD_LEN;

/// How many connections are looked at between two looks for a signal.
const SIGNAL_INTERVAL: u64 = 64;

/// How many connections share one look at the clock: some microseconds of a walk,
/// and a clock can cost more than a record.
const CLOCK_INTERVAL: u64 = 16;

/// What a reader wants.
pub struct Wanted<'a> {
    pub filter: Option<&'a Filter>,
    pub all_vnets: bool,
}

/// The records of a pass, and memory for those of the next.
pub struct Snapshot {
    pub header: Header,
    blocks: List,
    /// The most blocks that the limit of a snapshot lets it have.
    most: usize,
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

impl Snapshot {
    pub const fn new() -> Self {
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
        Self { header, blocks: List::new(), most: 0, full: 0, at: 0, spare: KernelRecord::absent() }
    }

    /// Walks over the connections that the running thread may see.  The caller
    /// must be sleepable.
    ///
    /// # Errors
    /// EINTR or ERESTART when a signal comes; there is no snapshot then.
    pub fn take(&mut self, wanted: &Wanted<'_>) -> Result<(), Errno> {
        let mut expected = 0;
        kpi::each_vnet(wanted.all_vnets, || expected += kpi::count());
        self.make_room(expected, wanted.filter.is_some());
        probe::snapshot_start(self.header.sequence + 1, expected as u64);
        if !self.walk(wanted, true) {
            kpi::check_signals()?;
            // The signal was none that ends the call.  It may stay pending: do not look again.
            self.walk(wanted, false);
        }
        self.count();
        Ok(())
    }

    fn written(&self) -> usize {
        self.full * BLOCK_RECORDS + self.at
    }

    /// Memory for a number of connections and some more, as far as limits let.
    fn make_room(&mut self, expected: usize, filtered: bool) {
        let likely = if filtered { self.written() } else { expected };
        let blocks = |records: usize| (records + records / 8).div_ceil(BLOCK_RECORDS) + 1;
        self.most = usize::try_from(system::snapshot_bytes_max()).unwrap_or(usize::MAX) / BLOCK_LEN;
        let wanted = blocks(likely).min(self.most);
        self.shrink(wanted.saturating_mul(2).min(self.most));
        self.blocks.reserve(blocks(expected).saturating_mul(2).min(self.most));
        while self.blocks.len() < wanted && self.grow(Wait::Yes) {}
    }

    /// Takes one more block; whether there was one.
    fn grow(&mut self, wait: Wait) -> bool {
        if self.blocks.len() >= self.most || !system::take_memory(BLOCK_LEN as u64) {
            return false;
        }
        let grown = Block::new(BLOCK_LEN, wait).is_some_and(|block| self.blocks.push(block).is_ok());
        if !grown {
            system::give_memory(BLOCK_LEN as u64);
        }
        grown
    }

    /// Gives back all blocks beyond so many.
    fn shrink(&mut self, keep: usize) {
        while self.blocks.len() > keep && self.blocks.pop().is_some() {
            system::give_memory(BLOCK_LEN as u64);
        }
    }

    /// One pass; whether it went through to the end.
    fn walk(&mut self, wanted: &Wanted<'_>, heed_signals: bool) -> bool {
        let hz = system::hz();
        let mut looked: u64 = 0;
        let mut interrupted = false;
        (self.full, self.at) = (0, 0);
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
        let mut clock = Clock::start(hz);
        kpi::each_vnet(wanted.all_vnets, || {
            if interrupted {
                return;
            }
            clock.enter_stack();
            // First what has no pcb yet: what gets one now is seen twice and not missed.
            kpi::each_half_open(|entry| self.look_at(entry, wanted.filter, &mut clock));
            kpi::each_connection(|pcb| {
                looked += 1;
                if heed_signals && looked.is_multiple_of(SIGNAL_INTERVAL) && kpi::signal_is_pending() {
                    interrupted = true;
                    return ControlFlow::Break(());
                }
                if pcb.is_visible() {
                    self.look_at(pcb, wanted.filter, &mut clock);
                } else {
                    probe::record_skip(Some(pcb), Skip::Hidden);
                }
                ControlFlow::Continue(())
            });
        });
        self.header.written = self.written() as u64;
        self.header.matched = self.header.written + self.header.missed;
        self.header.walk_ns = system::uptime_ns().saturating_sub(self.header.mono_ns);
        !interrupted
    }

    /// Makes a record where the next one goes, and keeps it if it is wanted.
    fn look_at(&mut self, seen: &impl Seen, filter: Option<&Filter>, clock: &mut Clock) {
        if self.header.seen.is_multiple_of(CLOCK_INTERVAL) {
            clock.look();
        }
        self.header.seen += 1;
        let has_room = self.full < self.blocks.len() || self.grow(Wait::No);
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
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shrink(0);
    }
}
