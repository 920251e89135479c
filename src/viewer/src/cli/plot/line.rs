// SPDX-License-Identifier: BSD-2-Clause

//! A value over time, in memory that does not grow with the log: of the points
//! that share a column of the picture four are kept, the first, the lowest, the
//! highest and the last.  A line through these looks like one through all.

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Nanoseconds since the start of the picture.
    pub at_ns: u64,
    /// In the unit of what is drawn.
    pub value: f64,
}

/// The time that a picture shows, cut into columns.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Nanoseconds from the first record to the last.
    pub span_ns: u64,
    /// How many.
    pub count: u64,
}

impl Columns {
    /// In which a time is.
    pub fn of(&self, at_ns: u64) -> u64 {
        let part = u128::from(at_ns) * u128::from(self.count) / u128::from(self.span_ns.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// What is kept of the points of one column.
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

    /// In the order of time, each once.
    fn append_to(self, points: &mut Vec<Point>) {
        let mut kept = [self.first, self.lowest, self.highest, self.last];
        kept.sort_by_key(|point| point.at_ns);
        for point in kept {
            if points.last() != Some(&point) {
                points.push(point);
            }
        }
    }
}

/// A line that grows to the right, with breaks where nothing is known.
#[derive(Clone, Debug)]
pub struct Line {
    columns: Columns,
    column: Option<Column>,
    pieces: Vec<Vec<Point>>,
    is_broken: bool,
}

impl Line {
    /// An empty one.
    pub fn new(columns: Columns) -> Self {
        Self { columns, column: None, pieces: Vec::new(), is_broken: true }
    }

    /// Goes on to that point, or breaks where there is no value.  A point that
    /// lies before the last one breaks the line too: the clock was set back.
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

    /// Continues with the last value to that time.
    pub fn extend(&mut self, at_ns: u64) {
        if let Some(last) = self.column.map(|column| column.last) {
            self.push(at_ns, Some(last.value));
        }
    }

    /// Whether there is no point on it.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.column.is_none()
    }

    /// Breaks the line.
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

    /// The unbroken pieces of the line.
    pub fn finish(mut self) -> Vec<Vec<Point>> {
        self.flush();
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(columns: Columns, values: &[(u64, Option<f64>)]) -> Vec<Vec<(u64, f64)>> {
        let mut line = Line::new(columns);
        for (at_ns, value) in values {
            line.push(*at_ns, *value);
        }
        let pieces = line.finish();
        pieces.iter().map(|piece| piece.iter().map(|point| (point.at_ns, point.value)).collect()).collect()
    }

    const TEN: Columns = Columns { span_ns: 100, count: 10 };

    #[test]
    fn of_a_column_the_first_lowest_highest_and_last_are_kept() {
        let values: Vec<_> =
            [5.0, 6.0, 1.0, 4.0, 9.0, 4.0, 5.5].iter().enumerate().map(|(i, v)| (i as u64, Some(*v))).collect();
        assert_eq!(line(TEN, &values), [[(0, 5.0), (2, 1.0), (4, 9.0), (6, 5.5)]]);
    }

    #[test]
    fn points_of_their_own_columns_are_all_kept() {
        let values: Vec<_> = (0..10).map(|i| (i * 10, Some(f64::from(u32::try_from(i).unwrap())))).collect();
        assert_eq!(line(TEN, &values)[0].len(), 10);
    }

    #[test]
    fn a_missing_value_and_a_clock_set_back_break_the_line() {
        let values = [(0, Some(1.0)), (10, None), (20, None), (30, Some(2.0)), (25, Some(3.0))];
        assert_eq!(line(TEN, &values), [vec![(0, 1.0)], vec![(30, 2.0)], vec![(25, 3.0)]]);
    }

    proptest! {
        #[test]
        fn a_long_line_stays_small_and_keeps_its_bounds_in_every_column(
            values in proptest::collection::vec(0u32..1000, 1..2000),
        ) {
            let columns = Columns { span_ns: values.len() as u64, count: 20 };
            let all: Vec<_> = values.iter().enumerate().map(|(i, v)| (i as u64, f64::from(*v))).collect();
            let given: Vec<_> = all.iter().map(|(at_ns, value)| (*at_ns, Some(*value))).collect();
            let kept = line(columns, &given).concat();
            prop_assert!(kept.len() <= 4 * 20);
            prop_assert!(kept.iter().all(|point| all.contains(point)));
            prop_assert!(kept.is_sorted_by(|one, other| one.0 < other.0));
            let bounds = |points: &[(u64, f64)], column| {
                let of = points.iter().filter(|(at_ns, _)| columns.of(*at_ns) == column).map(|(_, value)| *value);
                of.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
            };
            for column in 0..20 {
                prop_assert_eq!(bounds(&kept, column), bounds(&all, column));
            }
        }
    }
}
