// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! TCP states of Linux, and the flags that occupy sequence numbers in them.

use tcpstats::State;

/// Converts the number of a Linux state to FreeBSD's state.
pub fn freebsd_state(linux: u8) -> State {
    match linux {
        1 => State::ESTABLISHED,
        2 => State::SYN_SENT,
        3 | 12 => State::SYN_RCVD,
        4 => State::FIN_WAIT_1,
        5 => State::FIN_WAIT_2,
        6 => State::TIME_WAIT,
        8 => State::CLOSE_WAIT,
        9 => State::LAST_ACK,
        10 => State::LISTEN,
        11 => State::CLOSING,
        _ => State::CLOSED,
    }
}

/// Returns the number of sequence numbers that a received FIN occupies in the
/// receive queue: 1 until the application has read the end of the data.
pub fn fin_received(state: State) -> u32 {
    u32::from(matches!(state, State::CLOSE_WAIT | State::CLOSING | State::LAST_ACK))
}

/// Returns the number of sequence numbers that a SYN or FIN occupies in the
/// send queue: 1 until the peer has acknowledged it.
pub fn flags_unacknowledged(state: State) -> u32 {
    u32::from(matches!(state, State::SYN_SENT | State::FIN_WAIT_1 | State::CLOSING | State::LAST_ACK))
}
