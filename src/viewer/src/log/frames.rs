// SPDX-License-Identifier: BSD-2-Clause

//! Logs of frames, as `-F bin` writes them.

use std::io::Read;

use tcpstats::frame::FrameKind;
use tcpstats::stream::FrameReader;
use tcpstats::{Header, Record};

use super::Item;

/// A log of frames while it is read.
pub struct Frames<R> {
    frames: FrameReader<R>,
    records: Vec<Record>,
    next: usize,
    header: Option<Header>,
    note: String,
}

impl<R: Read> Frames<R> {
    /// Reads from there.
    pub fn new(reader: R) -> Self {
        Self { frames: FrameReader::new(reader), records: Vec::new(), next: 0, header: None, note: String::new() }
    }

    /// The next item, or none at the end.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, String> {
        if self.header.is_some() && self.next == self.records.len() {
            self.next = 0;
            self.records.clear();
            return Ok(Some(Item::Snapshot(self.header.take().unwrap_or_default())));
        }
        if self.header.is_none() {
            match self.frames.next_frame().map_err(|error| error.to_string())? {
                None => return Ok(None),
                Some(frame) if frame.kind == FrameKind::Note => {
                    frame.note().unwrap_or_default().clone_into(&mut self.note);
                    return Ok(Some(Item::Note(&self.note)));
                }
                Some(frame) => {
                    self.records.extend(frame.records());
                    self.header = Some(frame.header);
                    if self.records.is_empty() {
                        return self.next();
                    }
                }
            }
        }
        let header = self.header.unwrap_or_default();
        let record = &self.records[self.next];
        self.next += 1;
        Ok(Some(Item::Record { time_ns: header.wall_ns + record.at_ns, snapshot: header.sequence, record }))
    }
}
