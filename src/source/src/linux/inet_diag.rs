// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Requests to `net/ipv4/inet_diag.c`, and its replies: `inet_diag_msg` with
//! attributes.

use tcpstats::filter::Verdict;
use tcpstats::{FIELDS, Field, Filter, Record, State, ipv4, is_scoped, key, mapped_ipv4, name};

use super::bytecode::{self, Family, Selection};
use super::congestion;
use super::layout::{Bytes, Offset, c_struct, put};
use super::netlink::{AttributeHeader, Attributes, DumpError, MessageHeader, NLM_F_DUMP, NLM_F_REQUEST};
use super::state::{fin_received, flags_unacknowledged, freebsd_state};
use super::tcp_info::{self, TcpInfo};

const IPPROTO_TCP: u8 = 6;

// Constants in linux/sock_diag.h and linux/inet_diag.h.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
pub const TCPDIAG_GETSOCK: u16 = 18;
pub const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_VEGASINFO: u16 = 3;
const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_TOS: u16 = 5;
const INET_DIAG_TCLASS: u16 = 6;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SHUTDOWN: u16 = 8;
const INET_DIAG_DCTCPINFO: u16 = 9;
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_BBRINFO: u16 = 16;
const INET_DIAG_CLASS_ID: u16 = 17;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_DIAG_SOCKOPT: u16 = 22;
const INET_ULP_INFO_NAME: u16 = 1;
const INET_DIAG_REQ_BYTECODE: u16 = 1;

c_struct! {
    /// `struct inet_diag_req_v2`, with the members of its `id`.
    DiagRequest {
        family: u8,
        protocol: u8,
        ext: u8,
        pad: u8,
        states: u32,
        sport: [u8; 2],
        dport: [u8; 2],
        src: [u8; 16],
        dst: [u8; 16],
        interface: u32,
        // The kernel declares the cookie as two 32-bit numbers.
        cookie: [u8; 8],
    }
}

c_struct! {
    /// `struct inet_diag_req`, with the members of its `id`: the request before Linux 3.3.
    FirstRequest {
        family: u8,
        src_len: u8,
        dst_len: u8,
        ext: u8,
        sport: [u8; 2],
        dport: [u8; 2],
        src: [u8; 16],
        dst: [u8; 16],
        interface: u32,
        cookie: [u8; 8],
        states: u32,
        dbs: u32,
    }
}

c_struct! {
    /// `struct inet_diag_msg`, with the members of its `id` and without the prefix
    /// `idiag_`.  Ports are in network byte order.
    DiagMessage {
        family: u8,
        state: u8,
        timer: u8,
        retrans: u8,
        sport: [u8; 2],
        dport: [u8; 2],
        src: [u8; 16],
        dst: [u8; 16],
        interface: u32,
        cookie: [u8; 8],
        expires: u32,
        rqueue: u32,
        wqueue: u32,
        uid: u32,
        inode: u32,
    }
}

const _: () = assert!(DiagRequest::LEN == 56 && FirstRequest::LEN == 60 && DiagMessage::LEN == 72);

/// The connections that a dump returns.
#[derive(Clone, Copy)]
#[cfg_attr(not(has_bpf), allow(dead_code, reason = "only the source bpf uses all of them"))]
pub enum Scope<'a> {
    /// Those that the filter can match now.
    Matching(Option<&'a Filter>),
    /// Those that the filter can ever match: only ports and addresses exclude them.
    Constant(Option<&'a Filter>),
    /// The sockets in one state, by Linux's number.
    State(u8),
}

/// A dump of the sockets of one family.  The request is an `nlmsghdr`, an
/// `inet_diag_req_v2` and an attribute with the program that selects sockets.
pub struct Dump {
    pub family: Family,
    request: Vec<u8>,
}

impl Dump {
    /// Creates the dumps of the wanted fields, for the families that can have such
    /// sockets.
    pub fn all(scope: Scope<'_>, is_wanted: &dyn Fn(&Field) -> bool) -> Vec<Self> {
        let families = [Family::Inet, Family::Inet6];
        families.into_iter().filter_map(|family| Self::of(family, scope, is_wanted)).collect()
    }

    /// As [`Dump::all`], but with a single dump of both families if one program selects their
    /// sockets.  The kernel walks over its tables for each dump, however few sockets a
    /// namespace has.
    pub fn few(scope: Scope<'_>, is_wanted: &dyn Fn(&Field) -> bool) -> Vec<Self> {
        let dumps = Self::all(scope, is_wanted);
        match dumps.as_slice() {
            [four, six] if four.request[REQUEST_LEN..] == six.request[REQUEST_LEN..] => vec![Self::both(six)],
            _ => dumps,
        }
    }

    /// Returns a dump of the sockets of both families, of which this is the dump of IPv6.
    /// Only the first form of the request ignores the family.
    fn both(six: &Self) -> Self {
        let (head, attributes) = six.request.split_at(REQUEST_LEN);
        let mut request = [&head[..MessageHeader::LEN], &[0; FirstRequest::LEN], attributes].concat();
        let len = u32::try_from(request.len()).unwrap_or(u32::MAX);
        put(&mut request, MessageHeader::len, len);
        put(&mut request, MessageHeader::kind, TCPDIAG_GETSOCK);
        let (from, (_, to)) = (Bytes(&head[MessageHeader::LEN..]), request.split_at_mut(MessageHeader::LEN));
        put(to, FirstRequest::ext, from.get(DiagRequest::ext).unwrap_or_default());
        put(to, FirstRequest::states, from.get(DiagRequest::states).unwrap_or_default());
        Self { family: Family::Inet, request }
    }

    fn of(family: Family, scope: Scope<'_>, is_wanted: &dyn Fn(&Field) -> bool) -> Option<Self> {
        let (states, filter) = match scope {
            Scope::Matching(filter) => (states(filter), filter),
            Scope::Constant(filter) => (states(None), filter),
            Scope::State(state) => (1 << state, None),
        };
        let program = match filter.map_or(Selection::All, |filter| bytecode::select(filter, family)) {
            Selection::All => Vec::new(),
            Selection::Program(program) => program,
            Selection::Nothing => return None,
        };
        if states == 0 {
            return None;
        }
        let mut request = request(family, extensions(family, is_wanted), states);
        put(&mut request, MessageHeader::flags, NLM_F_REQUEST | NLM_F_DUMP);
        if !program.is_empty() {
            let len = u16::try_from(AttributeHeader::LEN + program.len()).unwrap_or(u16::MAX);
            request.extend(len.to_ne_bytes());
            request.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
            request.extend(program);
        }
        let len = u32::try_from(request.len()).unwrap_or(u32::MAX);
        put(&mut request, MessageHeader::len, len);
        Some(Self { family, request })
    }

    /// Returns the request with this sequence number.
    pub fn request(&mut self, number: u32) -> &[u8] {
        put(&mut self.request, MessageHeader::seq, number);
        &self.request
    }
}

/// The length of a request without attributes.
pub const REQUEST_LEN: usize = MessageHeader::LEN + DiagRequest::LEN;
#[allow(clippy::cast_possible_truncation, reason = "it is 72")]
const REQUEST_LEN_U32: u32 = REQUEST_LEN as u32;

/// Returns a request, an `nlmsghdr` and an `inet_diag_req_v2`, without a socket.
pub fn request(family: Family, extensions: u8, states: u32) -> Vec<u8> {
    let mut request = vec![0; REQUEST_LEN];
    put(&mut request, MessageHeader::len, REQUEST_LEN_U32);
    put(&mut request, MessageHeader::kind, SOCK_DIAG_BY_FAMILY);
    put(&mut request, MessageHeader::flags, NLM_F_REQUEST);
    let (_, body) = request.split_at_mut(MessageHeader::LEN);
    put(body, DiagRequest::family, family.number());
    put(body, DiagRequest::protocol, IPPROTO_TCP);
    put(body, DiagRequest::ext, extensions);
    put(body, DiagRequest::states, states);
    request
}

/// Returns the attributes to request, besides those that the kernel sends in any case.
pub fn extensions(family: Family, is_wanted: &dyn Fn(&Field) -> bool) -> u8 {
    let mut extensions = vec![INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SKMEMINFO];
    if is_wanted(key::tos.field()) {
        // An IPv6 socket can have IPv4 connections.
        extensions.push(INET_DIAG_TOS);
    }
    // This also requests INET_DIAG_CLASS_ID, which has no bit of its own.
    if is_wanted(key::class_id.field()) || (family == Family::Inet6 && is_wanted(key::tos.field())) {
        extensions.push(INET_DIAG_TCLASS);
    }
    if FIELDS.iter().any(|field| congestion::PREFIXES.iter().any(|p| field.name.starts_with(p)) && is_wanted(field)) {
        // This requests the statistics of any congestion control.
        extensions.push(INET_DIAG_VEGASINFO);
    }
    extensions.iter().map(|extension| 1 << (extension - 1)).sum()
}

/// Returns a bit set of the Linux states in which a connection can match the
/// filter.
fn states(filter: Option<&Filter>) -> u32 {
    // From TCP_ESTABLISHED to TCP_NEW_SYN_RECV.
    let all = 1..=12_u8;
    let mut record = Record::new();
    let can_match = |linux: &u8| {
        record.set(key::state, freebsd_state(*linux));
        filter.is_none_or(|filter| filter.can_match_by(&record, key::state.field()))
    };
    all.filter(can_match).map(|state| 1 << state).sum()
}

/// Behaviour that differs between versions of the kernel.
#[derive(Clone, Copy)]
pub struct KernelTraits {
    /// Whether a socket keeps its owner while no process has it open, which is
    /// before accept(2) and after close(2).  Before Linux 6.17 the kernel
    /// reports uid 0 in this case.
    pub keeps_owner: bool,
}

impl KernelTraits {
    /// Returns the behaviour of the kernel with this `LINUX_VERSION_CODE`.
    pub const fn of_version(version: u64) -> Self {
        Self { keeps_owner: version >= 0x06_11_00 }
    }
}

/// The kind of socket that a message describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Socket {
    Full,
    /// An incomplete handshake, which does not have an owner or buffers yet.
    Request,
    /// The rest of a closed socket, in `TIME_WAIT` or, with the same timer, in
    /// `FIN_WAIT_2`, which no longer has an owner or buffers.
    Mini,
}

impl Socket {
    fn of(state: State, message: Bytes<'_>, info: Bytes<'_>) -> Self {
        const TIMER_TIME_WAIT: u8 = 3;
        match state {
            State::TIME_WAIT => Self::Mini,
            State::FIN_WAIT_2 if message.get(DiagMessage::timer) == Some(TIMER_TIME_WAIT) => Self::Mini,
            State::SYN_RCVD if info.0.is_empty() => Self::Request,
            _ => Self::Full,
        }
    }
}

/// Returns the cookie in an `inet_diag_msg`.
#[cfg(has_bpf)]
pub fn cookie(payload: &[u8]) -> Option<u64> {
    Bytes(payload).get(DiagMessage::cookie).map(u64::from_ne_bytes)
}

/// Fills the record from an `inet_diag_msg` and its attributes, and returns
/// whether the filter matches the record.
pub fn fill(
    record: &mut Record,
    payload: &[u8],
    filter: Option<&Filter>,
    kernel: KernelTraits,
) -> Result<bool, DumpError> {
    let short = || DumpError::Malformed("the message of a socket is shorter than inet_diag_msg");
    let (message, attributes) = payload.split_at_checked(DiagMessage::LEN).ok_or_else(short)?;
    let message = Bytes(message);
    let state = freebsd_state(message.get(DiagMessage::state).ok_or_else(short)?);
    let sent = SocketAttributes::read(attributes);
    let socket = Socket::of(state, message, sent.info);
    fill_identity(record, message, state).ok_or_else(short)?;
    if socket == Socket::Full {
        fill_owner(record, message, kernel).ok_or_else(short)?;
    }
    record.set_if(key::cc, sent.cc.map(name));
    record.set_if(key::cgroup, sent.cgroup.first());
    record.set_if(key::mark, sent.mark.first());
    record.set_if(key::class_id, sent.class.first());
    record.set_if(key::ulp, sent.ulp.map(name));
    // The group Identity is complete, as `verdict_by_identity` requires.
    match filter.map(|filter| filter.verdict_by_identity(record)) {
        Some(Verdict::NoMatch) => return Ok(false),
        None | Some(Verdict::Match | Verdict::Unknown) => (),
    }
    let wqueue = message.get(DiagMessage::wqueue).ok_or_else(short)?;
    fill_queues(record, message, state, socket).ok_or_else(short)?;
    fill_memory(record, sent.memory);
    let is_ipv4 = record.get(key::ipver) == Some(4);
    record.set_if(key::tos, if is_ipv4 { sent.tos.first() } else { sent.tclass.first() });
    record.set_if(key::shutdown, sent.shutdown.first());
    record.set_if(key::sockopt, sent.options.first().map(socket_options));
    if state != State::LISTEN {
        if let Some((fill_congestion, info)) = sent.congestion {
            fill_congestion(record, info);
        }
        // For a complete struct the compiler omits the length checks, which
        // saves a third of the work.
        match sent.info.0.first_chunk::<{ TcpInfo::LEN }>() {
            Some(whole) => tcp_info::fill(record, Bytes(whole), state, wqueue),
            None => tcp_info::fill(record, sent.info, state, wqueue),
        }
    }
    Ok(filter.is_none_or(|filter| filter.matches(record)))
}

/// What the message about a destroyed socket says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is a connection that the filter matches: the record is complete.
    Matched,
    /// The filter does not match, or the socket had no established connection.
    Other,
    /// The kernel has cleared the statistics, which it does if the application closes a
    /// connection with `SO_LINGER` and a time of 0, see `tcp_disconnect()`.
    Reset,
}

/// Fills the record from the message about a destroyed socket.
pub fn fill_final(record: &mut Record, payload: &[u8], filter: Option<&Filter>) -> Result<Ended, DumpError> {
    let short = || DumpError::Malformed("the message of a socket is shorter than inet_diag_msg");
    let (message, attributes) = payload.split_at_checked(DiagMessage::LEN).ok_or_else(short)?;
    let message = Bytes(message);
    fill_identity(record, message, State::ENDED).ok_or_else(short)?;
    let info = SocketAttributes::read(attributes).info;
    if record.get(key::fport) == Some(0) {
        return Ok(if tcp_info::had_window(info) { Ended::Reset } else { Ended::Other });
    }
    if !tcp_info::was_established(info) {
        return Ok(Ended::Other);
    }
    match info.0.first_chunk::<{ TcpInfo::LEN }>() {
        Some(whole) => tcp_info::fill(record, Bytes(whole), State::ENDED, 0),
        None => tcp_info::fill(record, info, State::ENDED, 0),
    }
    record.set_if(key::duration, tcp_info::since_handshake(info));
    // The kernel has emptied the queues by now.
    let cleared = [key::pipe, key::unacked, key::sacked, key::lost, key::retrans, key::notsent_bytes, key::rxtshift];
    for key in cleared {
        record.set_if(key, None);
    }
    Ok(if filter.is_none_or(|filter| filter.matches(record)) { Ended::Matched } else { Ended::Other })
}

fn fill_identity(record: &mut Record, message: Bytes<'_>, state: State) -> Option<()> {
    let mapped = |at: Offset<[u8; 16]>| -> Option<[u8; 16]> {
        let address = message.get(at)?;
        let is_ipv4 = message.get(DiagMessage::family)? == Family::Inet.number();
        Some(if is_ipv4 { ipv4(*address.first_chunk()?) } else { address })
    };
    let (laddr, faddr) = (mapped(DiagMessage::src)?, mapped(DiagMessage::dst)?);
    let is_ipv4 = mapped_ipv4(laddr).is_some();
    let cookie = message.get(DiagMessage::cookie).map(u64::from_ne_bytes)?;
    // All bits set is INET_DIAG_NOCOOKIE.
    record.set_if(key::gencnt, (cookie != u64::MAX).then_some(cookie));
    record.set(key::laddr, laddr);
    record.set(key::lport, message.get(DiagMessage::sport).map(u16::from_be_bytes)?);
    record.set(key::faddr, faddr);
    record.set(key::fport, message.get(DiagMessage::dport).map(u16::from_be_bytes)?);
    record.set(key::ipver, if is_ipv4 { 4 } else { 6 });
    record.set(key::state, state);
    let ifindex = Some(message.get(DiagMessage::interface)?).filter(|index| *index != 0);
    record.set_if(key::ifindex, ifindex);
    // The kernel binds a socket with such an address to the interface.  Other
    // addresses have no zone, even if the socket is bound to an interface.
    record.set_if(key::zone, ifindex.filter(|_| is_scoped(laddr) || is_scoped(faddr)));
    Some(())
}

fn fill_owner(record: &mut Record, message: Bytes<'_>, kernel: KernelTraits) -> Option<()> {
    let (uid, inode) = (message.get(DiagMessage::uid)?, message.get(DiagMessage::inode)?);
    // Without an inode no process has the socket open.
    let is_known = uid != 0 || inode != 0 || kernel.keeps_owner;
    record.set_if(key::uid, is_known.then_some(uid));
    record.set_if(key::inode, (inode != 0).then_some(inode));
    Some(())
}

fn fill_queues(record: &mut Record, message: Bytes<'_>, state: State, socket: Socket) -> Option<()> {
    let (rqueue, wqueue) = (message.get(DiagMessage::rqueue)?, message.get(DiagMessage::wqueue)?);
    match (socket, state) {
        (Socket::Full, State::LISTEN) => {
            record.set(key::qlen, rqueue);
            record.set(key::qlimit, wqueue);
        }
        (Socket::Full, _) => {
            record.set(key::rcv_cc, rqueue.saturating_sub(fin_received(state)));
            // In SYN_RCVD a SYN is counted after a simultaneous open, but not with TCP Fast Open.
            let data = wqueue.saturating_sub(flags_unacknowledged(state));
            record.set_if(key::snd_cc, (state != State::SYN_RCVD).then_some(data));
        }
        (Socket::Request | Socket::Mini, _) => (),
    }
    let left = message.ms(DiagMessage::expires)?;
    match message.get(DiagMessage::timer)? {
        1 => record.set(key::tt_rexmt, left),
        2 => record.set(key::tt_keep, left),
        3 => record.set(key::tt_2msl, left),
        4 => record.set(key::tt_persist, left),
        _ => (),
    }
    // The count of SYN-ACKs; for a full socket the count is in tcp_info.
    record.set_if(key::retransmits, message.get(DiagMessage::retrans).filter(|_| socket == Socket::Request));
    Some(())
}

/// Returns the bit-fields of `struct inet_diag_sockopt`, the first of which is
/// the lowest bit.
fn socket_options(bytes: [u8; 2]) -> u32 {
    let [first, second] = if cfg!(target_endian = "big") { bytes.map(u8::reverse_bits) } else { bytes };
    u32::from(first) | u32::from(second) << 8
}

/// A function that fills the record from the statistics of a congestion
/// control.
type FillCongestion = fn(&mut Record, Bytes<'_>);

/// The attributes of a socket, empty if the kernel did not send them.
#[derive(Default)]
struct SocketAttributes<'a> {
    info: Bytes<'a>,
    cc: Option<&'a [u8]>,
    memory: Bytes<'a>,
    mark: Bytes<'a>,
    cgroup: Bytes<'a>,
    tos: Bytes<'a>,
    tclass: Bytes<'a>,
    shutdown: Bytes<'a>,
    class: Bytes<'a>,
    options: Bytes<'a>,
    ulp: Option<&'a [u8]>,
    congestion: Option<(FillCongestion, Bytes<'a>)>,
}

impl<'a> SocketAttributes<'a> {
    fn read(attributes: &'a [u8]) -> Self {
        let mut sent = Self::default();
        for (kind, value) in Attributes(attributes) {
            match kind {
                INET_DIAG_INFO => sent.info = Bytes(value),
                INET_DIAG_CONG => sent.cc = Some(value),
                INET_DIAG_TOS => sent.tos = Bytes(value),
                INET_DIAG_TCLASS => sent.tclass = Bytes(value),
                INET_DIAG_SKMEMINFO => sent.memory = Bytes(value),
                INET_DIAG_MARK => sent.mark = Bytes(value),
                INET_DIAG_CGROUP_ID => sent.cgroup = Bytes(value),
                INET_DIAG_SHUTDOWN => sent.shutdown = Bytes(value),
                INET_DIAG_CLASS_ID => sent.class = Bytes(value),
                INET_DIAG_SOCKOPT => sent.options = Bytes(value),
                INET_DIAG_ULP_INFO => {
                    sent.ulp = Attributes(value).find(|(kind, _)| *kind == INET_ULP_INFO_NAME).map(|(_, name)| name);
                }
                INET_DIAG_VEGASINFO => sent.congestion = Some((congestion::fill_vegas, Bytes(value))),
                INET_DIAG_DCTCPINFO => sent.congestion = Some((congestion::fill_dctcp, Bytes(value))),
                INET_DIAG_BBRINFO => sent.congestion = Some((congestion::fill_bbr, Bytes(value))),
                _ => (),
            }
        }
        sent
    }
}

/// Fills the record from the array of `SK_MEMINFO_*` in `linux/sock_diag.h`.
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
        record.set_if(key, memory.get(Offset::new(size_of::<u32>() * i)));
    }
}
