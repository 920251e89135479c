// SPDX-License-Identifier: BSD-2-Clause

//! The columns of a log that a newer version may have written: those that this
//! version does not know are skipped.

use tcpstats::{Columns, FIELDS, Field, csv};

/// The columns of a csv log.
pub struct CsvColumns {
    known: Columns,
    /// The cells of the others in a row, ascending.
    skipped: Vec<usize>,
    /// All cells of a row.
    cells: usize,
    /// A row without the skipped cells.
    row: Vec<u8>,
}

impl CsvColumns {
    /// Reads a header row, and lends the names that are not known; `None` if the
    /// line is not one.
    pub fn read(line: &str, unknown: impl FnMut(&str)) -> Option<Result<Self, String>> {
        let names = line.strip_prefix(csv::TIME_COLUMNS)?.strip_prefix(',')?;
        let first = csv::TIME_COLUMNS.split(',').count();
        let cells = first + names.split(',').count();
        let skipped = names.split(',').enumerate().filter(|(_, name)| is_unknown(name)).map(|(at, _)| first + at);
        let skipped = skipped.collect();
        Some(known(names, unknown).map(|known| Self { known, skipped, cells, row: Vec::new() }))
    }

    /// The columns that are known.
    pub fn known(&self) -> &Columns {
        &self.known
    }

    /// The row with the known cells only, and their columns.
    pub fn known_cells<'a>(&'a mut self, row: &'a [u8]) -> Result<(&'a [u8], &'a Columns), String> {
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
            Err(format!("expected {} cells in the row, found {cells}", self.cells))
        }
    }
}

/// Reads `basic`, `all`, or a list of names, and lends the names that are not
/// known.
///
/// # Errors
/// That a name cannot be one of a field, or is there twice.
pub fn known(names: &str, mut unknown: impl FnMut(&str)) -> Result<Columns, String> {
    let (others, known): (Vec<_>, Vec<_>) = names.split(',').partition(|name| is_unknown(name));
    let columns = Columns::parse(&known.join(",")).map_err(|error| error.to_string())?;
    others.into_iter().for_each(&mut unknown);
    Ok(columns)
}

/// Whether a name may be a known one with a byte that was changed.
pub fn is_damaged(name: &str) -> bool {
    let differ = |known: &str| known.bytes().zip(name.bytes()).filter(|(one, other)| one != other).count();
    FIELDS.iter().any(|field| field.name.len() == name.len() && differ(field.name) == 1)
}

/// Whether a newer version may have a field of that name.
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
        let mut columns = CsvColumns::read(header, |name| names.push(name.to_owned())).unwrap().unwrap();
        assert_eq!(names, ["new_one", "newer"]);
        assert_eq!(*columns.known(), Columns::parse("lport,srtt").unwrap());
        assert_eq!(columns.known_cells(b"1.5,7,x,22,,900").unwrap().0, b"1.5,7,22,900");
        assert!(columns.known_cells(b"1.5,7,x,22,").is_err(), "a row without a cell is damaged");
    }

    #[test]
    fn a_name_that_no_field_can_have_is_an_error() {
        assert!(CsvColumns::read("time,snapshot,SRTT", |_| ()).unwrap().is_err());
        assert!(CsvColumns::read("time,snapshot,srtt,srtt", |_| ()).unwrap().is_err());
        assert!(CsvColumns::read("time,snapshot", |_| ()).is_none());
        assert!(known("all", |_| panic!("nothing is unknown")).is_ok());
    }
}
