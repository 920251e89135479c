// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The scenarios, by subject.  Each runs in its own process.

/// A name that is a sentence, and the function to run.
pub type Scenario = (&'static str, fn());

macro_rules! scenarios {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        pub const ALL: &[super::Scenario] = &[$((stringify!($name), $name)),*];
        $($(#[$attribute])* fn $name() $body)*
    };
}

mod ages;
mod bytes;
mod changes;
mod crowd;
mod fair;
mod filters;
mod identity;
mod ioctls;
mod ledger;
mod limits;
mod loading;
mod memory;
mod poll;
mod prefilter;
mod reading;
mod records;
mod signals;
mod states;
mod timers;
mod users;
mod vnets;
mod walking;
mod yielding;

/// Returns all scenarios.
pub fn all() -> impl Iterator<Item = Scenario> {
    let subjects = [
        loading::ALL,
        reading::ALL,
        records::ALL,
        identity::ALL,
        states::ALL,
        bytes::ALL,
        ages::ALL,
        walking::ALL,
        yielding::ALL,
        timers::ALL,
        signals::ALL,
        memory::ALL,
        limits::ALL,
        fair::ALL,
        poll::ALL,
        ioctls::ALL,
        filters::ALL,
        prefilter::ALL,
        users::ALL,
        ledger::ALL,
        changes::ALL,
        vnets::ALL,
        crowd::ALL,
    ];
    subjects.into_iter().flatten().copied()
}
