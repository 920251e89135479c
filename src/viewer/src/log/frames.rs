// SPDX-License-Identifier: BSD-2-Clause

//! Logs of frames, as `-F bin` writes them.

use tcpstats::frame::{FrameKind, flag};
use tcpstats::stream::{FrameReader, StreamError};
use tcpstats::{Header, Record};

use super::input::{Input, said};
use super::{Current, Found, Reader, text};

/// A log of frames while it is read.
pub struct Frames {
    reader: FrameReader<Input>,
    /// The snapshot that is given, its records and how many of them have been.
    header: Option<Header>,
    records: Vec<Record>,
    given: usize,
    state: State,
}

/// What is to be done before the next frame.
enum State {
    Read,
    Resync,
    End,
}

impl Frames {
    /// Reads from there.
    pub fn new(input: Input) -> Self {
        Self { reader: FrameReader::new(input), header: None, records: Vec::new(), given: 0, state: State::Read }
    }

    /// What is left of the snapshot that is given.
    fn rest_of_snapshot(&mut self, current: &mut Current) -> Option<Found> {
        let header = self.header?;
        if let Some(record) = self.records.get(self.given) {
            self.given += 1;
            current.record.clone_from(record);
            let time_ns = header.wall_ns.wrapping_add(record.at_ns);
            return Some(Found::Record { time_ns, snapshot: header.sequence });
        }
        self.header = None;
        Some(Found::Snapshot(header))
    }
}

impl Reader for Frames {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        if let Some(found) = self.rest_of_snapshot(current) {
            return Ok(Some(found));
        }
        match std::mem::replace(&mut self.state, State::Read) {
            State::Read => (),
            State::Resync => _ = self.reader.resync().map_err(|error| said(&error))?,
            State::End => {
                self.state = State::End;
                return Ok(None);
            }
        }
        let frame = match self.reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.state = match error {
                    StreamError::Io(_) => State::End,
                    StreamError::Bad { .. } => State::Resync,
                    StreamError::Crc { .. } => State::Read,
                };
                return Err(match error {
                    StreamError::Io(error) => format!("it cannot be read on: {}", said(&error)),
                    other => other.to_string(),
                });
            }
        };
        if frame.kind == FrameKind::Note {
            current.note.clear();
            current.note.push_str(frame.note().ok_or("a note is not in UTF-8")?);
            return text::note(current).map(Some);
        }
        self.records.clear();
        self.records.extend(frame.records());
        self.given = 0;
        // The CRC is the frame's, not the snapshot's.
        self.header = Some(Header { flags: frame.header.flags & !flag::CRC, ..frame.header });
        Ok(self.rest_of_snapshot(current))
    }

    fn place(&self) -> String {
        format!("byte {}", self.reader.offset())
    }
}
