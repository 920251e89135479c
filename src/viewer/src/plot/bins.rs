// SPDX-License-Identifier: BSD-2-Clause

//! Sums over intervals of equal length: what was sent, what was lost.

use std::time::Duration;

use super::line::Point;

/// So many nanoseconds in seconds.
pub fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// What happened in one interval.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    sum: f64,
    /// How much of the interval is known.
    known_ns: u64,
}

/// The intervals of a picture.
#[derive(Clone, Debug)]
pub struct Bins {
    width_ns: u64,
    bins: Vec<Bin>,
}

impl Bins {
    /// As many as the span takes.
    pub fn new(span_ns: u64, width_ns: u64) -> Self {
        let count = usize::try_from(span_ns / width_ns + 1).unwrap_or(usize::MAX);
        Self { width_ns, bins: vec![Bin::default(); count] }
    }

    /// Whether nothing is known of any time.
    pub fn is_empty(&self) -> bool {
        self.bins.iter().all(|bin| bin.known_ns == 0)
    }

    /// All together.
    pub fn total(&self) -> f64 {
        self.bins.iter().map(|bin| bin.sum).sum()
    }

    /// Adds what happened evenly between two times.
    pub fn spread(&mut self, from_ns: u64, to_ns: u64, amount: f64) {
        let per_second = amount / seconds(to_ns.saturating_sub(from_ns));
        self.each(from_ns, to_ns, |bin, ns| {
            bin.sum += per_second * seconds(ns);
            bin.known_ns += ns;
        });
    }

    /// Adds what was counted between two times, and is not to be torn apart,
    /// at the second.
    pub fn count(&mut self, from_ns: u64, to_ns: u64, amount: f64) {
        self.each(from_ns, to_ns, |bin, ns| bin.known_ns += ns);
        if let Some(bin) = usize::try_from(to_ns / self.width_ns).ok().and_then(|at| self.bins.get_mut(at)) {
            bin.sum += amount;
        }
    }

    /// Lends every bin between two times, and how much of it that is.
    fn each(&mut self, from_ns: u64, to_ns: u64, mut lend: impl FnMut(&mut Bin, u64)) {
        let mut at_ns = from_ns;
        while at_ns < to_ns {
            let number = at_ns / self.width_ns;
            let end_ns = to_ns.min((number + 1) * self.width_ns);
            match usize::try_from(number).ok().and_then(|number| self.bins.get_mut(number)) {
                Some(bin) => lend(bin, end_ns - at_ns),
                None => return,
            }
            at_ns = end_ns;
        }
    }

    /// Per second, as steps: each value from its time to the next one's.  An
    /// interval of which less than half is known breaks the line.
    pub fn rates(&self) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        let mut was_known = false;
        for (number, bin) in (0..).zip(&self.bins) {
            let is_known = bin.known_ns * 2 >= self.width_ns;
            if is_known {
                if !was_known {
                    pieces.push(Vec::new());
                }
                let value = bin.sum / seconds(bin.known_ns);
                if let Some(piece) = pieces.last_mut() {
                    // The end of the step, which the next one moves on.
                    piece.pop_if(|_| was_known);
                    piece.push(Point { at_ns: number * self.width_ns, value });
                    piece.push(Point { at_ns: (number + 1) * self.width_ns, value });
                }
            }
            was_known = is_known;
        }
        pieces
    }

    /// The intervals in which something was counted, at their middles.
    pub fn counts(&self) -> Vec<Point> {
        let numbered = (0..).zip(&self.bins).filter(|(_, bin)| bin.sum > 0.0);
        numbered
            .map(|(number, bin)| Point { at_ns: number * self.width_ns + self.width_ns / 2, value: bin.sum })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn points(points: &[Point]) -> Vec<(u64, f64)> {
        points.iter().map(|point| (point.at_ns / S, point.value)).collect()
    }

    #[test]
    fn what_is_spread_falls_into_the_intervals_it_crosses() {
        let mut bins = Bins::new(10 * S, 2 * S);
        bins.spread(0, 2 * S, 600.0);
        bins.spread(2 * S, 6 * S, 400.0);
        let rates = bins.rates();
        assert_eq!(rates.len(), 1);
        assert_eq!(points(&rates[0]), [(0, 300.0), (2, 100.0), (4, 100.0), (6, 100.0)]);
        assert!((bins.total() - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn an_interval_of_which_less_than_half_is_known_breaks_the_line() {
        let mut bins = Bins::new(10 * S, 2 * S);
        bins.spread(0, 2 * S + S / 2, 250.0);
        bins.spread(5 * S, 6 * S, 70.0);
        let rates = bins.rates();
        assert_eq!(
            rates.iter().map(|piece| points(piece)).collect::<Vec<_>>(),
            [vec![(0, 100.0), (2, 100.0)], vec![(4, 70.0), (6, 70.0)]]
        );
    }

    #[test]
    fn what_is_counted_stays_whole() {
        let mut bins = Bins::new(10 * S, 2 * S);
        bins.count(S, 3 * S, 5.0);
        bins.count(3 * S, 4 * S, 0.0);
        assert_eq!(points(&bins.counts()), [(3, 5.0)]);
        assert!(!bins.is_empty());
    }
}
