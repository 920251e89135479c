// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A line of a log in any text format.
//!
//! A record that can be read is written as one line, which reads as the same
//! record.  A note in JSON survives the conversion to text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpstats::FieldSet;
use tcpstats::note::NoteText;
use tcpstats::text::Text;
use tcpstats::{Columns, Record, csv, json, siftr};

fuzz_target!(|line: &[u8]| {
    let (all, wanted) = (Columns::all(), FieldSet::ALL);
    for columns in [Columns::basic(), all.clone()] {
        again(
            line,
            |line, record| csv::read_row(line, &columns, &wanted, record).ok(),
            |text, (time_ns, snapshot), record| csv::row(text, &columns, time_ns, snapshot, record),
        );
    }
    again(
        line,
        |line, record| json::read_row(line, &wanted, record).ok(),
        |text, (time_ns, snapshot), record| json::row(text, &all, time_ns, snapshot, record),
    );
    again(
        line,
        |line, record| siftr::read_row(line, record).ok().map(|time_ns| (time_ns / 1000 * 1000, 0)),
        |text, (time_ns, _), record| siftr::row(text, time_ns, record),
    );

    let Ok(line) = str::from_utf8(line) else {
        return;
    };
    let _ = csv::read_header(line);
    let mut buffer = vec![0; line.len()];
    let mut text = Text::new(&mut buffer);
    if json::read_note(line, &mut text).is_ok() {
        let text = text.finish().expect("a note is shorter than its line");
        if let Some(note) = NoteText::read(text) {
            let _ = note.snapshot();
            let mut buffer = vec![0; 2 * line.len() + 64];
            let mut again = Text::new(&mut buffer);
            json::note_text(&mut again, &note);
            let again = again.finish().expect("a line is as long as its note and its quotes").trim_end();
            let mut buffer = vec![0; again.len()];
            let mut same = Text::new(&mut buffer);
            json::read_note(again, &mut same).expect("a written note is a note");
            assert_eq!(same.finish(), Some(text));
        }
    }
});

/// The time in nanoseconds and the number of the snapshot in a line.
type TimeAndSnapshot = (u64, u64);

/// Reads a record from the line, writes it and reads it again.
fn again(
    line: &[u8],
    read: impl Fn(&[u8], &mut Record) -> Option<TimeAndSnapshot>,
    write: impl Fn(&mut Text<'_>, TimeAndSnapshot, &Record),
) {
    let mut record = Record::new();
    let Some(time_and_snapshot) = read(line, &mut record) else {
        return;
    };
    let mut buffer = vec![0; json::ROW_MAX];
    let mut text = Text::new(&mut buffer);
    write(&mut text, time_and_snapshot, &record);
    let written = text.finish().expect("a row fits in its maximum length");
    let mut same = Record::new();
    assert_eq!(read(written.trim_end().as_bytes(), &mut same), Some(time_and_snapshot));
    assert_eq!(same, record);
}
