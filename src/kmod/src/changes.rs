// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Which connections may have changed since a descriptor's previous snapshot.
//!
//! `is_quiet()` in `kpi.c` decides this for each connection without locking it, from
//! the time of the last segment that it received.  Connections that can change
//! without receiving a segment are remembered as restless until the next snapshot.

use tcpstats::State;

use crate::kpi::{Credential, Errno, Pcb, Restless, Selected, Sleepable, Socket, tcp};
use crate::limits::Who;
use crate::storage::{charge, refund};

/// The memory of a descriptor that reads changes, in bytes.
const MEMORY: u64 = 2 * Restless::LEN as u64;

/// The state of a descriptor that reads changes.
pub struct Changes {
    /// When the walk of the previous snapshot started, in ticks; `None` if the next
    /// snapshot contains all connections.
    since: Option<u32>,
    /// Whose connections the previous snapshot contained.
    credential: Option<Credential>,
    /// The restless connections of the previous snapshot, and of the next one.
    restless: Restless,
    next: Restless,
    /// The user to whom the memory is charged, `None` for root on the host.
    owner: Option<Who>,
}

impl Drop for Changes {
    fn drop(&mut self) {
        refund(self.owner, MEMORY);
    }
}

impl Changes {
    /// Creates the state before the first snapshot.
    ///
    /// # Errors
    /// ENOMEM if a limit on memory is reached.
    pub fn new(owner: Option<Who>, sleepable: &mut Sleepable) -> Result<Self, Errno> {
        if !charge(owner, MEMORY) {
            return Err(Errno::NOMEM);
        }
        let sets = Restless::new(sleepable).zip(Restless::new(sleepable));
        let (restless, next) = sets.ok_or(Errno::NOMEM).inspect_err(|_| refund(owner, MEMORY))?;
        Ok(Self { since: None, credential: None, restless, next, owner })
    }

    /// Makes the next snapshot contain all connections.
    pub fn forget(&mut self) {
        self.since = None;
    }

    /// Returns which connections the next walk visits, and the set to which it adds
    /// those that are restless.
    pub fn begin(&mut self) -> (Selected<'_>, &mut Restless) {
        self.next.clear();
        if !self.credential.as_ref().is_some_and(Credential::is_of_thread) {
            self.credential = Credential::of_thread();
            self.since = None;
        }
        let restless = &self.restless;
        (self.since.map_or(Selected::ALL, |since| Selected::changed(since, restless)), &mut self.next)
    }

    /// Registers a complete snapshot, whose walk started at this time in ticks.
    pub fn complete(&mut self, started: u32) {
        core::mem::swap(&mut self.restless, &mut self.next);
        // Another CPU may not have seen the last tick.
        self.since = Some(started.wrapping_sub(1));
    }
}

/// Returns whether a connection can change without receiving a segment.
pub fn is_restless(pcb: &Pcb<'_>) -> bool {
    let has_data = match pcb.socket() {
        Some(Socket::Connection(buffers)) => buffers.snd_cc != 0 || buffers.rcv_cc != 0,
        Some(Socket::Listener(_)) | None => false,
    };
    // close(2) then sends nothing.
    let can_be_closed = pcb.state() > State::CLOSE_WAIT.0 && pcb.t_flags() & tcp::TF_CLOSED == 0;
    // The base stack clears the flag when it starts the timer.
    let delays_ack = pcb.t_timers().get(tcp::TT_DELACK as usize).is_some_and(|deadline| *deadline != i64::MAX);
    has_data || can_be_closed || delays_ack || pcb.t_flags() & (tcp::TF_ACKNOW | tcp::TF_DELACK) != 0
}
