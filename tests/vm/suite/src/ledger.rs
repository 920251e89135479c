// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Final records of connections that end in every way, compared with what the
//! application did.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tcpstats::frame::flag;
use tcpstats::{Ending, Record, State, ioctl, key, mapped_ipv4};

use crate::connections::reset;
use crate::device::Device;
use crate::mirror::{ENDS, Mirror};
use crate::system::{Setting, run, stacks, sysctl, with_stack};
use crate::tap::Tap;

/// Local and foreign address of one end.
type Ends = (SocketAddr, SocketAddr);

/// How one end of a connection ended, and the bytes that its application sent and
/// received.  `received` is absent if bytes may be on their way.
#[derive(Clone, Copy, Debug)]
struct End {
    ending: &'static str,
    sent: u64,
    received: Option<u64>,
}

impl End {
    fn is_of(&self, record: &Record) -> bool {
        let sequence = record.get(key::rcv_nxt).unwrap().wrapping_sub(record.get(key::irs).unwrap());
        // SYN and FIN have sequence numbers, too.
        let bytes = u64::from(sequence.wrapping_sub(1));
        let has_fin = [Ending::FinSent.name(), Ending::FinReceived.name()].contains(&self.ending);
        let may_have_fin = has_fin || self.ending == Ending::RstReceived.name();
        text(record.get(key::ending).unwrap()) == self.ending
            && record.get(key::sent_bytes) == Some(self.sent)
            && record.get(key::duration).is_some()
            && self
                .received
                .is_none_or(|received| (bytes == received && !has_fin) || (bytes == received + 1 && may_have_fin))
    }
}

/// What the application knows about each end.
#[derive(Default)]
struct Expected(BTreeMap<Ends, Vec<End>>);

impl Expected {
    fn add(&mut self, ends: Ends, ending: Ending, sent: u64, received: Option<u64>) {
        self.0.entry(ends).or_default().push(End { ending: ending.name(), sent, received });
    }

    /// Leaves out ends that stay in TIME_WAIT because 15.0 has lost their timers: the
    /// emulator can stop a CPU for longer than the module expects a connection to be
    /// locked.  At most one in 2,000, plus one, may be stuck.
    fn leave_out_stuck(&mut self) {
        let (all, mut stuck) = (self.len(), 0);
        for record in Device::binary().snapshot().records {
            let is_waiting = record.get(key::state) == Some(State::TIME_WAIT);
            if let Some(ends) = self.0.get_mut(&ends_of(&record)).filter(|_| is_waiting)
                && let Some(at) = ends.iter().position(|end| {
                    end.ending == Ending::FinSent.name() && record.get(key::sent_bytes) == Some(end.sent)
                })
            {
                ends.remove(at);
                stuck += 1;
            }
        }
        self.0.retain(|_, ends| !ends.is_empty());
        if stuck > 0 {
            println!("# {stuck} connections stay in TIME_WAIT");
            assert!(run("sysctl -n kern.osreldate").parse::<u32>().unwrap() >= 1_500_000);
            assert!(stuck <= 1 + all / 2000, "of {all} ends");
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

fn ends(stream: &TcpStream) -> Ends {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

fn other(ends: Ends) -> Ends {
    (ends.1, ends.0)
}

/// A reader of final records.
pub struct Reader {
    device: Device,
    /// The number of the newest connection before the reader.  Those of earlier tests may
    /// still be in TIME_WAIT.
    newest: u64,
    pub lost: u64,
}

impl Reader {
    pub fn new(filter: &str) -> Self {
        let before = Device::binary().snapshot().records;
        let newest = before.iter().filter_map(|record| record.get(key::gencnt)).max().unwrap_or(0);
        let device = Device::binary();
        device.set_filter(filter);
        device.ioctl(ioctl::SET_LEDGER, &mut 1_u32.to_ne_bytes()).unwrap();
        Self { device, newest, lost: 0 }
    }

    /// Returns the final records, since the last call, of connections newer than the reader.
    pub fn read(&mut self) -> Vec<Record> {
        let snapshot = self.device.snapshot();
        assert_ne!(snapshot.header.flags & flag::LEDGER, 0);
        self.lost += snapshot.header.ended_lost;
        let mut ended = snapshot.records;
        ended.retain(Record::is_final);
        assert_eq!(ended.len() as u64, snapshot.header.ended);
        for record in &ended {
            assert!(record.at_ns.cast_signed() <= 0, "it ended before the walk");
        }
        ended.retain(|record| record.get(key::gencnt) > Some(self.newest));
        ended
    }
}

fn address(bytes: [u8; 16]) -> IpAddr {
    mapped_ipv4(bytes).map_or_else(|| Ipv6Addr::from(bytes).into(), |v4| Ipv4Addr::from(v4).into())
}

fn ends_of(record: &Record) -> Ends {
    let local = SocketAddr::new(address(record.get(key::laddr).unwrap()), record.get(key::lport).unwrap());
    let foreign = SocketAddr::new(address(record.get(key::faddr).unwrap()), record.get(key::fport).unwrap());
    (local, foreign)
}

fn text(name: [u8; 16]) -> String {
    String::from_utf8(name.into_iter().take_while(|byte| *byte != 0).collect()).unwrap()
}

fn describe(record: &Record) -> String {
    let received = record.get(key::rcv_nxt).unwrap().wrapping_sub(record.get(key::irs).unwrap());
    let ending = record.get(key::ending).map(text);
    format!("{ending:?} {:?} {received} {:?}", record.get(key::sent_bytes), record.get(key::duration))
}

/// Checks that there is exactly one record for each end.
fn check(records: &[Record], expected: &Expected) {
    let mut numbers = BTreeSet::new();
    let mut found: BTreeMap<Ends, Vec<&Record>> = BTreeMap::new();
    for record in records {
        assert!(numbers.insert((record.get(key::vnet), record.get(key::gencnt))), "a second final record");
        found.entry(ends_of(record)).or_default().push(record);
    }
    let mut wrong = Vec::new();
    for (ends, expected) in &expected.0 {
        let mut records = found.remove(ends).unwrap_or_default();
        let mut missing = Vec::new();
        for end in expected {
            match records.iter().position(|record| end.is_of(record)) {
                Some(at) => drop(records.swap_remove(at)),
                None => missing.push(end),
            }
        }
        if !missing.is_empty() || !records.is_empty() {
            let is: Vec<_> = records.iter().map(|record| describe(record)).collect();
            wrong.push(format!("{ends:?}: {is:?}, expected {missing:?}"));
        }
    }
    for (ends, records) in found {
        wrong.push(format!("{ends:?}: {} unexpected records: {}", records.len(), describe(records[0])));
    }
    let count = wrong.len();
    wrong.truncate(5);
    assert!(count == 0, "{count} ends are wrong: {wrong:#?}");
    assert_eq!(records.len(), expected.len());
}

/// Both ends of a connection that has carried data, and the bytes that each sent.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    from_client: u64,
    from_server: u64,
}

fn exchange(listener: &TcpListener, number: u64) -> Pair {
    let (from_client, from_server) = (1 + number * 7 % 3000, number * 11 % 5000);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
    let mut buffer = [0; 5000];
    client.write_all(&[1; 3000][..from_client as usize]).unwrap();
    server.read_exact(&mut buffer[..from_client as usize]).unwrap();
    server.write_all(&[2; 5000][..from_server as usize]).unwrap();
    client.read_exact(&mut buffer[..from_server as usize]).unwrap();
    Pair { client, server, from_client, from_server }
}

/// Returns what the kernel knows about both ends of a connection.
fn both_ends(stream: &TcpStream) -> Vec<Record> {
    let ends = ends(stream);
    let is_of = |record: &Record| [ends, other(ends)].contains(&ends_of(record));
    Device::binary().snapshot().records.into_iter().filter(is_of).collect()
}

/// Waits until an end has received the last segment of the handshake.
fn wait_for_established(end: Ends) {
    let limit = Instant::now() + Duration::from_secs(10);
    let mut device = Device::binary();
    device.set_filter(&format!("lport {} and fport {}", end.0.port(), end.1.port()));
    let is_established = |record: &Record| record.get(key::state) == Some(State::ESTABLISHED);
    while !device.snapshot().records.iter().any(is_established) {
        assert!(Instant::now() < limit, "the connection is not established");
    }
}

#[track_caller]
fn wait_for_eof(stream: &mut TcpStream) {
    let result = stream.read(&mut [0; 10]);
    assert!(matches!(result, Ok(0)), "{result:?} instead of the end: {:#?}", both_ends(stream));
}

#[track_caller]
fn wait_for_reset(stream: &mut TcpStream) {
    let result = stream.read(&mut [0; 10]);
    let is_reset = result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ECONNRESET));
    assert!(is_reset, "{result:?} instead of a reset: {:#?}", both_ends(stream));
}

/// Closes both ends so that the connection ends in one of the ways.
fn close_in_a_way(way: usize, mut pair: Pair, expected: &mut Expected) {
    let (client, server) = (ends(&pair.client), ends(&pair.server));
    let (sent, received) = (pair.from_client, Some(pair.from_server));
    let (of_client, of_server) = match way {
        0 => {
            drop(pair.client);
            wait_for_eof(&mut pair.server);
            (Ending::FinSent, Ending::FinReceived)
        }
        1 => {
            drop(pair.server);
            wait_for_eof(&mut pair.client);
            (Ending::FinReceived, Ending::FinSent)
        }
        2 => {
            reset(pair.client);
            wait_for_reset(&mut pair.server);
            (Ending::RstSent, Ending::RstReceived)
        }
        3 => {
            reset(pair.server);
            wait_for_reset(&mut pair.client);
            (Ending::RstReceived, Ending::RstSent)
        }
        4 => {
            // Data arrives after a close.
            drop(pair.client);
            wait_for_eof(&mut pair.server);
            pair.server.write_all(&[3; 10]).unwrap();
            wait_until_reset(&pair.server);
            expected.add(client, Ending::RstSent, sent, None);
            expected.add(server, Ending::RstReceived, pair.from_server + 10, Some(sent));
            return;
        }
        5 => {
            kill(client);
            wait_for_reset(&mut pair.server);
            (Ending::Killed, Ending::RstReceived)
        }
        _ => unreachable!("all ways are above"),
    };
    expected.add(client, of_client, sent, received);
    expected.add(server, of_server, pair.from_server, Some(sent));
}

const NAMES: [&str; 6] = [
    "the client closes first",
    "the server closes first",
    "the client resets",
    "the server resets",
    "data arrives after a close",
    "an administrator drops the client",
];

fn wait_until_reset(stream: &TcpStream) {
    let end = Instant::now() + Duration::from_secs(10);
    while stream.take_error().unwrap().is_none() {
        assert!(Instant::now() < end, "no reset");
        thread::yield_now();
    }
}

/// Drops a connection as tcpdrop(8) does.
fn kill((local, foreign): Ends) {
    // SAFETY: any bytes are a sockaddr_storage.
    let mut both: [libc::sockaddr_storage; 2] = unsafe { std::mem::zeroed() };
    for (to, address) in both.iter_mut().zip([foreign, local]) {
        // SAFETY: a sockaddr_storage has room for any address.
        unsafe {
            match address {
                SocketAddr::V4(v4) => {
                    let to = &mut *(&raw mut *to).cast::<libc::sockaddr_in>();
                    (to.sin_len, to.sin_family, to.sin_port) = (16, libc::AF_INET as u8, v4.port().to_be());
                    to.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
                }
                SocketAddr::V6(v6) => {
                    let to = &mut *(&raw mut *to).cast::<libc::sockaddr_in6>();
                    (to.sin6_len, to.sin6_family, to.sin6_port) = (28, libc::AF_INET6 as u8, v6.port().to_be());
                    to.sin6_addr.s6_addr = v6.ip().octets();
                }
            }
        }
    }
    // SAFETY: the sysctl reads two sockaddr_storage.
    let result = unsafe {
        libc::sysctlbyname(
            c"net.inet.tcp.drop".as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            (&raw const both).cast(),
            size_of_val(&both),
        )
    };
    assert_eq!(result, 0, "net.inet.tcp.drop: {}", std::io::Error::last_os_error());
}

/// Lets connections leave TIME_WAIT soon, and does not limit the number of resets in a
/// second: a peer whose reset is dropped does not learn of it.
fn settings() -> Vec<Setting> {
    [("net.inet.tcp.msl", "50"), ("net.inet.tcp.msl_local", "50"), ("net.inet.icmp.icmplim", "0")]
        .into_iter()
        .filter(|(name, _)| sysctl(name).is_some())
        .map(|(name, value)| Setting::new(name, value))
        .collect()
}

/// Runs `body` while a reader collects final records, until there are as many as
/// expected, and checks them.
fn collect(filter: &str, body: impl FnOnce(&mut Expected)) {
    let (done, records) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let mut expected = Expected::default();
    let mut reader = Reader::new(filter);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while !done.load(Relaxed) {
                let mut new = reader.read();
                records.lock().unwrap().append(&mut new);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&mut expected)));
        let (mut last, mut quiet) = (0, 0);
        while last < expected.len() && quiet < 100 {
            thread::sleep(Duration::from_millis(20));
            let found = records.lock().unwrap().len();
            (last, quiet) = (found, if found == last { quiet + 1 } else { 0 });
        }
        // Wait for records that should not be there.
        thread::sleep(Duration::from_millis(300));
        done.store(true, Relaxed);
        reading.join().unwrap();
        assert!(result.is_ok());
    });
    expected.leave_out_stuck();
    check(&records.into_inner().unwrap(), &expected);
    assert_eq!(reader.lost, 0);
}

const LOCAL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Tests `count` connections in each way, for each address family and TCP stack, or for
/// one TCP stack.
pub fn all(count: u64, only: Option<&str>) -> bool {
    std::panic::set_hook(Box::new(|what| println!("# {what}")));
    let _settings = settings();
    let mut tap = Tap::default();
    for stack in stacks().into_iter().filter(|stack| only.is_none_or(|only| only == *stack)) {
        let _stack = with_stack(stack);
        for local in LOCAL {
            let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
            for (way, what) in NAMES.iter().enumerate() {
                tap.test(&format!("{stack}, {family}, {count} times: {what}"), || {
                    let start = Instant::now();
                    collect("state ended", |expected| {
                        let listener = TcpListener::bind((local, 0)).unwrap();
                        for number in 0..count {
                            close_in_a_way(way, exchange(&listener, number), expected);
                        }
                    });
                    println!("# {} connections in {:.1} s", count, start.elapsed().as_secs_f64());
                });
            }
            tap.test(&format!("{stack}, {family}: a listener is closed before it accepts"), || {
                collect("state ended", |expected| {
                    for _ in 0..count.min(100) {
                        let listener = TcpListener::bind((local, 0)).unwrap();
                        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                        let ends = ends(&client);
                        wait_for_established(other(ends));
                        drop(listener);
                        wait_for_reset(&mut client);
                        expected.add(ends, Ending::RstReceived, 0, Some(0));
                        expected.add(other(ends), Ending::RstSent, 0, Some(0));
                    }
                });
            });
            tap.test(&format!("{stack}, {family}: nothing that was not established has a final record"), || {
                collect("state ended", |_| {
                    for _ in 0..count.min(100) {
                        let listener = TcpListener::bind((local, 0)).unwrap();
                        let closed = listener.local_addr().unwrap();
                        drop(listener);
                        TcpStream::connect(closed).expect_err("nobody listens");
                    }
                });
            });
            tap.test(&format!("{stack}, {family}: nobody closes the other half"), || {
                let _recycle = Setting::new("net.inet.tcp.fast_finwait2_recycle", "1");
                let _timeout = Setting::new("net.inet.tcp.finwait2_timeout", "500");
                collect("state ended", |expected| {
                    let listener = TcpListener::bind((local, 0)).unwrap();
                    let mut servers = Vec::new();
                    for number in 0..count.min(50) {
                        let pair = exchange(&listener, number);
                        expected.add(ends(&pair.client), Ending::Timeout, pair.from_client, Some(pair.from_server));
                        expected.add(ends(&pair.server), Ending::RstReceived, pair.from_server, Some(pair.from_client));
                        drop(pair.client);
                        servers.push(pair.server);
                    }
                    thread::sleep(Duration::from_secs(2));
                    // Its FIN is answered by a reset.
                    drop(servers);
                });
            });
        }
        timeouts(&mut tap, stack);
    }
    if stacks().len() > 1 {
        changes_of_stack(&mut tap);
    }
    positions(&mut tap);
    tap.end()
}

/// The peer does not answer any more.
fn timeouts(tap: &mut Tap, stack: &str) {
    let mirror = Mirror::start();
    for (local, foreign) in ENDS {
        let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        tap.test(&format!("{stack}, {family}: the peer does not answer keepalives"), || {
            mirror.policy.closed.store(false, Relaxed);
            collect("state ended", |expected| {
                let listener = TcpListener::bind((local, 0)).unwrap();
                let port = listener.local_addr().unwrap().port();
                let client = TcpStream::connect((foreign, port)).unwrap();
                let (server, _) = listener.accept().unwrap();
                for stream in [&client, &server] {
                    expected.add(ends(stream), Ending::Timeout, 0, Some(0));
                    for (option, value) in [(libc::TCP_KEEPIDLE, 1), (libc::TCP_KEEPINTVL, 1), (libc::TCP_KEEPCNT, 1)] {
                        set(stream, libc::IPPROTO_TCP, option, value);
                    }
                    set(stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
                }
                mirror.policy.closed.store(true, Relaxed);
                thread::sleep(Duration::from_secs(4));
                drop((client, server));
            });
            mirror.policy.closed.store(false, Relaxed);
        });
    }
}

fn set(stream: &TcpStream, level: i32, option: i32, value: i32) {
    // SAFETY: the option is an int.
    let result = unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, (&raw const value).cast(), 4) };
    assert_eq!(result, 0, "option {option}: {}", std::io::Error::last_os_error());
}

/// `TCP_FUNCTION_BLK` of `netinet/tcp.h`.
const TCP_FUNCTION_BLK: i32 = 8192;

fn change_stack(stream: &TcpStream, to: &str) {
    // A struct tcp_function_set.
    let mut stack = [0_u8; 36];
    stack[..to.len()].copy_from_slice(to.as_bytes());
    // SAFETY: the option is a structure of that size.
    let result =
        unsafe { libc::setsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, TCP_FUNCTION_BLK, stack.as_ptr().cast(), 36) };
    assert_eq!(result, 0, "TCP_FUNCTION_BLK {to}: {}", std::io::Error::last_os_error());
}

fn changes_of_stack(tap: &mut Tap) {
    tap.test("a connection that changes to other stacks has one final record", || {
        collect("state ended", |expected| {
            let listener = TcpListener::bind((LOCAL[0], 0)).unwrap();
            for number in 0..50 {
                let pair = exchange(&listener, number);
                for stack in stacks().into_iter().cycle().skip(1).take(7) {
                    change_stack(&pair.client, stack);
                }
                close_in_a_way(usize::from(number % 2 == 0), pair, expected);
            }
        });
    });
}

/// Readers with positions of their own.
fn positions(tap: &mut Tap) {
    tap.test("each reader gets what ended since its last snapshot, and a new one gets nothing older", || {
        let mut readers = [Reader::new("state ended"), Reader::new("state ended")];
        let listener = TcpListener::bind((LOCAL[0], 0)).unwrap();
        let reset_one = || {
            let pair = exchange(&listener, 1);
            reset(pair.client);
            wait_until_reset(&pair.server);
        };
        for reader in &mut readers {
            reader.read();
        }
        reset_one();
        assert_eq!(readers[0].read().len(), 2);
        reset_one();
        let mut third = Reader::new("state ended");
        assert_eq!(readers[0].read().len(), 2);
        assert_eq!(readers[1].read().len(), 4);
        assert_eq!(third.read().len(), 0);
        readers[1].device.ioctl(ioctl::SET_LEDGER, &mut 0_u32.to_ne_bytes()).unwrap();
        reset_one();
        assert_eq!(third.read().len(), 2);
        assert_eq!(readers[1].device.snapshot().header.flags & flag::LEDGER, 0);
    });
    tap.test("records that a reader does not fetch in time are counted as lost", || {
        let _short = Setting::new("net.inet.siftr_cdev.ledger_bytes_max", "10000");
        let mut reader = Reader::new("state ended");
        let listener = TcpListener::bind((LOCAL[0], 0)).unwrap();
        reader.read();
        for _ in 0..100 {
            let pair = exchange(&listener, 1);
            reset(pair.client);
            wait_until_reset(&pair.server);
        }
        let found = reader.read().len() as u64;
        assert!(found > 0 && found < 100);
        assert_eq!(found + reader.lost, 200);
    });
}

/// Ends connections in all ways for `seconds` seconds, while readers open and close the
/// device.  One reader keeps it open and must get everything.
pub fn churn(seconds: u64) -> bool {
    const READERS: u64 = 4;
    let _settings = settings();
    let stop = AtomicBool::new(false);
    let (opened, read, came) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let expected = Mutex::new(Vec::new());
    let mut first = Reader::new("state ended");
    let mut records = Vec::new();
    thread::scope(|scope| {
        for opener in 0..2_u64 {
            let (stop, opened, expected) = (&stop, &opened, &expected);
            scope.spawn(move || {
                let listener = TcpListener::bind((LOCAL[opener as usize], 0)).unwrap();
                let mut own = Expected::default();
                for number in 0.. {
                    if stop.load(Relaxed) {
                        break;
                    }
                    close_in_a_way(number as usize % NAMES.len(), exchange(&listener, number), &mut own);
                    opened.fetch_add(1, Relaxed);
                }
                expected.lock().unwrap().push(own);
            });
        }
        for number in 0..READERS {
            let (stop, read, came) = (&stop, &read, &came);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let mut reader = Reader::new(if number % 2 == 0 { "state ended" } else { "lport != 1" });
                    for _ in 0..=3 * number {
                        read.fetch_add(reader.read().len() as u64, Relaxed);
                        thread::sleep(Duration::from_millis(number));
                    }
                    came.fetch_add(1, Relaxed);
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            records.append(&mut first.read());
            thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Relaxed);
    });
    thread::sleep(Duration::from_millis(500));
    records.append(&mut first.read());
    let mut all = Expected::default();
    for own in expected.into_inner().unwrap() {
        for (ends, of) in own.0 {
            all.0.entry(ends).or_default().extend(of);
        }
    }
    println!(
        "# {} connections ended, {} of {} final records, {} by {} short-lived readers, {} lost",
        opened.into_inner(),
        records.len(),
        all.len(),
        read.into_inner(),
        came.into_inner(),
        first.lost
    );
    assert_eq!(first.lost, 0);
    all.leave_out_stuck();
    check(&records, &all);
    true
}

/// Opens and ends connections for `seconds` seconds, as a program in a jail.
pub fn ends_for(seconds: u64) -> bool {
    let _resets = Setting::new("net.inet.icmp.icmplim", "0");
    let listener = TcpListener::bind((LOCAL[0], 0)).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    for number in 0.. {
        if Instant::now() > end {
            break;
        }
        close_in_a_way(number as usize % 4, exchange(&listener, number), &mut Expected::default());
    }
    true
}
