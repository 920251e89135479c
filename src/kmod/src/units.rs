// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Converts the kernel's numbers to the units of the record.
//!
//! A TCP stack keeps its times in ticks, as the base stack and BBR do, or in
//! microseconds, as RACK does: see `t_tmr_granularity` of `netinet/tcp_var.h`.

use core::num::NonZero;

/// The unit of a connection's srtt, rttvar, rttlow and retransmission timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Ticks of the kernel's clock; srtt and rttvar in fractions of one.
    Ticks,
    /// Microseconds.
    Microseconds,
}

/// The number of fractional bits of a `t_rttvar` in ticks: `TCP_RTTVAR_SHIFT`.
pub const RTTVAR_SHIFT: u32 = 4;

/// The default of `kern.hz`.
const DEFAULT_HZ: NonZero<u64> = NonZero::new(1000).unwrap();

/// How long before the start of a connection its SYN can have been sent, in ticks:
/// longer than all its retransmissions take.
const EARLIER_TICKS: u32 = 1_000_000;

/// A tick of the kernel's clock.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    hz: NonZero<u64>,
    /// Whole microseconds in a tick.
    us: u64,
    /// The remainder of a tick, in units of 1/hz microseconds: usually 0.
    rest: u64,
}

impl Tick {
    /// Creates the tick of a clock with `hz` ticks in a second.
    #[must_use]
    pub fn of(hz: u32) -> Self {
        let hz = NonZero::new(hz.into()).unwrap_or(DEFAULT_HZ);
        Self { hz, us: 1_000_000 / hz, rest: 1_000_000 % hz }
    }

    /// Returns the time in nanoseconds after which 32-bit ticks wrap.
    #[must_use]
    pub fn wrap_ns(self) -> u64 {
        (1_000_000_000_u64 << 32) / self.hz
    }

    /// Converts ticks to microseconds, with 64 bits: 32 bits would wrap before the
    /// ticks do.  Divides only if necessary.
    #[must_use]
    pub fn us(self, ticks: u32) -> u64 {
        let ticks = u64::from(ticks);
        let rest = if self.rest == 0 { 0 } else { ticks * self.rest / self.hz };
        ticks * self.us + rest
    }
}

/// Converts a number to 32 bits, or to their maximum if it is greater.
#[must_use]
pub fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns the time since `then`, in microseconds, or `None` if `then` is 0, which
/// means never.
#[must_use]
pub fn since_us(now_ticks: u32, then_ticks: u32, tick: Tick) -> Option<u64> {
    if then_ticks == 0 { None } else { Some(tick.us(now_ticks.wrapping_sub(then_ticks))) }
}

/// Returns the time from the start of a connection to the last segment that it
/// received or sent, in microseconds, or `None` if it never started.  A time before the
/// start, or 0, does not count.
#[must_use]
pub fn lifetime_us(start_ticks: u32, received_ticks: u32, sent_ticks: u32, tick: Tick) -> Option<u64> {
    if start_ticks == 0 {
        return None;
    }
    let since = |then: u32| match then.wrapping_sub(start_ticks) {
        _ if then == 0 => 0,
        before if before > u32::MAX - EARLIER_TICKS => 0,
        ticks => ticks,
    };
    Some(tick.us(since(received_ticks).max(since(sent_ticks))))
}

/// Converts `t_rttvar` to microseconds.
#[must_use]
pub fn rttvar_us(rttvar: u32, granularity: Granularity, tick: Tick) -> u32 {
    match granularity {
        Granularity::Ticks => saturate(tick.us(rttvar) >> RTTVAR_SHIFT),
        Granularity::Microseconds => rttvar,
    }
}

/// Converts `t_rxtcur` to microseconds.
#[must_use]
pub fn rto_us(rto: u32, granularity: Granularity, tick: Tick) -> u32 {
    match granularity {
        Granularity::Ticks => saturate(tick.us(rto)),
        Granularity::Microseconds => rto,
    }
}

/// Converts `t_rttlow` to microseconds; `None` before the first measurement.
///
/// The base stack keeps milliseconds if timestamps measure the round trip, and ticks
/// otherwise: `tcp_do_segment()` of `netinet/tcp_input.c`.
#[must_use]
pub fn rttlow_us(rttlow: u32, granularity: Granularity, timestamps: bool, tick: Tick) -> Option<u32> {
    match (rttlow, granularity) {
        (0, _) => None,
        (us, Granularity::Microseconds) => Some(us),
        (ms, Granularity::Ticks) if timestamps => Some(ms.saturating_mul(1000)),
        (ticks, Granularity::Ticks) => Some(saturate(tick.us(ticks))),
    }
}

/// Returns the 64-bit number nearest to `estimate` whose lower 32 bits are `low`.  The
/// kernel keeps 32 bits of an exact count; an estimate provides the others.  Returns
/// 0 if that number is negative.
#[must_use]
pub fn lifted(low: u32, estimate: u64) -> u64 {
    let nearest = u64::from(low).wrapping_sub(estimate) & 0xffff_ffff;
    // Half of the candidates are above the estimate, half below.
    if nearest < 1 << 31 { estimate.saturating_add(nearest) } else { estimate.saturating_sub((1 << 32) - nearest) }
}

/// Returns the time until a deadline, in microseconds, or `None` if the timer does not
/// run.  Both times are `sbintime_t`: seconds in the upper 32 bits.
#[must_use]
pub fn left_us(deadline_sbt: i64, now_sbt: i64) -> Option<u64> {
    if deadline_sbt == i64::MAX {
        return None;
    }
    let left = u64::try_from(deadline_sbt.saturating_sub(now_sbt)).unwrap_or(0);
    Some((left >> 32) * 1_000_000 + (((left & 0xffff_ffff) * 1_000_000) >> 32))
}

/// Converts an `sbintime_t` to nanoseconds; 0 if it is negative.
#[must_use]
pub fn sbt_ns(span: i64) -> u64 {
    let span = u64::try_from(span).unwrap_or(0);
    (span >> 32) * 1_000_000_000 + (((span & 0xffff_ffff) * 1_000_000_000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_32_bits_is_lifted_to_the_nearest_of_64() {
        let past = 5_u64 << 32;
        for (low, estimate, expected) in [
            (10, 8, 10),
            (10, 12, 10),
            (0, 0xffff_fffe, 1 << 32),
            (u32::MAX, 1 << 32, 0xffff_ffff),
            (7, past + 0x7fff_0000, past + 7),
            (7, past + 0x8000_0008, past + (1 << 32) + 7),
            (u32::MAX, 3, 0),
        ] {
            assert_eq!(lifted(low, estimate), expected, "{low} near {estimate}");
        }
    }

    #[test]
    fn an_idle_time_does_not_wrap_after_71_minutes() {
        let day = 86_400;
        assert_eq!(since_us(day * 1000 + 5, 5, Tick::of(1000)), Some(u64::from(day) * 1_000_000));
    }

    #[test]
    fn an_idle_time_spans_the_wrap_of_ticks() {
        assert_eq!(since_us(10, u32::MAX - 9, Tick::of(1000)), Some(20_000));
    }

    #[test]
    fn an_event_that_never_happened_has_no_time() {
        assert_eq!(since_us(1000, 0, Tick::of(1000)), None);
        assert_eq!(rttlow_us(0, Granularity::Microseconds, true, Tick::of(1000)), None);
        assert_eq!(left_us(i64::MAX, 7), None);
    }

    #[test]
    fn microseconds_are_not_shifted() {
        assert_eq!(rttvar_us(500, Granularity::Microseconds, Tick::of(1000)), 500);
        assert_eq!(rto_us(230_000, Granularity::Microseconds, Tick::of(1000)), 230_000);
        assert_eq!(rttlow_us(42, Granularity::Microseconds, true, Tick::of(100)), Some(42));
    }

    #[test]
    fn ticks_are_converted_by_hz() {
        assert_eq!(rttvar_us(16, Granularity::Ticks, Tick::of(1000)), 1000);
        assert_eq!(rttvar_us(8, Granularity::Ticks, Tick::of(100)), 5000);
        assert_eq!(rto_us(23, Granularity::Ticks, Tick::of(100)), 230_000);
        assert_eq!(rttlow_us(4, Granularity::Ticks, false, Tick::of(100)), Some(40_000));
        assert_eq!(rttlow_us(4, Granularity::Ticks, true, Tick::of(100)), Some(4000));
    }

    #[test]
    fn a_tick_of_a_fraction_of_microseconds_is_exact() {
        for hz in [1, 3, 100, 128, 1000, 1024, 999_999, 1_000_000, 3_000_000, u32::MAX] {
            for ticks in [0, 1, 2, 999, 1000, 1024, 86_400_000, u32::MAX] {
                assert_eq!(Tick::of(hz).us(ticks), u64::from(ticks) * 1_000_000 / u64::from(hz), "{ticks} of {hz}");
            }
        }
    }

    #[test]
    fn a_span_is_seconds_and_a_fraction() {
        assert_eq!(sbt_ns((2 << 32) + (1 << 31)), 2_500_000_000);
        assert_eq!(sbt_ns(-1), 0);
        assert_eq!(sbt_ns(i64::MAX), 2_147_483_647_999_999_999);
    }

    #[test]
    fn a_timer_counts_down_to_zero_and_stays_there() {
        assert_eq!(left_us(3 << 32, 1 << 31), Some(2_500_000));
        assert_eq!(left_us(1 << 32, 2 << 32), Some(0));
        assert_eq!(left_us(i64::MIN, i64::MAX), Some(0));
        assert_eq!(left_us(i64::MAX - 1, i64::MIN), Some(2_147_483_647_999_999));
    }
}
