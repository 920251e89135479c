// SPDX-License-Identifier: BSD-2-Clause

//! Snapshots from Linux's `sock_diag` (7): a netlink dump of all TCP sockets.
//!
//! One socket and one buffer serve every dump; replies are read in place.  What
//! of the filter the kernel can apply, it does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use tcpstats::filter::Verdict;
use tcpstats::frame::flag;
use tcpstats::stream::SnapshotBuffer;
use tcpstats::{Filter, Header, Record, State, ipv4, key, mapped_ipv4, name, option};

use crate::bytecode::{self, Family, Selection};
use crate::system::{mono_ns, wall_ns};
use crate::{Place, Sample, Sentence, Source};

/// Larger than any reply: the kernel fills at most 32 KiB for a dump.
const REPLY_MAX: usize = 128 * 1024;

/// Times that a dump is repeated when the kernel says that it was interrupted.
const RETRIES: u32 = 3;

/// An open netlink socket.
pub struct SockDiag {
    socket: File,
    buffer: Vec<u8>,
    filter: Option<Filter>,
    dumps: Vec<Dump>,
    sequence: u64,
    request: u32,
    record: Record,
}

/// Why a dump did not end well.
enum DumpError {
    /// The kernel or the socket refused.
    Io(io::Error),
    /// What came is no netlink.
    Malformed(&'static str),
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl SockDiag {
    /// Opens the socket.
    ///
    /// # Errors
    /// A sentence with what the kernel said.
    pub fn open(filter: Option<Filter>) -> Result<Self, Sentence> {
        Ok(Self::on(Self::socket()?, filter))
    }

    fn on(socket: File, filter: Option<Filter>) -> Self {
        let dumps = [Family::Inet, Family::Inet6].into_iter().filter_map(|family| Dump::of(family, filter.as_ref()));
        Self {
            socket,
            buffer: vec![0; REPLY_MAX],
            dumps: dumps.collect(),
            filter,
            sequence: 0,
            request: 0,
            record: Record::new(),
        }
    }

    fn socket() -> Result<File, Sentence> {
        // SAFETY: socket(2) takes no pointers.
        let fd =
            unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::EPROTONOSUPPORT) => format!(
                    "source sock_diag: the kernel has no socket diagnostics (CONFIG_INET_DIAG): {error}; \
                     try modprobe inet_diag tcp_diag"
                ),
                Some(libc::EAFNOSUPPORT | libc::EPERM | libc::EACCES) => format!(
                    "source sock_diag: netlink sockets are not allowed here: {error}; \
                     allow AF_NETLINK, in systemd by RestrictAddressFamilies="
                ),
                _ => format!("source sock_diag: {error}"),
            });
        }
        // SAFETY: `fd` is open and nobody else has it.
        Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Asks for a dump and reads it; gives whether the kernel said that it was
    /// interrupted.
    fn dump(
        &mut self,
        which: usize,
        start_ns: u64,
        seen: &mut u64,
        snapshot: &mut SnapshotBuffer,
    ) -> Result<bool, DumpError> {
        self.request = self.request.wrapping_add(1);
        self.socket.write_all(self.dumps[which].request(self.request))?;
        let mut interrupted = false;
        loop {
            let len = match self.socket.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let at_ns = mono_ns().saturating_sub(start_ns);
            let mut rest = self.buffer.get(..len).unwrap_or_default();
            while !rest.is_empty() {
                let message = Message::take(&mut rest)?;
                if message.request != self.request {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        // Both begin with zero or a negated errno.
                        let code = Bytes(message.payload).i32(0).unwrap_or(0);
                        return if code < 0 {
                            Err(io::Error::from_raw_os_error(-code).into())
                        } else {
                            Ok(interrupted)
                        };
                    }
                    SOCK_DIAG_BY_FAMILY => {
                        *seen += 1;
                        self.record.clear();
                        self.record.at_ns = at_ns;
                        if fill(&mut self.record, message.payload, self.filter.as_ref())? {
                            snapshot.push(&self.record);
                        }
                    }
                    _ => (),
                }
            }
        }
    }

    fn dump_all(&mut self, start_ns: u64, snapshot: &mut SnapshotBuffer) -> Result<(u64, bool), DumpError> {
        let mut seen = 0;
        let mut interrupted = false;
        for which in 0..self.dumps.len() {
            match self.dump(which, start_ns, &mut seen, snapshot) {
                Ok(again) => interrupted |= again,
                // A kernel without IPv6 has no such sockets.
                Err(DumpError::Io(error))
                    if self.dumps[which].family == Family::Inet6 && error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((seen, interrupted))
    }
}

impl Source for SockDiag {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Sentence> {
        let mut tries = 0;
        loop {
            snapshot.clear();
            let (wall_ns, mono_start_ns) = (wall_ns(), mono_ns());
            let (seen, interrupted) = self.dump_all(mono_start_ns, snapshot).map_err(|error| match error {
                DumpError::Io(error) if error.raw_os_error() == Some(libc::ENOENT) => format!(
                    "source sock_diag: the kernel cannot dump TCP sockets, its module tcp_diag is not loaded: {error}; \
                     load it with modprobe tcp_diag"
                ),
                DumpError::Io(error) => format!("source sock_diag: the kernel's dump failed: {error}"),
                DumpError::Malformed(what) => format!("source sock_diag: the kernel's reply is malformed: {what}"),
            })?;
            if interrupted && tries < RETRIES {
                tries += 1;
                continue;
            }
            self.sequence += 1;
            let matched = snapshot.written();
            snapshot.finish(&Header {
                sequence: self.sequence,
                wall_ns,
                mono_ns: mono_start_ns,
                walk_ns: mono_ns().saturating_sub(mono_start_ns),
                seen,
                matched,
                flags: if interrupted { flag::INTERRUPTED } else { 0 },
                ..Header::default()
            });
            return Ok(Sample::Taken);
        }
    }

    fn comes_back(&self) -> bool {
        true
    }

    /// Numbers go on where they were.
    fn reopen(&mut self) -> Result<(), Sentence> {
        self.socket = Self::socket()?;
        Ok(())
    }

    fn place(&self) -> Option<&Place> {
        None
    }
}

const IPPROTO_TCP: u8 = 6;

// Numbers of linux/netlink.h, sock_diag.h and inet_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_HEADER_LEN: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_CGROUP_ID: u16 = 21;
const REQUEST_LEN: usize = 16 + 56;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const DIAG_MESSAGE_LEN: usize = 72;

/// A dump of the sockets of one family: its request, `nlmsghdr`,
/// `inet_diag_req_v2`, and the attribute with a program that selects.
struct Dump {
    family: Family,
    request: Vec<u8>,
}

impl Dump {
    /// None where no socket of the family can match.
    fn of(family: Family, filter: Option<&Filter>) -> Option<Self> {
        let extensions = [INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO];
        let states = states(filter);
        let program = match filter.map_or(Selection::All, |filter| bytecode::select(filter, family)) {
            Selection::All => Vec::new(),
            Selection::Program(program) => program,
            Selection::Nothing => return None,
        };
        if states == 0 {
            return None;
        }
        let mut request = vec![0; REQUEST_LEN];
        let mut put = |offset: usize, value: &[u8]| request[offset..offset + value.len()].copy_from_slice(value);
        put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        put(6, &(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        put(16, &[family.number(), IPPROTO_TCP, extensions.iter().map(|e| 1 << (e - 1)).sum()]);
        put(20, &states.to_ne_bytes());
        if !program.is_empty() {
            let len = u16::try_from(ATTRIBUTE_HEADER_LEN + program.len()).unwrap_or(u16::MAX);
            request.extend(len.to_ne_bytes());
            request.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
            request.extend(program);
        }
        let len = u32::try_from(request.len()).unwrap_or(u32::MAX);
        request[..4].copy_from_slice(&len.to_ne_bytes());
        Some(Self { family, request })
    }

    /// The request with that number.
    fn request(&mut self, number: u32) -> &[u8] {
        self.request[8..12].copy_from_slice(&number.to_ne_bytes());
        &self.request
    }
}

/// The states, by bit, that a connection which the filter matches can be in.
fn states(filter: Option<&Filter>) -> u32 {
    // From TCP_ESTABLISHED to TCP_NEW_SYN_RECV.
    let all = 1..=12_u8;
    let mut record = Record::new();
    let can_match = |linux: &u8| {
        record.set(key::state, state(*linux));
        filter.is_none_or(|filter| filter.can_match_by(&record, key::state.field()))
    };
    all.filter(can_match).map(|state| 1 << state).sum()
}

/// A netlink message in the buffer.
struct Message<'a> {
    kind: u16,
    flags: u16,
    request: u32,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message off `rest`.
    fn take(rest: &mut &'a [u8]) -> Result<Self, DumpError> {
        let cut = DumpError::Malformed("a message is cut off");
        let head = Bytes(rest);
        let (Some(len), Some(kind), Some(flags), Some(request)) = (head.u32(0), head.u16(4), head.u16(6), head.u32(8))
        else {
            return Err(cut);
        };
        let len = len as usize;
        let Some(payload) = rest.get(NLMSG_HEADER_LEN..len) else {
            return Err(cut);
        };
        *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(Self { kind, flags, request, payload })
    }
}

/// Bytes in native order, of which any may be missing.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn at<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }

    fn u8(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    fn u16(self, offset: usize) -> Option<u16> {
        self.at(offset).map(u16::from_ne_bytes)
    }

    fn u32(self, offset: usize) -> Option<u32> {
        self.at(offset).map(u32::from_ne_bytes)
    }

    fn i32(self, offset: usize) -> Option<i32> {
        self.at(offset).map(i32::from_ne_bytes)
    }

    fn u64(self, offset: usize) -> Option<u64> {
        self.at(offset).map(u64::from_ne_bytes)
    }

    /// Milliseconds as microseconds.
    fn ms(self, offset: usize) -> Option<u64> {
        self.u32(offset).map(|ms| u64::from(ms) * 1000)
    }
}

/// Linux's states, by number, as FreeBSD's.
fn state(linux: u8) -> State {
    match linux {
        1 => State::ESTABLISHED,
        2 => State::SYN_SENT,
        3 | 12 => State::SYN_RCVD,
        4 => State::FIN_WAIT_1,
        5 => State::FIN_WAIT_2,
        6 => State::TIME_WAIT,
        8 => State::CLOSE_WAIT,
        9 => State::LAST_ACK,
        10 => State::LISTEN,
        11 => State::CLOSING,
        _ => State::CLOSED,
    }
}

/// Fills the record from an `inet_diag_msg` and its attributes; gives whether
/// the filter matches it.
fn fill(record: &mut Record, payload: &[u8], filter: Option<&Filter>) -> Result<bool, DumpError> {
    let short = || DumpError::Malformed("a socket's message is shorter than inet_diag_msg");
    let (message, attributes) = payload.split_at_checked(DIAG_MESSAGE_LEN).ok_or_else(short)?;
    let message = Bytes(message);
    let state = state(message.u8(1).ok_or_else(short)?);
    fill_identity(record, message, state).ok_or_else(short)?;
    let attributes = Attributes::read(attributes);
    record.set_if(key::cc, attributes.cc.map(name));
    match filter.map(|filter| filter.verdict_by_identity(record)) {
        Some(Verdict::NoMatch) => return Ok(false),
        None | Some(Verdict::Match | Verdict::Unknown) => (),
    }
    fill_queues(record, message, state).ok_or_else(short)?;
    fill_memory(record, attributes.memory);
    record.set_if(key::cgroup, attributes.cgroup.u64(0));
    record.set_if(key::mark, attributes.mark.u32(0));
    if state != State::LISTEN {
        // In the first nothing is missing, and so nothing is looked for: a third of the work.
        match attributes.info.0.first_chunk::<INFO_LEN>() {
            Some(whole) => fill_info(record, Bytes(whole), state),
            None => fill_info(record, attributes.info, state),
        }
    }
    Ok(filter.is_none_or(|filter| filter.matches(record)))
}

fn fill_identity(record: &mut Record, message: Bytes<'_>, state: State) -> Option<()> {
    let mapped = |offset: usize| -> Option<[u8; 16]> {
        if message.u8(0)? == Family::Inet.number() { message.at(offset).map(ipv4) } else { message.at(offset) }
    };
    let (laddr, faddr) = (mapped(8)?, mapped(24)?);
    let is_ipv4 = mapped_ipv4(laddr).is_some();
    let cookie = message.u64(44)?;
    // All ones is INET_DIAG_NOCOOKIE.
    record.set_if(key::gencnt, (cookie != u64::MAX).then_some(cookie));
    record.set(key::laddr, laddr);
    record.set(key::lport, message.at(4).map(u16::from_be_bytes)?);
    record.set(key::faddr, faddr);
    record.set(key::fport, message.at(6).map(u16::from_be_bytes)?);
    record.set(key::ipver, if is_ipv4 { 4 } else { 6 });
    record.set(key::state, state);
    // What is in TIME_WAIT has no owner any more; the kernel sends 0 for it.
    record.set_if(key::uid, message.u32(64).filter(|_| state != State::TIME_WAIT));
    Some(())
}

fn fill_queues(record: &mut Record, message: Bytes<'_>, state: State) -> Option<()> {
    let (rqueue, wqueue) = (message.u32(56)?, message.u32(60)?);
    if state == State::LISTEN {
        record.set(key::qlen, rqueue);
        record.set(key::qlimit, wqueue);
    } else if state != State::TIME_WAIT && state != State::SYN_RCVD {
        record.set(key::rcv_cc, rqueue);
        record.set(key::snd_cc, wqueue);
    }
    let left = message.ms(52)?;
    match message.u8(2)? {
        1 => record.set(key::tt_rexmt, left),
        2 => record.set(key::tt_keep, left),
        3 => record.set(key::tt_2msl, left),
        4 => record.set(key::tt_persist, left),
        _ => (),
    }
    record.set_if(key::inode, message.u32(68).filter(|inode| *inode != 0));
    record.set_if(key::ifindex, message.u32(40).filter(|index| *index != 0));
    Some(())
}

/// The attributes that are read, empty where the kernel sent none.
struct Attributes<'a> {
    info: Bytes<'a>,
    cc: Option<&'a [u8]>,
    memory: Bytes<'a>,
    mark: Bytes<'a>,
    cgroup: Bytes<'a>,
}

impl<'a> Attributes<'a> {
    fn read(mut rest: &'a [u8]) -> Self {
        let none = Bytes(&[]);
        let mut read = Self { info: none, cc: None, memory: none, mark: none, cgroup: none };
        while let (Some(len), Some(kind)) = (Bytes(rest).u16(0), Bytes(rest).u16(2)) {
            let len = usize::from(len);
            let Some(value) = rest.get(4..len) else {
                break;
            };
            match kind {
                INET_DIAG_INFO => read.info = Bytes(value),
                INET_DIAG_CONG => read.cc = Some(value),
                INET_DIAG_SKMEMINFO => read.memory = Bytes(value),
                INET_DIAG_MARK => read.mark = Bytes(value),
                INET_DIAG_CGROUP_ID => read.cgroup = Bytes(value),
                _ => (),
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        read
    }
}

/// `SK_MEMINFO_*` of `linux/sock_diag.h`, in their order.
fn fill_memory(record: &mut Record, memory: Bytes<'_>) {
    let order = [
        key::rmem_alloc,
        key::rcv_hiwat,
        key::wmem_alloc,
        key::snd_hiwat,
        key::fwd_alloc,
        key::wmem_queued,
        key::optmem,
        key::backlog,
        key::drops,
    ];
    for (i, key) in order.into_iter().enumerate() {
        record.set_if(key, memory.u32(4 * i));
    }
}

/// What FreeBSD shows while no loss has set the slow start threshold:
/// `TCP_MAXWIN << TCP_MAX_WINSHIFT`.
const SSTHRESH_INFINITE: u32 = 65535 << 14;

/// Bytes of `struct tcp_info` of linux/tcp.h as far as they are read.
const INFO_LEN: usize = 276;

/// `struct tcp_info` of any length.
#[allow(clippy::inline_always, reason = "it is to be compiled for whole ones and for others")]
#[inline(always)]
fn fill_info(record: &mut Record, info: Bytes<'_>, state: State) {
    let synchronized = state.0 >= State::ESTABLISHED.0;
    let Some(mss) = info.u32(16) else {
        return;
    };
    record.set(key::maxseg, mss);
    let segments = |count: u32| count.saturating_mul(mss);
    record.set_if(key::snd_cwnd, info.u32(80).map(segments));
    record.set_if(
        key::snd_ssthresh,
        info.u32(76).map(|count| {
            if count >= i32::MAX as u32 { SSTHRESH_INFINITE } else { segments(count).min(SSTHRESH_INFINITE) }
        }),
    );
    record.set_if(key::snd_wnd, info.u32(228));
    record.set_if(key::rcv_wnd, info.u32(232));
    if synchronized {
        fill_options(record, info);
        record.set_if(key::idle_snd, info.ms(44));
        record.set_if(key::idle_rcv, info.ms(52));
        record.set_if(key::idle_ack, info.ms(56));
    }

    // Without a sample the kernel sends 0, its initial guess, and all ones.
    if let Some(srtt) = info.u32(68).filter(|srtt| *srtt != 0) {
        record.set(key::srtt, srtt);
        record.set_if(key::rttvar, info.u32(72));
    }
    record.set_if(key::rttmin, info.u32(148).filter(|rtt| *rtt != u32::MAX));
    record.set_if(key::rto, info.u32(8));
    record.set_if(key::ato, info.u32(12));
    record.set_if(key::rxtshift, info.u8(4).map(u32::from));

    if let (Some(queued), Some(notsent)) = (record.get(key::snd_cc), info.u32(144)) {
        record.set(key::inflight, queued.saturating_sub(notsent));
    }
    if let (Some(unacked), Some(sacked), Some(lost), Some(retrans)) =
        (info.u32(24), info.u32(28), info.u32(32), info.u32(36))
    {
        record.set(key::unacked, unacked);
        record.set(key::sacked, sacked);
        record.set(key::lost, lost);
        record.set(key::retrans, retrans);
        let left_out = sacked.saturating_add(lost);
        record.set(key::pipe, segments(unacked.saturating_sub(left_out).saturating_add(retrans)));
    }
    if let (Some(sent), Some(again)) = (info.u64(200), info.u64(208)) {
        record.set(key::sent_bytes, sent.saturating_sub(again));
        record.set(key::rexmit_bytes, again);
    }
    record.set_if(key::total_rto_time, info.ms(244));
    record.set_if(key::total_rto, info.u16(240).map(u32::from));
    record.set_if(key::total_rto_recoveries, info.u16(242).map(u32::from));
    fill_members(record, info);
    for (key, offset) in [(key::pacing_rate, 104), (key::max_pacing_rate, 112)] {
        // All ones: no limit.
        record.set_if(key, info.u64(offset).filter(|rate| *rate != u64::MAX));
    }
    fill_bits(record, info);
}

#[inline]
fn fill_options(record: &mut Record, info: Bytes<'_>) {
    let (Some(linux), Some(scales)) = (info.u8(5), info.u8(6)) else {
        return;
    };
    // TCPI_OPT_* of linux/tcp.h; 16 says that a CE mark was seen.
    let options = [
        (1, option::TIMESTAMPS),
        (2, option::SACK),
        (4, option::WINDOW_SCALE),
        (8, option::ECN),
        (32, option::FAST_OPEN),
        (128, option::FAST_OPEN),
    ];
    let bits = options.into_iter().filter(|(from, _)| linux & from != 0).fold(0, |bits, (_, to)| bits | to);
    record.set(key::options, bits);
    let (first, second) = (scales & 15, scales >> 4);
    let (send, receive) = if cfg!(target_endian = "big") { (second, first) } else { (first, second) };
    record.set(key::snd_scale, send);
    record.set(key::rcv_scale, receive);
}

/// Bit fields; a kernel that sends what came with them knows them.
#[inline]
fn fill_bits(record: &mut Record, info: Bytes<'_>) {
    let Some(bits) = info.u8(7) else {
        return;
    };
    let bits = if cfg!(target_endian = "big") { bits.reverse_bits() } else { bits };
    // delivery_rate, Linux 4.9, and snd_wnd, Linux 5.4, stand at the end of the structs that have the bits.
    record.set_if(key::app_limited, info.u64(160).map(|_| bits & 1));
    record.set_if(key::fastopen_client_fail, info.u32(228).map(|_| bits >> 1 & 3));
}

/// Members of `tcp_info` that are taken as they are, and where they begin.
#[inline]
fn fill_members(record: &mut Record, info: Bytes<'_>) {
    // Not a loop over a table: it would cost more than all the rest.
    macro_rules! members {
        ($($read:ident { $($key:ident $offset:literal;)* })*) => {
            $($(record.set_if(key::$key, info.$read($offset));)*)*
        };
    }
    members! {
        u8 {
            ca_state 1;
            retransmits 2;
            probes 3;
        }
        u32 {
            rcv_mss 20;
            pmtu 60;
            rcv_ssthresh 64;
            advmss 84;
            reordering 88;
            rcv_rtt 92;
            rcv_space 96;
            rexmit_packs 100;
            segs_out 136;
            segs_in 140;
            notsent_bytes 144;
            data_segs_in 152;
            data_segs_out 156;
            delivered 192;
            delivered_ce 196;
            dsack_packs 216;
            reord_seen 220;
            ooo_packs 224;
            rehash 236;
            received_ce 248;
            delivered_e1_bytes 252;
            delivered_e0_bytes 256;
            delivered_ce_bytes 260;
            received_e1_bytes 264;
            received_e0_bytes 268;
            received_ce_bytes 272;
        }
        u64 {
            acked_bytes 120;
            received_bytes 128;
            delivery_rate 160;
            busy_time 168;
            rwnd_limited 176;
            sndbuf_limited 184;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use tcpstats::FIELDS;

    use super::*;

    fn message(kind: u16, flags: u16, request: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(NLMSG_HEADER_LEN + payload.len()).unwrap();
        let head = [kind.to_ne_bytes(), flags.to_ne_bytes()].concat();
        [&len.to_ne_bytes(), &head[..], &request.to_ne_bytes(), &[0; 4], payload].concat()
    }

    /// An established IPv4 connection whose `tcp_info` has so many bytes, none of them zero.
    fn connection(info_len: usize) -> Vec<u8> {
        let mut payload = vec![1; DIAG_MESSAGE_LEN];
        payload[0] = Family::Inet.number();
        payload[8..12].copy_from_slice(&[192, 0, 2, 1]);
        let info: Vec<u8> = (1..=200_u8).cycle().take(info_len).collect();
        payload.extend(u16::try_from(4 + info_len).unwrap().to_ne_bytes());
        payload.extend(INET_DIAG_INFO.to_ne_bytes());
        payload.extend(info);
        payload
    }

    fn filled(payload: &[u8]) -> Record {
        let mut record = Record::new();
        assert!(fill(&mut record, payload, None).is_ok());
        record
    }

    /// What a source makes of replies that wait for it, and whether they were all read.
    fn sample(replies: &[Vec<u8>]) -> (Result<SnapshotBuffer, Sentence>, bool) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        for reply in replies {
            kernel.send(reply).unwrap();
        }
        // A source that waits for more than there is has an error, not all day.
        ours.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        let mut source = SockDiag::on(File::from(OwnedFd::from(ours.try_clone().unwrap())), None);
        let mut snapshot = SnapshotBuffer::new();
        let sample = source.sample(&mut snapshot).map(|_| snapshot);
        ours.set_nonblocking(true).unwrap();
        (sample, ours.recv(&mut [0; 1]).is_err())
    }

    /// Replies to one dump after another, each a connection and the end.
    fn dumps(flags: impl Fn(u32) -> u16, count: u32) -> Vec<Vec<u8>> {
        let one = |request| message(SOCK_DIAG_BY_FAMILY, flags(request), request, &connection(INFO_LEN));
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
    fn a_dump_that_is_interrupted_again_and_again_is_marked() {
        let (snapshot, all_read) = sample(&dumps(|_| NLM_F_DUMP_INTR, 2 * (RETRIES + 1)));
        let header = *snapshot.unwrap().header();
        assert_eq!((header.written, header.flags), (2, flag::INTERRUPTED));
        assert!(all_read);
    }

    #[test]
    fn replies_to_an_earlier_request_are_not_taken() {
        let late = message(SOCK_DIAG_BY_FAMILY, 0, 77, &connection(INFO_LEN));
        let (snapshot, _) = sample(&[&[late][..], &dumps(|_| 0, 2)].concat());
        assert_eq!(snapshot.unwrap().written(), 2);
    }

    #[test]
    fn what_the_kernel_refuses_and_what_is_no_reply_is_said() {
        let said = |reply: Vec<u8>| sample(&[reply]).0.err().unwrap();
        assert!(said(message(NLMSG_ERROR, 0, 1, &(-libc::EPERM).to_ne_bytes())).contains("Operation not permitted"));
        let missing = said(message(NLMSG_ERROR, 0, 1, &(-libc::ENOENT).to_ne_bytes()));
        assert!(missing.contains("module tcp_diag is not loaded") && missing.contains("modprobe tcp_diag"));
        let whole = message(SOCK_DIAG_BY_FAMILY, 0, 1, &connection(0));
        assert!(said(whole[..40].to_vec()).contains("a message is cut off"));
        assert!(
            said(message(SOCK_DIAG_BY_FAMILY, 0, 1, &[Family::Inet.number(); 40]))
                .contains("shorter than inet_diag_msg")
        );
    }

    #[test]
    fn what_an_older_kernel_does_not_send_is_absent_and_the_rest_the_same() {
        let whole = filled(&connection(INFO_LEN));
        let mut present = 0;
        for len in 0..INFO_LEN {
            let record = filled(&connection(len));
            let fields = FIELDS.iter().filter(|field| record.has(field));
            assert!(fields.clone().all(|field| record.bytes(field) == whole.bytes(field)), "{len} bytes");
            assert!(fields.clone().count() >= present, "{len} bytes");
            present = fields.count();
        }
        let oldest = filled(&connection(104));
        assert!(oldest.get(key::rexmit_packs).is_some(), "the last member in Linux 2.6");
        assert_eq!(oldest.get(key::pacing_rate), None);
        let newer = filled(&connection(INFO_LEN + 100));
        assert_eq!(newer, whole, "what is not known yet is skipped");
        let of_info = FIELDS.iter().filter(|field| field.linux.starts_with("tcpi_"));
        assert!(of_info.clone().count() > 50 && of_info.clone().all(|field| whole.has(field)));
    }

    #[test]
    fn a_message_cut_anywhere_is_read_or_refused() {
        let whole = connection(INFO_LEN);
        for len in 0..whole.len() {
            let read = fill(&mut Record::new(), &whole[..len], None);
            assert_eq!(read.is_ok(), len >= DIAG_MESSAGE_LEN, "{len} bytes");
        }
    }
}
