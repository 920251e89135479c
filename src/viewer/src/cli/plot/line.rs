// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A value over time, in memory that does not grow with the log.  Only the
//! first, lowest, highest and last point of each column of pixels are stored.  A
//! line through these looks like a line through all points.

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Nanoseconds since the start of the plot.
    pub at_ns: u64,
    /// The value, in the unit of the panel.
    pub value: f64,
}

/// The columns of pixels into which the time of a plot is divided.
#[derive(Clone, Copy, Debug)]
pub struct PixelColumns {
    /// Nanoseconds from the first record to the last.
    pub span_ns: u64,
    /// The number of columns.
    pub count: u64,
}

impl PixelColumns {
    /// Returns the column of a time.
    pub fn of(&self, at_ns: u64) -> u64 {
        let part = u128::from(at_ns) * u128::from(self.count) / u128::from(self.span_ns.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// The points of one column that are stored.
#[derive(Clone, Copy, Debug)]
struct Column {
    number: u64,
    first: Point,
    lowest: Point,
    highest: Point,
    last: Point,
}

impl Column {
    fn of(number: u64, point: Point) -> Self {
        Self { number, first: point, lowest: point, highest: point, last: point }
    }

    fn add(&mut self, point: Point) {
        if point.value < self.lowest.value {
            self.lowest = point;
        }
        if point.value > self.highest.value {
            self.highest = point;
        }
        self.last = point;
    }

    /// Appends the points in the order of time, without duplicates.
    fn append_to(self, points: &mut Vec<Point>) {
        let mut stored = [self.first, self.lowest, self.highest, self.last];
        stored.sort_by_key(|point| point.at_ns);
        for point in stored {
            if points.last() != Some(&point) {
                points.push(point);
            }
        }
    }
}

/// A line that is extended to the right, interrupted where values are unknown.
#[derive(Clone, Debug)]
pub struct Line {
    columns: PixelColumns,
    column: Option<Column>,
    pieces: Vec<Vec<Point>>,
    is_broken: bool,
}

impl Line {
    /// Returns an empty line.
    pub fn new(columns: PixelColumns) -> Self {
        Self { columns, column: None, pieces: Vec::new(), is_broken: true }
    }

    /// Extends the line to a point, or interrupts it if there is no value.  A point
    /// before the last one also interrupts it: the clock was set back.
    pub fn push(&mut self, at_ns: u64, value: Option<f64>) {
        let Some(value) = value else { return self.cut() };
        if self.column.is_some_and(|column| at_ns < column.last.at_ns) {
            self.cut();
        }
        let (number, point) = (self.columns.of(at_ns), Point { at_ns, value });
        match &mut self.column {
            Some(column) if column.number == number => column.add(point),
            _ => {
                self.flush();
                self.column = Some(Column::of(number, point));
            }
        }
    }

    /// Extends the line to this time with the last value.
    pub fn extend(&mut self, at_ns: u64) {
        if let Some(last) = self.column.map(|column| column.last) {
            self.push(at_ns, Some(last.value));
        }
    }

    /// Returns whether the line has no points.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.column.is_none()
    }

    /// Interrupts the line.
    pub fn cut(&mut self) {
        self.flush();
        self.is_broken = true;
    }

    fn flush(&mut self) {
        let Some(column) = self.column.take() else { return };
        if self.is_broken {
            self.is_broken = false;
            self.pieces.push(Vec::new());
        }
        if let Some(piece) = self.pieces.last_mut() {
            column.append_to(piece);
        }
    }

    /// Returns the uninterrupted pieces of the line.
    pub fn finish(mut self) -> Vec<Vec<Point>> {
        self.flush();
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(columns: PixelColumns, values: &[(u64, Option<f64>)]) -> Vec<Vec<(u64, f64)>> {
        let mut line = Line::new(columns);
        for (at_ns, value) in values {
            line.push(*at_ns, *value);
        }
        let pieces = line.finish();
        pieces.iter().map(|piece| piece.iter().map(|point| (point.at_ns, point.value)).collect()).collect()
    }

    const TEN: PixelColumns = PixelColumns { span_ns: 100, count: 10 };

    #[test]
    fn the_first_lowest_highest_and_last_points_of_a_column_are_stored() {
        let values: Vec<_> =
            [5.0, 6.0, 1.0, 4.0, 9.0, 4.0, 5.5].iter().enumerate().map(|(i, v)| (i as u64, Some(*v))).collect();
        assert_eq!(line(TEN, &values), [[(0, 5.0), (2, 1.0), (4, 9.0), (6, 5.5)]]);
    }

    #[test]
    fn points_in_different_columns_are_all_stored() {
        let values: Vec<_> = (0..10).map(|i| (i * 10, Some(f64::from(u32::try_from(i).unwrap())))).collect();
        assert_eq!(line(TEN, &values)[0].len(), 10);
    }

    #[test]
    fn a_missing_value_and_a_clock_set_back_interrupt_the_line() {
        let values = [(0, Some(1.0)), (10, None), (20, None), (30, Some(2.0)), (25, Some(3.0))];
        assert_eq!(line(TEN, &values), [vec![(0, 1.0)], vec![(30, 2.0)], vec![(25, 3.0)]]);
    }

    proptest! {
        #[test]
        fn a_long_line_has_few_points_and_the_bounds_of_every_column(
            values in proptest::collection::vec(0u32..1000, 1..2000),
        ) {
            let columns = PixelColumns { span_ns: values.len() as u64, count: 20 };
            let all: Vec<_> = values.iter().enumerate().map(|(i, v)| (i as u64, f64::from(*v))).collect();
            let given: Vec<_> = all.iter().map(|(at_ns, value)| (*at_ns, Some(*value))).collect();
            let stored = line(columns, &given).concat();
            prop_assert!(stored.len() <= 4 * 20);
            prop_assert!(stored.iter().all(|point| all.contains(point)));
            prop_assert!(stored.is_sorted_by(|one, other| one.0 < other.0));
            let bounds = |points: &[(u64, f64)], column| {
                let of = points.iter().filter(|(at_ns, _)| columns.of(*at_ns) == column).map(|(_, value)| *value);
                of.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
            };
            for column in 0..20 {
                prop_assert_eq!(bounds(&stored, column), bounds(&all, column));
            }
        }
    }
}
