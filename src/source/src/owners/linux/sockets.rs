// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What is remembered about each socket: which processes have it open.

use super::numbers::NumberMap;
use crate::Numbered;
use crate::owners::Socket;

/// A socket that a process has open or that was in a call.
#[derive(Debug, Default)]
struct Known {
    /// The inode number, 0 if this entry is not used.
    inode: u32,
    /// The lowest number of a process that has it open, 0 if there is none.
    lowest: u32,
    /// The numbers of the other processes.
    others: Vec<u32>,
    /// The call in which the first process was found.
    owned_since: u64,
    /// The connection, if it was in a call.
    id: Option<Numbered>,
    /// The last call that it was in, 0 if none, and where.
    call: u64,
    place: usize,
    /// How often a search has not found a process, at most [`TRIES_MAX`].
    tries: u8,
    /// Whether this inode number belonged to two sockets in that call.
    is_ambiguous: bool,
}

/// A search is repeated at every 512th call at least.
const TRIES_MAX: u8 = 10;

/// How long a socket that no process has open is remembered after it was in a call, in calls.
const MEMORY: u64 = 64;

impl Known {
    fn holders(&self) -> impl Iterator<Item = u32> {
        (self.lowest != 0).then_some(self.lowest).into_iter().chain(self.others.iter().copied())
    }

    fn add(&mut self, pid: u32) {
        if self.holders().any(|holder| holder == pid) {
            return;
        }
        if self.lowest == 0 {
            self.lowest = pid;
        } else {
            self.others.push(self.lowest.max(pid));
            self.lowest = self.lowest.min(pid);
        }
    }

    fn remove(&mut self, pid: u32) {
        self.others.retain(|other| *other != pid);
        if self.lowest == pid {
            let next = self.others.iter().copied().min();
            self.lowest = next.unwrap_or(0);
            self.others.retain(|other| Some(*other) != next);
        }
    }

    /// Returns whether it is searched for in this call: in the first two calls, and then at
    /// every second, fourth and so on, which are the same calls for all sockets.
    fn is_due(&self, call: u64) -> bool {
        self.lowest == 0 && call.trailing_zeros() >= u32::from(self.tries.saturating_sub(1))
    }

    /// Returns whether it was in the call before this one, and not yet found in this one.
    fn was_in_last(&self, call: u64) -> bool {
        self.call != 0 && self.call + 1 == call
    }
}

/// All sockets.
#[derive(Default)]
pub struct Sockets {
    /// The sockets, in no particular order, with unused entries.
    known: Vec<Known>,
    unused: Vec<usize>,
    /// Their positions in this list, by inode number.
    by_inode: NumberMap<usize>,
    call: u64,
    /// The positions of the sockets of this call, `None` for those without inode number.
    listed: Vec<Option<usize>>,
    /// The number of different sockets in this call.
    distinct: usize,
    /// How often the first process of a socket was found.
    found: u64,
}

/// What a call shows before any process is read.
#[derive(Default)]
pub struct Noted {
    /// Sockets that no process is known to have open, and that are searched for.
    pub wanted: Vec<u32>,
    /// Processes that had a socket open which is not in the call although it was in the last one.
    pub lost: Vec<u32>,
    /// The inode numbers that now belong to other sockets, and the processes that had the
    /// earlier ones open.
    pub reused: Vec<(u32, u32)>,
}

impl Sockets {
    /// Notes the sockets of a call.
    pub fn note(&mut self, sockets: &[Socket], call: u64) -> Noted {
        let mut noted = Noted::default();
        let last_distinct = std::mem::take(&mut self.distinct);
        let last = std::mem::take(&mut self.listed);
        let (mut continued, mut expected) = (0, 0);
        self.call = call;
        self.listed.reserve(sockets.len());
        for socket in sockets {
            let Some(inode) = socket.inode.filter(|inode| *inode != 0) else {
                self.listed.push(None);
                continue;
            };
            // Most sockets follow the same one as in the last call.
            let guess = last.get(expected).copied().flatten();
            let is_inode = |at: &usize| self.known.get(*at).is_some_and(|known| known.inode == inode);
            let at = guess.filter(is_inode).unwrap_or_else(|| self.at(inode));
            let Some(known) = self.known.get_mut(at) else { continue };
            let place = self.listed.len();
            self.listed.push(Some(at));
            let is_other = known.id.is_some_and(|id| id != socket.id);
            if known.call == call {
                known.is_ambiguous |= is_other;
                continue;
            }
            self.distinct += 1;
            if is_other {
                noted.reused.extend(known.holders().map(|holder| (inode, holder)));
                *known = Known { inode, ..Known::default() };
            }
            if known.was_in_last(call) {
                continued += 1;
                expected = known.place + 1;
            }
            known.id = Some(socket.id);
            (known.call, known.place) = (call, place);
            known.is_ambiguous = false;
            if known.is_due(call) {
                noted.wanted.push(inode);
            }
        }
        if continued < last_distinct {
            noted.lost = self.known.iter().filter(|known| known.was_in_last(call)).flat_map(Known::holders).collect();
            noted.lost.sort_unstable();
            noted.lost.dedup();
        }
        if call.is_multiple_of(MEMORY) {
            let is_old = |known: &&Known| known.inode != 0 && known.lowest == 0 && known.call + MEMORY <= call;
            let old: Vec<u32> = self.known.iter().filter(is_old).map(|known| known.inode).collect();
            for inode in old {
                self.forget(inode);
            }
        }
        noted
    }

    /// Returns the position of a socket, which is added if it is not known.
    fn at(&mut self, inode: u32) -> usize {
        *self.by_inode.entry(inode).or_insert_with(|| {
            let known = Known { inode, ..Known::default() };
            if let Some(unused) = self.unused.pop() {
                self.known[unused] = known;
                return unused;
            }
            self.known.push(known);
            self.known.len() - 1
        })
    }

    fn get(&self, inode: u32) -> Option<&Known> {
        self.known.get(*self.by_inode.get(&inode)?)
    }

    fn get_mut(&mut self, inode: u32) -> Option<&mut Known> {
        self.known.get_mut(*self.by_inode.get(&inode)?)
    }

    fn forget(&mut self, inode: u32) {
        if let Some(at) = self.by_inode.remove(&inode) {
            self.known[at] = Known::default();
            self.unused.push(at);
        }
    }

    /// Returns whether a socket is in this call.
    pub fn is_present(&self, inode: u32) -> bool {
        self.get(inode).is_some_and(|known| known.call == self.call)
    }

    /// Returns whether a socket was in any call.
    pub fn was_listed(&self, inode: u32) -> bool {
        self.get(inode).is_some_and(|known| known.id.is_some())
    }

    /// Returns whether no process is known to have this socket open.
    pub fn is_unowned(&self, inode: u32) -> bool {
        self.get(inode).is_none_or(|known| known.lowest == 0)
    }

    /// Returns whether an earlier search did not find a process.
    pub fn was_searched(&self, inode: u32) -> bool {
        self.get(inode).is_some_and(|known| known.tries > 0)
    }

    /// Notes that a search did not find a process.
    pub fn not_found(&mut self, inode: u32) {
        if let Some(known) = self.get_mut(inode) {
            known.tries = (known.tries + 1).min(TRIES_MAX);
        }
    }

    /// Returns a number that changes when the first process of a socket is found.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Adds a process that has a socket open.  Returns the others that have, if the socket was in
    /// any call and they are known since an earlier call.
    pub fn add(&mut self, inode: u32, pid: u32) -> impl Iterator<Item = u32> {
        let (at, call) = (self.at(inode), self.call);
        let known = &mut self.known[at];
        if known.lowest == 0 {
            known.owned_since = call;
            self.found += 1;
        }
        known.tries = 0;
        known.add(pid);
        let is_passed = known.id.is_some() && known.owned_since < call;
        known.holders().filter(move |holder| is_passed && *holder != pid)
    }

    /// Removes a process that no longer has a socket open.  Returns whether the socket is in this
    /// call and no process is known to have it open now.
    pub fn remove(&mut self, inode: u32, pid: u32) -> bool {
        let call = self.call;
        let Some(known) = self.get_mut(inode) else { return false };
        known.remove(pid);
        let (is_unowned, is_present) = (known.lowest == 0, known.call == call);
        if is_unowned && !is_present {
            self.forget(inode);
        }
        is_unowned && is_present
    }

    /// Returns for each socket of this call the lowest number of a process that has it open, and
    /// how many have.
    pub fn owners(&self) -> impl Iterator<Item = Option<(u32, u32)>> {
        self.listed.iter().map(|at| {
            let known = self.known.get((*at)?).filter(|known| known.lowest != 0 && !known.is_ambiguous)?;
            Some((known.lowest, u32::try_from(1 + known.others.len()).unwrap_or(u32::MAX)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn socket(inode: u32, gencnt: u64) -> Socket {
        Socket { id: Numbered { gencnt, vnet: None }, inode: Some(inode), jid: None }
    }

    /// Returns the owners of the only socket of a call.
    fn owner(sockets: &Sockets) -> Option<(u32, u32)> {
        sockets.owners().next().flatten()
    }

    #[test]
    fn a_search_that_fails_is_repeated_less_and_less_frequently() {
        let mut sockets = Sockets::default();
        let mut searched = Vec::new();
        for call in 1..=1600 {
            if !sockets.note(&[socket(7, 1)], call).wanted.is_empty() {
                sockets.not_found(7);
                searched.push(call);
            }
        }
        assert_eq!(searched, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1536]);
    }

    #[test]
    fn an_inode_number_of_another_socket_has_no_owner_until_it_is_found_again() {
        let mut sockets = Sockets::default();
        sockets.note(&[socket(7, 1)], 1);
        _ = sockets.add(7, 40);
        assert_eq!(owner(&sockets), Some((40, 1)));
        let noted = sockets.note(&[socket(7, 2)], 2);
        assert_eq!((noted.wanted, noted.reused), (vec![7], vec![(7, 40)]));
        assert_eq!(owner(&sockets), None);
    }

    #[test]
    fn an_inode_number_of_two_sockets_at_once_has_no_owner() {
        let mut sockets = Sockets::default();
        _ = sockets.add(7, 40);
        sockets.note(&[socket(7, 1), socket(7, 2)], 1);
        assert_eq!(owner(&sockets), None);
        sockets.note(&[socket(7, 1), socket(7, 1)], 2);
        assert_eq!(owner(&sockets), Some((40, 1)), "the same socket twice");
    }

    #[test]
    fn a_socket_that_is_missing_points_to_its_processes_once() {
        let mut sockets = Sockets::default();
        for pid in [40, 30] {
            _ = sockets.add(7, pid);
        }
        assert!(sockets.note(&[socket(7, 1), socket(8, 2)], 1).lost.is_empty());
        assert_eq!(sockets.note(&[socket(8, 2)], 2).lost, [30, 40]);
        assert!(sockets.note(&[socket(8, 2)], 3).lost.is_empty());
    }

    #[test]
    fn a_socket_that_appears_in_another_process_points_to_those_that_had_it_in_an_earlier_call() {
        let mut sockets = Sockets::default();
        sockets.note(&[socket(7, 1)], 1);
        assert_eq!([40, 41].map(|pid| sockets.add(7, pid).count()), [0, 0], "it may have been created by either");
        sockets.note(&[socket(7, 1)], 2);
        assert_eq!(sockets.add(7, 42).collect::<Vec<_>>(), [40, 41]);
        for pid in [40, 41] {
            _ = sockets.add(8, pid);
        }
        sockets.note(&[], 3);
        assert_eq!(sockets.add(8, 42).count(), 0, "it was never in a call");
    }

    #[test]
    fn sockets_without_processes_are_forgotten() {
        let mut sockets = Sockets::default();
        for call in 1..=1000 {
            let inode = u32::try_from(call).unwrap();
            sockets.note(&[socket(inode, call)], call);
        }
        assert!(sockets.known.len() <= 130 && sockets.by_inode.len() <= 130, "{}", sockets.known.len());
    }

    proptest! {
        #[test]
        fn each_socket_has_its_own_owner_whatever_the_order(
            calls in prop::collection::vec(prop::collection::vec(0_u32..12, 0..30), 1..12)
        ) {
            let mut sockets = Sockets::default();
            for (call, inodes) in (1..).zip(calls) {
                let listed: Vec<_> = inodes.iter().map(|inode| socket(*inode, u64::from(*inode))).collect();
                sockets.note(&listed, call);
                for inode in &inodes {
                    _ = sockets.add(*inode, 100 + inode);
                }
                let expected = inodes.iter().map(|inode| (*inode != 0).then_some((100 + inode, 1)));
                prop_assert!(sockets.owners().eq(expected));
                for inode in inodes.iter().filter(|inode| *inode % 3 == 0) {
                    sockets.remove(*inode, 100 + inode);
                }
            }
        }

        #[test]
        fn the_owner_is_the_lowest_of_the_processes(changes in prop::collection::vec((any::<bool>(), 1_u32..9), 0..40)) {
            let (mut sockets, mut expected) = (Sockets::default(), BTreeSet::new());
            sockets.note(&[socket(5, 1)], 1);
            for (adds, pid) in changes {
                if adds {
                    expected.insert(pid);
                    prop_assert_eq!(sockets.add(5, pid).count(), 0, "all in the same call");
                } else {
                    expected.remove(&pid);
                    sockets.remove(5, pid);
                }
                let lowest = expected.first().map(|lowest| (*lowest, u32::try_from(expected.len()).unwrap()));
                prop_assert_eq!(owner(&sockets), lowest);
            }
        }
    }
}
