// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Histograms with fixed buckets.

use std::sync::Arc;

/// The upper bounds of buckets, in ascending order.  Values are integers in a small unit.
pub type Bounds = Arc<[u64]>;

/// Observations, counted by bucket.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Bounds,
    /// The observations in each bucket, the last of which has no bound.
    counts: Box<[u64]>,
    sum: u128,
}

impl Histogram {
    /// Returns an empty histogram.
    pub fn new(bounds: &Bounds) -> Self {
        Self { bounds: Arc::clone(bounds), counts: vec![0; bounds.len() + 1].into(), sum: 0 }
    }

    /// Adds an observation.
    pub fn observe(&mut self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += u128::from(value);
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
    /// Of round-trip times, in nanoseconds.
    pub rtt: Bounds,
    /// Of durations, in nanoseconds.
    pub duration: Bounds,
    /// Of sizes, in bytes.
    pub size: Bounds,
    /// Of shares, in billionths.
    pub share: Bounds,
}

/// One second, and the share 1.
pub const BILLION: u64 = 1_000_000_000;

impl Buckets {
    /// Returns bounds for round-trip times from 15 µs to 16 s, with this number of buckets for
    /// each power of two.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn new(rtt_per_octave: u8) -> Self {
        let steps = 20 * u32::from(rtt_per_octave);
        let rtt = |step: u32| (16e9 * (-f64::from(step) / f64::from(rtt_per_octave)).exp2()).round() as u64;
        Self {
            rtt: (0..=steps).rev().map(rtt).collect(),
            // Powers of four, from 1 ms to three days.
            duration: (-5..=9).map(|power| (BILLION as f64 * 4_f64.powi(power)) as u64).collect(),
            // From 256 B to 1 TiB.
            size: (4..=20).map(|power| 4_u64.pow(power)).collect(),
            share: std::iter::once(0).chain((0..=5).rev().map(|power| BILLION / 4_u64.pow(power))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(&Bounds::from([10, 20]));
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
            for bounds in [&buckets.rtt, &buckets.duration, &buckets.size, &buckets.share] {
                assert!(bounds.is_sorted_by(|one, other| one < other), "{bounds:?}");
            }
            assert_eq!(buckets.rtt.len(), 20 * usize::from(per_octave) + 1);
        }
        let fine = Buckets::new(15);
        assert!(fine.rtt.windows(2).all(|pair| pair[1] * 100 < pair[0] * 105));
    }
}
