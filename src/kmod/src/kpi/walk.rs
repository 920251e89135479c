// SPDX-License-Identifier: BSD-2-Clause

//! The walk over all connections of a network stack, which can yield the CPU.
//!
//! The kernel's `inp_next()` continues from the connection that it returned last.
//! That one must be locked: the lock keeps it in the list.  To yield, the walk
//! takes a reference to it, unlocks it, and locks it again afterwards.
//!
//! The connection may have been removed from the list in the meantime, and then
//! its link may point to freed memory.  In that case the walk resumes from an
//! earlier connection at which it yielded and that is still in the list, or from
//! the start, and skips what it has visited: connections are inserted only at the
//! head of the list, each with a greater generation count than all before, so
//! those still to be visited have a smaller count than the last one visited.

use core::marker::PhantomData;
use core::ptr::null_mut;

use super::connection::Pcb;
use super::raw;

/// What to do after a connection.
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
    /// Visits a connection, which is locked: must not sleep; may allocate memory
    /// without waiting.
    fn visit(&mut self, pcb: &Pcb<'_>) -> Step;

    /// Skips a connection that was visited before or is newer than the walk.  It is
    /// locked too.
    fn skip(&mut self) -> Step;

    /// Yields the CPU.  No connection is locked; may sleep.
    fn yield_cpu(&mut self);
}

/// The number of connections to which a walk keeps references: the last one at
/// which it yielded, and roughly the second, fourth, eighth... before that.  The
/// fewer connections are removed, the shorter is the way that is walked again.
const ANCHORS: usize = 8;

/// How many times a walk restarts because all of those were removed.  After that
/// it does not yield again, so that it ends whatever happens to the list.
const MAX_RESTARTS: u32 = 16;

/// A reference to a connection at which the walk yielded; none if the pointer is
/// null.
#[derive(Clone, Copy)]
struct Anchor {
    inp: *mut raw::inpcb,
    /// The number of the yield, from 1.
    number: u32,
}

struct Walk {
    iterator: raw::inpcb_iterator,
    anchors: [Anchor; ANCHORS],
    yields: u32,
    restarts: u32,
    /// The generation count of the connection that was visited last.
    last: u64,
    /// The walk resumed before that connection and has not come to it yet.
    is_catching_up: bool,
}

impl Walk {
    /// Creates a walk at the start of the list.  A current network stack must be set
    /// until the walk is dropped.
    fn new() -> Self {
        // SAFETY: an iterator is plain data, and set up below.
        let iterator = unsafe { core::mem::zeroed() };
        let anchors = [Anchor { inp: null_mut(), number: 0 }; ANCHORS];
        let mut walk = Self { iterator, anchors, yields: 0, restarts: 0, last: 0, is_catching_up: false };
        walk.rewind();
        walk
    }

    fn rewind(&mut self) {
        // SAFETY: a current network stack is set, as `new` requires.
        unsafe { raw::siftr_cdev_walk_init(&raw mut self.iterator) }
    }

    /// Locks and returns the next connection, and unlocks the one before.
    fn next(&mut self) -> Option<Pcb<'static>> {
        // SAFETY: the iterator was set up in `rewind`, and the connection that it is at, if any, is locked by
        // this thread and in the list.
        let inp = unsafe { raw::inp_next(&raw mut self.iterator) };
        (!inp.is_null()).then_some(Pcb { inp, lock: PhantomData })
    }

    /// Returns whether the connection is to be visited, and notes that it is.
    fn is_new(&mut self, pcb: &Pcb<'_>) -> bool {
        let gencnt = pcb.gencnt();
        if self.is_catching_up && gencnt >= self.last {
            return false;
        }
        (self.is_catching_up, self.last) = (false, gencnt);
        true
    }

    /// Yields the CPU at a connection, and locks one from which the walk can continue.
    fn yield_cpu(&mut self, pcb: &Pcb<'_>, visitor: &mut impl Visitor) {
        if self.restarts == MAX_RESTARTS {
            return;
        }
        let inp = pcb.inp;
        // SAFETY: it is locked and in the list, so it can be referenced.  Its lock is not used again: the
        // iterator continues from what `resume` locks.
        unsafe { raw::siftr_cdev_pcb_hold(inp) };
        self.yields = self.yields.wrapping_add(1);
        let number = self.yields;
        let slot = (number.trailing_zeros() as usize).min(ANCHORS - 1);
        if let Some(anchor) = self.anchors.get_mut(slot) {
            core::mem::replace(anchor, Anchor { inp, number }).release();
        }
        visitor.yield_cpu();
        self.resume(inp);
    }

    /// Locks the last of the referenced connections that is still in the list.
    fn resume(&mut self, yielded_at: *mut raw::inpcb) {
        while let Some(anchor) =
            self.anchors.iter_mut().filter(|anchor| !anchor.inp.is_null()).max_by_key(|anchor| anchor.number)
        {
            // SAFETY: the reference keeps it allocated.
            if unsafe { raw::siftr_cdev_pcb_lock(anchor.inp) } != 0 {
                self.iterator.inp = anchor.inp;
                self.is_catching_up |= anchor.inp != yielded_at;
                return;
            }
            // SAFETY: it was locked above.
            unsafe { raw::siftr_cdev_pcb_unlock(anchor.inp) };
            core::mem::replace(anchor, Anchor { inp: null_mut(), number: 0 }).release();
        }
        self.restarts += 1;
        self.is_catching_up = true;
        self.rewind();
    }
}

impl Anchor {
    /// Drops the reference.  No connection may be locked.
    fn release(self) {
        if !self.inp.is_null() {
            // SAFETY: an anchor owns one reference, which is dropped once.
            unsafe { raw::siftr_cdev_pcb_release(self.inp) };
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.anchors.iter().for_each(|anchor| anchor.release());
    }
}

/// Visits every connection of the current network stack until the visitor ends the
/// walk.  The caller must be sleepable.
pub fn each_connection(visitor: &mut impl Visitor) {
    let mut walk = Walk::new();
    while let Some(pcb) = walk.next() {
        let step = if walk.is_new(&pcb) { visitor.visit(&pcb) } else { visitor.skip() };
        match step {
            Step::Continue => (),
            Step::Yield => walk.yield_cpu(&pcb, visitor),
            Step::End => {
                // SAFETY: inp_next() locked it and is not called again.
                unsafe { raw::siftr_cdev_pcb_unlock(pcb.inp) };
                break;
            }
        }
    }
}
