// SPDX-License-Identifier: BSD-2-Clause

//! What a user may do: how many descriptors are open, how often snapshots are
//! taken.
//!
//! The table outlives the descriptors, so closing and opening again evades
//! nothing.  It is of fixed size: a user leaves it when nothing is left to
//! remember of them.

/// How many users are remembered at once.
const USERS: usize = 128;

/// A user as the kernel tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Effective user id.
    pub uid: u32,
    /// Jail, 0 for the host.
    pub jid: u32,
}

/// Why a descriptor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The user has as many as a user may have.
    TooMany,
    /// More users than are remembered.
    TooManyUsers,
    /// The module is being unloaded.
    Leaving,
}

#[derive(Clone, Copy)]
struct User {
    who: Who,
    open: u32,
    /// When the next snapshot may be taken, nanoseconds of uptime.
    next_ns: u64,
}

const NOBODY: User = User { who: Who { uid: 0, jid: 0 }, open: 0, next_ns: 0 };

impl User {
    const fn is_forgotten(&self, now_ns: u64) -> bool {
        self.open == 0 && self.next_ns <= now_ns
    }
}

/// All users, and whether the module stays.
pub struct Limits {
    users: [User; USERS],
    open: u32,
    leaving: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// Nobody yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { users: [NOBODY; USERS], open: 0, leaving: false }
    }

    /// The entry of a user, a new one where there is room.
    fn user(&mut self, who: Who, now_ns: u64) -> Option<&mut User> {
        let known = self.users.iter().position(|user| user.who == who && !user.is_forgotten(now_ns));
        let at = known.or_else(|| self.users.iter().position(|user| user.is_forgotten(now_ns)))?;
        let user = self.users.get_mut(at)?;
        if known.is_none() {
            *user = User { who, ..NOBODY };
        }
        Some(user)
    }

    /// Counts a descriptor, of which a user may have `most`; nobody is whom no
    /// limit binds.
    ///
    /// # Errors
    /// [`Refused`], and nothing is counted.
    pub fn open(&mut self, who: Option<Who>, now_ns: u64, most: u32) -> Result<(), Refused> {
        if self.leaving {
            return Err(Refused::Leaving);
        }
        if let Some(who) = who {
            let user = self.user(who, now_ns).ok_or(Refused::TooManyUsers)?;
            if user.open >= most {
                return Err(Refused::TooMany);
            }
            user.open += 1;
        }
        self.open += 1;
        Ok(())
    }

    /// Takes back what [`Limits::open`] counted.
    pub fn close(&mut self, who: Option<Who>) {
        self.open = self.open.saturating_sub(1);
        if let Some(user) = self.users.iter_mut().find(|user| Some(user.who) == who && user.open > 0) {
            user.open -= 1;
        }
    }

    /// How long a user has to wait before the next snapshot, in nanoseconds.
    /// With `book` the snapshot is counted as taken then; readers who wait at
    /// once get times one after the other.
    pub fn wait_ns(&mut self, who: Who, now_ns: u64, interval_ns: u64, book: bool) -> u64 {
        let Some(user) = self.user(who, now_ns) else {
            return interval_ns;
        };
        // The interval may have been made shorter since the last booking.
        let latest = now_ns.saturating_add(interval_ns.saturating_mul(u64::from(user.open.max(1))));
        let turn = user.next_ns.clamp(now_ns, latest.max(now_ns));
        if book || turn == now_ns {
            user.next_ns = turn.saturating_add(interval_ns);
        }
        turn - now_ns
    }

    /// Lets nobody in any more, if nobody is there; whether it is so.
    pub fn leave(&mut self) -> bool {
        if self.open == 0 {
            self.leaving = true;
        }
        self.open == 0
    }

    /// Descriptors that are open.
    #[must_use]
    pub const fn opened(&self) -> u32 {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Who = Who { uid: 1001, jid: 0 };
    const BOB: Who = Who { uid: 1002, jid: 0 };

    #[test]
    fn a_user_has_as_many_descriptors_as_allowed_and_no_more() {
        let mut limits = Limits::new();
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.open(Some(ANN), 0, 2), Err(Refused::TooMany));
        assert_eq!(limits.open(Some(BOB), 0, 2), Ok(()), "another user has their own");
        limits.close(Some(ANN));
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.opened(), 3);
    }

    #[test]
    fn the_same_uid_in_a_jail_is_another_user() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        assert_eq!(limits.open(Some(Who { jid: 7, ..ANN }), 0, 1), Ok(()));
    }

    #[test]
    fn opening_again_does_not_shorten_the_wait() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 100, 1).unwrap();
        assert_eq!(limits.wait_ns(ANN, 100, 50, true), 0);
        limits.close(Some(ANN));
        limits.open(Some(ANN), 110, 1).unwrap();
        assert_eq!(limits.wait_ns(ANN, 110, 50, true), 40);
    }

    #[test]
    fn asking_without_booking_does_not_push_the_turn_back() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        limits.wait_ns(ANN, 0, 50, true);
        assert_eq!(limits.wait_ns(ANN, 20, 50, false), 30);
        assert_eq!(limits.wait_ns(ANN, 30, 50, false), 20);
        assert_eq!(limits.wait_ns(ANN, 50, 50, false), 0);
        assert_eq!(limits.wait_ns(ANN, 50, 50, false), 50, "the snapshot at 50 counts");
    }

    #[test]
    fn readers_who_wait_get_turns_and_cannot_book_the_future() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 2).unwrap();
        limits.open(Some(ANN), 0, 2).unwrap();
        let waits: Vec<_> = (0..5).map(|_| limits.wait_ns(ANN, 0, 50, true)).collect();
        assert_eq!(waits, [0, 50, 100, 100, 100]);
    }

    #[test]
    fn a_shorter_interval_holds_at_once() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        limits.wait_ns(ANN, 0, 1_000_000, true);
        assert_eq!(limits.wait_ns(ANN, 0, 10, true), 10);
        limits.close(Some(ANN));
        limits.open(Some(BOB), 0, 1).unwrap();
        assert_eq!(limits.wait_ns(BOB, 0, 0, true), 0);
        assert_eq!(limits.wait_ns(BOB, 0, 0, true), 0);
    }

    #[test]
    fn users_are_forgotten_when_nothing_is_left_to_remember() {
        let mut limits = Limits::new();
        for uid in 0..128 {
            limits.open(Some(Who { uid, jid: 0 }), 0, 1).unwrap();
            limits.wait_ns(Who { uid, jid: 0 }, 0, 50, true);
            limits.close(Some(Who { uid, jid: 0 }));
        }
        assert_eq!(limits.open(Some(ANN), 49, 1), Err(Refused::TooManyUsers));
        assert_eq!(limits.open(None, 49, 1), Ok(()), "no limit binds root");
        assert_eq!(limits.open(Some(ANN), 50, 1), Ok(()));
    }

    #[test]
    fn leaving_waits_for_the_last_and_lets_nobody_in() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        assert!(!limits.leave());
        assert_eq!(limits.open(Some(BOB), 0, 1), Ok(()), "a refused unload changes nothing");
        limits.close(Some(ANN));
        limits.close(Some(BOB));
        assert!(limits.leave());
        assert_eq!(limits.open(Some(BOB), 0, 1), Err(Refused::Leaving));
    }
}
