// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A walk over all connections of a network stack that can yield the CPU.
//!
//! The kernel's `inp_next()` continues from the connection that it returned last.
//! That connection must be locked: the lock keeps it in the list.  To yield, the walk
//! takes a reference to it, unlocks it, and locks it again afterwards.
//!
//! The connection may have been removed from the list in the meantime, and then
//! its link may point to freed memory.  In that case the walk resumes from an
//! earlier connection at which it yielded and that is still in the list, or from
//! the start, and skips the connections that it has visited.  Connections are
//! inserted only at the head of the list, each with a greater generation count than
//! all before, so those still to be visited have a smaller count than the last one
//! visited.
//!
//! In 15.0 a timer can be lost if it fires while its connection is locked.  The walk
//! defers up to 64 connections whose timers are about to fire and could be lost: it
//! visits them at the end, after their timers have fired.  Write-locked connections are
//! deferred too and count towards the 64, so that the walk does not wait for them with
//! the previous connection locked.
//!
//! A walk over connections that may have changed, or that a filter does not exclude by
//! ports, addresses and state, locks at most one in 64 of the others.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::pcb::Locked;
use super::{Block, Endpoints, Pcb, Sleepable, Vnet, Wait, raw};

/// The action after a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Continue with the next one.
    Continue,
    /// Yield the CPU, then continue with the next one.
    Yield,
    /// End the walk.
    End,
}

/// Visits the connections of a walk.
pub trait Visitor {
    /// Visits a connection.  It is locked: the walk has borrowed the token, so this
    /// cannot sleep.
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step;

    /// Skips a connection that was visited before, is newer than the walk, has not
    /// changed or is excluded.  It is locked.
    fn skip(&mut self) -> Step;

    /// Calls `pause`, which yields the CPU or sleeps.  No connection is locked.
    fn pause(&mut self, pause: fn(&mut Sleepable), sleepable: &mut Sleepable);
}

/// The number of connections to which a walk keeps references: the last one at
/// which it yielded, and roughly the second, fourth, eighth... before that.  The
/// fewer connections are removed, the fewer are visited again.
const ANCHORS: usize = 8;

/// The maximum number of restarts because all of those were removed.  After that
/// the walk does not yield again, so that it ends whatever happens to the list.
const MAX_RESTARTS: u32 = 16;

/// The maximum number of times that a walk starts before it has visited a connection.
const MAX_STARTS: u32 = 16;

/// The maximum number of ticks to wait for timers to fire, each time that a walk yields
/// and at its end.
const MAX_PAUSES: u32 = 8;

/// A reference to a connection at which the walk yielded.
///
/// # Invariants
/// `inp`, if any, is the pcb of a connection to which this anchor owns a reference,
/// which keeps it allocated.
struct Anchor {
    inp: Option<NonNull<raw::inpcb>>,
    /// The number of the yield, from 1.
    number: u32,
}

impl Anchor {
    const NONE: Self = Self { inp: None, number: 0 };
}

impl Drop for Anchor {
    /// Drops the reference.  No connection may be locked.
    fn drop(&mut self) {
        if let Some(inp) = self.inp {
            // SAFETY: the anchor owns a reference, by the type invariant, and is gone after this.
            unsafe { raw::siftr_cdev_pcb_release(inp.as_ptr()) };
        }
    }
}

/// Connections that can change without receiving a segment, as a bit for each: several
/// connections can share one.
pub struct Restless(Block);

impl Restless {
    /// The number of bytes.
    pub const LEN: usize = raw::SIFTR_CDEV_RESTLESS as usize / 8;

    /// Allocates an empty set.
    pub fn new(sleepable: &mut Sleepable) -> Option<Self> {
        Some(Self(Block::new(Self::LEN, Wait::Yes(sleepable))?))
    }

    /// Adds a connection.
    pub fn insert(&mut self, pcb: &Pcb<'_>) {
        // SAFETY: the pcb is locked, by its type invariant.
        let bit = unsafe { raw::siftr_cdev_restless_bit(pcb.as_ptr()) } as usize;
        if let Some(word) = self.0.value_mut::<u64>(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    /// Removes all connections.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// Excludes connections before they are locked.
pub trait Exclude {
    /// Returns whether to exclude a connection with these addresses and ports that was in
    /// this state, `TCPS_*`.
    ///
    /// The connection is not locked, and the caller is in an SMR section.
    fn excludes(&self, ends: &Endpoints, state: u8) -> bool;
}

/// The function of `siftr_cdev_selection` that calls [`Exclude::excludes`].
unsafe extern "C" fn excludes<E: Exclude>(
    filter: *const c_void,
    inc: *const raw::in_conninfo,
    vflag: u8,
    state: u8,
) -> c_int {
    // SAFETY: `Selected::without` stored both pointers, and the filter is borrowed as long as the selection exists.
    // `is_excluded()` passes its own copy of the addresses.
    unsafe { (*filter.cast::<E>()).excludes(&Endpoints::new(&*inc, vflag), state).into() }
}

/// The connections that a walk visits.
///
/// # Invariants
/// The pointer in `excluded` is valid for `'a`, and the function can be called with it.
#[derive(Clone, Copy)]
pub struct Selected<'a> {
    changed: Option<(u32, &'a Restless)>,
    excluded: Option<(*const c_void, Excludes)>,
}

type Excludes = unsafe extern "C" fn(*const c_void, *const raw::in_conninfo, u8, u8) -> c_int;

impl<'a> Selected<'a> {
    pub const ALL: Self = Self { changed: None, excluded: None };

    /// Selects those that may have changed since a walk that started at a time in ticks.
    /// `restless` are those which that walk found to be restless.
    pub const fn changed(since: u32, restless: &'a Restless) -> Self {
        Self { changed: Some((since, restless)), excluded: None }
    }

    /// Returns whether only those that may have changed are selected.
    pub const fn is_of_changes(&self) -> bool {
        self.changed.is_some()
    }

    /// Leaves out those that `filter` excludes.
    #[must_use]
    pub fn without<E: Exclude>(self, filter: Option<&'a E>) -> Self {
        // INVARIANT: the filter is borrowed for `'a`, and the function is the one for its type.
        let excluded = filter.map(|filter| (core::ptr::from_ref(filter).cast(), excludes::<E> as Excludes));
        Self { excluded, ..self }
    }
}

/// Which connections `inp_next()` locks.
///
/// # Invariants
/// The first `deferred_count` elements of `deferred` are pcbs of connections, and this
/// value owns a reference to each.  `restless` and `filter` are each null or valid for
/// `'a`.  `excludes` is null or can be called with `filter`.  Only
/// `siftr_cdev_walk_init()`, `is_selected()` in `kpi.c`, which `inp_next()` calls, and
/// `take()` change the value.
struct Selection<'a>(UnsafeCell<raw::siftr_cdev_selection>, PhantomData<Selected<'a>>);

impl<'a> Selection<'a> {
    fn new(selected: Selected<'a>) -> Self {
        let (since, restless) =
            selected.changed.map_or((0, core::ptr::null()), |(since, restless)| (since, restless.0.as_ptr().cast()));
        let (filter, excludes) =
            selected.excluded.map_or((core::ptr::null(), None), |(filter, excludes)| (filter, Some(excludes)));
        // INVARIANT: none are deferred.  The set has as many bits as the C code expects, and is borrowed.  `filter` and
        // `excludes` are valid by the invariant of `Selected`.
        let selection = raw::siftr_cdev_selection {
            deferred: [core::ptr::null_mut(); raw::SIFTR_CDEV_DEFERRED as usize],
            deferred_gencnt: 0,
            deferred_count: 0,
            restless,
            since,
            excludes,
            filter,
            skipped: 0,
            selected: 0,
            is_rest: 0,
        };
        Self(UnsafeCell::new(selection), PhantomData)
    }

    /// Returns whether the current connection is locked only to end the SMR section.
    fn is_rest(&self) -> bool {
        // SAFETY: `inp_next()` has returned, so nothing changes the value.
        unsafe { (*self.0.get()).is_rest != 0 }
    }

    /// Returns the number of connections that `inp_next()` has tried to lock since the
    /// start of the list.
    fn selected(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0.get()).selected }
    }

    /// Removes a deferred connection, whose reference the caller then owns.
    fn take(&mut self) -> Option<NonNull<raw::inpcb>> {
        let selection = self.0.get_mut();
        // INVARIANT: the element is no longer one of the first.
        selection.deferred_count = selection.deferred_count.checked_sub(1)?;
        NonNull::new(*selection.deferred.get(selection.deferred_count as usize)?)
    }

    /// Visits the deferred connections, each as soon as its timer has fired.
    fn visit_deferred(&mut self, visitor: &mut impl Visitor, sleepable: &mut Sleepable) {
        let mut pauses = 0;
        while let Some(inp) = self.take() {
            // SAFETY: the reference keeps it allocated.
            unsafe { wait_for_timer(inp, &mut pauses, visitor, sleepable) };
            // SAFETY: as above.
            let is_in_list = unsafe { raw::siftr_cdev_pcb_lock(inp.as_ptr()) } != 0;
            // SAFETY: it was locked above.
            let locked = unsafe { Locked::new(inp) };
            let step = if is_in_list { visitor.visit(&locked.pcb()) } else { Step::Continue };
            // SAFETY: it is locked, and the reference is not used after this.
            unsafe { raw::siftr_cdev_pcb_unlock_release(locked.into_raw().as_ptr()) };
            match step {
                Step::Continue => (),
                Step::Yield => visitor.pause(Sleepable::yield_cpu, sleepable),
                Step::End => return,
            }
        }
    }
}

impl Drop for Selection<'_> {
    /// Drops the references.  No connection may be locked.
    fn drop(&mut self) {
        while let Some(inp) = self.take() {
            // SAFETY: the reference is not used after this.
            unsafe { raw::siftr_cdev_pcb_release(inp.as_ptr()) };
        }
    }
}

/// Waits until a timer of the connection that is about to fire has fired, unless the
/// maximum number of pauses is reached.
///
/// # Safety
/// The caller has a reference to the pcb.
unsafe fn wait_for_timer(
    inp: NonNull<raw::inpcb>,
    pauses: &mut u32,
    visitor: &mut impl Visitor,
    sleepable: &mut Sleepable,
) {
    // SAFETY: the reference keeps it allocated.
    while *pauses < MAX_PAUSES && unsafe { raw::siftr_cdev_timer_is_due(inp.as_ptr()) } != 0 {
        visitor.pause(Sleepable::pause_tick, sleepable);
        *pauses += 1;
    }
}

/// Which connections of the list are to be visited.
struct Order {
    /// The generation count of the connection that was visited last.
    last: u64,
    /// The walk resumed before that connection and has not reached it yet.
    is_catching_up: bool,
}

impl Order {
    /// Returns whether the connection is to be visited, and remembers that it is.
    fn is_new(&mut self, gencnt: u64) -> bool {
        if self.is_catching_up && gencnt >= self.last {
            return false;
        }
        (self.is_catching_up, self.last) = (false, gencnt);
        true
    }
}

/// The state of a walk.
///
/// # Invariants
/// `iterator` is an iterator over the connections of the current network stack,
/// which stays the current one.  Its connection, if any, is `current`, which is in the
/// list as long as it is locked.  The iterator changes `selection`.
struct Walk<'a> {
    iterator: raw::inpcb_iterator,
    current: Option<Locked>,
    vnet: &'a Vnet,
    selection: &'a Selection<'a>,
    anchors: [Anchor; ANCHORS],
    yields: u32,
    restarts: u32,
    order: Order,
}

/// Initializes an iterator to the start of the list.
fn start(iterator: &mut raw::inpcb_iterator, _vnet: &Vnet, selection: &Selection<'_>) {
    // SAFETY: a current network stack is set, by the invariant of `Vnet`.
    unsafe { raw::siftr_cdev_walk_init(&raw mut *iterator, selection.0.get()) }
}

impl<'a> Walk<'a> {
    /// Creates a walk at the start of the list.
    fn new(vnet: &'a Vnet, selection: &'a Selection<'a>) -> Self {
        // SAFETY: an iterator is integers and pointers, and initialized below.
        let mut iterator = unsafe { core::mem::zeroed() };
        // INVARIANT: the iterator has no connection.
        start(&mut iterator, vnet, selection);
        let anchors = [const { Anchor::NONE }; ANCHORS];
        let order = Order { last: 0, is_catching_up: false };
        Self { iterator, current: None, vnet, selection, anchors, yields: 0, restarts: 0, order }
    }

    /// Locks the next connection, unlocks the current one, and returns whether there is
    /// a next one.
    fn advance(&mut self) -> bool {
        let starts = self.current.is_none();
        self.advance_once();
        // At the start, `inp_next()` skips the first connection of the list if another was freed while it waited for
        // its lock.  It has then selected one that it does not return.
        let mut tries = 1;
        while starts && self.selection.selected() != u32::from(self.current.is_some()) && tries < MAX_STARTS {
            if let Some(locked) = self.current.take() {
                locked.unlock();
            }
            // INVARIANT: the iterator has no connection.
            start(&mut self.iterator, self.vnet, self.selection);
            self.advance_once();
            tries += 1;
        }
        self.current.is_some()
    }

    /// Calls `inp_next()`.
    fn advance_once(&mut self) {
        // The kernel unlocks it.
        _ = self.current.take().map(Locked::into_raw);
        // SAFETY: by the type invariant the iterator is initialized, and its connection, if any, was the current one:
        // locked and in the list.  `selection` outlives the walk, and nothing else uses it meanwhile.
        let inp = unsafe { raw::inp_next(&raw mut self.iterator) };
        // INVARIANT: it is the connection of the iterator.
        // SAFETY: inp_next() has locked the connection for reading.
        self.current = NonNull::new(inp).map(|inp| unsafe { Locked::new(inp) });
    }

    /// Visits or skips the current connection.
    fn visit(&mut self, visitor: &mut impl Visitor) -> Step {
        let Some(locked) = &self.current else {
            return Step::End;
        };
        let pcb = locked.pcb();
        let is_new = self.order.is_new(pcb.gencnt());
        if is_new && !self.selection.is_rest() { visitor.visit(&pcb) } else { visitor.skip() }
    }

    /// Yields the CPU at the current connection, if any.
    fn yield_cpu(&mut self, visitor: &mut impl Visitor, sleepable: &mut Sleepable) {
        if self.restarts == MAX_RESTARTS {
            return;
        }
        let Some(inp) = self.current.take().map(Locked::into_raw) else {
            return;
        };
        // SAFETY: the connection was the current one: locked and in the list, by the type invariant.  This unlocks it.
        unsafe { raw::siftr_cdev_pcb_hold(inp.as_ptr()) };
        self.yields = self.yields.wrapping_add(1);
        let number = self.yields;
        let slot = (number.trailing_zeros() as usize).min(ANCHORS - 1);
        if let Some(anchor) = self.anchors.get_mut(slot) {
            // INVARIANT: the reference was taken above.
            *anchor = Anchor { inp: Some(inp), number };
        }
        visitor.pause(Sleepable::yield_cpu, sleepable);
        // SAFETY: the anchor has a reference.
        unsafe { wait_for_timer(inp, &mut 0, visitor, sleepable) };
        self.resume(inp);
    }

    /// Makes the last of the referenced connections that is still in the list the
    /// current one.
    fn resume(&mut self, yielded_at: NonNull<raw::inpcb>) {
        while let Some((inp, anchor)) = (self.anchors.iter_mut())
            .filter_map(|anchor| Some((anchor.inp?, anchor)))
            .max_by_key(|(_, anchor)| anchor.number)
        {
            // SAFETY: the connection is allocated, by the invariant of `Anchor`.
            let is_in_list = unsafe { raw::siftr_cdev_pcb_lock(inp.as_ptr()) } != 0;
            // SAFETY: it was locked above.
            let locked = unsafe { Locked::new(inp) };
            if is_in_list {
                // INVARIANT: the connection is in the list and locked.
                self.iterator.inp = inp.as_ptr();
                self.current = Some(locked);
                self.order.is_catching_up |= inp != yielded_at;
                return;
            }
            locked.unlock();
            *anchor = Anchor::NONE;
        }
        self.restarts += 1;
        self.order.is_catching_up = true;
        // INVARIANT: the iterator has no connection.
        start(&mut self.iterator, self.vnet, self.selection);
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if let Some(locked) = self.current.take() {
            locked.unlock();
        }
    }
}

/// A visitor that cannot end the walk.
pub(super) struct Tireless<'a, V>(pub(super) &'a mut V);

impl<V: Visitor> Tireless<'_, V> {
    fn without_end(step: Step) -> Step {
        if step == Step::End { Step::Continue } else { step }
    }
}

impl<V: Visitor> Visitor for Tireless<'_, V> {
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step {
        Self::without_end(self.0.visit(pcb))
    }

    fn skip(&mut self) -> Step {
        Self::without_end(self.0.skip())
    }

    fn pause(&mut self, pause: fn(&mut Sleepable), sleepable: &mut Sleepable) {
        self.0.pause(pause, sleepable);
    }
}

impl Vnet {
    /// Visits connections of the network stack until the visitor ends the walk.
    pub fn each_connection(&self, selected: Selected<'_>, sleepable: &mut Sleepable, visitor: &mut impl Visitor) {
        let mut selection = Selection::new(selected);
        let mut walk = Walk::new(self, &selection);
        while walk.advance() {
            match walk.visit(visitor) {
                Step::Continue => (),
                Step::Yield => walk.yield_cpu(visitor, sleepable),
                Step::End => return,
            }
        }
        drop(walk);
        selection.visit_deferred(visitor, sleepable);
    }
}
