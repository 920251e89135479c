// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The columns of a row group while its rows are collected.

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use tcpstats::text::{Text, longest};
use tcpstats::{Field, Kind, Record};

/// Number of values whose texts are cached, a power of two.
const KNOWN: usize = 1024;

/// Length of the longest text of a value.
const LONGEST: usize = {
    let (options, name) = (longest(Kind::Options), longest(Kind::Name64));
    if options > name { options } else { name }
};

/// Number of texts that are written at once.
const BATCH: usize = 1024;

/// The texts of a column, most of them stored only once.
struct Texts {
    /// The index of the text of each value.
    numbers: Vec<u32>,
    different: Vec<ByteArray>,
    /// The last value for each hash, with the index of its text.
    cache: Vec<Cached>,
}

/// The bytes of a value in a record, and the index of its text.
#[derive(Clone)]
struct Cached {
    bytes: [u8; 64],
    number: Option<u32>,
}

impl Cached {
    const NONE: Self = Self { bytes: [0; 64], number: None };
}

impl Texts {
    fn new() -> Self {
        Self { numbers: Vec::new(), different: Vec::new(), cache: vec![Cached::NONE; KNOWN] }
    }

    /// Appends a text.
    fn push(&mut self, text: &str) -> u32 {
        // A row group has fewer rows.
        let number = u32::try_from(self.different.len()).unwrap_or(u32::MAX);
        self.different.push(ByteArray::from(text));
        self.numbers.push(number);
        number
    }

    /// Appends the text of the value of a field.
    fn push_value(&mut self, bytes: &[u8], record: &Record, field: &Field) {
        let mut padded = [0; 64];
        padded[..bytes.len()].copy_from_slice(bytes);
        let fold = |hash: u64, word: &[u8; 8]| (hash ^ u64::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words = &padded.as_chunks().0[..bytes.len().div_ceil(8)];
        let hash = words.iter().fold(0, fold) >> 32;
        let at = usize::try_from(hash).unwrap_or_default() % KNOWN;
        match self.cache[at].number {
            Some(number) if self.cache[at].bytes == padded => self.numbers.push(number),
            _ => {
                let mut buffer = [0; LONGEST];
                let mut text = Text::new(&mut buffer);
                text.value(record, field);
                let number = self.push(text.finish().unwrap_or_default());
                self.cache[at] = Cached { bytes: padded, number: Some(number) };
            }
        }
    }

    /// Writes the texts, as many at once as fit in the first-level cache, and
    /// removes them.
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
        self.cache.fill(Cached::NONE);
        to.close()
    }
}

/// A column of a row group: the values, and for each row whether it has one.
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
    /// Appends 1 to 64 rows, the first one in the lowest bit.
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

    /// Removes the rows and returns them as definition levels.
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
    /// Creates a column for values of a kind.
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

/// Returns the types of a kind of value in the schema.
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
    /// Creates a column for times and other 64-bit numbers.
    pub fn numbers() -> Self {
        Self::default()
    }

    /// Creates a column for values of a kind.
    pub fn of(kind: Kind) -> Self {
        Self { values: Values::of(kind), presence: Presence::default() }
    }

    /// Appends a number.
    #[allow(clippy::cast_possible_wrap, reason = "Parquet stores unsigned numbers in signed types")]
    pub fn number(&mut self, number: u64) {
        if let Values::Int64(values) = &mut self.values {
            values.push(number as i64);
        }
        self.presence.push(1, 1);
    }

    /// Appends the values of a field in the records.
    #[allow(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "Parquet stores unsigned numbers in signed types"
    )]
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

    /// Writes the rows and removes them.
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
