// SPDX-License-Identifier: BSD-2-Clause

//! How far apart the snapshots of a log usually are: neither a gap nor a pause
//! between two logs changes that much, as it does a mean.

/// Four to an octave.
const BUCKETS: usize = 64 * 4;

/// The distances seen so far, by their size.
pub struct Spacing {
    buckets: Vec<(u64, u128)>,
    last: Option<(u64, u64)>,
}

impl Spacing {
    /// None yet.
    pub fn new() -> Self {
        Self { buckets: vec![(0, 0); BUCKETS], last: None }
    }

    /// Takes the time of a snapshot's record, or of the snapshot.
    pub fn see(&mut self, number: u64, time_ns: u64) {
        match self.last {
            Some((last, _)) if last == number => return,
            Some((last, last_ns)) if number == last + 1 => self.add(time_ns.saturating_sub(last_ns)),
            _ => (),
        }
        self.last = Some((number, time_ns));
    }

    /// Takes a distance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "of 0 to 255"
    )]
    pub fn add(&mut self, ns: u64) {
        if ns > 0 {
            let (count, sum) = &mut self.buckets[((ns as f64).log2() * 4.0) as usize % BUCKETS];
            *count += 1;
            *sum += u128::from(ns);
        }
    }

    /// The median, within a few per cent.
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
    fn a_gap_does_not_change_what_is_usual() {
        let mut spacing = Spacing::new();
        assert_eq!(spacing.usual_ns(), None);
        for number in 0..10 {
            spacing.see(number, number * 50_000_000);
            spacing.see(number, number * 50_000_000 + 300);
        }
        // Another log, and a snapshot that is missing.
        for number in 1..10 {
            spacing.see(number * 2, 3_600_000_000_000 + number * 100_000_000);
        }
        spacing.see(19, 7_200_000_000_000);
        assert_eq!(spacing.usual_ns(), Some(50_000_000));
    }
}
