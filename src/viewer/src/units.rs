// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Human-readable numbers: three digits and a unit.

use std::sync::atomic::{AtomicBool, Ordering};

use tcpstats::text::{Text, longest};
use tcpstats::{Field, Kind, Record, Unit, is_scoped, key};

/// The value of `snd_ssthresh` before the first loss: infinite.
pub const NO_THRESHOLD: u32 = 1_073_725_440;

/// Returns whether the terminal can move its cursor.
pub fn has_cursor() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Returns whether the locale's encoding is UTF-8.
pub fn has_utf8() -> bool {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Returns a value as written in a log, or `None` if it is absent.
pub fn exact(record: &Record, field: &Field) -> Option<String> {
    if !record.has(field) {
        return None;
    }
    let mut buffer = vec![0; longest(field.kind)];
    let mut text = Text::new(&mut buffer);
    text.value(record, field);
    text.finish().map(str::to_owned)
}

/// Whether records are from this host, so that a zone is one of its interfaces.
static IS_THIS_HOST: AtomicBool = AtomicBool::new(false);

/// Shows zones by the names of this host's interfaces from now on.
pub fn name_zones() {
    IS_THIS_HOST.store(true, Ordering::Relaxed);
}

/// Returns the name of a zone, or its number if the name is not known.
pub fn zone(zone: u32) -> String {
    let name = if IS_THIS_HOST.load(Ordering::Relaxed) { tcpstats_source::zone_name(zone) } else { None };
    name.unwrap_or_else(|| zone.to_string())
}

/// Returns an address with its zone, as in `fe80::1%em0`.
fn scoped(record: &Record, field: &Field) -> Option<String> {
    let address = exact(record, field)?;
    let octets = record.bytes(field)?.try_into().ok()?;
    Some(match record.get(key::zone).filter(|_| is_scoped(octets)) {
        Some(number) => format!("{address}%{}", zone(number)),
        None => address,
    })
}

/// Returns a value with its unit, or `None` if it is absent.
pub fn readable(record: &Record, field: &Field) -> Option<String> {
    if field.index == key::snd_ssthresh.field().index && record.get(key::snd_ssthresh) == Some(NO_THRESHOLD) {
        return Some("inf".into());
    }
    if field.kind == Kind::Address {
        return scoped(record, field);
    }
    let number = record.number(field);
    match (field.unit, number) {
        (Unit::Bytes, Some(number)) => Some(bytes(number)),
        (Unit::BytesPerSecond, Some(number)) => Some(bytes(number) + "/s"),
        (Unit::Microseconds, Some(number)) => Some(time(number)),
        _ => exact(record, field),
    }
}

/// Formats bytes with the suffixes of the filter: k, M and G are powers of 1024.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024.0)
}

/// Formats bits per second.  The suffixes are powers of 1000, as for the speed of
/// links.
#[cfg(any(feature = "serve", feature = "top"))]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no rate is near the limits of u64")]
pub fn bits(bits_per_second: f64) -> String {
    scaled(bits_per_second.round() as u64, 1000.0)
}

#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
fn scaled(number: u64, step: f64) -> String {
    let (mut rest, mut suffixes) = (number as f64, ["k", "M", "G", "T", "P", "E"].iter());
    let mut suffix = "";
    // A number that would be rounded up to the next unit is shown in that unit.
    while rest >= step - 0.5 {
        let Some(next) = suffixes.next() else { break };
        (rest, suffix) = (rest / step, next);
    }
    if suffix.is_empty() { number.to_string() } else { digits(rest) + suffix }
}

/// Formats microseconds with the suffixes of the filter, and times of a minute or
/// more in two units.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn time(us: u64) -> String {
    let (seconds, two) =
        (us / 1_000_000, |high, high_name, low, low_name| format!("{high}{high_name}{low:02}{low_name}"));
    match us {
        0..1_000 => format!("{us}us"),
        1_000..999_500 => digits(us as f64 / 1e3) + "ms",
        999_500..60_000_000 => digits(us as f64 / 1e6) + "s",
        _ if seconds < 3600 => two(seconds / 60, "m", seconds % 60, "s"),
        _ if seconds < 86400 => two(seconds / 3600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86400, "d", seconds / 3600 % 24, "h"),
    }
}

/// Formats a number of at least 1 with at least three digits.
fn digits(number: f64) -> String {
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_suffix() {
        let cases = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.00k"),
            (14_948, "14.6k"),
            (10_230, "9.99k"),
            (10_236, "10.0k"),
            (1_048_063, "1023k"),
            (1_048_064, "1.00M"),
            (u64::MAX, "16.0E"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text, "{number}");
        }
    }

    #[test]
    fn a_rounded_time_has_the_next_unit() {
        let cases = [
            (0, "0us"),
            (999, "999us"),
            (1_000, "1.00ms"),
            (12_345, "12.3ms"),
            (999_499, "999ms"),
            (999_500, "1.00s"),
            (59_949_999, "59.9s"),
            (59_999_999, "60.0s"),
            (60_000_000, "1m00s"),
            (3_599_999_999, "59m59s"),
            (3_600_000_000, "1h00m"),
            (86_400_000_000, "1d00h"),
            (1_000_000_000_000, "11d13h"),
        ];
        for (us, text) in cases {
            assert_eq!(time(us), text, "{us}");
        }
    }

    #[test]
    fn a_scoped_address_has_its_zone() {
        let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let mut record = Record::new();
        record.set(key::zone, 7);
        record.set(key::laddr, address("fe80::1"));
        record.set(key::faddr, address("2001:db8::1"));
        assert_eq!(readable(&record, key::laddr.field()).as_deref(), Some("fe80::1%7"), "in a log");
        assert_eq!(readable(&record, key::faddr.field()).as_deref(), Some("2001:db8::1"));
        assert_eq!(exact(&record, key::laddr.field()).as_deref(), Some("fe80::1"));
    }

    #[test]
    fn an_absent_value_is_none_and_an_unset_threshold_is_infinite() {
        let mut record = Record::new();
        let ssthresh = key::snd_ssthresh.field();
        assert_eq!(readable(&record, ssthresh), None);
        record.set(key::snd_ssthresh, NO_THRESHOLD);
        assert_eq!(readable(&record, ssthresh).as_deref(), Some("inf"));
        assert_eq!(exact(&record, ssthresh).as_deref(), Some("1073725440"));
        record.set(key::snd_ssthresh, 2048);
        assert_eq!(readable(&record, ssthresh).as_deref(), Some("2.00k"));
    }

    #[cfg(any(feature = "serve", feature = "top"))]
    #[test]
    fn bits_are_scaled_by_a_thousand() {
        assert_eq!(bits(9_420_000.0), "9.42M");
        assert_eq!(bits(999.4), "999");
        assert_eq!(bits(999_600.0), "1.00M");
    }
}
