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

/// What a frame is.
enum Next {
    Snapshot,
    Note,
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
            current.record.at_ns = 0;
            let time_ns = header.wall_ns.wrapping_add(record.at_ns);
            return Some(Found::Record { time_ns, snapshot: header.sequence });
        }
        self.header = None;
        (header.flags & flag::UNFINISHED == 0).then_some(Found::Snapshot(header))
    }
}

impl Frames {
    /// Reads the next frame; none at the end.
    fn frame(&mut self, current: &mut Current) -> Result<Option<Next>, String> {
        match self.state {
            State::Read => (),
            State::Resync => {
                self.state = State::Read;
                self.reader.resync().map_err(|error| said(&error))?;
            }
            State::End => return Ok(None),
        }
        let frame = match self.reader.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(StreamError::Io(error)) => {
                self.state = State::End;
                return Err(format!("it cannot be read on: {}", said(&error)));
            }
            Err(error) => {
                if matches!(error, StreamError::Bad { .. }) {
                    self.state = State::Resync;
                }
                return Err(error.to_string());
            }
        };
        if frame.kind == FrameKind::Note {
            match frame.note() {
                Some(note) => note.clone_into(&mut current.note),
                None => return Err(format!("{}: the note is not in UTF-8", self.place())),
            }
            return Ok(Some(Next::Note));
        }
        self.records.clear();
        self.records.extend(frame.records());
        self.given = 0;
        // The CRC is the frame's, not the snapshot's.
        self.header = Some(Header { flags: frame.header.flags & !flag::CRC, ..frame.header });
        Ok(Some(Next::Snapshot))
    }
}

impl Reader for Frames {
    fn advance(&mut self, current: &mut Current) -> Result<Option<Found>, String> {
        loop {
            if let Some(found) = self.rest_of_snapshot(current) {
                return Ok(Some(found));
            }
            match self.frame(current)? {
                None => return Ok(None),
                Some(Next::Snapshot) => (),
                Some(Next::Note) => {
                    let found = text::note(current).map_err(|what| format!("{}: {what}", self.place()))?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
        }
    }

    fn place(&self) -> String {
        format!("byte {}", self.reader.offset())
    }
}
