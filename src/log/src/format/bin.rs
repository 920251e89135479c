// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Binary frames.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tcpstats::frame::{Frame, FrameError, FrameKind, HEADER_LEN, MAGIC, flag};
use tcpstats::stream::{FrameReader, SnapshotBuffer, StreamError, is_intact, note_frame, seal, text_frame};
use tcpstats::{Columns, FieldSet, Header, Record};

use super::api::{Encoder, EncoderOptions, Format};
use super::continuation::{Content, Expected, begins, starts_zeroed};
use crate::batch::Batch;
use crate::error::{EncodeError, Position, Problem};
use crate::input::{Input, Source};
use crate::item::{Current, Found, LoggedNote, Reader};
use crate::note::Note;

/// The format of `-F bin`.
pub struct Bin;

impl Format for Bin {
    fn name(&self) -> &'static str {
        "bin"
    }

    fn about(&self) -> &'static str {
        "Binary frames, as the device returns them"
    }

    fn described(&self) -> &'static str {
        "binary frames"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["bin"]
    }

    fn starts_like(&self, first: &[u8]) -> bool {
        begins(first, &MAGIC.to_le_bytes()) || begins(first, &MAGIC.to_be_bytes())
    }

    fn reader(&self, source: Source<'_>) -> Result<Box<dyn Reader + Send>, Problem> {
        Ok(Box::new(BinReader::new(source.input)))
    }

    fn encoder(&self, options: EncoderOptions) -> Box<dyn Encoder> {
        Box::new(BinEncoder {
            wanted: options.columns.as_ref().map(FieldSet::of),
            frame: SnapshotBuffer::new(),
            snapshot: 0,
            start_ns: 0,
            record: Record::new(),
        })
    }

    fn is_frames(&self) -> bool {
        true
    }

    fn fields(&self, _: &Columns) -> FieldSet {
        FieldSet::ALL
    }

    /// Verifies only the last checksum, because a crash damages the end.
    fn inspect(&self, mut file: &File, len: u64, _: &Expected) -> io::Result<Content> {
        if starts_zeroed(file, &[&MAGIC.to_ne_bytes()])? {
            return Ok(Content::Damaged(0));
        }
        let (mut complete, mut last) = (0, 0);
        while complete < len {
            file.seek(SeekFrom::Start(complete))?;
            let mut head = Vec::new();
            file.take(HEADER_LEN as u64).read_to_end(&mut head)?;
            let frame_len = match Frame::parse(&head) {
                Ok(frame) => frame.bytes().len() as u64,
                Err(FrameError::Short { need }) if head.len() >= 4 => need as u64,
                Err(FrameError::Short { .. }) if MAGIC.to_ne_bytes().starts_with(&head) => break,
                Err(_) if complete == 0 => return Ok(Content::Other),
                // Complete frames may follow, so that this is not a truncated end.
                Err(_) if has_magic(file, complete + 1, len)? => return Ok(Content::Damaged(complete)),
                Err(_) => break,
            };
            if complete + frame_len > len {
                break;
            }
            (last, complete) = (complete, complete + frame_len);
        }
        file.seek(SeekFrom::Start(last))?;
        let mut bytes = Vec::new();
        file.take(complete - last).read_to_end(&mut bytes)?;
        if !Frame::parse(&bytes).is_ok_and(|frame| is_intact(&frame)) {
            complete = last;
        }
        Ok(Content::Log { complete, continued: complete > 0, columns: None })
    }
}

/// Returns whether a frame may start in a part of the file.  A part that is too
/// long for one snapshot may contain anything.
fn has_magic(mut file: &File, start: u64, end: u64) -> io::Result<bool> {
    const SNAPSHOT_MAX: u64 = 256 * 1024 * 1024;
    if end - start > SNAPSHOT_MAX {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes.windows(4).any(|four| four == MAGIC.to_ne_bytes()))
}

/// Reads a log of frames.
struct BinReader {
    reader: FrameReader<Input>,
    /// The snapshot whose records are being returned, its records, and the number
    /// of records returned so far.
    header: Option<Header>,
    records: Vec<Record>,
    returned: usize,
    state: State,
}

/// What to do before the next frame.
enum State {
    Read,
    Resync,
    End,
}

impl BinReader {
    fn new(input: Input) -> Self {
        Self { reader: FrameReader::new(input), header: None, records: Vec::new(), returned: 0, state: State::Read }
    }

    /// Returns the next item of the current snapshot.
    fn rest_of_snapshot(&mut self, current: &mut Current) -> Option<Found> {
        let header = self.header?;
        if let Some(record) = self.records.get(self.returned) {
            self.returned += 1;
            current.record.clone_from(record);
            current.record.at_ns = 0;
            let time_ns = header.wall_ns.wrapping_add(record.at_ns);
            return Some(Found::Record { time_ns, snapshot: header.sequence });
        }
        self.header = None;
        (header.flags & flag::UNFINISHED == 0).then_some(Found::Snapshot(header))
    }

    /// Reads the next frame, or returns `None` at the end.
    fn frame(&mut self, current: &mut Current) -> Result<Option<FrameKind>, Problem> {
        match self.state {
            State::Read => (),
            State::Resync => {
                self.state = State::Read;
                self.reader.resync().map_err(Problem::Read)?;
            }
            State::End => return Ok(None),
        }
        let frame = match self.reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => {
                match error {
                    StreamError::Io(_) => self.state = State::End,
                    StreamError::Bad { .. } => self.state = State::Resync,
                    StreamError::Crc { .. } => (),
                }
                return Err(error.into());
            }
        };
        if frame.kind == FrameKind::Note {
            let Some(note) = frame.note() else {
                return Err(self.position().with(Problem::Expected("a note in UTF-8")));
            };
            note.clone_into(&mut current.note);
            return Ok(Some(FrameKind::Note));
        }
        self.records.clear();
        self.records.extend(frame.records());
        self.returned = 0;
        // The checksum belongs to the frame, not to the snapshot.
        self.header = Some(Header { flags: frame.header.flags & !flag::CRC, ..frame.header });
        Ok(Some(frame.kind))
    }
}

impl Reader for BinReader {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, Problem> {
        loop {
            if let Some(found) = self.rest_of_snapshot(current) {
                return Ok(Some(found));
            }
            match self.frame(current)? {
                None => return Ok(None),
                Some(FrameKind::Note) => {
                    let found = current.take_note().map_err(|problem| self.position().with(problem))?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                Some(_) => (),
            }
        }
    }

    fn position(&self) -> Position {
        Position::Byte(self.reader.offset())
    }
}

/// Maximum number of records in a frame of a log without snapshots.
const WITHOUT_SNAPSHOT: u64 = 1000;

struct BinEncoder {
    wanted: Option<FieldSet>,
    /// The records of the snapshot that is not complete yet.  Their times are
    /// since the Epoch.
    frame: SnapshotBuffer,
    /// The number of this snapshot, and the time of its first record.
    snapshot: u64,
    start_ns: u64,
    record: Record,
}

impl BinEncoder {
    /// Appends the pending records under a header.
    fn finish(&mut self, batch: &mut Batch, header: &Header) {
        self.frame.finish(header);
        self.frame.rebase(header.wall_ns);
        seal(batch.bytes(self.frame.bytes()));
        self.frame.clear();
    }

    /// Appends the pending records, if there are any, without the end of their
    /// snapshot.
    fn unfinished(&mut self, batch: &mut Batch) {
        if self.frame.written() > 0 {
            let (sequence, wall_ns) = (self.snapshot, self.start_ns);
            self.finish(batch, &Header { sequence, wall_ns, flags: flag::UNFINISHED, ..Header::default() });
        }
    }
}

impl Encoder for BinEncoder {
    fn header(&mut self, batch: &mut Batch, columns: &Columns) -> Result<(), EncodeError> {
        batch.bytes(&Note::of_columns(columns, |note| note.lend(note_frame)));
        Ok(())
    }

    fn record(&mut self, batch: &mut Batch, wall_ns: u64, snapshot: u64, record: &Record) -> Result<(), EncodeError> {
        let is_full = snapshot == 0 && self.frame.written() >= WITHOUT_SNAPSHOT;
        if snapshot != self.snapshot || is_full {
            self.unfinished(batch);
        }
        self.snapshot = snapshot;
        let time_ns = wall_ns.wrapping_add(record.at_ns);
        if self.frame.written() == 0 {
            self.start_ns = time_ns;
        }
        let Some(wanted) = &self.wanted else {
            self.frame.push_at(time_ns, record);
            return Ok(());
        };
        self.record.clone_from(record);
        self.record.keep(wanted);
        self.frame.push_at(time_ns, &self.record);
        Ok(())
    }

    fn snapshot(&mut self, batch: &mut Batch, header: &Header) -> Result<(), EncodeError> {
        if header.sequence != self.snapshot {
            self.unfinished(batch);
        }
        let is_complete = self.frame.written() == header.written;
        if is_complete && header.flags & (flag::CRC | flag::UNFINISHED) == 0 {
            self.finish(batch, header);
            return Ok(());
        }
        // What the log says about the snapshot is kept, even if it is wrong.
        self.note(batch, &Note::Snapshot(*header))
    }

    fn note(&mut self, batch: &mut Batch, note: &Note<'_>) -> Result<(), EncodeError> {
        self.unfinished(batch);
        batch.bytes(&note.lend(note_frame));
        Ok(())
    }

    fn logged_note(&mut self, batch: &mut Batch, note: &LoggedNote<'_>) -> Result<(), EncodeError> {
        self.unfinished(batch);
        batch.bytes(&text_frame(note.text.as_bytes()));
        Ok(())
    }

    fn frame(&mut self, batch: &mut Batch, frame: &Frame<'_>) -> Result<u64, EncodeError> {
        seal(batch.bytes(frame.bytes()));
        Ok(frame.header.written)
    }

    fn end(&mut self, batch: &mut Batch) -> Result<(), EncodeError> {
        self.unfinished(batch);
        Ok(())
    }
}
