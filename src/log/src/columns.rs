// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The columns of a log that a newer version may have written: columns that this
//! version does not support are skipped.

use tcpstats::{Columns, FIELDS, Field, csv};

use crate::error::Problem;

/// The header row of a csv log.
#[derive(Debug)]
pub struct HeaderRow {
    known: Columns,
    /// The cells of unknown columns in a row, ascending.
    skipped: Vec<usize>,
    /// The number of cells in a row.
    cells: usize,
    /// The last row without the skipped cells.
    row: Vec<u8>,
}

impl HeaderRow {
    /// Parses a header row and calls `unknown` for each unknown name, or returns
    /// `None` if the line is not a header row.
    pub fn read(line: &str, unknown: impl FnMut(&str)) -> Option<Result<Self, Problem>> {
        let names = line.strip_prefix(csv::TIME_COLUMNS)?.strip_prefix(',')?;
        let first = csv::TIME_COLUMNS.split(',').count();
        let cells = first + names.split(',').count();
        let skipped = names.split(',').enumerate().filter(|(_, name)| is_unknown(name)).map(|(at, _)| first + at);
        let skipped = skipped.collect();
        Some(known_columns(names, unknown).map(|known| Self { known, skipped, cells, row: Vec::new() }))
    }

    /// Returns the known columns.
    pub fn known(&self) -> &Columns {
        &self.known
    }

    /// Returns a row with only the cells of known columns, and these columns.
    pub fn known_cells<'a>(&'a mut self, row: &'a [u8]) -> Result<(&'a [u8], &'a Columns), Problem> {
        if self.skipped.is_empty() {
            return Ok((row, &self.known));
        }
        let (mut cells, mut skipped) = (0, self.skipped.iter().copied().peekable());
        self.row.clear();
        for cell in row.split(|byte| *byte == b',') {
            if skipped.next_if_eq(&cells).is_none() {
                if cells > 0 {
                    self.row.push(b',');
                }
                self.row.extend_from_slice(cell);
            }
            cells += 1;
        }
        if cells == self.cells {
            Ok((&self.row, &self.known))
        } else {
            Err(Problem::Cells { expected: self.cells, found: cells })
        }
    }
}

/// Parses `basic`, `all`, or a list of names, and calls `unknown` for each
/// unknown name.
///
/// # Errors
/// Returns an error if a name cannot be the name of a field, or is repeated.
pub fn known_columns(names: &str, mut unknown: impl FnMut(&str)) -> Result<Columns, Problem> {
    let (others, known): (Vec<_>, Vec<_>) = names.split(',').partition(|name| is_unknown(name));
    let columns = Columns::parse(&known.join(",")).map_err(|error| Problem::Column(error.to_string()))?;
    others.into_iter().for_each(&mut unknown);
    Ok(columns)
}

/// Returns whether a name may be a known name of which one byte was damaged.
pub fn is_damaged(name: &str) -> bool {
    let differ = |known: &str| known.bytes().zip(name.bytes()).filter(|(one, other)| one != other).count();
    FIELDS.iter().any(|field| field.name.len() == name.len() && differ(field.name) == 1)
}

/// Returns whether a newer version may have a field of this name.
pub fn is_unknown(name: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_word = name.starts_with(|char: char| char.is_ascii_lowercase()) && name.bytes().all(is_name);
    is_word && !matches!(name, "basic" | "all") && Field::by_name(name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_unknown_columns_are_skipped_wherever_they_are() {
        let mut names = Vec::new();
        let header = "time,snapshot,new_one,lport,newer,srtt";
        let mut columns = HeaderRow::read(header, |name| names.push(name.to_owned())).unwrap().unwrap();
        assert_eq!(names, ["new_one", "newer"]);
        assert_eq!(*columns.known(), Columns::parse("lport,srtt").unwrap());
        assert_eq!(columns.known_cells(b"1.5,7,x,22,,900").unwrap().0, b"1.5,7,22,900");
        assert!(columns.known_cells(b"1.5,7,x,22,").is_err(), "a row that lacks a cell is damaged");
    }

    #[test]
    fn an_impossible_name_of_a_field_is_an_error() {
        assert!(HeaderRow::read("time,snapshot,SRTT", |_| ()).unwrap().is_err());
        assert!(HeaderRow::read("time,snapshot,srtt,srtt", |_| ()).unwrap().is_err());
        assert!(HeaderRow::read("time,snapshot", |_| ()).is_none());
        assert!(known_columns("all", |_| panic!("nothing is unknown")).is_ok());
    }
}
