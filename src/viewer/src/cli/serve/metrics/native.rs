// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Native histograms of Prometheus: exponential buckets, of which only those with observations
//! exist.

use std::sync::LazyLock;

/// The finest schema: each bucket is 2^(1/16) times as wide as the one before, so that the error
/// of a quantile is at most 4.5 %.
const SCHEMA: u8 = 4;

/// The maximum number of buckets, those of 20 powers of two.  That is the range of the classic
/// buckets of round-trip times.
const BUCKETS_MAX: usize = 20 << SCHEMA;

/// Observations up to this value are in the zero bucket.  Only 0 is, because the smallest other
/// observation is a billionth.
pub const ZERO_THRESHOLD: f64 = f64::MIN_POSITIVE;

/// The upper bounds of the buckets from 1 to 2, without 2.
static BOUNDS: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..1 << SCHEMA).map(|step| (f64::from(step) / f64::from(1 << SCHEMA)).exp2()).collect());

/// Observations, counted by exponential buckets.
#[derive(Clone, Debug)]
pub struct Native {
    /// A bucket is 2^(2^-schema) times as wide as the one before.
    schema: u8,
    zero: u64,
    /// The buckets with observations by their numbers, in ascending order.  The upper bound of a
    /// bucket is 2^(number * 2^-schema).
    buckets: Vec<(i32, u64)>,
}

impl Default for Native {
    fn default() -> Self {
        Self { schema: SCHEMA, zero: 0, buckets: Vec::new() }
    }
}

impl Native {
    /// Adds an observation, which is not negative.
    pub fn observe(&mut self, value: f64) {
        if value < ZERO_THRESHOLD {
            self.zero += 1;
            return;
        }
        let number = coarser(number(value), SCHEMA - self.schema);
        match self.buckets.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (number, 1)),
        }
        while self.buckets.len() > BUCKETS_MAX && self.schema > 0 {
            self.merge();
        }
    }

    /// Merges neighbouring buckets, which lowers the schema by one.
    fn merge(&mut self) {
        self.schema -= 1;
        for (number, _) in &mut self.buckets {
            *number = coarser(*number, 1);
        }
        self.buckets.dedup_by(|(number, count), (before, sum)| {
            let is_same = number == before;
            if is_same {
                *sum += *count;
            }
            is_same
        });
    }

    /// Returns the schema.
    pub fn schema(&self) -> u8 {
        self.schema
    }

    /// Returns the number of observations in the zero bucket.
    pub fn zero(&self) -> u64 {
        self.zero
    }

    /// Returns the numbers of the other buckets that have observations, and their counts.
    pub fn buckets(&self) -> &[(i32, u64)] {
        &self.buckets
    }
}

/// Returns the number of the bucket of a positive value in the finest schema.
fn number(value: f64) -> i32 {
    /// The bits of the significand without the first, which is not stored.
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = value.to_bits();
    // The value is positive and not subnormal: its sign bit is 0.
    let exponent = i32::try_from(bits >> FRACTION).unwrap_or(i32::MAX) - (f64::MAX_EXP - 1);
    let significand = f64::from_bits(bits & ((1 << FRACTION) - 1) | 1_f64.to_bits());
    let step = BOUNDS.partition_point(|bound| *bound < significand);
    (exponent << SCHEMA) + i32::try_from(step).unwrap_or(i32::MAX)
}

/// Returns the number of the bucket in a schema that is lower by this difference.
fn coarser(number: i32, difference: u8) -> i32 {
    // The upper bound is in its bucket: division by a power of two, rounded up.
    ((number - 1) >> difference) + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn upper(number: i32, schema: u8) -> f64 {
        (f64::from(number) / f64::from(1 << schema)).exp2()
    }

    #[test]
    fn a_bound_is_in_its_own_bucket() {
        for exponent in -30..=40 {
            let value = f64::from(exponent).exp2();
            assert_eq!(number(value), exponent * 16);
            assert_eq!(number(value * (1.0 + f64::EPSILON)), exponent * 16 + 1);
            for difference in 0..=4 {
                assert_eq!(coarser(number(value), difference), exponent << (SCHEMA - difference));
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_is_between_the_bounds_of_its_bucket(value in 1e-9..1e15_f64, difference in 0..=4_u8) {
            let (found, schema) = (coarser(number(value), difference), SCHEMA - difference);
            prop_assert!(value <= upper(found, schema) * (1.0 + 1e-12));
            prop_assert!(value > upper(found - 1, schema) * (1.0 - 1e-12));
        }

        #[test]
        fn the_number_of_buckets_is_bounded_and_no_observation_is_lost(
            values in prop::collection::vec((-30..60_i32, 1.0..2.0_f64), 0..5000),
        ) {
            let mut native = Native::default();
            for (exponent, significand) in &values {
                native.observe(significand * f64::from(*exponent).exp2());
            }
            native.observe(0.0);
            prop_assert!(native.buckets().len() <= BUCKETS_MAX);
            prop_assert!(native.buckets().is_sorted_by(|one, other| one.0 < other.0));
            prop_assert_eq!(native.buckets().iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
            prop_assert_eq!(native.zero(), 1);
        }
    }

    #[test]
    fn the_schema_is_lowered_only_beyond_twenty_powers_of_two() {
        let mut native = Native::default();
        let mut add = |step: u32| {
            native.observe((f64::from(step) / 16.0).exp2() * 1.01);
            native.schema()
        };
        assert!((0..320).all(|step| add(step) == 4));
        assert_eq!(add(320), 3);
    }
}
