// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The round-trip times of a connection, in bounded memory.

use sketches_ddsketch::{Config, DDSketch};

/// The number of different times that are stored exactly.  More need a sketch,
/// which takes several kilobytes.
const EXACT_MAX: usize = 8;

/// The distribution of round-trip times, weighted by the number of snapshots in
/// which each was valid.
pub struct RoundTrips {
    /// Times that are not in the sketch, and their weights.
    exact: Vec<(u32, u64)>,
    sketch: Option<Box<DDSketch>>,
}

impl RoundTrips {
    /// Returns an empty distribution.
    pub fn new() -> Self {
        Self { exact: Vec::new(), sketch: None }
    }

    /// Adds a time that was valid in `count` snapshots.
    pub fn add(&mut self, srtt: u32, count: u64) {
        if count == 0 {
            return;
        }
        if let Some((_, seen)) = self.exact.iter_mut().find(|(other, _)| *other == srtt) {
            *seen += count;
            return;
        }
        if self.exact.len() == EXACT_MAX {
            self.flush();
        }
        if self.exact.is_empty() {
            self.exact.reserve_exact(if self.sketch.is_some() { EXACT_MAX } else { 1 });
        } else if self.exact.len() == self.exact.capacity() {
            self.exact.reserve_exact((EXACT_MAX - self.exact.len()).min(self.exact.len()));
        }
        self.exact.push((srtt, count));
    }

    /// Moves the exact times to the sketch.
    fn flush(&mut self) {
        let sketch = self.sketch.get_or_insert_with(|| Box::new(sketch()));
        for (srtt, count) in self.exact.drain(..) {
            sketch.add_with_count(srtt.into(), count);
        }
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        for (srtt, count) in &other.exact {
            self.add(*srtt, *count);
        }
        if let Some(other) = &other.sketch {
            // Merging fails only if the configurations differ.
            let _ = self.sketch.get_or_insert_with(|| Box::new(sketch())).merge(other);
        }
    }

    /// Returns the minimum, the median, the 95th percentile and the maximum in
    /// microseconds.  The middle two are accurate to within 1 %.
    pub fn quantiles(&self) -> Option<[f64; 4]> {
        let mut all = self.sketch.as_ref().map_or_else(sketch, |sketch| (**sketch).clone());
        for (srtt, count) in &self.exact {
            all.add_with_count((*srtt).into(), *count);
        }
        let at = |q| all.quantile(q).ok().flatten();
        let (min, max) = all.min().zip(all.max())?;
        Some([min, at(0.5)?.clamp(min, max), at(0.95)?.clamp(min, max), max])
    }
}

fn sketch() -> DDSketch {
    DDSketch::new(Config::defaults())
}
