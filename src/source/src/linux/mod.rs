// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots from Linux's `sock_diag`(7): a netlink dump of all TCP sockets.
//!
//! The kernel applies the part of the filter that it can.

#[cfg(has_bpf)]
mod bpf;
mod bytecode;
#[cfg(test)]
mod captures;
mod congestion;
mod diag;
mod inet_diag;
mod layout;
mod ledger;
mod namespaces;
mod netlink;
mod state;
mod tcp_info;

use std::ffi::OsStr;

use tcpstats::frame::flag;
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Field, Filter, Header, Record};

use self::diag::Diag;
use self::inet_diag::{Dump, KernelTraits, Scope, fill};
use self::ledger::Ledger;
use self::namespaces::Namespaces;
pub use self::namespaces::Watcher;
use self::netlink::DumpError;
use crate::system::{System, mono_ns, wall_ns};
use crate::{AUTO, AnchoredPath, BPF, Error, Opened, SOCK_DIAG, Sample, Source, Stacks};

/// Opens a source that only Linux has; returns `None` if the name is not one.
pub fn open(name: &OsStr, filter: Option<&Filter>, of_changes: bool, stacks: &Stacks) -> Option<Result<Opened, Error>> {
    if *stacks != Stacks::Own {
        let opened = || Namespaces::open(stacks, filter.cloned()).map(|source| Opened::new(SOCK_DIAG, source));
        return Some(match name.to_str() {
            Some(AUTO | SOCK_DIAG) => opened(),
            Some(BPF) => Err(Error::BpfOneNetns),
            _ => Err(Error::NetnsSource { name: name.to_string_lossy().into_owned() }),
        });
    }
    let sock_diag = || SockDiag::open(filter.cloned()).map(|source| Opened::new(SOCK_DIAG, source));
    match name.to_str()? {
        BPF if of_changes => Some(open_bpf(filter.cloned())),
        BPF => Some(Err(Error::BpfOfChanges)),
        AUTO if of_changes => Some(
            open_bpf(filter.cloned())
                .or_else(|error| sock_diag().map(|opened| Opened { passed_over: Some(error), ..opened })),
        ),
        AUTO | SOCK_DIAG => Some(sock_diag()),
        _ => None,
    }
}

#[cfg(has_bpf)]
fn open_bpf(filter: Option<Filter>) -> Result<Opened, Error> {
    Ok(Opened::new(BPF, bpf::Bpf::open(filter)?))
}

#[cfg(not(has_bpf))]
fn open_bpf(_filter: Option<Filter>) -> Result<Opened, Error> {
    Err(Error::BpfNotBuilt)
}

/// Number of times that a dump is repeated if the kernel reports that it was
/// interrupted.
const RETRIES: u32 = 3;

/// Snapshots of all sockets.
pub struct SockDiag {
    diag: Diag,
    filter: Option<Filter>,
    kernel: KernelTraits,
    dumps: Vec<Dump>,
    sequence: u64,
    record: Record,
    ledger: Option<Ledger>,
}

/// When a snapshot was started.
#[derive(Clone, Copy)]
struct Start {
    wall_ns: u64,
    mono_ns: u64,
}

impl Start {
    fn now() -> Self {
        Self { wall_ns: wall_ns(), mono_ns: mono_ns() }
    }
}

/// What a snapshot found.
#[derive(Clone, Copy)]
struct Found {
    seen: u64,
    flags: u32,
}

impl SockDiag {
    /// Opens the socket.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub fn open(filter: Option<Filter>) -> Result<Self, Error> {
        Ok(Self::on(Diag::open()?, filter))
    }

    fn on(diag: Diag, filter: Option<Filter>) -> Self {
        let dumps = Dump::all(Scope::Matching(filter.as_ref()), &|_| true);
        Self {
            diag,
            dumps,
            filter,
            kernel: KernelTraits::of_version(System::this().version),
            sequence: 0,
            record: Record::new(),
            ledger: None,
        }
    }

    /// Adds the final records, and the header.
    fn finish(&mut self, start: Start, found: Found, snapshot: &mut SnapshotBuffer) -> Result<(), Error> {
        self.sequence += 1;
        finish(self.sequence, self.ledger.as_mut(), self.filter.as_ref(), start, found, snapshot)
    }
}

/// Adds the final records and the header to a snapshot.
fn finish(
    sequence: u64,
    ledger: Option<&mut Ledger>,
    filter: Option<&Filter>,
    start: Start,
    found: Found,
    snapshot: &mut SnapshotBuffer,
) -> Result<(), Error> {
    let matched = snapshot.written();
    let mut flags = found.flags;
    let (mut ended, mut ended_lost) = (0, 0);
    if let Some(ledger) = ledger {
        flags |= flag::LEDGER;
        (ended, ended_lost) = ledger.take(start.mono_ns, filter, snapshot).map_err(|error| match error {
            DumpError::Io(error) => Error::Ledger(error),
            DumpError::Malformed(what) => Error::Malformed(what),
        })?;
    }
    snapshot.finish(&Header {
        sequence,
        wall_ns: start.wall_ns,
        mono_ns: start.mono_ns,
        walk_ns: mono_ns().saturating_sub(start.mono_ns),
        seen: found.seen,
        matched,
        flags,
        ended,
        ended_lost,
        ..Header::default()
    });
    Ok(())
}

/// A walk over sockets, which adds records to a snapshot that was started at a time, and
/// counts the sockets that it sees.  Returns whether it was interrupted.
type Walk<'a> = &'a mut dyn FnMut(&mut SnapshotBuffer, Start, &mut u64) -> Result<bool, DumpError>;

/// Repeats a walk that was interrupted.
fn repeat(snapshot: &mut SnapshotBuffer, walk: Walk<'_>) -> Result<(Start, Found), Error> {
    let mut tries = 0;
    loop {
        snapshot.clear();
        let (start, mut seen) = (Start::now(), 0);
        let interrupted = walk(snapshot, start, &mut seen).map_err(dump_failed)?;
        if interrupted && tries < RETRIES {
            tries += 1;
            continue;
        }
        let flags = if interrupted { flag::INTERRUPTED } else { 0 };
        return Ok((start, Found { seen, flags }));
    }
}

/// What is done with the message of a socket and a record, which is empty except for its time.
type Each<'a> = &'a mut dyn FnMut(&mut Record, &[u8], &mut SnapshotBuffer) -> Result<(), DumpError>;

/// Dumps sockets, and repeats a dump that was interrupted.  `each` fills the record from the
/// message of a socket, and adds it to the snapshot if it belongs there.
fn dump(
    diag: &mut Diag,
    dumps: &mut [Dump],
    record: &mut Record,
    snapshot: &mut SnapshotBuffer,
    each: Each<'_>,
) -> Result<(Start, Found), Error> {
    repeat(snapshot, &mut |snapshot, start, seen| {
        diag.dump_all(dumps, &mut |payload, now_ns| {
            *seen += 1;
            record.clear();
            record.at_ns = now_ns.saturating_sub(start.mono_ns);
            each(record, payload, snapshot)
        })
    })
}

fn dump_failed(error: DumpError) -> Error {
    match error {
        DumpError::Io(error) if error.raw_os_error() == Some(libc::ENOENT) => Error::NoModule(error),
        DumpError::Io(error) => Error::Dump(error),
        DumpError::Malformed(what) => Error::Malformed(what),
    }
}

impl Source for SockDiag {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        let Self { diag, dumps, record, filter, kernel, .. } = self;
        let (start, found) = dump(diag, dumps, record, snapshot, &mut |record, payload, snapshot| {
            if fill(record, payload, filter.as_ref(), *kernel)? {
                snapshot.push(record);
            }
            Ok(())
        })?;
        self.finish(start, found, snapshot)?;
        Ok(Sample::Taken)
    }

    fn comes_back(&self) -> bool {
        true
    }

    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool) {
        self.dumps = Dump::all(Scope::Matching(self.filter.as_ref()), is_wanted);
    }

    fn start_ledger(&mut self) -> Result<bool, Error> {
        self.ledger = Ledger::open().map_err(Error::Ledger)?;
        Ok(self.ledger.is_some())
    }

    /// Snapshot numbers continue.
    fn reopen(&mut self) -> Result<(), Error> {
        self.diag = Diag::open()?;
        if self.ledger.is_some() {
            self.start_ledger()?;
        }
        Ok(())
    }

    fn reopen_path(&self) -> Option<&AnchoredPath> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use tcpstats::{FIELDS, Field, State, key};

    use std::fs::File;

    use super::bytecode::Family;
    use super::inet_diag::{DiagMessage, Ended, INET_DIAG_INFO, SOCK_DIAG_BY_FAMILY, fill_final};
    use super::layout::put;
    use super::netlink::{MessageHeader, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};
    use super::tcp_info::TcpInfo;
    use super::*;
    use crate::report;

    fn message(kind: u16, flags: u16, request: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(MessageHeader::LEN + payload.len()).unwrap();
        let head = [kind.to_ne_bytes(), flags.to_ne_bytes()].concat();
        [&len.to_ne_bytes(), &head[..], &request.to_ne_bytes(), &[0; 4], payload].concat()
    }

    /// Returns an established IPv4 connection with a `tcp_info` of this length,
    /// in which no byte is zero.
    fn connection(info_len: usize) -> Vec<u8> {
        let mut payload = vec![1; DiagMessage::LEN];
        payload[0] = Family::Inet.number();
        payload[8..12].copy_from_slice(&[192, 0, 2, 1]);
        let mut info: Vec<u8> = (1..=200_u8).cycle().take(info_len).collect();
        // The number of unsent bytes must not exceed the length of the queue.
        if let Some(unsent) = info.get_mut(144..148) {
            unsent.copy_from_slice(&1_u32.to_ne_bytes());
        }
        // Set AccECN at both possible positions of the mode.
        if let Some(mode) = info.get_mut(276..280) {
            mode.copy_from_slice(&[0x82; 4]);
        }
        payload.extend(u16::try_from(4 + info_len).unwrap().to_ne_bytes());
        payload.extend(INET_DIAG_INFO.to_ne_bytes());
        payload.extend(info);
        payload
    }

    fn filled(payload: &[u8]) -> Record {
        let mut record = Record::new();
        assert!(fill(&mut record, payload, None, KernelTraits::of_version(0)).is_ok());
        record
    }

    #[test]
    fn a_filter_of_any_field_matches_the_value_in_the_record() {
        let attribute = |kind: u16, value: &[u8]| {
            let len = u16::try_from(4 + value.len()).unwrap();
            let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
            [&len.to_ne_bytes(), &kind.to_ne_bytes()[..], value, &padding].concat()
        };
        let mut payload = connection(TcpInfo::LEN);
        // Congestion control, memory, mark, class and control group.
        for (kind, value) in [(4, &b"bbr\0"[..]), (7, &[3; 36]), (15, &[5; 4]), (17, &[6; 4]), (21, &[7; 8])] {
            payload.extend(attribute(kind, value));
        }
        payload.extend(attribute(8, &[2]));
        payload.extend(attribute(5, &[0x48]));
        payload.extend(attribute(22, &[2, 1]));
        payload.extend(attribute(16, &[9; 20]));
        payload.extend(attribute(19, &attribute(1, b"mptcp\0")));
        let record = filled(&payload);
        let matches = |text: &str| {
            let filter = Filter::parse(text).unwrap();
            let matched = fill(&mut Record::new(), &payload, Some(&filter), KernelTraits::of_version(0));
            matched.is_ok_and(|matched| matched)
        };
        let mut tried = 0;
        for field in FIELDS.iter().filter(|field| record.has(field) && !matches!(field.name, "state" | "options")) {
            if let Some(number) = record.number(field) {
                assert!(matches(&format!("{} {number}", field.name)), "{}", field.name);
                tried += 1;
            }
        }
        assert!(tried > 80, "{tried} fields");
        assert!(matches("cc bbr") && matches("ulp mptcp") && matches("host 192.0.2.1"));
    }

    /// Samples a source that receives these replies, and returns whether it
    /// read all of them.
    fn sample(replies: &[Vec<u8>]) -> (Result<SnapshotBuffer, Error>, bool) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        for reply in replies {
            kernel.send(reply).unwrap();
        }
        // Waiting for more replies fails after a second instead of blocking.
        ours.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        let mut source = SockDiag::on(Diag::on(File::from(OwnedFd::from(ours.try_clone().unwrap()))), None);
        let mut snapshot = SnapshotBuffer::new();
        let sample = source.sample(&mut snapshot).map(|_| snapshot);
        ours.set_nonblocking(true).unwrap();
        (sample, ours.recv(&mut [0; 1]).is_err())
    }

    /// Returns replies to consecutive dumps, each with one connection and the
    /// end.
    fn dumps(flags: impl Fn(u32) -> u16, count: u32) -> Vec<Vec<u8>> {
        let one = |request| message(SOCK_DIAG_BY_FAMILY, flags(request), request, &connection(TcpInfo::LEN));
        let end = |request| message(NLMSG_DONE, 0, request, &[0; 4]);
        (1..=count).map(|request| [one(request), end(request)].concat()).collect()
    }

    #[test]
    fn an_interrupted_dump_is_repeated() {
        let (snapshot, all_read) = sample(&dumps(|request| if request == 1 { NLM_F_DUMP_INTR } else { 0 }, 4));
        let header = *snapshot.unwrap().header();
        assert_eq!((header.written, header.seen, header.flags), (2, 2, 0), "only the repeated dumps count");
        assert!(all_read);
    }

    #[test]
    fn a_dump_that_is_always_interrupted_is_marked() {
        let (snapshot, all_read) = sample(&dumps(|_| NLM_F_DUMP_INTR, 2 * (RETRIES + 1)));
        let header = *snapshot.unwrap().header();
        assert_eq!((header.written, header.flags), (2, flag::INTERRUPTED));
        assert!(all_read);
    }

    #[test]
    fn replies_to_an_earlier_request_are_ignored() {
        let late = message(SOCK_DIAG_BY_FAMILY, 0, 77, &connection(TcpInfo::LEN));
        let (snapshot, _) = sample(&[&[late][..], &dumps(|_| 0, 2)].concat());
        assert_eq!(snapshot.unwrap().written(), 2);
    }

    #[test]
    fn errors_of_the_kernel_and_malformed_replies_are_reported() {
        let message_of = |reply: Vec<u8>| report(&sample(&[reply]).0.err().unwrap());
        assert!(
            message_of(message(NLMSG_ERROR, 0, 1, &(-libc::EPERM).to_ne_bytes())).contains("Operation not permitted")
        );
        let missing = message_of(message(NLMSG_ERROR, 0, 1, &(-libc::ENOENT).to_ne_bytes()));
        assert!(missing.contains("modprobe tcp_diag): No such file or directory"));
        let complete = message(SOCK_DIAG_BY_FAMILY, 0, 1, &connection(0));
        assert!(message_of(complete[..40].to_vec()).contains("a message is truncated"));
        assert!(
            message_of(message(SOCK_DIAG_BY_FAMILY, 0, 1, &[Family::Inet.number(); 40]))
                .contains("shorter than inet_diag_msg")
        );
    }

    #[test]
    fn members_that_an_older_kernel_does_not_send_are_absent_and_others_unchanged() {
        let complete = filled(&connection(TcpInfo::LEN));
        let mut present = 0;
        for len in 0..TcpInfo::LEN {
            let record = filled(&connection(len));
            // Only the last member distinguishes AccECN from ECN.
            let fields = FIELDS.iter().filter(|field| record.has(field) && field.name != "options");
            assert!(fields.clone().all(|field| record.bytes(field) == complete.bytes(field)), "{len} bytes");
            assert!(fields.clone().count() >= present, "{len} bytes");
            present = fields.count();
        }
        let oldest = filled(&connection(104));
        assert!(oldest.get(key::rexmit_packs).is_some(), "the last member in Linux 2.6");
        assert_eq!(oldest.get(key::pacing_rate), None);
        let newer = filled(&connection(TcpInfo::LEN + 100));
        assert_eq!(newer, complete, "unknown members are skipped");
        // Only a final record has a duration.
        let of_info = FIELDS.iter().filter(|field| field.linux.starts_with("tcpi_") && field.name != "duration");
        assert!(of_info.clone().count() > 50 && of_info.clone().all(|field| complete.has(field)));
    }

    #[test]
    fn a_message_truncated_anywhere_is_read_or_rejected() {
        let complete = connection(TcpInfo::LEN);
        for len in 0..complete.len() {
            let read = fill(&mut Record::new(), &complete[..len], None, KernelTraits::of_version(0));
            assert_eq!(read.is_ok(), len >= DiagMessage::LEN, "{len} bytes");
            let read = fill_final(&mut Record::new(), &complete[..len], None);
            assert_eq!(read.is_ok(), len >= DiagMessage::LEN, "final, {len} bytes");
        }
    }

    #[test]
    fn a_final_record_has_the_totals_and_nothing_that_the_kernel_has_cleared() {
        let mut record = Record::new();
        assert_eq!(fill_final(&mut record, &connection(TcpInfo::LEN), None).ok(), Some(Ended::Matched));
        assert_eq!(record.get(key::state), Some(State::ENDED));
        let live = filled(&connection(TcpInfo::LEN));
        for name in
            ["gencnt", "laddr", "lport", "faddr", "fport", "sent_bytes", "acked_bytes", "received_bytes", "srtt"]
        {
            let field = Field::by_name(name).unwrap();
            assert!(record.has(field) && record.bytes(field) == live.bytes(field), "{name}");
        }
        for name in
            ["uid", "inode", "snd_cc", "rcv_cc", "inflight", "pipe", "unacked", "rxtshift", "ending", "duration"]
        {
            assert!(!record.has(Field::by_name(name).unwrap()), "{name}");
        }
        let matches = |text: &str| {
            let filter = Filter::parse(text).unwrap();
            fill_final(&mut Record::new(), &connection(TcpInfo::LEN), Some(&filter)).ok()
        };
        assert_eq!(matches("state ended"), Some(Ended::Matched));
        assert_eq!(matches("state established"), Some(Ended::Other));
    }

    #[test]
    fn only_a_connection_that_was_established_has_a_final_record() {
        let ended = |change: fn(&mut [u8], usize)| {
            let mut payload = connection(TcpInfo::LEN);
            let info = payload.len() - TcpInfo::LEN;
            change(&mut payload, info);
            fill_final(&mut Record::new(), &payload, None).ok()
        };
        let never = |payload: &mut [u8], info: usize| {
            put(&mut payload[info..], TcpInfo::delivered, 0);
        };
        assert_eq!(ended(never), Some(Ended::Other));
        let listener = |payload: &mut [u8], info: usize| {
            put(payload, DiagMessage::dport, [0; 2]);
            put(&mut payload[info..], TcpInfo::snd_wnd, 0);
        };
        assert_eq!(ended(listener), Some(Ended::Other));
        let reset = |payload: &mut [u8], _: usize| put(payload, DiagMessage::dport, [0; 2]);
        assert_eq!(ended(reset), Some(Ended::Reset));
        let silent = |payload: &mut [u8], info: usize| {
            put(&mut payload[info..], TcpInfo::data_segs_out, 0);
            put(&mut payload[info..], TcpInfo::last_data_sent, 7);
        };
        let mut payload = connection(TcpInfo::LEN);
        let info = payload.len() - TcpInfo::LEN;
        silent(&mut payload, info);
        let mut record = Record::new();
        assert!(fill_final(&mut record, &payload, None).is_ok());
        assert_eq!(record.get(key::duration), Some(7000));
    }
}
