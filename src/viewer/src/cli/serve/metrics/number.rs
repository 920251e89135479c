// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of metrics.

use std::fmt::{Display, Formatter, Result as FormatResult};

/// One second, and the share 1.
pub const BILLION: u64 = 1_000_000_000;

/// The unit of integers in which a value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The value itself.
    One,
    /// A billionth of the value.
    Billionth,
}

impl Scale {
    /// Returns the value that is this number of units.
    pub fn number(self, units: u128) -> Number {
        match self {
            Self::One => Number::Count(units),
            Self::Billionth => Number::Billionths(units),
        }
    }
}

/// An exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// An integer.
    Count(u128),
    /// A decimal fraction, in billionths.
    Billionths(u128),
}

impl Number {
    /// Returns the value, rounded to what a double can represent.
    #[allow(clippy::cast_precision_loss, reason = "the formats have doubles")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            // The integer part separately, because the units of a time exceed 53 bits.
            Self::Billionths(units) => {
                let billion = u128::from(BILLION);
                (units / billion) as f64 + (units % billion) as f64 / billion as f64
            }
        }
    }
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Count(count.into())
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> FormatResult {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Billionths(units) => {
                let billion = u128::from(BILLION);
                let fraction = format!("{:09}", units % billion);
                let digits = fraction.trim_end_matches('0');
                write!(f, "{}.{}", units / billion, if digits.is_empty() { "0" } else { digits })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        let text = |units| Number::Billionths(units).to_string();
        assert_eq!([0, 1, 500_000_000, 16_000_000_000].map(text), ["0.0", "0.000000001", "0.5", "16.0"]);
    }
}
