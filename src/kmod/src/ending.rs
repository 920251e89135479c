// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! How a connection ended, from its state when the TCP stack closes it.

use core::ffi::CStr;

use tcpstats::{Ending, State};

/// Error numbers of errno(2).
pub const ECONNABORTED: i32 = 53;
/// As above.
pub const ECONNRESET: i32 = 54;
/// As above.
pub const ETIMEDOUT: i32 = 60;
/// As above.
pub const ECONNREFUSED: i32 = 61;

/// A connection that is being closed.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The state.  `tcp_drop()`, and a reset in RACK and BBR, have set it to `CLOSED`
    /// already.
    pub state: State,
    /// The error for the application, 0 for none.  A thread of the application that waits
    /// for it may just have taken it.
    pub error: i32,
    /// The last error that did not end the connection, 0 for none.
    pub soft_error: i32,
    /// The peer has acknowledged everything, including a FIN.
    pub is_acknowledged: bool,
    /// A segment has just arrived: no timer ends the connection.
    pub has_just_received: bool,
    /// The application has closed the socket, so it does not take the error.
    pub is_closed: bool,
    /// Closing the socket resets the connection: `SO_LINGER` with a time of 0.
    pub does_not_linger: bool,
    /// The running thread executes a system call of sysctl(3), as tcpdrop(8) does.
    pub by_sysctl: bool,
}

impl End {
    /// Returns how the connection ended.
    #[must_use]
    pub fn ending(self) -> Ending {
        match (self.state, self.error) {
            // A reset that the peer sends after the end of the connection does not matter.
            (State::TIME_WAIT, _) => Ending::FinSent,
            (_, ECONNRESET | ECONNREFUSED) => Ending::RstReceived,
            (State::LAST_ACK, _) if self.is_acknowledged => Ending::FinReceived,
            (State::FIN_WAIT_2, _) if !self.has_just_received => Ending::Timeout,
            // Data arrived after the application had closed the connection.
            (State::FIN_WAIT_1 | State::FIN_WAIT_2, _) if self.is_closed => Ending::RstSent,
            (State::CLOSED, _) => self.after_drop(),
            // The application took the error of a reset.
            _ => Ending::RstReceived,
        }
    }

    /// Returns how a connection ended if its state does not show it.
    fn after_drop(self) -> Ending {
        match self.error {
            ETIMEDOUT => Ending::Timeout,
            ECONNABORTED if self.by_sysctl => Ending::Killed,
            // If the connection was not accepted, closing the listener resets it.
            ECONNABORTED => Ending::RstSent,
            0 if self.by_sysctl => Ending::Killed,
            0 if self.does_not_linger => Ending::RstSent,
            // The application took the error.
            0 if self.has_just_received => Ending::RstReceived,
            0 => Ending::Timeout,
            // tcp_drop() replaces ETIMEDOUT with the last such error.
            error if error == self.soft_error => Ending::Timeout,
            _ => Ending::Dropped,
        }
    }
}

/// Returns the name as the probe `connection-ended` passes it.
#[must_use]
pub fn c_name(ending: Ending) -> &'static CStr {
    match ending {
        Ending::FinSent => c"fin_sent",
        Ending::FinReceived => c"fin_received",
        Ending::RstSent => c"rst_sent",
        Ending::RstReceived => c"rst_received",
        Ending::Timeout => c"timeout",
        Ending::Killed => c"killed",
        Ending::Dropped => c"dropped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(state: State, error: i32) -> End {
        End {
            state,
            error,
            soft_error: 0,
            is_acknowledged: false,
            has_just_received: true,
            is_closed: false,
            does_not_linger: false,
            by_sysctl: false,
        }
    }

    #[test]
    fn a_connection_that_both_ends_closed_ended_by_the_fin_of_the_first() {
        assert_eq!(end(State::TIME_WAIT, 0).ending(), Ending::FinSent);
        assert_eq!(end(State::TIME_WAIT, ECONNRESET).ending(), Ending::FinSent);
        assert_eq!(End { is_acknowledged: true, ..end(State::LAST_ACK, 0) }.ending(), Ending::FinReceived);
    }

    #[test]
    fn a_reset_by_the_peer_ends_a_connection_in_any_other_state() {
        let states = [
            State::CLOSED,
            State::ESTABLISHED,
            State::CLOSE_WAIT,
            State::FIN_WAIT_1,
            State::CLOSING,
            State::LAST_ACK,
            State::FIN_WAIT_2,
        ];
        for state in states {
            assert_eq!(End { is_closed: true, ..end(state, ECONNRESET) }.ending(), Ending::RstReceived, "{state:?}");
            assert_eq!(end(state, 0).ending(), Ending::RstReceived, "{state:?}, and the application took the error");
        }
        assert_eq!(end(State::SYN_RCVD, ECONNREFUSED).ending(), Ending::RstReceived);
    }

    #[test]
    fn a_reset_by_this_host_is_a_close_without_lingering_or_data_after_a_close() {
        assert_eq!(End { does_not_linger: true, ..end(State::CLOSED, 0) }.ending(), Ending::RstSent);
        assert_eq!(End { is_closed: true, ..end(State::FIN_WAIT_1, 0) }.ending(), Ending::RstSent);
        assert_eq!(End { is_closed: true, ..end(State::FIN_WAIT_2, 0) }.ending(), Ending::RstSent);
        assert_eq!(end(State::CLOSED, ECONNABORTED).ending(), Ending::RstSent);
    }

    #[test]
    fn a_peer_that_does_not_answer_is_a_timeout_whatever_error_the_application_gets() {
        let silent = |state, error| End { has_just_received: false, ..end(state, error) };
        assert_eq!(end(State::CLOSED, ETIMEDOUT).ending(), Ending::Timeout);
        assert_eq!(silent(State::CLOSED, 0).ending(), Ending::Timeout);
        assert_eq!(End { soft_error: 65, ..end(State::CLOSED, 65) }.ending(), Ending::Timeout);
        assert_eq!(End { is_closed: true, ..silent(State::FIN_WAIT_2, 0) }.ending(), Ending::Timeout);
    }

    #[test]
    fn an_administrator_uses_sysctl() {
        for error in [0, ECONNABORTED] {
            assert_eq!(End { by_sysctl: true, ..end(State::CLOSED, error) }.ending(), Ending::Killed);
        }
    }

    #[test]
    fn anything_else_is_a_decision_of_the_stack() {
        assert_eq!(end(State::CLOSED, 14).ending(), Ending::Dropped);
    }

    #[test]
    fn the_names_are_those_of_records() {
        for ending in Ending::ALL {
            assert_eq!(c_name(ending).to_str(), Ok(ending.name()));
        }
    }
}
