// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! One pass over all connections, into memory.
//!
//! No record is copied to the reader before the pass is complete.  Memory is
//! allocated before the pass, for the final records that the reader has not read and for
//! as many others as the last pass had or, for root without a filter and without changes,
//! for all connections.  During the pass it is allocated without
//! waiting; connections for which there is no memory are counted.
//!
//! Between connections the pass checks at short intervals whether another thread
//! wants the CPU, and yields.

use core::sync::atomic::Ordering::Relaxed;

use tcpstats::filter::Verdict;
use tcpstats::frame::flag;
use tcpstats::{Filter, Header};

use crate::changes::{Changes, is_restless};
use crate::fill::{self, Clock};
use crate::kpi::{self, Errno, Pcb, Restless, Selected, Sleepable, Step, Syncache, Visitor, clock, probe};
use crate::ledger::{Found, LedgerReader};
use crate::limits::Who;
use crate::pace::Pace;
use crate::prefilter::Prefilter;
use crate::record::KernelRecord;
use crate::storage::Storage;
use crate::yielding::{must_yield, pause_on, record_hold, yield_if_due};

/// The number of connections between two checks for a signal.
const SIGNAL_INTERVAL: u64 = 64;

/// The number of connections that share one reading of the clock: a few
/// microseconds of a walk.  Reading a clock can cost more than a record.
const CLOCK_INTERVAL: u64 = 16;

/// How many connections a skipped one counts as.  The walk may have left out 63 others
/// before it, without locking them, which takes about as long as a few records.
const SKIPPED: u64 = 4;

const _: () = assert!(CLOCK_INTERVAL.is_multiple_of(SKIPPED) && SIGNAL_INTERVAL.is_multiple_of(SKIPPED));

/// Why a connection has no record, as the probe `record-skip` reports it.
#[derive(Clone, Copy)]
enum Skip {
    /// The reader may not see it.
    Hidden = 1,
    /// The filter does not match.
    Filtered = 2,
    /// There is no memory.
    NoMemory = 3,
}

fn probe_skip(pcb: Option<&Pcb<'_>>, why: Skip) {
    probe::record_skip(pcb, why as i32);
}

/// The options of a snapshot.
pub struct Options<'a> {
    pub filter: Option<&'a Filter>,
    pub all_vnets: bool,
    /// Stop on any signal that interrupts the system call, and not only if the
    /// process is killed.
    pub stops_on_signal: bool,
}

/// The records of a pass.
pub struct Snapshot {
    pub header: Header,
    pub records: Storage,
    /// The number of connections that matched in the last pass.
    matched: Option<usize>,
    /// The CPU time of the last snapshot, completed or not.
    pub cost_ns: u64,
    /// When the walk started, in nanoseconds since boot and in ticks, and where the ledger
    /// ended then.
    started_ns: u64,
    started_ticks: u32,
    ended_until: u64,
}

/// A connection or an entry of the SYN cache.
trait Source {
    fn identity(&self, record: &mut KernelRecord, clock: &Clock);

    /// Returns the connection if it is not just an entry of the SYN cache.
    fn pcb(&self) -> Option<&Pcb<'_>>;
}

impl Source for Pcb<'_> {
    fn identity(&self, record: &mut KernelRecord, clock: &Clock) {
        fill::identity(record, self, clock);
    }

    fn pcb(&self) -> Option<&Pcb<'_>> {
        Some(self)
    }
}

impl Source for Syncache<'_> {
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
    /// Where the restless connections are added, if the descriptor reads changes.
    restless: Option<&'a mut Restless>,
    stops_on_signal: bool,
    clock: Clock,
    pace: Pace,
    /// The number of connections that were visited or skipped; see [`SKIPPED`].
    visited: u64,
    was_stopped: bool,
}

impl Pass<'_> {
    /// Counts a connection, and reads the clock every few connections.
    fn tick(&mut self) {
        if self.visited.is_multiple_of(CLOCK_INTERVAL) {
            self.clock.update();
        }
        self.visited += 1;
    }

    /// Returns whether the system call must return now.
    fn must_stop(&mut self) -> bool {
        let ends = || if self.stops_on_signal { kpi::signal_is_pending() } else { kpi::is_killed() };
        self.was_stopped |= self.visited.is_multiple_of(SIGNAL_INTERVAL) && ends();
        self.was_stopped
    }

    /// Decides what to do after a connection.
    fn step(&mut self) -> Step {
        if must_yield(&mut self.pace, self.clock.at_ns) { Step::Yield } else { Step::Continue }
    }
}

impl Visitor for Pass<'_> {
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step {
        self.tick();
        if self.must_stop() {
            return Step::End;
        }
        if let Some(restless) = &mut self.restless
            && is_restless(pcb)
        {
            restless.insert(pcb);
        }
        if pcb.is_visible() {
            self.snapshot.add(pcb, self.filter, &self.clock);
        } else {
            probe_skip(Some(pcb), Skip::Hidden);
        }
        self.step()
    }

    fn skip(&mut self) -> Step {
        self.visited = self.visited.next_multiple_of(SKIPPED);
        self.tick();
        self.visited += SKIPPED - 1;
        if self.must_stop() { Step::End } else { self.step() }
    }

    fn pause(&mut self, pause: fn(&mut Sleepable), sleepable: &mut Sleepable) {
        let now = || {
            self.clock.update();
            self.clock.at_ns
        };
        pause_on(&mut self.pace, now, pause, sleepable);
    }
}

impl Snapshot {
    /// Creates an empty snapshot, whose memory is charged to `owner`.
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
            ended: 0,
            ended_lost: 0,
        };
        Self {
            header,
            records: Storage::new(owner),
            matched: None,
            cost_ns: 0,
            started_ns: 0,
            started_ticks: 0,
            ended_until: 0,
        }
    }

    /// Walks over the connections that the running thread may see.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives; then there is no snapshot.
    pub fn take(
        &mut self,
        options: &Options<'_>,
        ledger: Option<&mut LedgerReader>,
        mut changes: Option<&mut Changes>,
        sleepable: &mut Sleepable,
    ) -> Result<(), Errno> {
        let start = clock::uptime_ns();
        let mut expected = 0;
        kpi::each_vnet(options.all_vnets, sleepable, |vnet, _| expected += vnet.connections());
        // A user may see few of all connections, and a filter may match few: the first snapshot grows as needed.
        let likely = match self.records.owner() {
            None if options.filter.is_none() && changes.is_none() => expected,
            _ => self.matched.unwrap_or(0),
        };
        let ended = ledger.as_ref().map_or(0, |ledger| ledger.unread());
        let mut yielded = self.records.make_room(likely + ended, expected + ended, sleepable);
        probe::snapshot_start(self.header.sequence + 1, expected as u64);
        let (mut is_complete, walk_yielded) =
            self.walk(options, options.stops_on_signal, changes.as_deref_mut(), sleepable);
        yielded += walk_yielded;
        let mut result = Ok(());
        if !is_complete {
            result = sleepable.check_signals();
            // The signal does not end the call.  It may stay pending: ignore it this time.
            if result.is_ok() && options.stops_on_signal {
                let (again, walk_yielded) = self.walk(options, false, changes.as_deref_mut(), sleepable);
                (is_complete, yielded) = (again, yielded + walk_yielded);
            }
        }
        if let (true, Some(ledger)) = (is_complete, ledger) {
            yielded += self.add_ended(options.filter, ledger, sleepable);
        }
        self.cost_ns = clock::uptime_ns().saturating_sub(start).saturating_sub(yielded);
        match changes {
            Some(changes) if is_complete && self.header.missed == 0 => changes.complete(self.started_ticks),
            Some(changes) if is_complete => changes.forget(),
            _ => (),
        }
        result?;
        if !is_complete {
            return Err(Errno::INTR);
        }
        self.count();
        Ok(())
    }

    /// Makes one pass.  Returns whether it is complete, and the time that it yielded.
    fn walk(
        &mut self,
        options: &Options<'_>,
        stops_on_signal: bool,
        changes: Option<&mut Changes>,
        sleepable: &mut Sleepable,
    ) -> (bool, u64) {
        let hz = clock::hz();
        let (selected, restless) = match changes.map(Changes::begin) {
            Some((selected, restless)) => (selected, Some(restless)),
            None => (Selected::ALL, None),
        };
        let is_of_changes = selected.is_of_changes();
        let prefilter = options.filter.and_then(|filter| Prefilter::new(filter, is_of_changes));
        let selected = selected.without(prefilter.as_ref());
        self.records.clear();
        self.header = Header {
            sequence: self.header.sequence,
            wall_ns: clock::wall_ns(),
            mono_ns: clock::uptime_ns(),
            flags: if options.all_vnets { flag::ALL_VNETS } else { 0 }
                | if is_of_changes { flag::CHANGED_ONLY } else { 0 },
            hz,
            osversion: clock::osversion(),
            ..Header::default()
        };
        // Connections that end now are seen by the walk, or by that of the next snapshot.
        self.ended_until = LedgerReader::end();
        self.started_ticks = clock::ticks();
        // Read after the header's times, so that no record is later than the duration of the walk.
        let walk_clock = Clock::start(hz);
        self.started_ns = walk_clock.start_ns();
        let pace = Pace::start(walk_clock.at_ns, kpi::switches());
        let mut pass = Pass {
            snapshot: self,
            filter: options.filter,
            restless,
            stops_on_signal,
            clock: walk_clock,
            pace,
            visited: 0,
            was_stopped: false,
        };
        kpi::each_vnet(options.all_vnets, sleepable, |vnet, sleepable| {
            if pass.was_stopped {
                return;
            }
            pass.clock.enter(vnet);
            // Entries of the SYN cache first: one that becomes a connection is seen twice rather than missed.
            vnet.each_half_open(sleepable, |entry| {
                pass.tick();
                pass.snapshot.add(entry, pass.filter, &pass.clock);
            });
            vnet.each_connection(selected, sleepable, &mut pass);
        });
        pass.clock.update();
        pass.pace.check(pass.clock.at_ns, kpi::switches());
        record_hold(&pass.pace);
        let (is_complete, yielded) = (!pass.was_stopped, pass.pace.yielded_ns());
        self.header.written = self.records.len() as u64;
        self.header.matched = self.header.written + self.header.missed;
        self.header.walk_ns = clock::uptime_ns().saturating_sub(self.header.mono_ns);
        (is_complete, yielded)
    }

    /// Adds the final records of connections that ended before the walk.  Records for
    /// which there is no memory stay in the ledger.  Returns the time that it yielded.
    fn add_ended(&mut self, filter: Option<&Filter>, ledger: &mut LedgerReader, sleepable: &mut Sleepable) -> u64 {
        let mut pace = Pace::start(clock::uptime_ns(), kpi::switches());
        let is_of_changes = self.header.flags & flag::CHANGED_ONLY != 0;
        // The reader has to learn that a connection has ended.
        let is_wanted = |filter: &Filter, record: &KernelRecord| {
            if is_of_changes { filter.verdict_by_constants(record) != Verdict::NoMatch } else { filter.matches(record) }
        };
        loop {
            let (record, has_room) = self.records.next();
            if !has_room {
                break;
            }
            match ledger.next(self.ended_until, record) {
                Found::None => break,
                Found::NoneYet => (),
                Found::Record => {
                    record.at_ns = record.at_ns.wrapping_sub(self.started_ns);
                    if filter.is_none_or(|filter| is_wanted(filter, record)) {
                        self.records.keep();
                        self.header.ended += 1;
                    }
                }
            }
            yield_if_due(&mut pace, sleepable);
        }
        record_hold(&pace);
        self.header.written += self.header.ended;
        self.header.ended_lost = ledger.lost();
        self.header.flags |= flag::LEDGER;
        pace.yielded_ns()
    }

    /// Makes a record, and keeps it unless the filter excludes it.
    fn add(&mut self, source: &impl Source, filter: Option<&Filter>, clock: &Clock) {
        self.header.seen += 1;
        let (record, has_room) = self.records.next();

        source.identity(record, clock);
        let is_of_changes = self.header.flags & flag::CHANGED_ONLY != 0;
        let verdict = match filter {
            None => Verdict::Match,
            // The reader has to learn that a connection no longer matches.
            Some(filter) if is_of_changes && filter.verdict_by_constants(record) != Verdict::NoMatch => Verdict::Match,
            Some(filter) => filter.verdict_by_identity(record),
        };
        if verdict == Verdict::NoMatch {
            return probe_skip(source.pcb(), Skip::Filtered);
        }
        record.at_ns = clock.at_ns;
        if let Some(pcb) = source.pcb() {
            fill::statistics(record, pcb, clock);
        }
        if verdict == Verdict::Unknown && filter.is_some_and(|filter| !filter.matches(record)) {
            return probe_skip(source.pcb(), Skip::Filtered);
        }
        if has_room {
            self.records.keep();
        } else {
            self.header.missed += 1;
            self.header.flags |= flag::TRUNCATED;
            probe_skip(source.pcb(), Skip::NoMemory);
        }
    }

    /// Counts a complete pass.
    fn count(&mut self) {
        self.header.sequence += 1;
        self.matched = usize::try_from(self.header.matched).ok();
        let counters = kpi::counters();
        counters.snapshots.fetch_add(1, Relaxed);
        counters.records.fetch_add(self.header.written, Relaxed);
        counters.missed.fetch_add(self.header.missed, Relaxed);
        counters.walk_last_ns.store(self.header.walk_ns, Relaxed);
        counters.walk_max_ns.fetch_max(self.header.walk_ns, Relaxed);
        let Header { sequence, seen, written, missed, walk_ns, .. } = self.header;
        probe::snapshot_done(sequence, seen, written, missed, walk_ns);
    }
}
