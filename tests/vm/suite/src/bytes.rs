// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The byte counters, compared with the application's own count and with the
//! packets, not with `TCP_INFO`, which has the errors of the kernel's counters.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tcpstats::{Record, State, key};

use crate::connections::{pair, reset};
use crate::device::Device;
use crate::mirror::{ENDS, Mirror, Transmission};
use crate::system::{Setting, run, stacks, with_stack};
use crate::tap::Tap;

/// A connection over the mirror, and what its application knows about it.
struct Flow {
    client: TcpStream,
    server: TcpStream,
    ipv4: bool,
    port: u16,
    peer: u16,
    /// Bytes that the kernel has accepted from the client.
    written: u64,
    /// Bytes that the server has read.
    read: Arc<AtomicU64>,
    /// Whether the server reads.
    reads: Arc<AtomicBool>,
}

impl Flow {
    fn of(client: TcpStream, server: TcpStream) -> Self {
        let (port, peer) = (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port());
        let ipv4 = client.local_addr().unwrap().is_ipv4();
        client.set_nonblocking(true).unwrap();
        let (read, reads) = (Arc::<AtomicU64>::default(), Arc::new(AtomicBool::new(true)));
        let (mut input, count, is_reading) = (server.try_clone().unwrap(), read.clone(), reads.clone());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                while !is_reading.load(Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                match input.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(len) => count.fetch_add(len as u64, Relaxed),
                };
            }
        });
        Self { client, server, ipv4, port, peer, written: 0, read, reads }
    }

    fn open(ends: (IpAddr, IpAddr)) -> Self {
        let (here, there) = ends;
        let listener = TcpListener::bind((here, 0)).unwrap();
        let client = TcpStream::connect((there, listener.local_addr().unwrap().port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self::of(client, server)
    }

    /// Writes until `goal` bytes are written or the send buffer is full.
    fn write(&mut self, goal: u64) {
        let chunk = [7; 16384];
        while self.written < goal {
            let len = chunk.len().min((goal - self.written) as usize);
            match self.client.write(&chunk[..len]) {
                Ok(len) => self.written += len as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{}: {error}", self.port),
            }
        }
    }

    fn seen(&self, mirror: &Mirror) -> Transmission {
        mirror.sent(self.ipv4, self.port, self.peer)
    }
}

/// The number of comparisons, and those that failed.
#[derive(Default)]
struct Tally {
    compared: u64,
    wrong: Vec<String>,
    states: std::collections::BTreeSet<&'static str>,
}

impl Tally {
    /// Compares a client's record at any time, even with data in flight.
    /// Nothing has been written since, and the pcb lock keeps the send buffer
    /// and the sequence numbers consistent.
    fn at_any_time(&mut self, record: &Record, written: u64) {
        let get = |key| record.get(key).expect("a counter is absent");
        let (sent, acked) = (get(key::sent_bytes), get(key::acked_bytes));
        let inflight = u64::from(record.get(key::inflight).unwrap());
        if let Some(in_buffer) = record.get(key::snd_cc).map(u64::from) {
            let unsent = in_buffer.wrapping_sub(inflight);
            if acked + in_buffer != written || sent.wrapping_add(unsent) != written {
                self.wrong.push(format!(
                    "written {written}: sent {sent}, acked {acked}, buffered {in_buffer}, of which {inflight} in \
                     flight, {}",
                    record.get(key::state).unwrap().name().unwrap()
                ));
            }
        }
        self.compared += 1;
        self.states.insert(record.get(key::state).unwrap().name().unwrap());
    }

    /// Compares a client's record when the mirror has seen everything that it
    /// sent.
    fn when_seen(&mut self, record: &Record, flow: &Flow, seen: &Transmission) {
        self.at_any_time(record, flow.written);
        let reported = (record.get(key::sent_bytes).unwrap(), record.get(key::rexmit_bytes).unwrap());
        if reported != (seen.unique_bytes(), seen.retransmitted_bytes()) {
            self.wrong.push(format!(
                "sent and retransmitted are {reported:?}, the packets contained {seen:?}, {}",
                record.get(key::state).unwrap().name().unwrap()
            ));
        }
    }
}

fn record_of(device: &mut Device, local: u16, foreign: u16) -> Record {
    let snapshot = device.snapshot();
    let is_of = |record: &&Record| record.get(key::lport) == Some(local) && record.get(key::fport) == Some(foreign);
    let found: Vec<_> = snapshot.records.iter().filter(is_of).collect();
    assert_eq!(found.len(), 1, "records of ports {local} and {foreign}");
    found[0].clone()
}

/// Waits for a moment without packets in which `goal` is true of the record,
/// and compares then.
fn when_quiet(
    tally: &mut Tally,
    (mirror, device, flow): (&Mirror, &mut Device, &Flow),
    what: &str,
    goal: impl Fn(&Record) -> bool,
) -> Record {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let before = flow.seen(mirror);
        std::thread::sleep(Duration::from_millis(60));
        let record = record_of(device, flow.port, flow.peer);
        std::thread::sleep(Duration::from_millis(60));
        if flow.seen(mirror) == before && goal(&record) {
            tally.when_seen(&record, flow, &before);
            return record;
        }
        assert!(Instant::now() < end, "{what} did not happen within 90 s: {record:?}, {before:?}");
    }
}

/// Sends `bytes` bytes on each of `count` connections, then more while nothing
/// arrives, then FIN.
fn over_loss(mirror: &Mirror, stack: &str, ends: (IpAddr, IpAddr), (count, bytes): (usize, u64)) -> Tally {
    let mut tally = Tally::default();
    mirror.set(500, 0);
    let mut flows: Vec<_> = (0..count).map(|_| Flow::open(ends)).collect();
    mirror.set(20_000, 15);
    let mut device = Device::binary();
    device.set_filter(if ends.0.is_ipv4() { "net 10.99.0.0/24" } else { "net fd99::/64" });
    let end = Instant::now() + Duration::from_secs(240);
    while flows.iter().any(|flow| flow.written < bytes) {
        for flow in &mut flows {
            flow.write(bytes);
        }
        let records = device.snapshot().records;
        for flow in &flows {
            let is_of = |record: &&Record| {
                record.get(key::lport) == Some(flow.port) && record.get(key::fport) == Some(flow.peer)
            };
            let record = records.iter().find(is_of).unwrap();
            tally.at_any_time(record, flow.written);
        }
        std::thread::sleep(Duration::from_millis(11));
        assert!(Instant::now() < end, "the transfer took more than 240 s");
    }
    let is_acked = |record: &Record| record.get(key::snd_cc) == Some(0);
    let (mut retransmitted, mut retransmitted_packets, mut sacked) = (0, 0, 0);
    for flow in &flows {
        let record = when_quiet(&mut tally, (mirror, &mut device, flow), "the end of the transfer", is_acked);
        let name = record.get(key::stack).unwrap();
        let name = String::from_utf8_lossy(&name);
        assert!(name.starts_with(stack), "the stack is {name}");
        assert_eq!(record.get(key::acked_bytes), Some(bytes));
        assert_eq!(flow.read.load(Relaxed), bytes);
        let seen = flow.seen(mirror);
        retransmitted += seen.retransmitted_bytes();
        retransmitted_packets += seen.retransmitted_packets;
        sacked += u64::from(record.get(key::options).unwrap() & tcpstats::option::SACK != 0);
        let server = record_of(&mut device, flow.peer, flow.port);
        assert_eq!(
            [key::sent_bytes, key::acked_bytes, key::rexmit_bytes].map(|key| server.get(key)),
            [Some(0); 3],
            "the server sent nothing"
        );
        assert_eq!(server.get(key::rcv_nxt).unwrap().wrapping_sub(server.get(key::irs).unwrap()), bytes as u32 + 1);
    }

    // The timer retransmits repeatedly.
    mirror.policy.closed.store(true, Relaxed);
    for flow in &mut flows {
        flow.write(bytes + 5000);
    }
    std::thread::sleep(Duration::from_millis(1500));
    for flow in &flows {
        // On a slow machine the first timeout is later, because round-trip times are longer.
        when_quiet(&mut tally, (mirror, &mut device, flow), "a timeout", |record| {
            record.get(key::acked_bytes) == Some(bytes)
                && record.get(key::inflight) > Some(0)
                && (record.get(key::rxtshift) > Some(0) || stack != "freebsd")
        });
    }
    for flow in &flows {
        flow.client.shutdown(Shutdown::Write).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    for flow in &flows {
        when_quiet(&mut tally, (mirror, &mut device, flow), "FIN_WAIT_1", |record| {
            record.get(key::state) == Some(State::FIN_WAIT_1)
        });
    }
    mirror.policy.closed.store(false, Relaxed);
    for flow in &flows {
        let record = when_quiet(&mut tally, (mirror, &mut device, flow), "FIN_WAIT_2", |record| {
            record.get(key::state) == Some(State::FIN_WAIT_2)
        });
        assert_eq!(record.get(key::acked_bytes), Some(flow.written));
        assert!(flow.seen(mirror).fins > 0);
    }
    // The other direction: the counters of the server, the passive side, after the peer's FIN.
    for flow in &mut flows {
        flow.server.write_all(&[9; 3000]).unwrap();
    }
    std::thread::sleep(Duration::from_millis(700));
    for flow in &flows {
        let server = record_of(&mut device, flow.peer, flow.port);
        tally.at_any_time(&server, 3000);
    }
    println!(
        "# {} comparisons in {:?}, {sacked} of {count} connections with SACK, {retransmitted} bytes retransmitted in \
         {retransmitted_packets} packets",
        tally.compared, tally.states
    );
    assert!(retransmitted > 0, "nothing was lost");
    tally
}

fn assert_no_differences(tally: &Tally) {
    assert!(tally.wrong.is_empty(), "{} differences, first: {}", tally.wrong.len(), tally.wrong[0]);
}

/// The peer does not read, so the sender probes the window with single bytes.
fn persist(mirror: &Mirror, stack: &str, ends: (IpAddr, IpAddr)) {
    mirror.set(500, 0);
    let mut tally = Tally::default();
    let mut flow = Flow::open(ends);
    let mut device = Device::binary();
    flow.reads.store(false, Relaxed);
    let goal = 4 << 20;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        flow.write(goal);
        let record = record_of(&mut device, flow.port, flow.peer);
        tally.at_any_time(&record, flow.written);
        // Only the base stack uses the timer that the record reports; the
        // others stop at less than a segment.
        let stops = record.get(key::tt_persist).is_some() || stack != "freebsd";
        if stops && record.get(key::snd_wnd) < record.get(key::maxseg) && record.get(key::inflight) <= Some(1) {
            break;
        }
        assert!(Instant::now() < end, "the window did not close within 60 s: {record:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(12));
    let record = when_quiet(&mut tally, (mirror, &mut device, &flow), "a probe", |_| true);
    println!("# {} bytes of probes retransmitted", record.get(key::rexmit_bytes).unwrap());
    flow.reads.store(true, Relaxed);
    while flow.written < goal {
        flow.write(goal);
        std::thread::sleep(Duration::from_millis(10));
    }
    when_quiet(&mut tally, (mirror, &mut device, &flow), "the end", |record| record.get(key::snd_cc) == Some(0));
    assert_no_differences(&tally);
}

/// Sequence numbers wrap during the transfer.
fn wrap(mirror: &Mirror, ends: (IpAddr, IpAddr)) {
    const BEFORE: u32 = 1 << 22;
    mirror.set(0, 0);
    let listener = TcpListener::bind((ends.0, 0)).unwrap();
    let to = SocketAddr::new(ends.1, listener.local_addr().unwrap().port());
    let mut device = Device::binary();
    let mut tries = 0;
    let mut flow = loop {
        tries += 1;
        assert!(tries < 20_000, "no connection starts near the end of the sequence numbers");
        let client = TcpStream::connect(to).unwrap();
        let (server, _) = listener.accept().unwrap();
        let port = client.local_addr().unwrap().port();
        device.set_filter(&format!("lport {port}"));
        if record_of(&mut device, port, to.port()).get(key::iss).unwrap() > u32::MAX - BEFORE {
            break Flow::of(client, server);
        }
        for socket in [client, server] {
            reset(socket);
        }
    };
    mirror.set(5000, 10);
    let mut tally = Tally::default();
    let bytes = 2 * u64::from(BEFORE);
    while flow.written < bytes {
        flow.write(bytes);
        tally.at_any_time(&record_of(&mut device, flow.port, flow.peer), flow.written);
        std::thread::sleep(Duration::from_millis(5));
    }
    let is_acked = |record: &Record| record.get(key::snd_cc) == Some(0);
    let record = when_quiet(&mut tally, (mirror, &mut device, &flow), "the end", is_acked);
    println!("# {tries} connections tried, iss {}", record.get(key::iss).unwrap());
    assert!(record.get(key::snd_max) < record.get(key::iss));
    assert_no_differences(&tally);
}

/// Runs all tests of byte counters.  `long` is the size of a transfer in bytes.
pub fn all(tap: &mut Tap, mirror: &Mirror, long: u64) {
    for stack in stacks() {
        for (ends, sack) in ENDS.into_iter().flat_map(|ends| [(ends, 1), (ends, 0)]) {
            // The other stacks hand a connection without SACK to the base stack.
            if stack != "freebsd" && sack == 0 {
                continue;
            }
            let family = if ends.0.is_ipv4() { "IPv4" } else { "IPv6" };
            let sack_name = if sack == 1 { "with SACK" } else { "without SACK" };
            tap.test(
                &format!("byte counters with loss match application and packets: {stack}, {family}, {sack_name}"),
                || {
                    let _settings = (with_stack(stack), Setting::new("net.inet.tcp.sack.enable", &sack.to_string()));
                    assert_no_differences(&over_loss(mirror, stack, ends, (4, long)));
                },
            );
        }
        tap.test(&format!("byte counters with a closed window match the packets: {stack}"), || {
            let _setting = with_stack(stack);
            persist(mirror, stack, ENDS[0]);
        });
    }
    tap.test("byte counters are correct when sequence numbers wrap", || wrap(mirror, ENDS[0]));
}

/// Returns the bytes that all connections have retransmitted, from netstat(1).
fn retransmitted_by_all() -> u64 {
    let output = run("netstat -s -p tcp | sed -n 's/^.* data packets* (\\([0-9]*\\) bytes*) retransmitted$/\\1/p'");
    output.parse().unwrap_or_else(|_| panic!("netstat(1): expected a number of bytes, got {output:?}"))
}

/// Sends more bytes than 32 bits can count over the loopback interface.
pub fn past_32_bits(bytes: u64) -> bool {
    let mut tap = Tap::default();
    tap.test(&format!("{bytes} bytes are counted"), || {
        let (client, server, _) = pair(Ipv4Addr::LOCALHOST.into());
        let mut flow = Flow::of(client, server);
        let mut device = Device::binary();
        let mut tally = Tally::default();
        let (retransmitted_before, start, mut next) = (retransmitted_by_all(), Instant::now(), 0);
        while flow.written < bytes {
            flow.write(bytes);
            if flow.written >= next {
                next += 1 << 24;
                tally.at_any_time(&record_of(&mut device, flow.port, flow.peer), flow.written);
            }
            let mut ready = libc::pollfd { fd: flow.client.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
            // SAFETY: `ready` is one structure, and the count is 1.
            unsafe { libc::poll(&raw mut ready, 1, 100) };
        }
        let end = Instant::now() + Duration::from_secs(10);
        while flow.read.load(Relaxed) < bytes && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(200));
        let record = record_of(&mut device, flow.port, flow.peer);
        let retransmitted = retransmitted_by_all() - retransmitted_before;
        println!("# {} megabytes in {} s, {retransmitted} bytes retransmitted", bytes >> 20, start.elapsed().as_secs());
        let reported = [key::sent_bytes, key::acked_bytes, key::rexmit_bytes].map(|key| record.get(key).unwrap());
        assert_eq!(reported, [bytes, bytes, retransmitted]);
        assert_no_differences(&tally);
    });
    tap.end()
}
