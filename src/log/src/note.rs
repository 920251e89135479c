// SPDX-License-Identifier: BSD-2-Clause

//! The notes of a log: the only place that knows their names and keys.

use tcpstats::note::{self, NoteText, Pair};
use tcpstats::{Columns, FIELDS, Field, FieldSet, Header, Record};

use crate::connection_id::ConnectionId;

pub use name::{ROTATED, SIFTR_DISABLE, SIFTR_ENABLE};

/// The names of the notes.
mod name {
    pub const LOG: &str = "log";
    pub const SNAPSHOT: &str = "snapshot";
    pub const MISSED: &str = "missed";
    pub const GAP: &str = "gap";
    pub const SOURCE_LOST: &str = "source_lost";
    pub const TORN: &str = "torn";
    pub const OPEN: &str = "open";
    pub const CLOSE: &str = "close";
    pub const ROTATED: &str = "rotated";
    pub const END: &str = "end";
    pub const CONVERTED: &str = "converted";
    pub const HEADER: &str = "header";
    pub const SIFTR_ENABLE: &str = "siftr_enable";
    pub const SIFTR_DISABLE: &str = "siftr_disable";
}

/// What a log reports between its records.
///
/// Texts of a note that was read are as written, with their escapes.  A value
/// that is missing in a note that was read is `None`, or 0 for counts.
///
/// ```
/// use tcpstats_log::Note;
///
/// let note = Note::read("missed ticks=2 total=7").unwrap();
/// assert!(matches!(note, Note::Missed { ticks: 2, total: 7 }));
/// assert!(matches!(Note::read("invented key=1"), Ok(Note::Other(text)) if text.name == "invented"));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// A run of the logger starts, or a run continues in another file.
    Log(LogNote<'a>),
    /// The snapshot of the records before it is complete.
    Snapshot(Header),
    /// Ticks at which no snapshot was taken.
    Missed {
        /// Ticks since the last snapshot.
        ticks: u64,
        /// Ticks since the start of the run.
        total: u64,
    },
    /// Snapshots were taken and not logged.
    Gap(GapNote<'a>),
    /// The source failed.
    SourceLost {
        /// When it failed, in nanoseconds since the UNIX epoch.
        time_ns: Option<u64>,
        /// Ticks that were missed so far.
        missed_ticks: Option<u64>,
        /// The error.
        why: Option<&'a str>,
    },
    /// A truncated line or frame of an earlier run was removed.
    Torn {
        /// Its length.
        bytes: u64,
    },
    /// A connection appeared.
    Open(ConnectionNote<'a>),
    /// A connection is gone.
    Close(ConnectionNote<'a>),
    /// The run continues in another file.
    Rotated(Totals),
    /// The run is over.
    End(Totals),
    /// The log was converted, and records were left out.
    Converted {
        /// The filter that selected the records.
        filter: Option<&'a str>,
    },
    /// The columns that follow, in a format without header rows.
    Header {
        /// `basic`, `all`, or a list of fields.
        columns: Option<&'a str>,
    },
    /// The first line of a log of siftr(4).
    SiftrEnable(SiftrEnable<'a>),
    /// The last line of a log of siftr(4).
    SiftrDisable(SiftrDisable<'a>),
    /// A note that this version does not know.
    Other(NoteText<'a>),
}

/// How a log was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogNote<'a> {
    /// The version of the logger.
    pub version: Option<&'a str>,
    /// When the file was started, in nanoseconds since the UNIX epoch.
    pub time_ns: Option<u64>,
    /// The name of the host.
    pub host: Option<&'a str>,
    /// The name of the operating system.
    pub system: Option<&'a str>,
    /// The source of the snapshots.
    pub source: Option<&'a str>,
    /// Microseconds between two ticks.
    pub interval_us: Option<u64>,
    /// The columns: `basic`, `all`, or a list of fields.
    pub columns: Option<&'a str>,
    /// The filter that selects the records, empty if there is none.
    pub filter: Option<&'a str>,
    /// The sandbox of the logger.
    pub sandbox: Option<&'a str>,
    /// What is unique to a boot of the host.
    pub boot: Option<&'a str>,
    /// Microseconds between two keyframes; `None` if every snapshot is complete.
    pub keyframe_us: Option<u64>,
}

impl LogNote<'_> {
    /// Returns whether a kernel was sampled at each tick.  Frames that were
    /// recorded earlier have an interval of their own.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.source.is_none_or(|source| source == "sock_diag" || source.starts_with("/dev/"))
    }
}

/// Snapshots that were taken and not logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapNote<'a> {
    /// The number of snapshots.
    pub snapshots: u64,
    /// The number of their records.
    pub records: u64,
    /// The number of the first snapshot.
    pub first: u64,
    /// The number of the last snapshot.
    pub last: u64,
    /// The reason.
    pub why: Option<&'a str>,
}

/// What a run has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// When it was counted, in nanoseconds since the UNIX epoch.
    pub time_ns: Option<u64>,
    /// Snapshots logged.
    pub snapshots: Option<u64>,
    /// Records logged.
    pub records: Option<u64>,
    /// Ticks at which no snapshot was taken.
    pub missed_ticks: Option<u64>,
    /// Snapshots taken and not logged.
    pub dropped: Option<u64>,
}

/// A connection that appeared or is gone.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionNote<'a> {
    /// The time of the snapshot, in nanoseconds since the UNIX epoch.
    pub time_ns: Option<u64>,
    /// The number of the snapshot.
    pub snapshot: Option<u64>,
    /// The fields that identify the connection.
    pub fields: ConnectionFields<'a>,
}

/// The fields in the note of a connection.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionFields<'a> {
    /// Those of a record.
    Record(&'a Record),
    /// Those of a note that was read.
    Text(NoteText<'a>),
}

/// The fields by which the note of a connection identifies it.
const IDENTIFYING: [&str; 10] = ["gencnt", "laddr", "lport", "faddr", "fport", "state", "uid", "jid", "vnet", "zone"];

impl<'a> ConnectionNote<'a> {
    fn read(text: NoteText<'a>) -> Self {
        let fields = ConnectionFields::Text(text);
        Self { time_ns: text.seconds("time"), snapshot: text.number("snapshot"), fields }
    }

    /// Returns what the note says about the connection, as far as this version
    /// can read it, and whether that is all.
    #[must_use]
    pub fn record(&self) -> (Record, bool) {
        let text = match self.fields {
            ConnectionFields::Record(record) => return (record.clone(), true),
            ConnectionFields::Text(text) => text,
        };
        let (mut record, mut is_complete) = (Record::new(), true);
        for (key, value) in text.pairs() {
            if let Some(field) = Field::by_name(key) {
                is_complete &= record.set_text(field, value.as_bytes()).is_some();
            }
        }
        (record, is_complete)
    }

    /// Returns the IDs that the connection may have in a log of these columns:
    /// the note always has the complete ID, the records may not.
    #[must_use]
    pub fn ids(&self, columns: Option<&Columns>) -> [ConnectionId; 2] {
        let (complete, _) = self.record();
        let mut logged = complete.clone();
        if let Some(columns) = columns {
            logged.keep(&FieldSet::of(columns));
        }
        [ConnectionId::of(&complete), ConnectionId::of(&logged)]
    }
}

/// The first line of a log of siftr(4).
#[derive(Clone, Copy, Debug)]
pub struct SiftrEnable<'a> {
    /// When siftr(4) was enabled, in nanoseconds since the UNIX epoch.
    pub time_ns: Option<u64>,
    /// The name of the operating system.
    pub system: Option<&'a str>,
    /// Its version as a number.
    pub version: Option<u64>,
    text: NoteText<'a>,
}

/// The last line of a log of siftr(4).
#[derive(Clone, Copy, Debug)]
pub struct SiftrDisable<'a> {
    /// When siftr(4) was disabled, in nanoseconds since the UNIX epoch.
    pub time_ns: Option<u64>,
    /// Packets that were not logged.
    pub skipped: u64,
    text: NoteText<'a>,
}

/// Why a text is not a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have the form of one.
    #[error("expected a note, its name and key=value with spaces between")]
    Form,
    /// It is the note of a snapshot, and a number is missing.
    #[error("expected the numbers that the note of a snapshot has")]
    Snapshot,
}

impl<'a> Note<'a> {
    /// Reads the text of a note, `name key=value …`.
    ///
    /// # Errors
    /// Returns an error if the text is not a note.
    pub fn read(text: &'a str) -> Result<Self, NoteError> {
        let note = NoteText::read(text).ok_or(NoteError::Form)?;
        let number = |key| note.number(key).unwrap_or_default();
        let time_ns = || note.seconds("time");
        Ok(match note.name {
            name::LOG => Self::Log(LogNote {
                version: note.text("version"),
                time_ns: time_ns(),
                host: note.text("host"),
                system: note.text("system"),
                source: note.text("source"),
                interval_us: note.number("interval_us"),
                columns: note.text("columns"),
                filter: note.text("filter"),
                sandbox: note.text("sandbox"),
                boot: note.text("boot"),
                keyframe_us: note.number("keyframe_us"),
            }),
            name::SNAPSHOT => Self::Snapshot(note.snapshot().ok_or(NoteError::Snapshot)?),
            name::MISSED => Self::Missed { ticks: number("ticks"), total: number("total") },
            name::GAP => Self::Gap(GapNote {
                snapshots: number("snapshots"),
                records: number("records"),
                first: number("first"),
                last: number("last"),
                why: note.text("why"),
            }),
            name::SOURCE_LOST => Self::SourceLost {
                time_ns: time_ns(),
                missed_ticks: note.number("missed_ticks"),
                why: note.text("why"),
            },
            name::TORN => Self::Torn { bytes: number("bytes") },
            name::OPEN => Self::Open(ConnectionNote::read(note)),
            name::CLOSE => Self::Close(ConnectionNote::read(note)),
            name::ROTATED => Self::Rotated(Totals::read(note)),
            name::END => Self::End(Totals::read(note)),
            name::CONVERTED => Self::Converted { filter: note.text("filter") },
            name::HEADER => Self::Header { columns: note.text("columns") },
            name::SIFTR_ENABLE => Self::SiftrEnable(SiftrEnable {
                time_ns: siftr_time_ns(note, "enable_time_secs", "enable_time_usecs"),
                system: note.text("sysname"),
                version: note.number("sysver"),
                text: note,
            }),
            name::SIFTR_DISABLE => Self::SiftrDisable(SiftrDisable {
                time_ns: siftr_time_ns(note, "disable_time_secs", "disable_time_usecs"),
                skipped: number("total_skipped_tcp_pkts"),
                text: note,
            }),
            _ => Self::Other(note),
        })
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
                pairs.number("ticks", Some(*ticks));
                pairs.number("total", Some(*total));
                name::MISSED
            }
            Self::Gap(gap) => {
                pairs.number("snapshots", Some(gap.snapshots));
                pairs.number("records", Some(gap.records));
                pairs.number("first", Some(gap.first));
                pairs.number("last", Some(gap.last));
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
                pairs.number("bytes", Some(*bytes));
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

    /// Returns the time in the note, in nanoseconds since the UNIX epoch.
    #[must_use]
    pub fn time_ns(&self) -> Option<u64> {
        match self {
            Self::Log(log) => log.time_ns,
            Self::Snapshot(header) => Some(header.wall_ns),
            Self::SourceLost { time_ns, .. } => *time_ns,
            Self::Open(connection) | Self::Close(connection) => connection.time_ns,
            Self::Rotated(totals) | Self::End(totals) => totals.time_ns,
            Self::SiftrEnable(enable) => enable.time_ns,
            Self::SiftrDisable(disable) => disable.time_ns,
            Self::Other(text) => text.seconds("time"),
            Self::Missed { .. } | Self::Gap(_) | Self::Torn { .. } | Self::Converted { .. } | Self::Header { .. } => {
                None
            }
        }
    }

    /// Returns whether the note precedes the header row of a run.
    #[must_use]
    pub fn is_before_header(&self) -> bool {
        matches!(self, Self::Torn { .. } | Self::Log(_) | Self::Converted { .. })
    }
}

impl Totals {
    fn read(note: NoteText<'_>) -> Self {
        Self {
            time_ns: note.seconds("time"),
            snapshots: note.number("snapshots"),
            records: note.number("records"),
            missed_ticks: note.number("missed_ticks"),
            dropped: note.number("dropped"),
        }
    }
}

/// Returns the time that siftr(4) writes as two numbers.
fn siftr_time_ns(note: NoteText<'_>, seconds: &str, microseconds: &str) -> Option<u64> {
    let seconds = note.number(seconds)?.checked_mul(1_000_000_000)?;
    seconds.checked_add(note.number(microseconds).unwrap_or_default().checked_mul(1000)?)
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
    use tcpstats::{ipv4, key};

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
        let gap = GapNote { snapshots: 1, records: 2, first: 3, last: 4, why: Some("full") };
        let notes = [
            Note::Log(log),
            Note::Log(LogNote { boot: None, keyframe_us: None, ..log }),
            Note::Snapshot(Header { sequence: 1, wall_ns: 2, mono_ns: 3, ..Header::default() }),
            Note::Missed { ticks: 1, total: 2 },
            Note::Gap(gap),
            Note::SourceLost { time_ns: Some(1), missed_ticks: Some(2), why: Some("gone") },
            Note::Torn { bytes: 9 },
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

    #[test]
    fn what_is_not_a_note_is_an_error() {
        assert_eq!(Note::read("log host=").unwrap_err(), NoteError::Form);
        assert_eq!(Note::read("snapshot snapshot=1").unwrap_err(), NoteError::Snapshot);
    }

    #[test]
    fn a_closing_note_names_a_connection_also_where_the_log_has_fewer_columns() {
        let Ok(Note::Close(note)) = Note::read("close gencnt=7 laddr=192.0.2.1 lport=22 uid=0 jid=3") else {
            panic!("a closing note")
        };
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        record.set(key::lport, 22);
        let columns = Columns::parse("gencnt,lport,srtt").unwrap();
        assert_eq!(note.ids(Some(&columns))[1], ConnectionId::of(&record));
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::jid, 3);
        assert_eq!(note.ids(None), [ConnectionId::of(&record); 2]);
        assert_eq!(note.ids(Some(&columns))[0], ConnectionId::of(&record));
    }
}
