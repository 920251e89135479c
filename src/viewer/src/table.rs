// SPDX-License-Identifier: BSD-2-Clause

//! Aligned columns of text.

use std::io::{self, Write};

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What a cell has that nothing is known for.
pub const ABSENT: &str = "-";

/// A table while it grows.
pub struct Table {
    aligns: Vec<Align>,
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with those titles.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let (titles, aligns) = columns.into_iter().unzip();
        Self { aligns, lines: vec![titles] }
    }

    /// Appends a line, which has a cell for every column.
    pub fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.aligns.len());
        self.lines.push(cells);
    }

    /// Writes it; no line ends in spaces.
    ///
    /// # Errors
    /// What the writer said.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| self.lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.aligns.len()).map(width).collect();
        for cells in &self.lines {
            let mut line = Vec::new();
            for ((cell, align), width) in cells.iter().zip(&self.aligns).zip(&widths) {
                match align {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            line.truncate(line.trim_ascii_end().len());
            line.push(b'\n');
            to.write_all(&line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new([("cc".into(), Align::Left), ("srtt".into(), Align::Right)]);
        table.push(vec!["cubic".into(), "1".into()]);
        table.push(vec!["é".into(), "100000".into()]);
        let mut text = Vec::new();
        table.write(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "cc       srtt\ncubic       1\né      100000\n");
    }
}
