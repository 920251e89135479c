// SPDX-License-Identifier: BSD-2-Clause

//! The columns of a row group while its rows are gathered.

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use tcpstats::text::{Text, longest};
use tcpstats::{Field, Kind, Record};

/// Values whose texts are known, a power of two.
const KNOWN: usize = 1024;

/// Bytes of the longest text of a value.
const LONGEST: usize = {
    let (options, name) = (longest(Kind::Options), longest(Kind::Name64));
    if options > name { options } else { name }
};

/// Texts that are written at once.
const BATCH: usize = 1024;

/// The texts of a column, each once or not much more often.
struct Texts {
    /// Of each value, which text it is.
    numbers: Vec<u32>,
    different: Vec<ByteArray>,
    /// Where a value's bytes hash to, which text they are.
    known: Vec<Known>,
}

/// A value's bytes as a record has them, and the number of its text.
#[derive(Clone)]
struct Known {
    bytes: [u8; 64],
    number: Option<u32>,
}

impl Known {
    const NONE: Self = Self { bytes: [0; 64], number: None };
}

impl Texts {
    fn new() -> Self {
        Self { numbers: Vec::new(), different: Vec::new(), known: vec![Known::NONE; KNOWN] }
    }

    /// Appends a text.
    fn push(&mut self, text: &str) -> u32 {
        // There are not so many rows in a group.
        let number = u32::try_from(self.different.len()).unwrap_or(u32::MAX);
        self.different.push(ByteArray::from(text));
        self.numbers.push(number);
        number
    }

    /// Appends the text of a field's bytes.
    fn push_value(&mut self, bytes: &[u8], record: &Record, field: &Field) {
        let mut padded = [0; 64];
        padded[..bytes.len()].copy_from_slice(bytes);
        let fold = |hash: u64, word: &[u8; 8]| (hash ^ u64::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = &padded.as_chunks().0[..bytes.len().div_ceil(8)];
        let hash = words.iter().fold(0, fold) >> 32;
        let at = usize::try_from(hash).unwrap_or_default() % KNOWN;
        match self.known[at].number {
            Some(number) if self.known[at].bytes == padded => self.numbers.push(number),
            _ => {
                let mut buffer = [0; LONGEST];
                let mut text = Text::new(&mut buffer);
                text.value(record, field);
                let number = self.push(text.finish().unwrap_or_default());
                self.known[at] = Known { bytes: padded, number: Some(number) };
            }
        }
    }

    /// Writes them, as many at once as the nearest cache holds, and forgets them.
    fn write(&mut self, mut to: SerializedColumnWriter<'_>, levels: &[i16]) -> Result<(), ParquetError> {
        let mut numbers = self.numbers.as_slice();
        let mut values = Vec::with_capacity(BATCH);
        for levels in levels.chunks(BATCH) {
            let present = levels.iter().filter(|level| **level == 1).count();
            let (these, rest) = numbers.split_at(present);
            numbers = rest;
            values.clear();
            values.extend(these.iter().map(|number| self.different[*number as usize].clone()));
            to.typed::<ByteArrayType>().write_batch(&values, Some(levels), None)?;
        }
        self.numbers.clear();
        self.different.clear();
        self.known.fill(Known::NONE);
        to.close()
    }
}

/// What a column holds of a row group: a value for each row that has one, and
/// for each row whether it has.
#[derive(Default)]
pub struct Column {
    values: Values,
    presence: Presence,
}

/// A bit for each row.
#[derive(Default)]
struct Presence {
    words: Vec<u64>,
    rows: usize,
}

impl Presence {
    /// Appends so many rows, 1 to 64 of them, the first at the lowest bit.
    fn push(&mut self, bits: u64, rows: usize) {
        let at = self.rows % 64;
        match self.words.last_mut() {
            Some(word) if at > 0 => {
                *word |= bits << at;
                if at + rows > 64 {
                    self.words.push(bits >> (64 - at));
                }
            }
            _ => self.words.push(bits),
        }
        self.rows += rows;
    }

    /// Takes the rows as the levels that Parquet knows.
    fn take(&mut self, levels: &mut Vec<i16>) {
        levels.clear();
        for word in &self.words {
            match *word {
                u64::MAX => levels.extend([1; 64]),
                word => levels.extend((0..64).map(|bit| (word >> bit & 1) as i16)),
            }
        }
        levels.truncate(self.rows);
        self.words.clear();
        self.rows = 0;
    }
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Texts),
}

impl Default for Values {
    fn default() -> Self {
        Self::Int64(Vec::new())
    }
}

impl Values {
    /// For the values of a kind.
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::Hex32 => Self::Int32(Vec::new()),
            Kind::U64 => Self::Int64(Vec::new()),
            Kind::Address | Kind::State | Kind::Options | Kind::Name16 | Kind::Name32 | Kind::Name64 => {
                Self::Text(Texts::new())
            }
        }
    }
}

/// How a kind of value stands in the schema.
pub fn parquet_type(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::U8 => ("int32", "INTEGER(8,false)"),
        Kind::U16 => ("int32", "INTEGER(16,false)"),
        Kind::U32 | Kind::Hex32 => ("int32", "INTEGER(32,false)"),
        Kind::U64 => ("int64", "INTEGER(64,false)"),
        Kind::Address | Kind::State | Kind::Options | Kind::Name16 | Kind::Name32 | Kind::Name64 => {
            ("binary", "STRING")
        }
    }
}

impl Column {
    /// For times and other numbers of 64 bits.
    pub fn numbers() -> Self {
        Self::default()
    }

    /// For the values of a kind.
    pub fn of(kind: Kind) -> Self {
        Self { values: Values::of(kind), presence: Presence::default() }
    }

    /// Appends a number.
    #[allow(clippy::cast_possible_wrap, reason = "the bits are an unsigned number's")]
    pub fn number(&mut self, number: u64) {
        if let Values::Int64(values) = &mut self.values {
            values.push(number as i64);
        }
        self.presence.push(1, 1);
    }

    /// Appends what the records have in the field.
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "the bits are an unsigned number's")]
    pub fn values(&mut self, records: &[Record], field: &Field) {
        let mut present = 0;
        match &mut self.values {
            Values::Int32(values) => {
                for (row, record) in records.iter().enumerate() {
                    let number = record.number(field);
                    values.extend(number.map(|number| number as u32 as i32));
                    present |= u64::from(number.is_some()) << row;
                }
            }
            Values::Int64(values) => {
                for (row, record) in records.iter().enumerate() {
                    let number = record.number(field);
                    values.extend(number.map(|number| number as i64));
                    present |= u64::from(number.is_some()) << row;
                }
            }
            Values::Text(texts) => {
                for (row, record) in records.iter().enumerate() {
                    let bytes = record.bytes(field);
                    if let Some(bytes) = bytes {
                        texts.push_value(bytes, record, field);
                    }
                    present |= u64::from(bytes.is_some()) << row;
                }
            }
        }
        self.presence.push(present, records.len());
    }

    /// Writes the rows, and forgets them.
    pub fn write(&mut self, mut to: SerializedColumnWriter<'_>, levels: &mut Vec<i16>) -> Result<(), ParquetError> {
        self.presence.take(levels);
        match &mut self.values {
            Values::Int32(values) => {
                to.typed::<Int32Type>().write_batch(values, Some(levels), None)?;
                values.clear();
            }
            Values::Int64(values) => {
                to.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                values.clear();
            }
            Values::Text(texts) => return texts.write(to, levels),
        }
        to.close()
    }
}
