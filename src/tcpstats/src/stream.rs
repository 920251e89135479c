// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Building frames in memory, and reading streams of frames.

use std::io::{self, Read};

use crate::frame::{CRC_OFFSET, Frame, FrameError, FrameKind, HEADER_LEN, Header, MAGIC, flag, header_bytes};
use crate::note::Note;
use crate::record::{RECORD_LEN, RECORD_LEN_UNJOINED, Record, RecordBytes, RecordBytesMut};
use crate::table::{BODY_LEN, BODY_LEN_UNJOINED};
use crate::text::Text;

/// A snapshot under construction: a frame that grows in a buffer, which is
/// reused for the next snapshot.
///
/// All records of a frame have the same length.  They are short unless one of them has fields
/// that are joined (see [`Field::is_joined`](crate::Field::is_joined)), or
/// [room for those](SnapshotBuffer::make_room_to_join) was requested.
#[derive(Debug, Default)]
pub struct SnapshotBuffer {
    bytes: Vec<u8>,
    header: Header,
    /// Whether the records have room for the fields that are joined.
    is_joined: bool,
    /// Whether that is the case in every snapshot.
    is_always_joined: bool,
}

impl SnapshotBuffer {
    /// Creates an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty buffer with capacity for `len` bytes and an eighth
    /// more.
    #[must_use]
    pub fn with_room_for(len: usize) -> Self {
        Self { bytes: Vec::with_capacity(len + len / 8), ..Self::default() }
    }

    /// Removes the records but keeps the memory, unless they used little of it.
    pub fn clear(&mut self) {
        clear(&mut self.bytes);
        self.bytes.resize(HEADER_LEN, 0);
        self.header = Header::default();
        self.is_joined = self.is_always_joined;
    }

    /// From the next [`SnapshotBuffer::clear`] on, all records have room for the fields that are
    /// joined, so that these can be set in [`SnapshotBuffer::records_mut`].
    pub fn make_room_to_join(&mut self) {
        self.is_always_joined = true;
    }

    /// Appends a record.
    pub fn push(&mut self, record: &Record) {
        self.push_at(record.at_ns, record);
    }

    /// Appends a record with another time.
    pub fn push_at(&mut self, at_ns: u64, record: &Record) {
        if self.bytes.is_empty() {
            self.clear();
        }
        if record.present.has_joined() && !self.is_joined {
            self.lengthen();
        }
        // Appends the parts directly, without assembling the record's bytes first.
        self.bytes.extend_from_slice(&at_ns.to_ne_bytes());
        self.bytes.extend(record.present.words.iter().flat_map(|word| word.to_ne_bytes()));
        let body_len = if self.is_joined { BODY_LEN } else { BODY_LEN_UNJOINED };
        self.bytes.extend_from_slice(record.body.get(..body_len).unwrap_or_default());
        self.header.written += 1;
    }

    /// Extends the records so far, which are short, to their full length.
    #[cold]
    fn lengthen(&mut self) {
        self.is_joined = true;
        let records = (self.bytes.len() - HEADER_LEN) / RECORD_LEN_UNJOINED;
        self.bytes.resize(HEADER_LEN + records * RECORD_LEN, 0);
        for at in (0..records).rev() {
            let from = HEADER_LEN + at * RECORD_LEN_UNJOINED;
            let to = HEADER_LEN + at * RECORD_LEN;
            self.bytes.copy_within(from..from + RECORD_LEN_UNJOINED, to);
            self.bytes[to + RECORD_LEN_UNJOINED..to + RECORD_LEN].fill(0);
        }
    }

    fn record_len(&self) -> usize {
        if self.is_joined { RECORD_LEN } else { RECORD_LEN_UNJOINED }
    }

    /// Converts the times of the records from times since an epoch to times
    /// since `start_ns`, for a source that learns the start of a snapshot only
    /// after its records.
    pub fn rebase(&mut self, start_ns: u64) {
        let record_len = self.record_len();
        for record in self.bytes.get_mut(HEADER_LEN..).unwrap_or_default().chunks_exact_mut(record_len) {
            if let Some(at_ns) = record.first_chunk_mut() {
                *at_ns = u64::from_ne_bytes(*at_ns).wrapping_sub(start_ns).to_ne_bytes();
            }
        }
    }

    /// Returns the records so far, without copying them.
    pub fn record_bytes(&self) -> impl Iterator<Item = RecordBytes<'_>> {
        let records = self.bytes.get(HEADER_LEN..).unwrap_or_default().chunks_exact(self.record_len());
        records.map(RecordBytes)
    }

    /// Returns the records so far, to change them in place.
    pub fn records_mut(&mut self) -> impl Iterator<Item = RecordBytesMut<'_>> {
        let record_len = self.record_len();
        let records = self.bytes.get_mut(HEADER_LEN..).unwrap_or_default().chunks_exact_mut(record_len);
        records.map(RecordBytesMut)
    }

    /// Returns the records so far.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.record_bytes().map(|record| Record::from_bytes(record.0, false))
    }

    /// Keeps the records for which `is_kept` returns true, in their order.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&Record) -> bool) {
        let record_len = self.record_len();
        let mut end = HEADER_LEN;
        for start in (HEADER_LEN..self.bytes.len()).step_by(record_len) {
            let record = start..start + record_len;
            if !is_kept(&Record::from_bytes(self.bytes.get(record.clone()).unwrap_or_default(), false)) {
                self.header.written -= 1;
                continue;
            }
            if start != end {
                self.bytes.copy_within(record, end);
            }
            end += record_len;
        }
        self.bytes.truncate(end);
    }

    /// Returns the number of records so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.header.written
    }

    /// Writes the header before the records.  `written` is counted here, not
    /// taken from `header`.
    pub fn finish(&mut self, header: &Header) {
        if self.bytes.is_empty() {
            self.clear();
        }
        self.header = Header { written: self.written(), ..*header };
        let payload_len = (self.bytes.len() - HEADER_LEN) as u64;
        let record_len = u32::try_from(self.record_len()).unwrap_or_default();
        let head = header_bytes(FrameKind::Snapshot, &self.header, record_len, payload_len);
        self.bytes[..HEADER_LEN].copy_from_slice(&head);
    }

    /// Returns the header that [`SnapshotBuffer::finish`] wrote.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Stores the logger's count of missed ticks in a finished frame.
    pub fn set_missed_ticks(&mut self, ticks: u64) {
        self.finish(&Header { missed_ticks: ticks, ..self.header });
    }

    /// Returns the complete frame, so that it can be [sealed](seal).
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns the complete frame, after [`SnapshotBuffer::finish`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns the CRC of a frame: CRC-32 (IEEE 802.3, as in zlib) of all its
/// bytes, with the CRC itself taken as zero.
#[must_use]
pub fn crc(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let (before, rest) = frame.split_at(CRC_OFFSET.min(frame.len()));
    hasher.update(before);
    hasher.update(&[0; 4][..rest.len().min(4)]);
    hasher.update(rest.get(4..).unwrap_or_default());
    hasher.finalize()
}

/// Returns whether the CRC of a frame matches, or the frame has no CRC.
#[must_use]
pub fn is_intact(frame: &Frame<'_>) -> bool {
    if frame.header.flags & flag::CRC == 0 {
        return true;
    }
    let stored = frame.bytes().get(CRC_OFFSET..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let stored = if frame.swapped { u32::from_ne_bytes(stored).swap_bytes() } else { u32::from_ne_bytes(stored) };
    stored == crc(frame.bytes())
}

/// Empties a buffer that is used repeatedly.  Its memory is kept, unless its contents used
/// less than a quarter of it: a single large snapshot does not occupy memory for ever.
pub fn clear<T>(buffer: &mut Vec<T>) {
    const SMALL: usize = 1024;
    let len = buffer.len();
    buffer.clear();
    if buffer.capacity() > SMALL.max(4 * len) {
        buffer.shrink_to(2 * len);
    }
}

/// Sets the CRC of a frame in this machine's byte order, before it is stored.
pub fn seal(frame: &mut [u8]) {
    const FLAGS_OFFSET: usize = 96;
    let Some(flags) = frame.get_mut(FLAGS_OFFSET..).and_then(<[u8]>::first_chunk_mut) else {
        return;
    };
    *flags = (u32::from_ne_bytes(*flags) | flag::CRC).to_ne_bytes();
    let sum = crc(frame);
    if let Some(stored) = frame.get_mut(CRC_OFFSET..).and_then(<[u8]>::first_chunk_mut) {
        *stored = sum.to_ne_bytes();
    }
}

/// Returns the sealed frame of a note.
#[must_use]
pub fn note_frame(note: &Note<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let text = loop {
        let mut text = Text::new(&mut buffer);
        note.write(&mut text);
        if let Some(text) = text.finish() {
            break text.len();
        }
        buffer.resize(2 * buffer.len(), 0);
    };
    text_frame(&buffer[..text])
}

/// Returns the sealed frame of a note from its text.
#[must_use]
pub fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = header_bytes(FrameKind::Note, &Header::default(), 0, text.len() as u64).to_vec();
    frame.extend_from_slice(text);
    seal(&mut frame);
    frame
}

/// Why the next frame of a stream cannot be read.
#[derive(Debug)]
pub enum StreamError {
    /// The reader failed.
    Io(io::Error),
    /// There is no valid frame at this position.
    Bad {
        /// Offset in the stream, in bytes.
        offset: u64,
        /// What is wrong.
        error: FrameError,
    },
    /// The CRC of the frame at this position does not match.
    Crc {
        /// Offset in the stream, in bytes.
        offset: u64,
    },
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(_) => f.write_str("read error"),
            Self::Bad { offset, error } => write!(f, "at byte {offset}: {error}"),
            Self::Crc { offset } => write!(f, "at byte {offset}: the frame is damaged (CRC mismatch)"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Bad { .. } | Self::Crc { .. } => None,
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads frames one after another into a buffer that is reused.
#[derive(Debug)]
pub struct FrameReader<R> {
    reader: R,
    /// Bytes read from the stream, starting with the frame returned last.
    buffer: Vec<u8>,
    frame_len: usize,
    /// Offset of the buffer in the stream, in bytes.
    offset: u64,
}

impl<R: Read> FrameReader<R> {
    /// Creates a reader of the frames in a stream.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), frame_len: 0, offset: 0 }
    }

    /// Returns the underlying reader.
    #[must_use]
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// Reads the next frame, or returns `None` if the stream ends before
    /// another frame.
    ///
    /// # Errors
    /// Returns [`StreamError`].  A stream that ends within a frame is
    /// [`FrameError::Short`].  The next call continues after a frame whose CRC
    /// does not match; after any other error only [`FrameReader::resync`] can
    /// continue.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, StreamError> {
        self.discard(self.frame_len);
        let offset = self.offset;
        let bad = |error| StreamError::Bad { offset, error };
        let need = loop {
            match Frame::parse(&self.buffer) {
                Ok(frame) => break frame.bytes().len(),
                Err(FrameError::Short { need }) => {
                    let missing = (need - self.buffer.len()) as u64;
                    let got = self.reader.by_ref().take(missing).read_to_end(&mut self.buffer)?;
                    if got == 0 && self.buffer.is_empty() {
                        return Ok(None);
                    }
                    if (got as u64) < missing {
                        return Err(match Frame::parse(&self.buffer) {
                            Err(error) => bad(error),
                            Ok(_) => bad(FrameError::Short { need }),
                        });
                    }
                }
                Err(error) => return Err(bad(error)),
            }
        };
        self.frame_len = need;
        let frame = Frame::parse(&self.buffer).map_err(bad)?;
        if is_intact(&frame) { Ok(Some(frame)) } else { Err(StreamError::Crc { offset }) }
    }

    /// Returns the offset in the stream of the frame returned last, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Skips at least one byte, up to the next possible start of a frame or the
    /// end of the stream, and returns the number of bytes skipped.
    ///
    /// # Errors
    /// Returns the errors of the underlying reader.
    pub fn resync(&mut self) -> io::Result<u64> {
        const STEP: u64 = 64 * 1024;
        self.discard(self.frame_len);
        let before = self.offset;
        self.discard(1);
        loop {
            let is_magic =
                |four: &[u8]| [MAGIC.to_ne_bytes(), MAGIC.swap_bytes().to_ne_bytes()].iter().any(|m| m == four);
            if let Some(at) = self.buffer.windows(4).position(is_magic) {
                self.discard(at);
                return Ok(self.offset - before);
            }
            self.discard(self.buffer.len().saturating_sub(3));
            if self.reader.by_ref().take(STEP).read_to_end(&mut self.buffer)? == 0 {
                self.discard(self.buffer.len());
                return Ok(self.offset - before);
            }
        }
    }

    /// Drops the first bytes of the buffer.
    fn discard(&mut self, len: usize) {
        let len = len.min(self.buffer.len());
        self.buffer.drain(..len);
        self.offset += len as u64;
        self.frame_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::note::Pair;
    use crate::{FIELDS, PREAMBLE_LEN, key};

    /// Records with any subset of the fields and any bytes in them, with or without those that
    /// are joined.
    fn any_record() -> impl Strategy<Value = Record> {
        (prop::collection::vec(any::<u8>(), RECORD_LEN), any::<bool>(), any::<u32>()).prop_map(
            |(bytes, is_joined, pid)| {
                let len = if is_joined { RECORD_LEN } else { RECORD_LEN_UNJOINED };
                let mut record = Record::from_bytes(&bytes[..len], false);
                record.set_if(key::pid, is_joined.then_some(pid));
                record
            },
        )
    }

    fn snapshot(records: &[Record], header: &Header) -> Vec<u8> {
        let mut buffer = SnapshotBuffer::new();
        for record in records {
            buffer.push(record);
        }
        buffer.finish(header);
        let mut frame = buffer.bytes().to_vec();
        seal(&mut frame);
        frame
    }

    #[test]
    fn a_truncated_stream_reads_up_to_its_last_complete_frame() {
        let mut record = Record::new();
        record.set(key::snd_cwnd, 7);
        let one = snapshot(&[record.clone()], &Header { sequence: 1, ..Header::default() });
        let note = note_frame(&Note { name: "missed", pairs: &[("ticks", Pair::Number(3))] });
        let whole = [one.clone(), note.clone()].concat();
        for cut in 0..=whole.len() {
            let mut reader = FrameReader::new(&whole[..cut]);
            let mut frames = 0;
            let end = loop {
                match reader.next_frame() {
                    Ok(Some(_)) => frames += 1,
                    Ok(None) => break true,
                    Err(StreamError::Bad { error: FrameError::Short { .. }, .. }) => break false,
                    Err(other) => panic!("{other}"),
                }
            };
            assert_eq!(frames, usize::from(cut >= one.len()) + usize::from(cut == whole.len()));
            assert_eq!(end, [0, one.len(), whole.len()].contains(&cut));
        }
        let frame = Frame::parse(&note).unwrap();
        assert_eq!(frame.note(), Some("missed ticks=3"));
    }

    #[test]
    fn records_have_room_for_owners_only_in_a_snapshot_that_has_them() {
        let record = |gencnt: u64, pid: Option<u32>| {
            let mut record = Record::new();
            record.at_ns = 100 + gencnt;
            record.set(key::gencnt, gencnt);
            record.set(key::vegas_minrtt, 7);
            record.set_if(key::pid, pid);
            record.set_if(key::netns, pid.map(|_| crate::name(b"blue")));
            record
        };
        let without = vec![record(1, None), record(2, None)];
        let with = vec![record(1, None), record(2, None), record(3, Some(812)), record(4, None)];
        let mut buffer = SnapshotBuffer::new();
        for (records, record_len) in
            [(&without, RECORD_LEN_UNJOINED), (&with, RECORD_LEN), (&without, RECORD_LEN_UNJOINED)]
        {
            buffer.clear();
            for record in records {
                buffer.push(record);
            }
            buffer.rebase(100);
            buffer.finish(&Header::default());
            let frame = Frame::parse(buffer.bytes()).unwrap();
            assert_eq!((frame.record_len, frame.header.written), (record_len, records.len() as u64));
            for (bytes, record) in buffer.record_bytes().zip(records) {
                assert_eq!(bytes.get(key::gencnt), record.get(key::gencnt));
                assert_eq!(bytes.get(key::pid), record.get(key::pid));
                assert_eq!((bytes.get(key::srtt), bytes.get(key::vegas_minrtt)), (None, Some(7)));
            }
            let since_100 = |record: &Record| Record { at_ns: record.at_ns - 100, ..record.clone() };
            let records: Vec<_> = records.iter().map(since_100).collect();
            assert_eq!(frame.records().collect::<Vec<_>>(), records);
            // Records can be removed and added afterwards.
            buffer.retain(|record| record.get(key::gencnt) != Some(1));
            buffer.push(&record(5, Some(813)));
            buffer.finish(&Header::default());
            let expected = [&records[1..], &[record(5, Some(813))]].concat();
            assert_eq!(Frame::parse(buffer.bytes()).unwrap().records().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_record_in_the_other_byte_order_reads_the_same() {
        let mut record = Record::new();
        record.at_ns = 5;
        record.set(key::lport, 443);
        record.set(key::snd_cwnd, 0x0102_0304);
        record.set(key::age, 0x0102_0304_0506_0708);
        record.set(key::cc, crate::name(b"cubic"));
        let mut foreign = record.to_bytes();
        for word in foreign[..PREAMBLE_LEN].chunks_exact_mut(8) {
            word.reverse();
        }
        for field in FIELDS.iter().filter(|field| field.kind.align() > 1) {
            foreign[PREAMBLE_LEN + field.offset..PREAMBLE_LEN + field.end()].reverse();
        }
        assert_eq!(Record::from_bytes(&foreign, true), record);
    }

    #[test]
    fn a_shorter_record_from_an_older_writer_has_the_fields_that_fit() {
        let mut record = Record::new();
        record.set(key::gencnt, 9);
        record.set(key::tt_delack, 10);
        record.set(key::segs_out, 11);
        let end = key::tt_delack.field().end();
        let old = Record::from_bytes(&record.to_bytes()[..PREAMBLE_LEN + end], false);
        assert_eq!(old.get(key::gencnt), Some(9));
        assert_eq!(old.get(key::tt_delack), Some(10));
        assert_eq!(old.get(key::segs_out), None);
    }

    proptest! {
        #[test]
        fn a_written_snapshot_reads_back(
            records in prop::collection::vec(any_record(), 0..5),
            numbers: [u64; 10],
            hz: u32,
        ) {
            let [sequence, wall_ns, mono_ns, walk_ns, seen, matched, missed, missed_ticks, ended, ended_lost] = numbers;
            let header = Header {
                sequence, wall_ns, mono_ns, walk_ns, seen, matched, missed, missed_ticks, hz, ended, ended_lost,
                osversion: hz ^ 7,
                written: records.len() as u64,
                flags: flag::TRUNCATED | flag::CRC,
            };
            let bytes = snapshot(&records, &header);
            let mut reader = FrameReader::new(&bytes[..]);
            let frame = reader.next_frame().unwrap().unwrap();
            prop_assert_eq!(frame.header, header);
            prop_assert_eq!(frame.records().collect::<Vec<_>>(), records);
        }

        #[test]
        fn any_changed_byte_is_detected(record in any_record(), place: prop::sample::Index, xor in 1..=255u8) {
            let mut bytes = snapshot(&[record], &Header::default());
            let place = place.index(bytes.len());
            bytes[place] ^= xor;
            // If the flag itself is cleared, the frame has no CRC.
            prop_assume!(place / 4 != 24);
            prop_assert!(FrameReader::new(&bytes[..]).next_frame().is_err());
        }

        #[test]
        fn the_reader_does_not_panic_on_any_bytes(mut bytes: Vec<u8>, lengths: [u16; 4], plausible: bool) {
            if plausible {
                let head = header_bytes(FrameKind::Snapshot, &Header {
                    written: u64::from(lengths[0] % 8), ..Header::default()
                }, u32::from(lengths[1]), u64::from(lengths[2]));
                bytes.splice(0..0, head);
                bytes[8..10].copy_from_slice(&lengths[3].to_ne_bytes());
            }
            if let Ok(frame) = Frame::parse(&bytes) {
                for record in frame.records() {
                    let mut buffer = vec![0; crate::csv::ROW_MAX];
                    let mut text = Text::new(&mut buffer);
                    crate::csv::row(&mut text, &crate::Columns::all(), u64::MAX, 1, &record);
                    prop_assert!(text.finish().is_some());
                }
            }
            let _ = Record::from_bytes(&bytes, lengths[0] & 1 == 1);
        }

        #[test]
        fn the_longest_rows_fit_in_their_maximum_lengths(record in any_record()) {
            let all = crate::Columns::all();
            for (max, is_json) in [(crate::csv::ROW_MAX, false), (crate::json::ROW_MAX, true)] {
                let mut buffer = vec![0; max];
                let mut text = Text::new(&mut buffer);
                if is_json {
                    crate::json::row(&mut text, &all, u64::MAX, u64::MAX, &record);
                } else {
                    crate::csv::row(&mut text, &all, u64::MAX, u64::MAX, &record);
                }
                prop_assert!(text.finish().is_some());
            }
            let mut buffer = [0; crate::siftr::ROW_MAX];
            let mut text = Text::new(&mut buffer);
            crate::siftr::row(&mut text, u64::MAX, &record);
            prop_assert!(text.finish().is_some());
        }
    }
}
