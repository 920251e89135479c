// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writing of notes.

use tcpstats::note::{self, Pair};
use tcpstats::text::Text;
use tcpstats::{Columns, FIELDS, Record, csv};

use super::name;
use super::types::{ConnectionFields, ConnectionNote, Note, SiftrDisable, SiftrEnable, Totals};

/// The fields by which the note of a connection identifies it.
const IDENTIFYING: [&str; 10] = ["gencnt", "laddr", "lport", "faddr", "fport", "state", "uid", "jid", "vnet", "zone"];

impl Note<'_> {
    /// Lends the note that names the columns of the rows after it.
    pub fn of_columns<R>(columns: &Columns, use_it: impl FnOnce(&Note<'_>) -> R) -> R {
        let mut buffer = [0; csv::HEADER_MAX];
        let mut names = Text::new(&mut buffer);
        columns.write(&mut names);
        use_it(&Note::Header { columns: names.finish() })
    }

    /// Lends the note with its name and its keys, as a format writes it.
    pub fn lend<R>(&self, use_it: impl FnOnce(&note::Note<'_>) -> R) -> R {
        let mut pairs = Pairs::new();
        let name = match self {
            Self::Log(log) => {
                pairs.text("version", log.version);
                pairs.seconds("time", log.time_ns);
                pairs.text("host", log.host);
                pairs.text("system", log.system);
                pairs.text("source", log.source);
                pairs.number("interval_us", log.interval_us);
                pairs.text("columns", log.columns);
                pairs.text("filter", log.filter);
                pairs.text("sandbox", log.sandbox);
                pairs.text("boot", log.boot);
                pairs.number("keyframe_us", log.keyframe_us);
                name::LOG
            }
            Self::Snapshot(header) => return note::snapshot(header, use_it),
            Self::Missed { ticks, total } => {
                pairs.number("ticks", *ticks);
                pairs.number("total", *total);
                name::MISSED
            }
            Self::Gap(gap) => {
                pairs.number("snapshots", gap.snapshots);
                pairs.number("records", gap.records);
                pairs.number("ended", gap.ended);
                pairs.number("first", gap.first);
                pairs.number("last", gap.last);
                pairs.text("why", gap.why);
                name::GAP
            }
            Self::SourceLost { time_ns, missed_ticks, why } => {
                pairs.seconds("time", *time_ns);
                pairs.number("missed_ticks", *missed_ticks);
                pairs.text("why", *why);
                name::SOURCE_LOST
            }
            Self::Torn { bytes } => {
                pairs.number("bytes", *bytes);
                name::TORN
            }
            Self::Open(ConnectionNote { fields: ConnectionFields::Text(text), .. })
            | Self::Close(ConnectionNote { fields: ConnectionFields::Text(text), .. })
            | Self::SiftrEnable(SiftrEnable { text, .. })
            | Self::SiftrDisable(SiftrDisable { text, .. })
            | Self::Other(text) => {
                let pairs: Vec<_> = text.pairs().map(|(key, value)| (key, Pair::Written(value))).collect();
                return use_it(&note::Note { name: text.name, pairs: &pairs });
            }
            Self::Open(connection @ ConnectionNote { fields: ConnectionFields::Record(record), .. }) => {
                pairs.connection(connection, record);
                name::OPEN
            }
            Self::Close(connection @ ConnectionNote { fields: ConnectionFields::Record(record), .. }) => {
                pairs.connection(connection, record);
                name::CLOSE
            }
            Self::Rotated(totals) => {
                pairs.totals(totals);
                name::ROTATED
            }
            Self::End(totals) => {
                pairs.totals(totals);
                name::END
            }
            Self::Converted { filter } => {
                pairs.text("filter", *filter);
                name::CONVERTED
            }
            Self::Header { columns } => {
                pairs.text("columns", *columns);
                name::HEADER
            }
        };
        use_it(&note::Note { name, pairs: &pairs.pairs[..pairs.len] })
    }
}

/// The keys and values of a note while they are collected; absent values have
/// no key.
struct Pairs<'a> {
    pairs: [(&'a str, Pair<'a>); 12],
    len: usize,
}

impl<'a> Pairs<'a> {
    fn new() -> Self {
        Self { pairs: [("", Pair::Number(0)); 12], len: 0 }
    }

    fn push(&mut self, key: &'a str, pair: Pair<'a>) {
        self.pairs[self.len] = (key, pair);
        self.len += 1;
    }

    fn number(&mut self, key: &'a str, number: Option<u64>) {
        if let Some(number) = number {
            self.push(key, Pair::Number(number));
        }
    }

    fn seconds(&mut self, key: &'a str, ns: Option<u64>) {
        if let Some(ns) = ns {
            self.push(key, Pair::Seconds(ns));
        }
    }

    fn text(&mut self, key: &'a str, text: Option<&'a str>) {
        if let Some(text) = text {
            self.push(key, Pair::Text(text));
        }
    }

    fn totals(&mut self, totals: &Totals) {
        self.seconds("time", totals.time_ns);
        self.number("snapshots", totals.snapshots);
        self.number("records", totals.records);
        self.number("missed_ticks", totals.missed_ticks);
        self.number("dropped", totals.dropped);
    }

    fn connection(&mut self, note: &ConnectionNote<'a>, record: &'a Record) {
        self.seconds("time", note.time_ns);
        self.number("snapshot", note.snapshot);
        for field in FIELDS.iter().filter(|field| record.has(field) && IDENTIFYING.contains(&field.name)) {
            self.push(field.name, Pair::Value(record, field));
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::text::Text;
    use tcpstats::{Header, ipv4, key};

    use super::super::types::{GapNote, LogNote};
    use super::*;

    fn written(note: &Note<'_>) -> String {
        let mut buffer = [0; 1024];
        let mut text = Text::new(&mut buffer);
        note.lend(|note| note.write(&mut text));
        text.finish().unwrap().to_owned()
    }

    fn totals() -> Totals {
        Totals { time_ns: Some(7), snapshots: Some(1), records: Some(2), missed_ticks: Some(3), dropped: Some(4) }
    }

    #[test]
    fn a_written_note_reads_back_as_the_same_note() {
        let log = LogNote {
            version: Some("2.0.0"),
            time_ns: Some(1_764_000_000_000_000_001),
            host: Some("h"),
            system: Some("FreeBSD"),
            source: Some("/dev/tcpstats"),
            interval_us: Some(50_000),
            columns: Some("basic"),
            filter: Some("port 443"),
            sandbox: Some("Capsicum"),
            boot: Some("b"),
            keyframe_us: Some(60_000_000),
        };
        let gap = GapNote {
            snapshots: Some(1),
            records: Some(2),
            ended: Some(1),
            first: Some(3),
            last: Some(4),
            why: Some("full"),
        };
        let notes = [
            Note::Log(log),
            Note::Log(LogNote { boot: None, keyframe_us: None, ..log }),
            Note::Snapshot(Header { sequence: 1, wall_ns: 2, mono_ns: 3, ..Header::default() }),
            Note::Missed { ticks: Some(1), total: Some(2) },
            Note::Missed { ticks: None, total: None },
            Note::Gap(gap),
            Note::Gap(GapNote { records: None, ended: None, ..gap }),
            Note::SourceLost { time_ns: Some(1), missed_ticks: Some(2), why: Some("gone") },
            Note::Torn { bytes: Some(9) },
            Note::Rotated(totals()),
            Note::End(totals()),
            Note::Converted { filter: Some("port 22") },
            Note::Header { columns: Some("srtt") },
        ];
        for note in notes {
            let text = written(&note);
            assert_eq!(format!("{:?}", Note::read(&text).unwrap()), format!("{note:?}"), "{text}");
        }
    }

    #[test]
    fn a_note_that_was_read_is_written_byte_for_byte() {
        let notes = [
            "invented key=1 text=\"a \\\"b\\\" c\" state=LISTEN",
            "close time=1.000000000 snapshot=2 gencnt=7 laddr=192.0.2.1 lport=22 state=LISTEN new_key=1",
            "siftr_enable enable_time_secs=1 enable_time_usecs=000002 siftrver=\"1.3.0\" sysname=\"FreeBSD\" sysver=1",
            "siftr_disable disable_time_secs=1 disable_time_usecs=000002 total_skipped_tcp_pkts=5",
        ];
        for text in notes {
            assert_eq!(written(&Note::read(text).unwrap()), text);
        }
    }

    #[test]
    fn the_note_of_a_connection_has_the_fields_that_identify_it() {
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::lport, 22);
        record.set(key::srtt, 1500);
        let fields = ConnectionFields::Record(&record);
        let note = Note::Close(ConnectionNote { time_ns: Some(1_000_000_000), snapshot: Some(2), fields });
        assert_eq!(written(&note), "close time=1.000000000 snapshot=2 gencnt=7 laddr=192.0.2.1 lport=22");
    }
}
