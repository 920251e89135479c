// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The way of snapshots from the sampler to the page.
//!
//! A thread of its own computes rates and histories, only while somebody views the page.  The
//! sampler puts each snapshot into a slot and continues, so that it is never delayed; if the thread
//! is slower, snapshots are skipped.  A log waits for it, and is always followed, because its
//! snapshots do not come again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tcpstats_log::Snapshot;
use tokio::sync::watch;

use crate::list::tracker::{TrackedSnapshot, Tracker};

/// How long rates and histories are computed after the last view has ended, which may be
/// that of a page that is loaded again.
const LINGER: Duration = Duration::from_mins(1);

/// The maximum number of final records of skipped snapshots.
const ENDED_MAX: usize = 1000;

/// The last snapshot, and what has happened since.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The snapshot, `None` until one has been processed.
    pub snapshot: Option<Arc<TrackedSnapshot>>,
    /// Why there is no newer snapshot.
    pub error: Option<String>,
    /// Whether the log has ended.
    pub is_over: bool,
}

/// What the sampler has passed on.
#[derive(Default)]
struct Slot {
    snapshot: Option<Snapshot>,
    error: Option<String>,
    is_over: bool,
    /// Whether anything of this has changed.
    is_new: bool,
    viewers: usize,
    /// When the last view ended.
    left: Option<Instant>,
}

impl Slot {
    fn is_viewed(&self) -> bool {
        self.viewers > 0 || self.left.is_some_and(|left| left.elapsed() < LINGER)
    }
}

/// The way of snapshots from the sampler to the page.
pub struct Feed {
    slot: Mutex<Slot>,
    changed: Condvar,
    state: watch::Sender<State>,
    is_log: bool,
}

impl Feed {
    /// Returns a feed without a snapshot.
    pub fn new(is_log: bool) -> Self {
        Self { slot: Mutex::default(), changed: Condvar::new(), state: watch::Sender::new(State::default()), is_log }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, slot: MutexGuard<'a, Slot>) -> MutexGuard<'a, Slot> {
        self.changed.wait_timeout(slot, LINGER).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Passes on a snapshot.
    pub fn offer(&self, mut snapshot: Snapshot) {
        let mut slot = self.slot();
        while self.is_log && slot.snapshot.is_some() {
            slot = self.wait(slot);
        }
        let skipped = slot.snapshot.take();
        if let Some(skipped) = skipped.as_ref().filter(|_| slot.is_viewed()) {
            snapshot.boot = snapshot.boot.max(skipped.boot);
            let room = ENDED_MAX.saturating_sub(snapshot.ended.len());
            snapshot.ended.extend(skipped.ended.iter().take(room).cloned());
        }
        slot.snapshot = Some(snapshot);
        slot.error = None;
        slot.is_new = true;
        drop(slot);
        self.changed.notify_all();
        // Its memory is freed without the lock.
        drop(skipped);
    }

    /// Passes on an error of the source.
    pub fn fail(&self, error: String) {
        let mut slot = self.slot();
        slot.error = Some(error);
        slot.is_new = true;
        self.changed.notify_all();
    }

    /// Passes on the end of a log.
    pub fn end(&self) {
        let mut slot = self.slot();
        slot.is_over = true;
        slot.is_new = true;
        self.changed.notify_all();
    }

    /// Computes what the page shows, for ever.
    pub fn run(&self) {
        let mut tracker = Tracker::default();
        loop {
            let mut slot = self.slot();
            while !(slot.is_new && (self.is_log || slot.is_viewed())) {
                if !self.is_log && slot.left.is_some() && !slot.is_viewed() {
                    slot.left = None;
                    // The next view needs to know an error again.
                    slot.is_new = true;
                    // What was computed takes much memory, and is soon out of date.
                    tracker = Tracker::default();
                    self.state.send_replace(State::default());
                }
                slot = self.wait(slot);
            }
            slot.is_new = false;
            let (snapshot, error, is_over) = (slot.snapshot.take(), slot.error.clone(), slot.is_over);
            drop(slot);
            self.changed.notify_all();
            let snapshot = snapshot.map(|snapshot| Arc::new(tracker.track(snapshot)));
            let before = self.state.borrow().snapshot.clone();
            self.state.send_replace(State { snapshot: snapshot.or(before), error, is_over });
        }
    }

    /// Starts a view, until the result is dropped.
    pub fn view(self: &Arc<Self>) -> Viewer {
        let mut slot = self.slot();
        slot.viewers += 1;
        self.changed.notify_all();
        Viewer { feed: Arc::clone(self), state: self.state.subscribe() }
    }

    /// Returns the number of views.
    pub fn viewers(&self) -> usize {
        self.slot().viewers
    }
}

/// A view of the page.
pub struct Viewer {
    feed: Arc<Feed>,
    /// What the page shows.
    pub state: watch::Receiver<State>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut slot = self.feed.slot();
        slot.viewers -= 1;
        slot.left = Some(Instant::now());
        self.feed.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tcpstats::{Header, Record, State as TcpState, key};
    use tcpstats_log::Boot;

    use super::*;

    fn snapshot(sequence: u64, ended: u64) -> Snapshot {
        let mut record = Record::new();
        record.set(key::gencnt, ended);
        record.set(key::state, TcpState::ENDED);
        let header = Header { sequence, mono_ns: sequence * 1_000_000_000, ..Header::default() };
        Snapshot { header, records: Vec::new(), ended: vec![record], boot: Boot::Same }
    }

    fn sequence(state: &State) -> Option<u64> {
        state.snapshot.as_ref().map(|snapshot| snapshot.header.sequence)
    }

    /// Waits until the state has a snapshot with this number.
    fn wait_for(viewer: &Viewer, number: u64) {
        let start = Instant::now();
        while sequence(&viewer.state.borrow()) != Some(number) {
            assert!(start.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn run(feed: &Arc<Feed>) {
        let feed = Arc::clone(feed);
        thread::spawn(move || feed.run());
    }

    #[test]
    fn nothing_is_computed_before_the_page_is_viewed_and_then_the_last_snapshot() {
        let feed = Arc::new(Feed::new(false));
        run(&feed);
        feed.offer(snapshot(1, 1));
        feed.offer(snapshot(2, 2));
        thread::sleep(Duration::from_millis(50));
        assert!(feed.state.borrow().snapshot.is_none());
        let viewer = feed.view();
        wait_for(&viewer, 2);
        assert_eq!(feed.viewers(), 1);
        drop(viewer);
        assert_eq!(feed.viewers(), 0);
    }

    #[test]
    fn a_skipped_snapshot_leaves_its_final_records_and_the_reboot() {
        let feed = Arc::new(Feed::new(false));
        let _viewer = feed.view();
        feed.offer(Snapshot { boot: Boot::Other, ..snapshot(1, 7) });
        feed.offer(snapshot(2, 8));
        let slot = feed.slot();
        let last = slot.snapshot.as_ref().unwrap();
        let ended: Vec<_> = last.ended.iter().map(|record| record.get(key::gencnt)).collect();
        assert_eq!((last.header.sequence, ended, last.boot), (2, vec![Some(8), Some(7)], Boot::Other));
    }

    #[test]
    fn an_error_remains_until_the_next_snapshot() {
        let feed = Arc::new(Feed::new(false));
        run(&feed);
        let viewer = feed.view();
        feed.offer(snapshot(1, 1));
        wait_for(&viewer, 1);
        feed.fail("gone".into());
        let start = Instant::now();
        while viewer.state.borrow().error.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20));
        }
        assert_eq!(sequence(&viewer.state.borrow()), Some(1), "the last snapshot is still shown");
        feed.offer(snapshot(2, 2));
        wait_for(&viewer, 2);
        assert!(viewer.state.borrow().error.is_none());
    }

    #[test]
    fn every_snapshot_of_a_log_is_processed() {
        let feed = Arc::new(Feed::new(true));
        run(&feed);
        let count = 200;
        for number in 1..=count {
            feed.offer(snapshot(number, number));
        }
        feed.end();
        let viewer = feed.view();
        wait_for(&viewer, count);
        // Those of the last ten seconds are shown.
        let shown = viewer.state.borrow().snapshot.as_ref().unwrap().rows.len();
        assert_eq!(shown, 10);
    }
}
