// SPDX-License-Identifier: BSD-2-Clause

//! Logs of frames.

use tcpstats::frame::flag;
use tcpstats::read::Wanted;
use tcpstats::stream::{SnapshotBuffer, note_frame, seal, text_frame};
use tcpstats::{Columns, Header, Record, note};

use super::{Heading, Output, Writer, header_note};
use crate::log::{Item, LogColumns, said};

/// Records of a log without snapshots that go into one frame.
const WITHOUT_SNAPSHOT: usize = 1000;

/// A log of frames while it is written.
pub struct Bin {
    output: Output,
    heading: Heading,
    wanted: Option<Wanted>,
    /// The records of the snapshot that is not complete yet, with their times.
    records: Vec<(u64, Record)>,
    /// Its number.
    snapshot: u64,
    frame: SnapshotBuffer,
}

impl Bin {
    /// Writes there.
    pub fn new(output: Output, chosen: Option<Columns>) -> Self {
        Self {
            output,
            wanted: chosen.as_ref().map(Wanted::only),
            heading: Heading::note(chosen),
            records: Vec::new(),
            snapshot: 0,
            frame: SnapshotBuffer::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.output.write_all(bytes).map_err(|error| said(&error))
    }

    /// Writes the records under that header.
    fn frame(&mut self, header: &Header) -> Result<(), String> {
        self.frame.clear();
        for (time_ns, mut record) in self.records.drain(..) {
            record.at_ns = time_ns.wrapping_sub(header.wall_ns);
            self.frame.push(&record);
        }
        self.frame.finish(header);
        seal(self.frame.bytes_mut());
        self.output.write_all(self.frame.bytes()).map_err(|error| said(&error))
    }

    /// Writes the records, if there are any, without what their snapshot would
    /// say.
    fn unfinished(&mut self) -> Result<(), String> {
        let Some((time_ns, _)) = self.records.first() else {
            return Ok(());
        };
        let header =
            Header { sequence: self.snapshot, wall_ns: *time_ns, flags: flag::UNFINISHED, ..Header::default() };
        self.frame(&header)
    }
}

impl Writer for Bin {
    fn item(&mut self, item: &Item<'_>, columns: &LogColumns) -> Result<(), String> {
        if let Some(due) = self.heading.due(item, columns) {
            let note = header_note(&due, note_frame);
            self.write(&note)?;
        }
        match item {
            Item::Record { time_ns, snapshot, record } => {
                let is_full = *snapshot == 0 && self.records.len() >= WITHOUT_SNAPSHOT;
                if *snapshot != self.snapshot || is_full {
                    self.unfinished()?;
                }
                self.snapshot = *snapshot;
                self.records.push((*time_ns, (*record).clone()));
                if let (Some(wanted), Some((_, record))) = (&self.wanted, self.records.last_mut()) {
                    record.keep(wanted);
                }
                Ok(())
            }
            Item::Snapshot(header) => {
                if header.sequence != self.snapshot {
                    self.unfinished()?;
                }
                let is_whole = self.records.len() as u64 == header.written;
                if is_whole && header.flags & (flag::CRC | flag::UNFINISHED) == 0 {
                    return self.frame(header);
                }
                // What the log says of itself is kept as it is, also where it is wrong.
                self.unfinished()?;
                self.write(&note::snapshot(header, note_frame))
            }
            Item::Note(note) => {
                self.unfinished()?;
                self.write(&text_frame(note.as_bytes()))
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.unfinished()?;
        if let Some(due) = self.heading.settle() {
            let note = header_note(&due, note_frame);
            self.write(&note)?;
        }
        self.output.flush().map_err(|error| said(&error))
    }
}
