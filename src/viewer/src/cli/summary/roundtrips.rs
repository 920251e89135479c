// SPDX-License-Identifier: BSD-2-Clause

//! The round-trip times of a connection, in bounded memory.

use sketches_ddsketch::{Config, DDSketch};

/// Different times that are kept as they are; more need a sketch, which takes
/// some kilobytes.
const FEW: usize = 8;

/// Round-trip times, each as often as there are snapshots in which it held.
pub struct RoundTrips {
    /// What came, and how often, until there are too many.
    few: Vec<(u32, u64)>,
    sketch: Option<Box<DDSketch>>,
}

impl RoundTrips {
    /// None yet.
    pub fn new() -> Self {
        Self { few: Vec::new(), sketch: None }
    }

    /// Adds a time that held in that many snapshots.
    pub fn see(&mut self, srtt: u32, count: u64) {
        if count == 0 {
            return;
        }
        if let Some((_, seen)) = self.few.iter_mut().find(|(other, _)| *other == srtt) {
            *seen += count;
            return;
        }
        if self.few.len() == FEW {
            self.flush();
        }
        if self.few.is_empty() {
            self.few.reserve_exact(if self.sketch.is_some() { FEW } else { 1 });
        } else if self.few.len() == self.few.capacity() {
            self.few.reserve_exact((FEW - self.few.len()).min(self.few.len()));
        }
        self.few.push((srtt, count));
    }

    /// Puts the few into the sketch.
    fn flush(&mut self) {
        let sketch = self.sketch.get_or_insert_with(|| Box::new(sketch()));
        for (srtt, count) in self.few.drain(..) {
            sketch.add_with_count(srtt.into(), count);
        }
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (srtt, count) in &other.few {
            self.see(*srtt, *count);
        }
        if let Some(other) = &other.sketch {
            // Both have the same configuration, without which merging fails.
            let _ = self.sketch.get_or_insert_with(|| Box::new(sketch())).merge(other);
        }
    }

    /// Microseconds: the least, the median, that of 95 %, and the greatest; the
    /// middle ones within 1 %.
    pub fn quantiles(&self) -> Option<[f64; 4]> {
        let mut all = self.sketch.as_ref().map_or_else(sketch, |sketch| (**sketch).clone());
        for (srtt, count) in &self.few {
            all.add_with_count((*srtt).into(), *count);
        }
        let at = |q| all.quantile(q).ok().flatten();
        let (least, greatest) = all.min().zip(all.max())?;
        Some([least, at(0.5)?.clamp(least, greatest), at(0.95)?.clamp(least, greatest), greatest])
    }
}

fn sketch() -> DDSketch {
    DDSketch::new(Config::defaults())
}
