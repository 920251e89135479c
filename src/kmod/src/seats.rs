// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The readers of the ledger and their positions in its ring.

use crate::limits::Who;

/// The maximum number of readers: each has one bit of an entry's mask.
const READERS: usize = 64;

/// The maximum number of readers of all users other than root on the host.
const READERS_OF_USERS: usize = 48;

/// The maximum number of readers of all users of one jail.  The users of the host share
/// one such limit, too.
const READERS_OF_A_JAIL: usize = 24;

/// The maximum number of readers of one user.
const READERS_OF_A_USER: usize = 8;

/// Why a reader is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The user has reached the limit.
    TooMany,
    /// There are too many readers.
    Full,
}

struct Seat<V> {
    owner: Option<Who>,
    viewer: V,
    /// The number of the first entry that was not read.
    position: u64,
    /// The number of entries that were lost.
    lost: u64,
}

/// The readers of a ring, whose entries are numbered from 0.
pub struct Seats<V> {
    seats: [Option<Seat<V>>; READERS],
    /// The number of the next entry.
    end: u64,
}

impl<V> Default for Seats<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Seats<V> {
    /// Creates an empty ring without readers.
    #[must_use]
    pub const fn new() -> Self {
        Self { seats: [const { None }; READERS], end: 0 }
    }

    /// Returns whether there are no readers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.iter().all(Option::is_none)
    }

    /// Returns the number of the next entry.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Returns why a reader would be refused.  `None` is root on the host.
    fn refusal(&self, owner: Option<Who>) -> Option<Refused> {
        if let Some(who) = owner {
            let count = |condition: &dyn Fn(Who) -> bool| {
                self.seats.iter().flatten().filter_map(|seat| seat.owner).filter(|who| condition(*who)).count()
            };
            if count(&|other| other == who) >= READERS_OF_A_USER {
                return Some(Refused::TooMany);
            }
            if count(&|_| true) >= READERS_OF_USERS || count(&|other| other.jid == who.jid) >= READERS_OF_A_JAIL {
                return Some(Refused::Full);
            }
        }
        self.seats.iter().all(Option::is_some).then_some(Refused::Full)
    }

    /// Adds a reader at the end of the ring.  `None` is root on the host.
    ///
    /// # Errors
    /// Returns the viewer and [`Refused`].
    pub fn take(&mut self, owner: Option<Who>, viewer: V) -> Result<usize, (V, Refused)> {
        if let Some(refused) = self.refusal(owner) {
            return Err((viewer, refused));
        }
        let Some((at, seat)) = self.seats.iter_mut().enumerate().find(|(_, seat)| seat.is_none()) else {
            return Err((viewer, Refused::Full));
        };
        *seat = Some(Seat { owner, viewer, position: self.end, lost: 0 });
        Ok(at)
    }

    /// Removes a reader.
    pub fn leave(&mut self, seat: usize) -> Option<V> {
        Some(self.seats.get_mut(seat)?.take()?.viewer)
    }

    /// Returns the number of entries that a reader has not read, whether it may see them
    /// or not.
    #[must_use]
    pub fn unread(&self, seat: usize) -> u64 {
        self.seats.get(seat).and_then(Option::as_ref).map_or(0, |seat| self.end.saturating_sub(seat.position))
    }

    /// Returns what a reader may see.
    #[must_use]
    pub fn viewer(&self, seat: usize) -> Option<&V> {
        Some(&self.seats.get(seat)?.as_ref()?.viewer)
    }

    /// Changes what a reader may see, and returns what it could see before.
    pub fn replace(&mut self, seat: usize, viewer: V) -> Option<V> {
        Some(core::mem::replace(&mut self.seats.get_mut(seat)?.as_mut()?.viewer, viewer))
    }

    /// Counts entries as lost by a reader.
    pub fn lose(&mut self, seat: usize, entries: u64) {
        if let Some(seat) = self.seats.get_mut(seat).and_then(Option::as_mut) {
            seat.lost += entries;
        }
    }

    /// Returns the readers for which a condition is true, one bit each.
    pub fn who(&self, condition: impl Fn(&V) -> bool) -> u64 {
        let seats = self.seats.iter().enumerate();
        seats.fold(0, |bits, (at, seat)| match seat {
            Some(seat) if condition(&seat.viewer) => bits | 1 << at,
            _ => bits,
        })
    }

    /// Appends an entry.  `overwritten` are the readers that could see the entry that was
    /// in its place.  Returns how many of them had not read that entry.
    pub fn append(&mut self, overwritten: u64, capacity: u64) -> u64 {
        let number = self.end;
        self.end += 1;
        let Some(overwritten_number) = number.checked_sub(capacity).filter(|_| overwritten != 0) else {
            return 0;
        };
        let mut lost = 0;
        for (at, seat) in self.seats.iter_mut().enumerate() {
            // A later reader may have the seat of one that left.
            if let Some(seat) = seat
                && overwritten & 1 << at != 0
                && seat.position <= overwritten_number
            {
                seat.lost += 1;
                lost += 1;
            }
        }
        lost
    }

    /// Moves a reader past its next entry, which is not before `first`, and returns the
    /// number of that entry, or `None` if it is not before `until`.
    pub fn advance(&mut self, seat: usize, first: u64, until: u64) -> Option<u64> {
        let seat = self.seats.get_mut(seat)?.as_mut()?;
        let number = seat.position.max(first);
        if number >= until {
            return None;
        }
        seat.position = number + 1;
        Some(number)
    }

    /// Returns the number of entries that a reader has lost since the last call.
    pub fn take_lost(&mut self, seat: usize) -> u64 {
        self.seats.get_mut(seat).and_then(Option::as_mut).map_or(0, |seat| core::mem::take(&mut seat.lost))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USER: Option<Who> = Some(Who { uid: 1001, jid: 0 });

    #[test]
    fn a_user_cannot_take_all_seats_and_root_always_finds_one() {
        let mut seats = Seats::new();
        for _ in 0..READERS_OF_A_USER {
            seats.take(USER, ()).unwrap();
        }
        assert_eq!(seats.take(USER, ()), Err(((), Refused::TooMany)));
        let mut taken = READERS_OF_A_USER;
        for jid in 0..4 {
            for uid in 0..20 {
                taken += usize::from(seats.take(Some(Who { uid, jid }), ()).is_ok());
            }
        }
        assert_eq!(taken, READERS_OF_USERS);
        assert_eq!(seats.take(Some(Who { uid: 5, jid: 5 }), ()), Err(((), Refused::Full)));
        for _ in READERS_OF_USERS..READERS {
            seats.take(None, ()).unwrap();
        }
        assert_eq!(seats.take(None, ()), Err(((), Refused::Full)));
        seats.leave(0);
        assert_eq!(seats.take(None, ()), Ok(0));
    }

    #[test]
    fn a_jail_cannot_take_the_seats_of_all_users() {
        let mut seats = Seats::new();
        let taken = (0..60).filter(|uid| seats.take(Some(Who { uid: *uid, jid: 7 }), ()).is_ok()).count();
        assert_eq!(taken, READERS_OF_A_JAIL);
        assert_eq!(seats.take(USER, ()), Ok(READERS_OF_A_JAIL));
    }

    /// What happens to a ring.
    #[derive(Clone, Debug)]
    enum Event {
        /// An entry that these readers may see.
        Entry(u8),
        /// This reader reads all entries.
        Read(usize),
        /// This reader leaves, and another takes its seat.
        Change(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            6 => any::<u8>().prop_map(Event::Entry),
            1 => (0..4_usize).prop_map(Event::Read),
            1 => (0..4_usize).prop_map(Event::Change),
        ]
    }

    proptest! {
        /// Each entry that a reader may see is read once or counted as lost, in order.
        #[test]
        fn every_entry_is_read_once_or_counted(events in prop::collection::vec(event(), 0..300), capacity in 1..9_u64) {
            let mut seats = Seats::new();
            let place_of = |number: u64| usize::try_from(number % capacity).unwrap();
            let mut ring = vec![0_u64; place_of(capacity - 1) + 1];
            for _ in 0..4 {
                seats.take(None, ()).unwrap();
            }
            let mut expected = [(); 4].map(|()| Vec::new());
            for event in events {
                match event {
                    Event::Entry(mask) => {
                        let (number, readers) = (seats.end(), u64::from(mask) & 15);
                        if readers == 0 {
                            continue;
                        }
                        let place = &mut ring[place_of(number)];
                        seats.append(std::mem::replace(place, readers), capacity);
                        for (at, expected) in expected.iter_mut().enumerate() {
                            if readers & 1 << at != 0 {
                                expected.push(number);
                            }
                        }
                    }
                    Event::Read(at) => {
                        let (first, until) = (seats.end().saturating_sub(capacity), seats.end());
                        let mut read = Vec::new();
                        while let Some(number) = seats.advance(at, first, until) {
                            if ring[place_of(number)] & 1 << at != 0 {
                                read.push(number);
                            }
                        }
                        let lost = usize::try_from(seats.take_lost(at)).unwrap();
                        prop_assert_eq!(&expected[at][lost..], &read);
                        expected[at].clear();
                    }
                    Event::Change(at) => {
                        seats.leave(at);
                        expected[at].clear();
                        while seats.take(None, ()) != Ok(at) {}
                    }
                }
            }
        }
    }
}
