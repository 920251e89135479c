// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! TCP states and options, with FreeBSD's numbers and names.

/// A state of the TCP state machine, by its number in FreeBSD's
/// `netinet/tcp_fsm.h`, or [`State::ENDED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub u8);

#[allow(missing_docs, reason = "the names are those of RFC 9293")]
impl State {
    pub const CLOSED: Self = Self(0);
    pub const LISTEN: Self = Self(1);
    pub const SYN_SENT: Self = Self(2);
    pub const SYN_RCVD: Self = Self(3);
    pub const ESTABLISHED: Self = Self(4);
    pub const CLOSE_WAIT: Self = Self(5);
    pub const FIN_WAIT_1: Self = Self(6);
    pub const CLOSING: Self = Self(7);
    pub const LAST_ACK: Self = Self(8);
    pub const FIN_WAIT_2: Self = Self(9);
    pub const TIME_WAIT: Self = Self(10);
    /// The state of a final record: the connection has ended.
    pub const ENDED: Self = Self(11);
}

/// How a connection ended: the value of the field `ending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends sent a FIN, this host first.
    FinSent,
    /// Both ends sent a FIN, the peer first.
    FinReceived,
    /// This host reset it: the application closed it without lingering, or data
    /// arrived after it had closed it.
    RstSent,
    /// The peer reset it.
    RstReceived,
    /// The peer stopped responding.
    Timeout,
    /// It was dropped by an administrator, see tcpdrop(8).
    Killed,
    /// The TCP stack dropped it for another reason.
    Dropped,
}

impl Ending {
    /// All endings.
    pub const ALL: [Self; 7] = [
        Self::FinSent,
        Self::FinReceived,
        Self::RstSent,
        Self::RstReceived,
        Self::Timeout,
        Self::Killed,
        Self::Dropped,
    ];

    /// Returns the name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FinSent => "fin_sent",
            Self::FinReceived => "fin_received",
            Self::RstSent => "rst_sent",
            Self::RstReceived => "rst_received",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
            Self::Dropped => "dropped",
        }
    }
}

/// The value of `snd_ssthresh` until a loss sets it, in bytes: the largest window,
/// FreeBSD's `TCP_MAXWIN << TCP_MAX_WINSHIFT`.  Larger values from Linux are
/// reduced to it.
pub const SSTHRESH_INFINITE: u32 = 65535 << 14;

/// Names of the states by number, those of TCP as netstat(1) prints them.
const STATE_NAMES: [&str; 12] = [
    "CLOSED",
    "LISTEN",
    "SYN_SENT",
    "SYN_RCVD",
    "ESTABLISHED",
    "CLOSE_WAIT",
    "FIN_WAIT_1",
    "CLOSING",
    "LAST_ACK",
    "FIN_WAIT_2",
    "TIME_WAIT",
    "ENDED",
];

impl State {
    /// Returns the name, or `None` if the number is not that of a state.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        STATE_NAMES.get(usize::from(self.0)).copied()
    }

    /// Returns the state with exactly this name.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let number = STATE_NAMES.iter().position(|known| known.as_bytes() == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Returns the state that a user means by `name`: case is ignored, `_` and
    /// `-` may be omitted, and the names of ss(8) are accepted too.
    ///
    /// ```
    /// use tcpstats::State;
    /// assert_eq!(State::by_name("fin-wait-2"), Some(State::FIN_WAIT_2));
    /// assert_eq!(State::by_name("syn_recv"), Some(State::SYN_RCVD));
    /// assert_eq!(State::by_name("open"), None);
    /// ```
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let same = |known: &str| {
            let letters = |s: &'_ str| -> [u8; 16] {
                let mut folded = [0; 16];
                let letters = s.bytes().filter(|b| !matches!(b, b'_' | b'-'));
                for (to, from) in folded.iter_mut().zip(letters) {
                    *to = from.to_ascii_uppercase();
                }
                folded
            };
            name.len() <= 16 && letters(known) == letters(name)
        };
        if let Some(number) = STATE_NAMES.iter().position(|known| same(known)) {
            return u8::try_from(number).ok().map(Self);
        }
        [("SYN_RECV", Self::SYN_RCVD), ("ESTAB", Self::ESTABLISHED), ("LISTENING", Self::LISTEN)]
            .into_iter()
            .find_map(|(known, state)| same(known).then_some(state))
    }
}

/// Bits of the field `options`.
pub mod option {
    /// Timestamps (RFC 7323).
    pub const TIMESTAMPS: u16 = 1 << 0;
    /// Selective acknowledgement (RFC 2018).
    pub const SACK: u16 = 1 << 1;
    /// Window scaling (RFC 7323).
    pub const WINDOW_SCALE: u16 = 1 << 2;
    /// Explicit congestion notification (RFC 3168).
    pub const ECN: u16 = 1 << 3;
    /// Accurate ECN (RFC 9768).
    pub const ACCECN: u16 = 1 << 4;
    /// TCP Fast Open (RFC 7413).
    pub const FAST_OPEN: u16 = 1 << 5;
    /// Offloaded to the network interface.
    pub const OFFLOAD: u16 = 1 << 6;

    /// The names of the bits in text and in the filter, lowest bit first.
    pub const NAMES: [&str; 7] = ["ts", "sack", "wscale", "ecn", "accecn", "tfo", "toe"];

    /// Returns the bit with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<u16> {
        NAMES.iter().position(|known| *known == name).map(|bit| 1 << bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_its_own_name() {
        for number in 0..=11 {
            let state = State(number);
            assert_eq!(State::by_name(state.name().unwrap()), Some(state));
        }
        assert_eq!(State(12).name(), None);
    }

    #[test]
    fn a_name_that_resembles_a_state_is_rejected() {
        for wrong in ["", "_", "LISTENE", "LISTE", "ESTABLISHED_BUT_LONGER", "ÉTABLI"] {
            assert_eq!(State::by_name(wrong), None, "{wrong:?}");
        }
    }
}
