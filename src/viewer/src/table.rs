// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Tables of text.

use std::io::{self, Write};

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// The cell of an absent value.
pub const ABSENT: &str = "-";

/// A table to which rows are added.
pub struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table of columns with these titles.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let (titles, aligns) = columns.into_iter().unzip();
        Self { aligns, rows: vec![titles] }
    }

    /// Appends a row, which must have a cell for every column.
    pub fn push(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.aligns.len());
        self.rows.push(cells);
    }

    /// Writes the table, without spaces at the ends of lines.
    ///
    /// # Errors
    /// Returns the error of the writer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..self.aligns.len()).map(width).collect();
        for cells in &self.rows {
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
