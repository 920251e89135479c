// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The usual interval between the snapshots of a log: the median, which a gap or a
//! pause between two logs hardly changes.

/// Four for each power of two.
const BUCKETS: usize = 64 * 4;

/// A histogram of intervals.
pub struct Spacing {
    /// The count and the sum of the intervals in each bucket.
    buckets: Vec<(u64, u128)>,
    /// The number and the time of the last snapshot.
    last: Option<(u64, u64)>,
}

impl Spacing {
    /// Returns an empty histogram.
    pub fn new() -> Self {
        Self { buckets: vec![(0, 0); BUCKETS], last: None }
    }

    /// Adds the time of a snapshot.
    pub fn add_snapshot(&mut self, number: u64, time_ns: u64) {
        match self.last {
            Some((last, _)) if last == number => return,
            Some((last, last_ns)) if number == last + 1 => self.add(time_ns.saturating_sub(last_ns)),
            _ => (),
        }
        self.last = Some((number, time_ns));
    }

    /// Adds an interval.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the result is from 0 to 255"
    )]
    pub fn add(&mut self, ns: u64) {
        if ns > 0 {
            let (count, sum) = &mut self.buckets[((ns as f64).log2() * 4.0) as usize % BUCKETS];
            *count += 1;
            *sum += u128::from(ns);
        }
    }

    /// Returns the median, accurate to within a few per cent.
    pub fn usual_ns(&self) -> Option<u64> {
        let all: u64 = self.buckets.iter().map(|(count, _)| count).sum();
        let mut before = 0;
        let (count, sum) = self.buckets.iter().find(|(count, _)| {
            before += count;
            *count > 0 && before * 2 >= all
        })?;
        u64::try_from(sum / u128::from(*count)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_does_not_change_the_usual_interval() {
        let mut spacing = Spacing::new();
        assert_eq!(spacing.usual_ns(), None);
        for number in 0..10 {
            spacing.add_snapshot(number, number * 50_000_000);
            spacing.add_snapshot(number, number * 50_000_000 + 300);
        }
        // Another log, in which every second snapshot is missing.
        for number in 1..10 {
            spacing.add_snapshot(number * 2, 3_600_000_000_000 + number * 100_000_000);
        }
        spacing.add_snapshot(19, 7_200_000_000_000);
        assert_eq!(spacing.usual_ns(), Some(50_000_000));
    }
}
