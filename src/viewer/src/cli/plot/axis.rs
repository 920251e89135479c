// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Axes, with ticks at round numbers and units that keep the labels short.

use time::OffsetDateTime;

use super::bins::seconds;

/// The quantity that an axis measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes.
    Bytes,
    /// Bits per second.
    BitRate,
    /// Microseconds.
    Microseconds,
    /// Segments.
    Segments,
}

impl Quantity {
    /// Returns the units and their sizes, the largest first.
    pub fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Bytes => &[("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)],
            Self::BitRate => &[("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1.0)],
            Self::Microseconds => &[("s", 1e6), ("ms", 1e3), ("µs", 1.0)],
            Self::Segments => &[("", 1.0)],
        }
    }
}

/// A tick of an axis, with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The position, in the quantity of the axis.
    pub value: f64,
    /// The label, in the unit of the axis.
    pub text: String,
}

/// The lowest approximate number of ticks for which there are at least two.
pub const TICKS_MIN: f64 = 2.5;

/// An axis that starts at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The end, slightly above the highest value.
    pub top: f64,
    /// The unit of the labels.
    pub unit: &'static str,
    /// The ticks, from 0.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// Returns an axis up to a value, with about `ticks` ticks (at least
    /// [`TICKS_MIN`]).
    pub fn up_to(quantity: Quantity, highest: f64, ticks: f64) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let whole = |unit: &&(&str, f64)| highest >= unit.1;
        let units = quantity.units();
        let (unit, scale) = units.iter().find(whole).or(units.last()).copied().unwrap_or(("", 1.0));
        let min = if quantity == Quantity::Segments { 1.0 } else { 0.0 };
        let step = round_up(highest / ticks).max(min);
        let top = highest * 1.06;
        Self { top, unit, ticks: every(step, top, scale) }
    }
}

/// Returns the smallest of the numbers …, 0.2, 0.5, 1, 2, 5, 10, 20, … that is not
/// below `min`.
pub fn round_up(min: f64) -> f64 {
    let decade = 10f64.powf(min.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    // Allow for rounding errors.
    steps.into_iter().find(|step| *step >= min * (1.0 - 1e-9)).unwrap_or(min)
}

/// Returns the ticks from 0 to the end, with labels in a unit of this size.
fn every(step: f64, end: f64, unit: f64) -> Vec<Tick> {
    let decimals = decimals_of(step / unit);
    let values = (0..).map(|number| f64::from(number) * step).take_while(|value| *value <= end * (1.0 + 1e-9));
    values.map(|value| Tick { value, text: format!("{:.decimals$}", value / unit) }).collect()
}

/// Returns the number of decimals that multiples of the step need.  The first digit
/// of the step is 1, 2 or 5.
fn decimals_of(step: f64) -> usize {
    (0..9).find(|decimals| step * 10f64.powi(*decimals) >= 1.0 - 1e-9).map_or(9, i32::unsigned_abs) as usize
}

/// The time axis that all panels share.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeAxis {
    /// The label of the axis.
    pub label: String,
    /// The ticks, in seconds since the start.
    pub ticks: Vec<Tick>,
}

impl TimeAxis {
    /// Returns an axis of the time since the start, with about `ticks` ticks.
    pub fn since_start(span_ns: u64, ticks: f64) -> Self {
        let span = seconds(span_ns);
        let (unit, size) = match span {
            ..=300.0 => ("s", 1.0),
            ..=10_800.0 => ("min", 60.0),
            _ => ("h", 3600.0),
        };
        let step = round_up(span / size / ticks) * size;
        Self { label: format!("time since the start ({unit})"), ticks: every(step, span, size) }
    }

    /// Returns an axis of the time of day in UTC, with about `ticks` ticks.
    pub fn utc(start_ns: u64, span_ns: u64, ticks: f64) -> Self {
        const STEPS: [u32; 21] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
            432_000, 864_000,
        ];
        let min = seconds(span_ns) / ticks;
        let step = match STEPS.map(f64::from).into_iter().find(|step| *step >= min) {
            Some(step) if min > 0.5 => step,
            Some(_) => round_up(min),
            None => round_up(min / 86_400.0) * 86_400.0,
        };
        // A double cannot represent the time since the Epoch exactly, so ticks count from a recent day.
        let whole = start_ns / 1_000_000_000 / 864_000 * 864_000;
        let offset = seconds(start_ns - whole * 1_000_000_000);
        let first = (offset / step).ceil() * step;
        let times = (0..).map(|number| first + f64::from(number) * step);
        let ticks = times.take_while(|time| *time <= offset + seconds(span_ns));
        let text = |time: f64| time_of_day(whole, time, step);
        Self {
            label: "UTC".to_owned(),
            ticks: ticks.map(|time| Tick { value: time - offset, text: text(time) }).collect(),
        }
    }
}

/// Formats a time, in seconds after `whole` seconds since the Epoch, with the
/// precision that the step needs.
fn time_of_day(whole: u64, time: f64, step: f64) -> String {
    let decimals = decimals_of(step);
    let rounded = format!("{time:.decimals$}");
    let (seconds, fraction) = rounded.split_once('.').map_or((rounded.as_str(), ""), |(one, other)| (one, other));
    let at = date(whole + seconds.parse::<u64>().unwrap_or(0));
    if step >= 86_400.0 {
        format!("{:02}-{:02}", u8::from(at.month()), at.day())
    } else if step >= 60.0 {
        format!("{:02}:{:02}", at.hour(), at.minute())
    } else {
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{:02}:{:02}:{:02}{dot}{fraction}", at.hour(), at.minute(), at.second())
    }
}

/// Returns the date and time in UTC, as in `2026-11-23 15:04:05.678 UTC`.
pub fn wall_clock(ns: u64) -> String {
    let at = date(ns / 1_000_000_000);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, ms) = (at.hour(), at.minute(), at.second(), ns / 1_000_000 % 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC")
}

fn date(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Formats a duration with a unit.
pub fn duration(ns: u64) -> String {
    let (number, unit) = match seconds(ns) {
        span @ ..0.0995 => (span * 1e3, "ms"),
        span @ ..99.95 => (span, "s"),
        span @ ..5_999.0 => (span / 60.0, "min"),
        span => (span / 3600.0, "h"),
    };
    let number = format!("{number:.1}");
    format!("{} {unit}", number.strip_suffix(".0").unwrap_or(&number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_in_a_suitable_unit() {
        let axis = Axis::up_to(Quantity::Bytes, 212_856.0, 4.0);
        assert_eq!((axis.unit, texts(&axis.ticks)), ("kB", vec!["0", "100", "200"]));
        let axis = Axis::up_to(Quantity::Microseconds, 2_300.0, 4.0);
        assert_eq!((axis.unit, texts(&axis.ticks)), ("ms", vec!["0", "1", "2"]));
        let axis = Axis::up_to(Quantity::BitRate, 1_050_000.0, 4.0);
        assert_eq!((axis.unit, texts(&axis.ticks)), ("Mbit/s", vec!["0.0", "0.5", "1.0"]));
        let axis = Axis::up_to(Quantity::Segments, 2.0, 4.0);
        assert_eq!((axis.unit, texts(&axis.ticks)), ("", vec!["0", "1", "2"]));
        assert_eq!(texts(&Axis::up_to(Quantity::Bytes, 0.0, 2.0).ticks), ["0.0", "0.5", "1.0"]);
    }

    #[test]
    fn the_time_since_the_start_is_in_seconds_minutes_or_hours() {
        let axis = |span: u64| TimeAxis::since_start(span * 1_000_000_000, 5.0);
        assert_eq!(axis(25).label, "time since the start (s)");
        assert_eq!(texts(&axis(25).ticks), ["0", "5", "10", "15", "20", "25"]);
        assert_eq!(texts(&axis(3600).ticks), ["0", "20", "40", "60"]);
        assert_eq!(axis(86_400).label, "time since the start (h)");
    }

    #[test]
    fn the_time_of_day_has_the_precision_that_the_ticks_need() {
        // 2026-11-23 15:04:05.678 UTC
        let start_ns = 1_795_446_245_678_000_000;
        assert_eq!(wall_clock(start_ns), "2026-11-23 15:04:05.678 UTC");
        let axis = |span_ns| TimeAxis::utc(start_ns, span_ns, 4.0);
        assert_eq!(texts(&axis(25_000_000_000).ticks), ["15:04:10", "15:04:20", "15:04:30"]);
        assert!((axis(25_000_000_000).ticks[0].value - 4.322).abs() < 1e-6);
        assert_eq!(texts(&axis(1_000_000_000).ticks), ["15:04:06.0", "15:04:06.5"]);
        assert_eq!(texts(&axis(7_200_000_000_000).ticks), ["15:30", "16:00", "16:30", "17:00"]);
        assert_eq!(texts(&axis(300_000_000_000_000).ticks), ["11-24", "11-25", "11-26", "11-27"]);
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(1_234_000), "1.2 ms");
        assert_eq!(duration(25_000_000_000), "25 s");
        assert_eq!(duration(600_000_000_000), "10 min");
        assert_eq!(duration(86_400_000_000_000), "24 h");
    }

    proptest! {
        #[test]
        fn an_axis_reaches_its_highest_value_and_has_a_few_different_ticks(
            highest in 1e-3..1e15f64, ticks in TICKS_MIN..6.0,
        ) {
            for quantity in [Quantity::Bytes, Quantity::BitRate, Quantity::Microseconds] {
                let axis = Axis::up_to(quantity, highest, ticks);
                prop_assert!(axis.top >= highest);
                prop_assert!((2..=7).contains(&axis.ticks.len()), "{axis:?}");
                prop_assert!(texts(&axis.ticks).is_sorted_by(|one, other| one != other), "{axis:?}");
            }
        }
    }
}
