// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Limits per user and per jail: open descriptors, the rate of snapshots and
//! their memory.
//!
//! The table outlives the descriptors, so closing and reopening one does not evade
//! a limit.  Its size is fixed: an entry is freed when it holds nothing that still
//! matters.  Root on the host has no entry: only the limit on all memory applies
//! to it, and a part of that memory is reserved for it.

/// The number of users in the table.
const USERS: usize = 128;

/// The maximum number of entries of one jail, and of all jails together.  The
/// others are for users of the host.
const USERS_OF_A_JAIL: usize = 32;
const USERS_OF_JAILS: usize = 96;

/// How long to wait before checking again whether the user's other walk has
/// finished.
const RETRY_NS: u64 = 1_000_000;

/// No pause follows a walk shorter than this: sleeping would cost more.
const SHORT_WALK_NS: u64 = 100_000;

/// The maximum pause after a walk.
const MAX_PAUSE_NS: u64 = 10_000_000_000;

/// A user, as the kernel identifies one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The effective user ID.
    pub uid: u32,
    /// The ID of the outermost jail; 0 for the host.
    pub jid: u32,
}

/// Why a descriptor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The user has reached the limit.
    TooMany,
    /// The table is full.
    TooManyUsers,
    /// The module is being unloaded.
    Leaving,
}

/// Maximum memory for snapshots, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// For all snapshots.
    pub total: u64,
    /// The part of the total that is reserved for root on the host.
    pub reserved: u64,
    /// For all users of one jail; the users of the host share one such limit, too.
    pub jail: u64,
    /// For one user.
    pub user: u64,
}

/// Why memory for a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The limit for all snapshots is reached.
    Total,
    /// The limit for the user, for the jail, or for all but root is reached.
    Share,
}

/// How often a user may take a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// The minimum time between the starts of two snapshots.
    pub interval_ns: u64,
    /// The maximum share of one CPU for walks, in percent.
    pub percent: u32,
}

#[derive(Clone, Copy)]
struct User {
    who: Who,
    open: u32,
    /// A walk is in progress.
    is_walking: bool,
    bytes: u64,
    /// When the last walk started, in nanoseconds of uptime.
    started_ns: Option<u64>,
    /// When the interval after that start ends, with the length that it had then.
    next_ns: u64,
    /// When the pause after the last walk ends.
    pause_until_ns: u64,
}

const NOBODY: User = User {
    who: Who { uid: 0, jid: 0 },
    open: 0,
    is_walking: false,
    bytes: 0,
    started_ns: None,
    next_ns: 0,
    pause_until_ns: 0,
};

impl User {
    const fn is_forgotten(&self, now_ns: u64) -> bool {
        let is_idle = self.open == 0 && !self.is_walking && self.bytes == 0;
        is_idle && self.next_ns <= now_ns && self.pause_until_ns <= now_ns
    }

    /// Returns how long the user must wait before the next walk; 0 if a walk is allowed.
    fn wait_ns(&self, now_ns: u64, interval_ns: u64) -> u64 {
        if self.is_walking {
            return RETRY_NS;
        }
        // The interval may have changed since the last walk started.
        let next = self.started_ns.map_or(0, |started| started.saturating_add(interval_ns));
        next.max(self.pause_until_ns).saturating_sub(now_ns)
    }
}

/// The limits of all users.
pub struct Limits {
    users: [User; USERS],
    open: u32,
    bytes: u64,
    leaving: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// Creates an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { users: [NOBODY; USERS], open: 0, bytes: 0, leaving: false }
    }

    /// Returns the entry of a user, if there is one.
    fn remembered(&mut self, who: Who, now_ns: u64) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.who == who && !user.is_forgotten(now_ns))
    }

    /// Returns the entry of a user, or a new one if there is room.
    fn user(&mut self, who: Who, now_ns: u64) -> Option<&mut User> {
        let known = self.users.iter().position(|user| user.who == who && !user.is_forgotten(now_ns));
        if let Some(at) = known {
            return self.users.get_mut(at);
        }
        let remembered = |jail: &dyn Fn(u32) -> bool| {
            self.users.iter().filter(|user| jail(user.who.jid) && !user.is_forgotten(now_ns)).count()
        };
        let is_full =
            remembered(&|jid| jid == who.jid) >= USERS_OF_A_JAIL || remembered(&|jid| jid != 0) >= USERS_OF_JAILS;
        if who.jid != 0 && is_full {
            return None;
        }
        let user = self.users.iter_mut().find(|user| user.is_forgotten(now_ns))?;
        *user = User { who, ..NOBODY };
        Some(user)
    }

    /// Returns the entry of a user that also meets a condition.
    fn find_user(&mut self, who: Option<Who>, condition: impl Fn(&User) -> bool) -> Option<&mut User> {
        self.users.iter_mut().find(|user| Some(user.who) == who && condition(user))
    }

    /// Counts a new descriptor.  A user may have at most `most`; `None` is root on
    /// the host, which has no limit.
    ///
    /// # Errors
    /// [`Refused`]; then the descriptor is not counted.
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

    /// Undoes [`Limits::open`].
    pub fn close(&mut self, who: Option<Who>) {
        self.open = self.open.saturating_sub(1);
        if let Some(user) = self.find_user(who, |user| user.open > 0) {
            user.open -= 1;
        }
    }

    /// Returns how long a user must wait before the next walk, in nanoseconds.
    pub fn wait_ns(&mut self, who: Who, now_ns: u64, interval_ns: u64) -> u64 {
        self.remembered(who, now_ns).map_or(0, |user| user.wait_ns(now_ns, interval_ns))
    }

    /// Starts a walk, which [`Limits::end_walk`] ends.  A user has one walk at a time.
    ///
    /// # Errors
    /// The number of nanoseconds to wait before a retry, never 0.
    pub fn begin_walk(&mut self, who: Option<Who>, now_ns: u64, rate: RateLimit) -> Result<(), u64> {
        let Some(who) = who else {
            return Ok(());
        };
        // A user with an open descriptor has an entry.
        let user = self.user(who, now_ns).ok_or(RETRY_NS)?;
        match user.wait_ns(now_ns, rate.interval_ns) {
            0 => {
                user.is_walking = true;
                user.started_ns = Some(now_ns);
                user.next_ns = now_ns.saturating_add(rate.interval_ns);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Ends a walk, completed or not, that took `cost_ns` of a CPU's time.
    pub fn end_walk(&mut self, who: Option<Who>, now_ns: u64, cost_ns: u64, rate: RateLimit) {
        if let Some(user) = self.find_user(who, |user| user.is_walking) {
            user.is_walking = false;
            user.pause_until_ns = now_ns.saturating_add(pause_ns(cost_ns, rate.percent));
        }
    }

    /// Charges memory to a user.
    ///
    /// # Errors
    /// [`Shortage`]; then nothing is charged.
    pub fn charge(&mut self, who: Option<Who>, bytes: u64, most: MemoryLimits) -> Result<(), Shortage> {
        let fits = |held: u64, most: u64| held.checked_add(bytes).is_some_and(|held| held <= most);
        if let Some(who) = who {
            let held_by = |condition: &dyn Fn(&User) -> bool| -> u64 {
                self.users.iter().filter(|user| condition(user)).map(|user| user.bytes).sum()
            };
            if !fits(held_by(&|_| true), most.total.saturating_sub(most.reserved))
                || !fits(held_by(&|user| user.who.jid == who.jid), most.jail)
            {
                return Err(Shortage::Share);
            }
            let is_full = !fits(self.bytes, most.total);
            let user = self.find_user(Some(who), |user| user.open > 0).ok_or(Shortage::Share)?;
            if !fits(user.bytes, most.user) {
                return Err(Shortage::Share);
            }
            if is_full {
                return Err(Shortage::Total);
            }
            user.bytes += bytes;
        } else if !fits(self.bytes, most.total) {
            return Err(Shortage::Total);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Undoes [`Limits::charge`].
    pub fn refund(&mut self, who: Option<Who>, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(user) = self.find_user(who, |user| user.bytes >= bytes) {
            user.bytes -= bytes;
        }
    }

    /// Refuses new descriptors from now on, unless one is open.  Returns whether it
    /// does.
    pub fn leave(&mut self) -> bool {
        if self.open == 0 {
            self.leaving = true;
        }
        self.open == 0
    }

    /// Undoes [`Limits::leave`].
    pub fn stay(&mut self) {
        self.leaving = false;
    }

    /// Returns the number of open descriptors.
    #[must_use]
    pub const fn opened(&self) -> u32 {
        self.open
    }
}

/// Returns how long a user must pause after a walk to stay within a share of a CPU.
fn pause_ns(cost_ns: u64, percent: u32) -> u64 {
    if cost_ns < SHORT_WALK_NS {
        return 0;
    }
    let percent = u64::from(percent.clamp(1, 100));
    (cost_ns / percent).saturating_mul(100 - percent).min(MAX_PAUSE_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Who = Who { uid: 1001, jid: 0 };
    const BOB: Who = Who { uid: 1002, jid: 0 };
    const MS: u64 = 1_000_000;
    const MOST: MemoryLimits = MemoryLimits { total: 100, reserved: 40, jail: 50, user: 30 };

    const fn every(interval_ns: u64) -> RateLimit {
        RateLimit { interval_ns, percent: 50 }
    }

    /// Takes a snapshot that costs nothing, if one is allowed.
    fn take(limits: &mut Limits, who: Who, now_ns: u64, interval_ns: u64) -> Result<(), u64> {
        limits.begin_walk(Some(who), now_ns, every(interval_ns))?;
        limits.end_walk(Some(who), now_ns, 0, every(interval_ns));
        Ok(())
    }

    #[test]
    fn a_user_cannot_have_more_descriptors_than_allowed() {
        let mut limits = Limits::new();
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.open(Some(ANN), 0, 2), Err(Refused::TooMany));
        assert_eq!(limits.open(Some(BOB), 0, 2), Ok(()), "other users have limits of their own");
        limits.close(Some(ANN));
        assert_eq!(limits.open(Some(ANN), 0, 2), Ok(()));
        assert_eq!(limits.opened(), 3);
    }

    #[test]
    fn users_with_the_same_uid_in_different_jails_are_counted_separately() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        assert_eq!(limits.open(Some(Who { jid: 7, ..ANN }), 0, 1), Ok(()));
    }

    #[test]
    fn opening_again_does_not_shorten_the_wait() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 100, 1).unwrap();
        assert_eq!(take(&mut limits, ANN, 100, 50), Ok(()));
        limits.close(Some(ANN));
        limits.open(Some(ANN), 110, 1).unwrap();
        assert_eq!(take(&mut limits, ANN, 110, 50), Err(40));
    }

    #[test]
    fn a_refused_attempt_does_not_extend_the_wait() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        take(&mut limits, ANN, 0, 50).unwrap();
        assert_eq!(take(&mut limits, ANN, 20, 50), Err(30));
        assert_eq!(limits.wait_ns(ANN, 30, 50), 20);
        assert_eq!(limits.wait_ns(ANN, 50, 50), 0);
        assert_eq!(take(&mut limits, ANN, 50, 50), Ok(()));
        assert_eq!(take(&mut limits, ANN, 50, 50), Err(50), "the snapshot at 50 is counted");
    }

    #[test]
    fn a_user_has_one_walk_at_a_time() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 2).unwrap();
        limits.open(Some(BOB), 0, 2).unwrap();
        limits.begin_walk(Some(ANN), 0, every(0)).unwrap();
        assert_eq!(limits.begin_walk(Some(ANN), 5 * MS, every(0)), Err(RETRY_NS));
        assert_eq!(limits.begin_walk(Some(BOB), 5 * MS, every(0)), Ok(()), "another user can walk at the same time");
        assert_eq!(limits.begin_walk(None, 5 * MS, every(0)), Ok(()));
        assert_eq!(limits.begin_walk(None, 5 * MS, every(0)), Ok(()), "root has no limit");
        limits.end_walk(Some(ANN), 6 * MS, 0, every(0));
        assert_eq!(limits.begin_walk(Some(ANN), 6 * MS, every(0)), Ok(()));
    }

    #[test]
    fn the_pause_after_a_walk_is_proportional_to_its_cost() {
        let pause = |cost: u64, percent: u32| {
            let rate = RateLimit { interval_ns: 0, percent };
            let mut limits = Limits::new();
            limits.open(Some(ANN), 0, 1).unwrap();
            limits.begin_walk(Some(ANN), 0, rate).unwrap();
            limits.end_walk(Some(ANN), cost, cost, rate);
            limits.wait_ns(ANN, cost, 0)
        };
        assert_eq!(pause(100 * MS, 50), 100 * MS);
        assert_eq!(pause(100 * MS, 20), 400 * MS);
        assert_eq!(pause(100 * MS, 100), 0);
        assert_eq!(pause(100 * MS, 1_000_000), 0);
        assert_eq!(pause(100 * MS, 0), 9900 * MS, "0 percent means 1");
        assert_eq!(pause(SHORT_WALK_NS - 1, 50), 0);
        assert_eq!(pause(u64::MAX / 2, 1), MAX_PAUSE_NS);
    }

    #[test]
    fn a_walk_is_charged_for_cpu_time_and_not_for_elapsed_time() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        limits.begin_walk(Some(ANN), 0, every(MS)).unwrap();
        limits.end_walk(Some(ANN), 500 * MS, 10 * MS, every(MS));
        assert_eq!(limits.wait_ns(ANN, 500 * MS, MS), 10 * MS);
    }

    #[test]
    fn a_shorter_interval_applies_at_once() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        take(&mut limits, ANN, 0, 1_000_000).unwrap();
        assert_eq!(take(&mut limits, ANN, 0, 10), Err(10));
        assert_eq!(take(&mut limits, ANN, 10, 10), Ok(()));
        limits.close(Some(ANN));
        limits.open(Some(BOB), 0, 1).unwrap();
        assert_eq!(take(&mut limits, BOB, 0, 0), Ok(()));
        assert_eq!(take(&mut limits, BOB, 0, 0), Ok(()));
    }

    #[test]
    fn an_entry_is_freed_when_it_no_longer_matters() {
        let mut limits = Limits::new();
        for uid in 0..128 {
            let who = Who { uid, jid: 0 };
            limits.open(Some(who), 0, 1).unwrap();
            take(&mut limits, who, 0, 50).unwrap();
            limits.close(Some(who));
        }
        assert_eq!(limits.open(Some(ANN), 49, 1), Err(Refused::TooManyUsers));
        assert_eq!(limits.open(None, 49, 1), Ok(()), "root has no limit");
        assert_eq!(limits.open(Some(ANN), 50, 1), Ok(()));
    }

    #[test]
    fn a_jail_cannot_fill_the_table() {
        let mut limits = Limits::new();
        let mut opened = |jid: u32, uids: std::ops::Range<u32>| {
            uids.filter(|uid| limits.open(Some(Who { uid: *uid, jid }), 0, 1) == Ok(())).count()
        };
        assert_eq!(opened(1, 0..500), 32);
        assert_eq!(opened(2, 0..20), 20, "other jails have limits of their own");
        assert_eq!((3..10).map(|jid| opened(jid, 0..500)).sum::<usize>(), 96 - 32 - 20);
        assert_eq!(opened(0, 0..500), 32, "the host's");
    }

    #[test]
    fn memory_is_limited_per_user_per_jail_and_for_all_but_root() {
        let mut limits = Limits::new();
        let user = |uid, jid| Some(Who { uid, jid });
        for who in [user(1, 0), user(2, 0), user(3, 0), user(1, 5)] {
            limits.open(who, 0, 2).unwrap();
        }
        let mut charge = |who, bytes| limits.charge(who, bytes, MOST).is_ok();
        assert!(!charge(user(1, 0), 31) && charge(user(1, 0), 30) && !charge(user(1, 0), 1), "the limit of a user");
        assert!(charge(user(2, 0), 20) && !charge(user(3, 0), 1), "the limit of all users of the host");
        assert!(!charge(user(1, 5), 11) && charge(user(1, 5), 10), "the reserve for root");
        assert!(!charge(user(1, 5), 1));
        assert!(charge(None, 40) && !charge(None, 1), "only root can use the reserve");
        assert_eq!(limits.charge(None, 1, MOST), Err(Shortage::Total));
        assert_eq!(limits.charge(user(3, 0), 1, MOST), Err(Shortage::Share));
        assert_eq!(limits.bytes, 100);
        limits.refund(user(1, 0), 30);
        limits.refund(None, 40);
        assert_eq!(limits.bytes, 30);
        assert_eq!(limits.charge(user(3, 0), 30, MOST), Ok(()));
        assert_eq!(limits.charge(user(9, 9), 1, MOST), Err(Shortage::Share), "a user without a descriptor");
    }

    #[test]
    fn extreme_limits_are_respected() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        let none = MemoryLimits { total: 10, reserved: u64::MAX, jail: 100, user: 100 };
        assert_eq!(limits.charge(Some(ANN), 1, none), Err(Shortage::Share), "all of it is reserved");
        assert_eq!(limits.charge(None, 10, none), Ok(()));
        let endless = MemoryLimits { total: u64::MAX, reserved: 0, jail: u64::MAX, user: u64::MAX };
        assert_eq!(limits.charge(Some(ANN), 5, endless), Ok(()));
        assert!(limits.charge(Some(ANN), u64::MAX, endless).is_err());
        let less = MemoryLimits { total: 3, ..MOST };
        assert_eq!(limits.charge(None, 1, less), Err(Shortage::Total), "a limit lowered below what is in use");
    }

    #[test]
    fn no_descriptor_can_be_opened_once_the_module_is_leaving() {
        let mut limits = Limits::new();
        limits.open(Some(ANN), 0, 1).unwrap();
        assert!(!limits.leave());
        assert_eq!(limits.open(Some(BOB), 0, 1), Ok(()), "a refused unload changes nothing");
        limits.close(Some(ANN));
        limits.close(Some(BOB));
        assert!(limits.leave());
        assert_eq!(limits.open(Some(BOB), 0, 1), Err(Refused::Leaving));
        limits.stay();
        assert_eq!(limits.open(Some(BOB), 0, 1), Ok(()));
    }
}
