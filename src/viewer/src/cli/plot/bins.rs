// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Sums over intervals of equal length, such as bytes sent and segments
//! retransmitted, in memory that does not grow with the log.

use std::time::Duration;

use super::line::{Line, PixelColumns, Point};

/// Converts nanoseconds to seconds.
pub fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// The current interval.
#[derive(Clone, Copy, Debug)]
struct Bin {
    number: u64,
    sum: f64,
    /// The start of the part that is covered by records.
    from_ns: u64,
    /// The end of this part.
    to_ns: u64,
}

/// A period that records cover without a gap.
#[derive(Clone, Copy, Debug)]
struct Period {
    sum: f64,
    from_ns: u64,
    to_ns: u64,
    /// Whether the line contains an interval of it.
    is_drawn: bool,
}

/// The intervals of a plot.
#[derive(Clone, Debug)]
pub struct Bins {
    width_ns: u64,
    columns: PixelColumns,
    open: Option<Bin>,
    period: Option<Period>,
    total: f64,
    rates: Line,
    counts: Vec<Point>,
}

impl Bins {
    /// Returns intervals of this length.
    pub fn new(columns: PixelColumns, width_ns: u64) -> Self {
        Self { width_ns, columns, open: None, period: None, total: 0.0, rates: Line::new(columns), counts: Vec::new() }
    }

    /// Returns the sum over all intervals.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Adds an amount that is distributed evenly between two times.
    pub fn spread(&mut self, from_ns: u64, to_ns: u64, amount: f64) {
        let per_second = amount / seconds(to_ns.saturating_sub(from_ns));
        self.each(from_ns, to_ns, |bin, ns| bin.sum += per_second * seconds(ns));
        self.add(amount);
    }

    /// Adds an amount that was counted between two times, all of it at the later time.
    pub fn count(&mut self, from_ns: u64, to_ns: u64, amount: f64) {
        self.each(from_ns, to_ns, |_, _| ());
        if amount > 0.0 {
            self.open_at(to_ns).sum += amount;
        }
        self.add(amount);
    }

    fn add(&mut self, amount: f64) {
        self.total += amount;
        if let Some(period) = &mut self.period {
            period.sum += amount;
        }
    }

    /// Calls `use_bin` with every interval between two times and the length of the
    /// overlap.
    fn each(&mut self, from_ns: u64, to_ns: u64, mut use_bin: impl FnMut(&mut Bin, u64)) {
        if self.period.is_some_and(|period| period.to_ns != from_ns) {
            self.cut();
        }
        let period = Period { sum: 0.0, from_ns, to_ns, is_drawn: false };
        self.period.get_or_insert(period).to_ns = to_ns;
        let mut at_ns = from_ns;
        while at_ns < to_ns {
            let bin_end_ns = (at_ns / self.width_ns + 1) * self.width_ns;
            let end_ns = to_ns.min(bin_end_ns);
            let bin = self.open_at(at_ns);
            bin.to_ns = end_ns;
            use_bin(bin, end_ns - at_ns);
            at_ns = end_ns;
        }
    }

    /// Returns the interval at a time, after closing the previous one.
    fn open_at(&mut self, at_ns: u64) -> &mut Bin {
        let number = at_ns / self.width_ns;
        if self.open.is_some_and(|bin| bin.number != number) {
            self.close();
        }
        self.open.get_or_insert(Bin { number, sum: 0.0, from_ns: at_ns, to_ns: at_ns })
    }

    /// Closes the current interval.
    fn close(&mut self) {
        let Some(Bin { number, sum, from_ns, to_ns }) = self.open.take() else { return };
        // A rate over less than half an interval would not be comparable with the others.
        if (to_ns - from_ns) * 2 >= self.width_ns {
            self.rates.push(from_ns, Some(sum / seconds(to_ns - from_ns)));
            if let Some(period) = &mut self.period {
                period.is_drawn = true;
            }
        }
        if sum > 0.0 {
            self.add_count(Point { at_ns: number * self.width_ns + self.width_ns / 2, value: sum });
        }
    }

    /// Adds a count.  Only the highest count of each column is stored.
    fn add_count(&mut self, point: Point) {
        match self.counts.last_mut() {
            Some(last) if self.columns.of(last.at_ns) == self.columns.of(point.at_ns) => {
                if last.value < point.value {
                    *last = point;
                }
            }
            _ => self.counts.push(point),
        }
    }

    /// Interrupts the line.
    fn cut(&mut self) {
        self.close();
        let Some(Period { sum, from_ns, to_ns, is_drawn }) = self.period.take() else { return };
        if is_drawn {
            self.rates.extend(to_ns);
        } else if from_ns < to_ns {
            // The period is shorter than an interval.
            self.rates.push(from_ns, Some(sum / seconds(to_ns - from_ns)));
            self.rates.extend(to_ns);
        }
        self.rates.cut();
    }

    /// Returns the rates per second, each valid until the next.
    pub fn rates(mut self) -> Vec<Vec<Point>> {
        self.cut();
        self.rates.finish()
    }

    /// Returns the intervals with a count, at their middle, as one piece that may be
    /// empty.  Returns no piece if there was no counter.
    pub fn counts(mut self) -> Vec<Vec<Point>> {
        if self.period.is_none() && self.rates.is_empty() {
            return Vec::new();
        }
        self.cut();
        vec![self.counts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const COLUMNS: PixelColumns = PixelColumns { span_ns: 100 * S, count: 1000 };

    fn points(pieces: &[Vec<Point>]) -> Vec<Vec<(u64, f64)>> {
        pieces.iter().map(|piece| piece.iter().map(|point| (point.at_ns / S, point.value)).collect()).collect()
    }

    #[test]
    fn an_amount_is_spread_over_the_intervals_it_overlaps() {
        let mut bins = Bins::new(COLUMNS, 2 * S);
        bins.spread(0, 2 * S, 600.0);
        bins.spread(2 * S, 6 * S, 400.0);
        assert!((bins.total() - 1000.0).abs() < 1e-9);
        assert_eq!(points(&bins.rates()), [[(0, 300.0), (2, 100.0), (4, 100.0), (6, 100.0)]]);
    }

    #[test]
    fn a_gap_interrupts_the_line() {
        let mut bins = Bins::new(COLUMNS, 2 * S);
        bins.spread(0, 2 * S + S / 2, 250.0);
        bins.spread(5 * S, 6 * S, 70.0);
        assert_eq!(points(&bins.rates()), [vec![(0, 100.0), (2, 100.0)], vec![(5, 70.0), (6, 70.0)]]);
    }

    #[test]
    fn a_period_that_is_shorter_than_an_interval_has_a_rate() {
        let mut bins = Bins::new(COLUMNS, 10 * S);
        bins.spread(12 * S, 13 * S, 500.0);
        bins.spread(13 * S, 14 * S, 700.0);
        assert_eq!(points(&bins.rates()), [[(12, 600.0), (14, 600.0)]]);
    }

    #[test]
    fn the_highest_rate_and_the_highest_count_of_a_column_are_stored() {
        let mut bins = Bins::new(PixelColumns { span_ns: 1000 * S, count: 10 }, S);
        for number in 0..1000 {
            bins.spread(number * S, (number + 1) * S, if number == 555 { 900.0 } else { 1.0 });
        }
        let counts = bins.clone().counts().concat();
        assert_eq!(counts.len(), 10);
        assert!(counts.iter().any(|point| point.at_ns / S == 555 && (point.value - 900.0).abs() < 1e-6));
        let rates = bins.rates().concat();
        assert!(rates.len() <= 40 && rates.iter().any(|point| (point.value - 900.0).abs() < 1e-6));
    }

    #[test]
    fn a_count_is_not_divided() {
        let mut bins = Bins::new(COLUMNS, 2 * S);
        bins.count(S, 3 * S, 5.0);
        bins.count(3 * S, 4 * S, 0.0);
        assert_eq!(points(&bins.counts()), [[(3, 5.0)]]);
        assert!(Bins::new(COLUMNS, S).counts().is_empty());
    }
}
