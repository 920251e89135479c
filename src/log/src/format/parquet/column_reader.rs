// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A column of a Parquet file, which another program may have written: numbers
//! have the sign, the width and the unit that the file declares.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;
use tcpstats::Field;

/// What a column contains.
#[derive(Clone, Copy)]
pub enum Content {
    /// The time of a record, in units of this many nanoseconds.
    Time(u64),
    /// The number of the snapshot of a record.
    Snapshot,
    /// A note, in files that contain notes as rows.
    Note,
    /// A field.
    Field(&'static Field),
}

/// Whether the values of a column are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Unsigned,
    Signed,
}

/// A value of a row.
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// Text.
    Text(&'a [u8]),
    /// A number that no field and no time can have: negative or with a fraction.
    Other,
}

/// A column of a batch of rows.
pub struct Column {
    pub content: Content,
    sign: Sign,
    reader: ColumnReader,
    levels: Vec<i16>,
    values: Values,
    /// The index of the next value.
    next: usize,
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
    Decimal(Vec<FixedLenByteArray>),
}

/// Returns the unit of a column of times in nanoseconds; `None` for other
/// columns.
pub fn unit_of(column: &ColumnDescriptor) -> Option<u64> {
    match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
        (Type::INT96, ..) => Some(1),
        (Type::INT64, Some(LogicalType::Timestamp(timestamp)), _) => Some(match timestamp.unit {
            TimeUnit::MILLIS => 1_000_000,
            TimeUnit::MICROS => 1000,
            TimeUnit::NANOS => 1,
        }),
        (Type::INT64, None, ConvertedType::TIMESTAMP_MILLIS) => Some(1_000_000),
        (Type::INT64, None, ConvertedType::TIMESTAMP_MICROS) => Some(1000),
        _ => None,
    }
}

/// Returns whether the column contains integers.
pub fn is_number(column: &ColumnDescriptor) -> bool {
    let is_decimal = column.converted_type() == ConvertedType::DECIMAL
        || matches!(column.logical_type_ref(), Some(LogicalType::Decimal(_)));
    match column.physical_type() {
        Type::INT32 | Type::INT64 if is_decimal => column.type_scale() == 0,
        Type::INT32 | Type::INT64 => match column.logical_type_ref() {
            Some(logical) => matches!(logical, LogicalType::Integer(_)),
            None => !matches!(
                column.converted_type(),
                ConvertedType::DATE
                    | ConvertedType::TIME_MILLIS
                    | ConvertedType::TIME_MICROS
                    | ConvertedType::TIMESTAMP_MILLIS
                    | ConvertedType::TIMESTAMP_MICROS
            ),
        },
        Type::FIXED_LEN_BYTE_ARRAY => is_decimal && column.type_scale() == 0,
        // pandas converts integers to it if some are absent.
        Type::DOUBLE => true,
        _ => false,
    }
}

/// Returns whether the column contains text.
pub fn is_text(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Type::BYTE_ARRAY && column.converted_type() != ConvertedType::DECIMAL
}

/// Returns whether the numbers of the column are signed.
fn sign_of(column: &ColumnDescriptor) -> Sign {
    let is_unsigned = match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(
            column.converted_type(),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
        ),
    };
    if is_unsigned { Sign::Unsigned } else { Sign::Signed }
}

impl Values {
    fn at(&self, index: usize, sign: Sign) -> Option<Value<'_>> {
        let number = |number: Option<u64>| number.map_or(Value::Other, Value::Number);
        Some(match self {
            Self::Int32(values) => number(match (*values.get(index)?, sign) {
                (value, Sign::Unsigned) => Some(value.cast_unsigned().into()),
                (value, Sign::Signed) => u64::try_from(value).ok(),
            }),
            Self::Int64(values) => number(match (*values.get(index)?, sign) {
                (value, Sign::Unsigned) => Some(value.cast_unsigned()),
                (value, Sign::Signed) => u64::try_from(value).ok(),
            }),
            Self::Int96(values) => number(u64::try_from(values.get(index)?.to_nanos()).ok()),
            Self::Double(values) => number(integer(*values.get(index)?)),
            Self::Text(values) => Value::Text(values.get(index)?.data()),
            Self::Decimal(values) => number(decimal(values.get(index)?.data())),
        })
    }
}

/// Converts a double to an integer, if it is one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an integer within the limits")]
fn integer(value: f64) -> Option<u64> {
    // Above it, a double represents several integers.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let is_integer = (0.0..=LIMIT).contains(&value) && value.fract() == 0.0;
    is_integer.then_some(value as u64)
}

/// Converts a decimal without a fraction: a big-endian number, which is negative
/// if its first bit is set.
fn decimal(bytes: &[u8]) -> Option<u64> {
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
    let is_small =
        high.iter().all(|byte| *byte == 0) && (!high.is_empty() || low.first().is_none_or(|byte| *byte < 128));
    is_small.then(|| low.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Column {
    /// Creates a column from its reader.
    pub fn new(content: Content, column: &ColumnDescriptor, reader: ColumnReader) -> Result<Self, ParquetError> {
        let values = match &reader {
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Text(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Decimal(Vec::new()),
            _ => return Err(ParquetError::General("a column is of a type that no field has".into())),
        };
        Ok(Self { content, sign: sign_of(column), reader, levels: Vec::new(), values, next: 0 })
    }

    /// Reads this many rows.
    pub fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.next = 0;
        self.levels.clear();
        let levels = &mut self.levels;
        match (&mut self.reader, &mut self.values) {
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => read(reader, rows, levels, values),
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => read(reader, rows, levels, values),
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => read(reader, rows, levels, values),
            (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => read(reader, rows, levels, values),
            (ColumnReader::ByteArrayColumnReader(reader), Values::Text(values)) => read(reader, rows, levels, values),
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Decimal(values)) => {
                read(reader, rows, levels, values)
            }
            _ => Ok(()),
        }
    }

    /// Returns the value of a row, for each row in turn; `None` if it is absent.
    pub fn take(&mut self, row: usize) -> Option<Value<'_>> {
        if self.levels.get(row) != Some(&1) {
            return None;
        }
        self.next += 1;
        self.values.at(self.next - 1, self.sign)
    }
}

/// Reads this many rows of a column.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<(), ParquetError> {
    values.clear();
    let mut found = 0;
    while found < rows {
        let before = levels.len();
        let (records, read, _) = reader.read_records(rows - found, Some(levels), None, values)?;
        if records == 0 {
            return Err(ParquetError::EOF("a column ends before its row group does".into()));
        }
        found += records;
        // A column with a value in every row has no levels.
        if levels.len() == before && read > 0 {
            levels.resize(found, 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_sign_and_width_that_the_file_declares() {
        assert_eq!(decimal(&[0, 255, 255, 255, 255, 255, 255, 255, 255]), Some(u64::MAX));
        assert_eq!((decimal(&[255; 9]), decimal(&[1, 0, 0, 0, 0, 0, 0, 0, 0])), (None, None));
        assert_eq!((decimal(&[128, 0]), decimal(&[127, 0]), decimal(&[])), (None, Some(32512), Some(0)));
        assert_eq!(
            [integer(5.0), integer(0.5), integer(-1.0), integer(1e300), integer(f64::NAN)],
            [Some(5), None, None, None, None]
        );
    }
}
