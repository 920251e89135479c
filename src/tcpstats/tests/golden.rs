// SPDX-License-Identifier: BSD-2-Clause

//! Golden files: files of released versions can always be read, and no format
//! changes by accident.
//!
//! `GOLDEN=write cargo test -p tcpstats --test golden` rewrites the files of
//! this version, which is correct only before a release.  Files of earlier
//! versions are only read.  The binary files are little-endian; a big-endian
//! machine reads them swapped.

use std::path::PathBuf;

use tcpstats::frame::{Frame, flag};
use tcpstats::note::{self, Note, NoteText, Pair};
use tcpstats::stream::{FrameReader, SnapshotBuffer, is_intact, note_frame, seal};
use tcpstats::text::Text;
use tcpstats::{
    Columns, FIELDS, FieldSet, Header, Kind, PREAMBLE_LEN, Record, State, csv, ipv4, json, key, name, siftr,
};

const WALL_NS: u64 = 1_764_000_000_123_456_789;

/// Returns an IPv4 connection with fields that Linux fills, an IPv6 listener,
/// and a record with every field of the table.
fn records() -> [Record; 3] {
    let mut busy = Record::new();
    busy.at_ns = 1_002_003;
    busy.set(key::gencnt, 4711);
    busy.set(key::laddr, ipv4([192, 0, 2, 1]));
    busy.set(key::lport, 50_000);
    busy.set(key::faddr, ipv4([198, 51, 100, 7]));
    busy.set(key::fport, 443);
    busy.set(key::ipver, 4);
    busy.set(key::state, State::ESTABLISHED);
    busy.set(key::uid, 1001);
    busy.set(key::cc, name(b"cubic"));
    busy.set(key::options, 7);
    busy.set(key::snd_scale, 7);
    busy.set(key::rcv_scale, 9);
    busy.set(key::snd_cwnd, 14_480);
    busy.set(key::snd_ssthresh, 1_073_725_440);
    busy.set(key::maxseg, 1448);
    busy.set(key::srtt, 16_000);
    busy.set(key::rto, 230_000);
    busy.set(key::inflight, 0);

    let mut listener = Record::new();
    listener.at_ns = 1_002_004;
    listener.set(key::laddr, "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    listener.set(key::lport, 22);
    listener.set(key::faddr, [0; 16]);
    listener.set(key::fport, 0);
    listener.set(key::state, State::LISTEN);
    listener.set(key::qlen, 3);
    listener.set(key::qlimit, 128);

    // Every value is derived from the bit of its field, which is the same in every version.
    let mut bytes = vec![0; tcpstats::RECORD_LEN];
    bytes[8..PREAMBLE_LEN].fill(0xff);
    for field in &FIELDS {
        let at = PREAMBLE_LEN + field.offset;
        let number = field.bit as u64 * 1001;
        match field.kind {
            Kind::U8 => bytes[at] = u8::try_from(field.bit).unwrap(),
            Kind::State => bytes[at] = 5,
            Kind::U16 | Kind::Options => {
                bytes[at..at + 2].copy_from_slice(&u16::try_from(field.bit * 3).unwrap().to_ne_bytes());
            }
            Kind::U32 | Kind::Hex32 => {
                bytes[at..at + 4].copy_from_slice(&u32::try_from(number).unwrap().to_ne_bytes());
            }
            Kind::U64 => bytes[at..at + 8].copy_from_slice(&(number << 24).to_ne_bytes()),
            Kind::Address => bytes[at..at + 16].copy_from_slice(&ipv4([203, 0, 113, 9])),
            Kind::Name16 | Kind::Name32 | Kind::Name64 => bytes[at..at + 4].copy_from_slice(b"rack"),
        }
    }
    [busy, listener, Record::from_bytes(&bytes, false)]
}

fn header() -> Header {
    Header {
        sequence: 42,
        wall_ns: WALL_NS,
        mono_ns: 987_654_321,
        walk_ns: 1_500_000,
        seen: 10,
        matched: 4,
        written: 3,
        missed: 1,
        missed_ticks: 2,
        flags: flag::TRUNCATED | flag::LEDGER,
        hz: 1000,
        osversion: 1_402_000,
        ended: 1,
        ended_lost: 5,
    }
}

/// Returns the header as it was before the ledger existed.
fn header_without_ledger() -> Header {
    Header { ended: 0, ended_lost: 0, flags: flag::TRUNCATED, ..header() }
}

fn text(write: impl Fn(&mut Text<'_>)) -> String {
    let mut buffer = vec![0; 32768];
    let mut text = Text::new(&mut buffer);
    write(&mut text);
    text.finish().unwrap().to_owned()
}

/// Compares the bytes with a golden file, or writes the file.
fn golden(file: &str, written: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&path, written).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    assert!(expected == written, "{file} differs from what this version writes:\n{}", String::from_utf8_lossy(written));
}

#[test]
fn csv_has_not_changed() {
    let lines = |columns: &Columns| {
        text(|text| {
            csv::header(text, columns);
            for record in &records() {
                csv::row(text, columns, WALL_NS, 42, record);
            }
            note::snapshot(&header(), |note| csv::note(text, note));
        })
    };
    golden("v2-basic.csv", lines(&Columns::basic()).as_bytes());
    golden("v2-all.csv", lines(&Columns::all()).as_bytes());
}

#[test]
fn json_has_not_changed() {
    let lines = text(|text| {
        for record in &records() {
            json::row(text, &Columns::all(), WALL_NS, 42, record);
        }
        note::snapshot(&header(), |note| json::note(text, note));
        json::note(text, &Note { name: "log", pairs: &[("filter", Pair::Text("cc \"x\"\n\\"))] });
    });
    golden("v2.json", lines.as_bytes());
}

#[test]
fn siftr_has_not_changed() {
    let [busy, listener, full] = records();
    assert!(!siftr::has(&listener), "siftr(4) does not log listeners");
    let lines = text(|text| {
        siftr::enable(text, WALL_NS, "FreeBSD", 1_402_000);
        siftr::row(text, WALL_NS, &busy);
        siftr::row(text, WALL_NS, &full);
        siftr::disable(text, WALL_NS, 2, 0);
        siftr::flow(text, (ipv4([192, 0, 2, 1]), 50_000, ipv4([198, 51, 100, 7]), 443));
        text.str("\n");
    });
    golden("v2.siftr", lines.as_bytes());
}

/// Compares a snapshot of these records with a golden file, and reads the file.
fn bin(file: &str, records: &[Record]) {
    let mut buffer = SnapshotBuffer::new();
    for record in records {
        buffer.push(record);
    }
    buffer.finish(&header());
    seal(buffer.bytes_mut());
    let note = note_frame(&Note { name: "end", pairs: &[("snapshots", Pair::Number(1))] });
    if cfg!(target_endian = "little") {
        golden(file, &[buffer.bytes(), &note].concat());
    }

    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let mut frames = FrameReader::new(std::fs::File::open(path).unwrap());
    let frame = frames.next_frame().unwrap().unwrap();
    assert_eq!(frame.header, Header { flags: flag::TRUNCATED | flag::LEDGER | flag::CRC, ..header() });
    assert_eq!(frame.records().collect::<Vec<_>>(), records);
    assert_eq!(frames.next_frame().unwrap().unwrap().note(), Some("end snapshots=1"));
    assert!(frames.next_frame().unwrap().is_none());
    assert!(is_intact(&Frame::parse(buffer.bytes()).unwrap()));
}

#[test]
fn bin_has_not_changed_and_can_be_read() {
    bin("v2.bin", &records());
}

#[test]
fn bin_without_owners_is_as_before_there_were_owners() {
    let mut others = FieldSet::EMPTY;
    FIELDS.iter().filter(|field| !field.is_joined()).for_each(|field| others.insert(field));
    let mut records = records();
    for record in &mut records {
        record.keep(&others);
    }
    bin("v2-without-owners.bin", &records);
}

#[test]
fn a_frame_whose_header_has_fewer_members_can_be_read() {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v2-short-header.bin")).unwrap();
    let mut frames = FrameReader::new(file);
    let frame = frames.next_frame().unwrap().unwrap();
    assert_eq!((frame.header_len, frame.header.ended, frame.header.ended_lost), (120, 0, 0));
    assert_eq!(frame.header.osversion, header().osversion);
    let [busy, listener, _] = records();
    assert_eq!(frame.records().take(2).collect::<Vec<_>>(), [busy, listener]);
    assert_eq!(frames.next_frame().unwrap().unwrap().note(), Some("end snapshots=1"));
}

/// Returns the rows of a golden file of version 1, without notes.
fn rows_of_version_1(file: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with(['#']) && !line.contains("\"note\"")).map(str::to_owned).collect()
}

#[test]
fn a_note_of_version_1_has_no_monotonic_clock_and_is_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-all.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let note = text.lines().find_map(|line| line.strip_prefix("# snapshot ")).unwrap();
    let read = NoteText::read(&format!("snapshot {note}")).unwrap().snapshot();
    assert_eq!(read, Some(Header { mono_ns: 0, hz: 0, osversion: 0, ..header_without_ledger() }));
}

#[test]
fn files_of_version_1_read_the_same_in_every_format() {
    let bytes = include_bytes!("golden/v1.bin");
    let mut frames = FrameReader::new(&bytes[..]);
    let frame = frames.next_frame().unwrap().unwrap();
    let before = Header { osversion: 0, flags: flag::TRUNCATED | flag::CRC, ..header_without_ledger() };
    assert_eq!(frame.header, before);
    let of_bin: Vec<_> = frame.records().collect();
    assert_eq!(of_bin[..2], records()[..2]);
    assert_eq!(of_bin[2].get(key::tt_delack), Some((64 * 1001) << 24));
    assert_eq!(of_bin[2].get(key::pacing_rate), Some((67 * 1001) << 24));
    assert_eq!(of_bin[2].get(key::fastopen_client_fail), Some(117));
    assert_eq!(of_bin[2].get(key::vnet), None);
    assert_eq!(frames.next_frame().unwrap().unwrap().note(), Some("end snapshots=1"));

    let csv = rows_of_version_1("v1-all.csv");
    let columns = Columns::named(csv[0].strip_prefix("time,snapshot,").unwrap()).unwrap();
    assert_eq!(columns.len(), 118);
    let mut record = Record::new();
    for (row, expected) in csv[1..].iter().zip(&of_bin) {
        csv::read_row(row.as_bytes(), &columns, &FieldSet::ALL, &mut record).unwrap();
        record.at_ns = expected.at_ns;
        assert_eq!(record, *expected);
    }
    for (row, expected) in rows_of_version_1("v1.json").iter().zip(&of_bin) {
        json::read_row(row.as_bytes(), &FieldSet::ALL, &mut record).unwrap();
        record.at_ns = expected.at_ns;
        assert_eq!(record, *expected);
    }
}
