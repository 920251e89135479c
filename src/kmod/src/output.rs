// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The bytes of a snapshot that read(2) returns, piece by piece.
//!
//! The reader's buffer can have any size, so a piece is kept until it is read
//! completely.  Text is formatted when it is read; binary records are copied from the
//! memory in which the walk stored them.

use tcpstats::frame::{FrameKind, HEADER_LEN, Header, header_bytes};
use tcpstats::text::Text;
use tcpstats::{Columns, MODULE_RECORD_LEN, Record, csv, key, note};

/// The size of the buffer for pieces: room for a few of the longest rows.
pub const SCRATCH_LEN: usize = 16 * 1024;

/// The maximum length of the note after the records.
const NOTE_MAX: usize = 512;

const _: () = assert!(SCRATCH_LEN >= 2 * csv::ROW_MAX && SCRATCH_LEN >= csv::HEADER_MAX && SCRATCH_LEN >= NOTE_MAX);

/// The records of a snapshot, in blocks of complete records.
pub trait Blocks {
    /// Returns the records of a block, or `None` after the last.
    fn block(&self, at: usize) -> Option<&[u8]>;

    /// Returns the name of an interface, or `None` if there is no such interface or the
    /// reader is not in the network stack `vnet`.
    fn interface_name(&self, vnet: u64, index: u32) -> Option<[u8; 16]>;
}

/// The output format.
#[derive(Clone, Debug)]
pub enum Form {
    /// CSV with these columns.
    Text(Columns),
    /// A frame.
    Binary,
}

/// The location of the next bytes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// The scratch buffer, up to a length.
    Scratch(usize),
    /// A block of the snapshot.
    Block(usize),
}

/// The data after the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The header of the frame or of the text.
    Head,
    /// A record of a block.
    Record { block: usize, record: usize },
    /// Nothing.
    End,
}

/// The position of a reader in a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    piece: Piece,
    taken: usize,
    next: Next,
}

impl Default for Cursor {
    fn default() -> Self {
        Self::new()
    }
}

impl Cursor {
    /// Creates a cursor at the start.
    #[must_use]
    pub const fn new() -> Self {
        Self { piece: Piece::Scratch(0), taken: 0, next: Next::Head }
    }

    /// Returns the next bytes, at least one, or `None` at the end of the snapshot.
    /// `scratch` has [`SCRATCH_LEN`] bytes and keeps its contents between calls.
    pub fn bytes<'a>(
        &mut self,
        form: &Form,
        header: &Header,
        blocks: &'a impl Blocks,
        scratch: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        loop {
            let len = match self.piece {
                Piece::Scratch(len) => len,
                Piece::Block(at) => blocks.block(at).map_or(0, <[u8]>::len),
            };
            if self.taken < len {
                break;
            }
            let next = match form {
                Form::Text(columns) => self.rows(columns, header, blocks, scratch),
                Form::Binary => self.frame(header, blocks, scratch),
            };
            (self.piece, self.taken) = (next.unwrap_or(Piece::Scratch(0)), 0);
            next?;
        }
        match self.piece {
            Piece::Scratch(len) => scratch.get(self.taken..len),
            Piece::Block(at) => blocks.block(at)?.get(self.taken..),
        }
    }

    /// Advances by the number of bytes that were copied to the reader.
    pub fn take(&mut self, len: usize) {
        self.taken += len;
    }

    /// Returns the next piece of a frame.
    fn frame(&mut self, header: &Header, blocks: &impl Blocks, scratch: &mut [u8]) -> Option<Piece> {
        match self.next {
            Next::Head => {
                let record_len = MODULE_RECORD_LEN as u64;
                let bytes = header_bytes(
                    FrameKind::Snapshot,
                    header,
                    u32::try_from(record_len).unwrap_or(0),
                    header.written * record_len,
                );
                scratch.get_mut(..HEADER_LEN)?.copy_from_slice(&bytes);
                self.next = Next::Record { block: 0, record: 0 };
                Some(Piece::Scratch(HEADER_LEN))
            }
            Next::Record { block, .. } if blocks.block(block).is_some() => {
                self.next = Next::Record { block: block + 1, record: 0 };
                Some(Piece::Block(block))
            }
            Next::Record { .. } | Next::End => {
                self.next = Next::End;
                None
            }
        }
    }

    /// Returns the next piece of text: the header row, rows, or the note at the end.
    fn rows(&mut self, columns: &Columns, header: &Header, blocks: &impl Blocks, scratch: &mut [u8]) -> Option<Piece> {
        match self.next {
            Next::Head => {
                let mut text = Text::new(scratch);
                csv::header(&mut text, columns);
                self.next = Next::Record { block: 0, record: 0 };
                Some(Piece::Scratch(text.len()))
            }
            Next::Record { mut block, mut record } => {
                let mut used = 0;
                while used + csv::ROW_MAX <= scratch.len() {
                    let Some(records) = blocks.block(block) else { break };
                    let start = record * MODULE_RECORD_LEN;
                    let Some(bytes) = records.get(start..start + MODULE_RECORD_LEN) else {
                        (block, record) = (block + 1, 0);
                        continue;
                    };
                    let mut text = Text::new(scratch.get_mut(used..)?);
                    let row = Record::from_bytes(bytes, false);
                    csv::row_with_zone(
                        &mut text,
                        columns,
                        header.wall_ns,
                        header.sequence,
                        &row,
                        &zone_name(blocks, &row),
                    );
                    used += text.len();
                    record += 1;
                }
                if used > 0 {
                    self.next = Next::Record { block, record };
                    return Some(Piece::Scratch(used));
                }
                let mut text = Text::new(scratch);
                note::snapshot(header, |note| csv::note(&mut text, note));
                self.next = Next::End;
                Some(Piece::Scratch(text.len()))
            }
            Next::End => None,
        }
    }
}

/// Returns the name of the record's zone, padded with zeros; empty if it is not known.
fn zone_name(blocks: &impl Blocks, record: &Record) -> [u8; 16] {
    let name =
        record.get(key::vnet).zip(record.get(key::zone)).and_then(|(vnet, zone)| blocks.interface_name(vnet, zone));
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcpstats::frame::Frame;
    use tcpstats::{State, name};

    use super::*;

    struct Memory(Vec<Vec<u8>>);

    impl Blocks for Memory {
        fn block(&self, at: usize) -> Option<&[u8]> {
            self.0.get(at).map(Vec::as_slice)
        }

        fn interface_name(&self, vnet: u64, index: u32) -> Option<[u8; 16]> {
            (vnet == 0 && index == 4).then(|| name(b"em0"))
        }
    }

    fn record(port: u16) -> Record {
        let mut record = Record::new();
        record.at_ns = u64::from(port);
        record.set(key::lport, port);
        record.set(key::state, State::ESTABLISHED);
        record.set(key::tt_delack, 7);
        record
    }

    fn memory(blocks: &[usize]) -> Memory {
        let mut ports = 0..;
        let block = |len: &usize| -> Vec<u8> {
            ports.by_ref().take(*len).flat_map(|port| record(port).to_bytes()[..MODULE_RECORD_LEN].to_vec()).collect()
        };
        Memory(blocks.iter().map(block).collect())
    }

    fn read(form: &Form, blocks: &Memory, header: &Header, mut size: impl FnMut() -> usize) -> Vec<u8> {
        let mut scratch = vec![0; SCRATCH_LEN];
        let mut cursor = Cursor::new();
        let mut all = Vec::new();
        while let Some(bytes) = cursor.bytes(form, header, blocks, &mut scratch) {
            assert!(!bytes.is_empty());
            let len = size().min(bytes.len());
            all.extend_from_slice(&bytes[..len]);
            cursor.take(len);
        }
        assert!(cursor.bytes(form, header, blocks, &mut scratch).is_none(), "there is nothing after the end");
        all
    }

    fn header(written: usize) -> Header {
        Header { sequence: 3, wall_ns: 1_764_000_000_000_000_000, written: written as u64, ..Header::default() }
    }

    #[test]
    fn an_empty_snapshot_has_a_header_and_a_note() {
        let form = Form::Text(Columns::parse("lport").unwrap());
        let text = read(&form, &memory(&[]), &header(0), || usize::MAX);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("time,snapshot,lport\n# snapshot snapshot=3 "), "{text}");
        let frame = read(&Form::Binary, &memory(&[]), &header(0), || usize::MAX);
        assert_eq!(frame.len(), HEADER_LEN);
    }

    #[test]
    fn a_row_of_all_columns_is_complete() {
        let form = Form::Text(Columns::all());
        let text = String::from_utf8(read(&form, &memory(&[40]), &header(40), || 1000)).unwrap();
        let columns = text.lines().next().unwrap().split(',').count();
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("1764")).collect();
        assert_eq!(rows.len(), 40);
        assert!(rows.iter().all(|row| row.split(',').count() == columns));
    }

    proptest! {
        #[test]
        fn every_record_is_read_once_and_completely_with_any_size_of_reads(
            blocks in prop::collection::vec(0..60_usize, 0..5),
            sizes in prop::collection::vec(1..9000_usize, 1..20),
        ) {
            let count: usize = blocks.iter().sum();
            let blocks = memory(&blocks);
            let mut sizes = sizes.iter().cycle();
            let mut size = || *sizes.next().unwrap();

            let bytes = read(&Form::Binary, &blocks, &header(count), &mut size);
            let frame = Frame::parse(&bytes).unwrap();
            prop_assert_eq!(frame.bytes().len(), bytes.len());
            let ports: Vec<_> = frame.records().map(|record| record.get(key::lport).unwrap()).collect();
            prop_assert!(ports.iter().copied().eq(0..u16::try_from(count).unwrap()));
            prop_assert!(frame.records().all(|record| record.get(key::tt_delack) == Some(7)));

            let form = Form::Text(Columns::parse("lport,tt_delack").unwrap());
            let text = String::from_utf8(read(&form, &blocks, &header(count), &mut size)).unwrap();
            let rows: Vec<_> = text.lines().filter(|line| line.starts_with("1764")).collect();
            prop_assert_eq!(rows.len(), count);
            for (i, row) in rows.iter().enumerate() {
                let end = format!(",3,{i},7");
                prop_assert!(row.ends_with(&end), "{}", row);
            }
            prop_assert!(text.lines().last().unwrap().starts_with("# snapshot snapshot=3 "));
        }
    }
}
