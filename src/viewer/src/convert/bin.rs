// SPDX-License-Identifier: BSD-2-Clause

//! Logs of frames.

use tcpstats::FieldSet;
use tcpstats::frame::flag;
use tcpstats::stream::{SnapshotBuffer, note_frame, seal, text_frame};
use tcpstats::{Columns, Header, Record, note};

use super::{Heading, Output, Writer, header_note};
use crate::log::{Item, LogColumns, said};

/// Records of a log without snapshots that go into one frame.
const WITHOUT_SNAPSHOT: u64 = 1000;

/// A log of frames while it is written.
pub struct Bin {
    output: Output,
    heading: Heading,
    wanted: Option<FieldSet>,
    /// The records of the snapshot that is not complete yet, at their times
    /// since the UNIX epoch.
    frame: SnapshotBuffer,
    /// Its number, and the time of its first record.
    snapshot: u64,
    begin_ns: u64,
    record: Record,
}

impl Bin {
    /// Writes there.
    pub fn new(output: Output, chosen: Option<Columns>) -> Self {
        Self {
            output,
            wanted: chosen.as_ref().map(FieldSet::of),
            heading: Heading::note(chosen),
            frame: SnapshotBuffer::new(),
            snapshot: 0,
            begin_ns: 0,
            record: Record::new(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.output.write_all(bytes).map_err(|error| said(&error))
    }

    fn push(&mut self, time_ns: u64, record: &Record) {
        if self.frame.written() == 0 {
            self.begin_ns = time_ns;
        }
        self.record.clone_from(record);
        self.record.at_ns = time_ns;
        if let Some(wanted) = &self.wanted {
            self.record.keep(wanted);
        }
        self.frame.push(&self.record);
    }

    /// Writes the records under that header.
    fn frame(&mut self, header: &Header) -> Result<(), String> {
        self.frame.finish(header);
        self.frame.rebase(header.wall_ns);
        seal(self.frame.bytes_mut());
        let written = self.output.write_all(self.frame.bytes()).map_err(|error| said(&error));
        self.frame.clear();
        written
    }

    /// Writes the records, if there are any, without what their snapshot would
    /// say.
    fn unfinished(&mut self) -> Result<(), String> {
        if self.frame.written() == 0 {
            return Ok(());
        }
        let (sequence, wall_ns) = (self.snapshot, self.begin_ns);
        self.frame(&Header { sequence, wall_ns, flags: flag::UNFINISHED, ..Header::default() })
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
                let is_full = *snapshot == 0 && self.frame.written() >= WITHOUT_SNAPSHOT;
                if *snapshot != self.snapshot || is_full {
                    self.unfinished()?;
                }
                self.snapshot = *snapshot;
                self.push(*time_ns, record);
                Ok(())
            }
            Item::Snapshot(header) => {
                if header.sequence != self.snapshot {
                    self.unfinished()?;
                }
                let is_whole = self.frame.written() == header.written;
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
