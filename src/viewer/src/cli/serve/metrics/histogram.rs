// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Histograms, with fixed buckets and as native histograms.

use std::sync::Arc;

use super::native::Native;
use super::number::{BILLION, Scale};

/// The upper bounds of buckets, in ascending order.  Values are integers of a scale.
pub type Bounds = Arc<[u64]>;

/// Observations, counted by fixed buckets and by those of a native histogram.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The scale of the values.
    pub scale: Scale,
    bounds: Bounds,
    /// The observations in each bucket, the last of which has no bound.
    counts: Box<[u64]>,
    sum: u128,
    /// The same observations as a native histogram.
    pub native: Native,
}

impl Histogram {
    /// Returns an empty histogram.
    pub fn new(scale: Scale, bounds: &Bounds) -> Self {
        let counts = vec![0; bounds.len() + 1].into();
        Self { scale, bounds: Arc::clone(bounds), counts, sum: 0, native: Native::default() }
    }

    /// Adds an observation.
    pub fn observe(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += u128::from(value);
            self.native.observe(self.scale.number(value.into()).as_f64());
        }
    }

    /// Returns the bound of each bucket that has one, with the number of observations up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(sums)
    }

    /// Returns the number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of the observations.
    pub fn sum(&self) -> u128 {
        self.sum
    }
}

/// The bounds of the histograms of each group.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Of smoothed round-trip times, in nanoseconds.
    pub srtt: Bounds,
    /// Of minimum round-trip times, in nanoseconds.
    pub min_rtt: Bounds,
    /// Of durations, in nanoseconds.
    pub duration: Bounds,
    /// Of sizes, in bytes.
    pub size: Bounds,
    /// Of shares, in billionths.
    pub share: Bounds,
}

impl Buckets {
    /// Returns bounds for smoothed round-trip times from 15 µs to 16 s, with this number of
    /// buckets for each power of two.  The others are coarser, because each bucket is a series.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn new(srtt_per_octave: u8) -> Self {
        let steps = 20 * u32::from(srtt_per_octave);
        let srtt = |step: u32| (16e9 * (-f64::from(step) / f64::from(srtt_per_octave)).exp2()).round() as u64;
        let powers = |base: f64, powers: std::ops::RangeInclusive<i32>| {
            powers.map(|power| (BILLION as f64 * base.powi(power)).round() as u64).collect()
        };
        Self {
            srtt: (0..=steps).rev().map(srtt).collect(),
            // From 15 µs to 4 s.
            min_rtt: powers(4.0, -8..=1),
            // From 2 ms to three days.
            duration: powers(8.0, -3..=6),
            // From 512 B to 64 GiB.
            size: (3..=12).map(|power| 8_u64.pow(power)).collect(),
            // All of them are at most 1.
            share: std::iter::once(0).chain((1..=5).rev().map(|power| BILLION / 4_u64.pow(power))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(Scale::One, &Bounds::from([10, 20]));
        for value in [0, 10, 11, 20, 21, u64::MAX] {
            histogram.observe(value);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(10, 2), (20, 4)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, u128::from(u64::MAX) + 62));
    }

    #[test]
    fn bounds_ascend_and_have_the_stated_resolution() {
        for per_octave in 1..=32 {
            let buckets = Buckets::new(per_octave);
            for bounds in [&buckets.srtt, &buckets.min_rtt, &buckets.duration, &buckets.size, &buckets.share] {
                assert!(bounds.is_sorted_by(|one, other| one < other), "{bounds:?}");
            }
            assert_eq!(buckets.srtt.len(), 20 * usize::from(per_octave) + 1);
        }
        let fine = Buckets::new(15);
        assert!(fine.srtt.windows(2).all(|pair| pair[1] * 100 < pair[0] * 105));
    }

    proptest! {
        #[test]
        fn the_fixed_buckets_and_the_native_histogram_agree(
            values in prop::collection::vec(
                prop_oneof![Just(0), 0..20_000_u64, 0..20_000_000_u64, 0..1_u64 << 32],
                0..200,
            ),
        ) {
            let buckets = Buckets::new(1);
            // Times are microseconds.  Bounds in between are those of a native histogram.
            let histograms = [
                (Scale::Billionth, &buckets.srtt, 1000), (Scale::Billionth, &buckets.min_rtt, 1000),
                (Scale::Billionth, &buckets.duration, 1000), (Scale::One, &buckets.size, 1),
            ];
            for (scale, bounds, unit) in histograms {
                let mut histogram = Histogram::new(scale, bounds);
                for value in &values {
                    histogram.observe(value * unit);
                }
                let native = &histogram.native;
                let all = native.zero() + native.buckets().iter().map(|(_, count)| count).sum::<u64>();
                prop_assert_eq!(all, histogram.count());
                for (bound, count) in histogram.cumulative() {
                    let exponent = scale.number(bound.into()).as_f64().log2();
                    prop_assert!((exponent - exponent.round()).abs() < 1e-3);
                    #[allow(clippy::cast_possible_truncation, reason = "it is small")]
                    let last = (exponent.round() as i32) << native.schema();
                    let below = native.buckets().iter().filter(|(number, _)| *number <= last);
                    prop_assert_eq!(native.zero() + below.map(|(_, count)| count).sum::<u64>(), count);
                }
            }
        }
    }
}
