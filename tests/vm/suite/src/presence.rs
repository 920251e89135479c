// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Which fields are present, by state and stack: unknown values are absent.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tcpstats::{FIELDS, Part, Record, State, key};

use crate::connections::{NOWHERE, bound, connecting, reset, start_connecting};
use crate::device::Device;
use crate::mirror::{ENDS, Mirror};
use crate::system::{stacks, with_stack};
use crate::tap::Tap;

/// Fields of every connection, including those in the SYN cache.
const ENDPOINTS: &[&str] = &["laddr", "lport", "faddr", "fport", "ipver", "state", "fib", "vnet"];
/// Fields of every socket.
const SOCKET: &[&str] =
    &["gencnt", "uid", "jid", "flowid", "flowtype", "cc", "stack", "t_flags", "t_flags2", "encaps_port", "tos"];
const BUFFERS: &[&str] = &["snd_cc", "snd_hiwat", "rcv_cc", "rcv_hiwat"];
const QUEUE: &[&str] = &["qlen", "incqlen", "qlimit"];
/// Fields of a connection that has an initial sequence number.
const STARTED: &[&str] = &[
    "iss",
    "snd_una",
    "snd_nxt",
    "snd_max",
    "inflight",
    "sent_bytes",
    "acked_bytes",
    "rexmit_bytes",
    "tlp_bytes",
    "tlp_packs",
    "rexmit_packs",
    "rxtshift",
    "softerror",
];
/// Fields of a connection whose peer has answered.
const SYNCHRONIZED: &[&str] = &[
    "options",
    "snd_scale",
    "rcv_scale",
    "snd_cwnd",
    "snd_ssthresh",
    "snd_wnd",
    "max_sndwnd",
    "rcv_wnd",
    "maxseg",
    "srtt",
    "rttvar",
    "rttmin",
    "rto",
    "age",
    "idle_rcv",
    "irs",
    "rcv_nxt",
    "rcv_adv",
    "pipe",
    "segq_len",
    "ooo_packs",
    "zerowin",
    "dupacks",
    "sack_blocks",
    "dsack_bytes",
    "dsack_packs",
];
/// Fields of a connection that has sent data.
const SENT: &[&str] = &["idle_snd"];
/// Fields that appear and disappear while a connection is in one state.
const TRANSIENT: &[&str] = &["tt_rexmt", "tt_persist", "tt_keep", "tt_2msl", "tt_delack", "pacing_rate"];
/// Fields that BBR does not maintain, and fields that only the base stack
/// maintains.
const NOT_IN_BBR: &[&str] = &["rttmin", "pipe"];
const ONLY_IN_BASE: &[&str] = &["idle_snd", "dupacks"];

/// The record of a connection and the fields that must be present in it.
struct Case {
    what: &'static str,
    state: State,
    record: Record,
    present: Vec<&'static [&'static str]>,
}

impl Case {
    fn check(&self, stack: &str) {
        let Self { what, state, record, present } = self;
        assert_eq!(record.get(key::state), Some(*state), "{what}");
        let has_timers = ![State::CLOSED, State::LISTEN, State::SYN_RCVD].contains(state);
        let expected: BTreeSet<_> = present
            .concat()
            .into_iter()
            .filter(|name| match stack {
                "bbr" => !NOT_IN_BBR.contains(name) && !ONLY_IN_BASE.contains(name),
                "rack" => !ONLY_IN_BASE.contains(name),
                _ => true,
            })
            .collect();
        let found: BTreeSet<_> = FIELDS
            .iter()
            .filter(|field| field.part == Part::Module && record.has(field))
            .map(|field| field.name)
            .filter(|name| !has_timers || !TRANSIENT.contains(name))
            .collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        let unexpected: Vec<_> = found.difference(&expected).collect();
        assert!(missing.is_empty() && unexpected.is_empty(), "{what}: {missing:?} absent, {unexpected:?} present");
        assert_eq!(record.get(key::tt_2msl).is_some(), *state == State::TIME_WAIT, "{what}: tt_2msl");
        // The kernel initializes these fields with values that are not measurements.
        assert!(record.get(key::snd_cwnd).is_none_or(|cwnd| (1..1 << 24).contains(&cwnd)), "{what}: snd_cwnd");
        assert!(record.get(key::pipe).is_none_or(|pipe| pipe < 1 << 24), "{what}: pipe");
        let srtt = record.get(key::srtt);
        assert!(srtt.is_none_or(|srtt| (1..5_000_000).contains(&srtt)), "{what}: srtt is {srtt:?}");
        for key in [key::age, key::idle_snd, key::idle_rcv] {
            let time = record.get(key);
            assert!(time.is_none_or(|time| time < 100_000_000), "{what}: {} is {time:?}", key.field().name);
        }
    }
}

pub fn all(tap: &mut Tap, mirror: &Mirror) {
    // Longer than a tick at 100 Hz, because the base stack ignores shorter round-trip times.
    mirror.set(15_000, 0);
    for stack in stacks() {
        let mut cases = Vec::new();
        tap.test(&format!("connections reach every state: {stack}"), || {
            let _setting = with_stack(stack);
            unconnected(&mut cases);
            connected(mirror, &mut cases);
            half_open(mirror, &mut cases);
        });
        for case in cases {
            let name =
                format!("{stack}, {}, {}: exactly the known fields are present", case.state.name().unwrap(), case.what);
            tap.test(&name, || case.check(stack));
        }
    }
}

fn port_of(socket: &TcpStream) -> u16 {
    socket.local_addr().unwrap().port()
}

/// Waits for the record of this local port, and of this foreign port if given,
/// in this state.
fn take(local: u16, foreign: Option<u16>, state: State) -> Record {
    let mut device = Device::binary();
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let mut records = device.snapshot().records;
        records.retain(|record| {
            record.get(key::lport) == Some(local)
                && foreign.is_none_or(|foreign| record.get(key::fport) == Some(foreign))
                && record.get(key::state) == Some(state)
        });
        if let Some(record) = records.pop() {
            return record;
        }
        assert!(Instant::now() < end, "no connection of port {local} in {} within 60 s", state.name().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn unconnected(cases: &mut Vec<Case>) {
    let mut add = |what, state, port, present| {
        cases.push(Case { what, state, record: take(port, None, state), present });
    };
    let (_socket, port) = bound();
    add("never connected", State::CLOSED, port, vec![ENDPOINTS, SOCKET, BUFFERS]);
    let listener = TcpListener::bind((ENDS[0].0, 0)).unwrap();
    add("a listener", State::LISTEN, listener.local_addr().unwrap().port(), vec![ENDPOINTS, SOCKET, QUEUE]);
    let (_socket, local) = connecting(SocketAddr::new(NOWHERE.into(), 9));
    add("without an answer", State::SYN_SENT, local.port(), vec![ENDPOINTS, SOCKET, BUFFERS, STARTED]);
}

fn connected(mirror: &Mirror, cases: &mut Vec<Case>) {
    let (here, there) = ENDS[0];
    let listener = TcpListener::bind((here, 0)).unwrap();
    let served = listener.local_addr().unwrap().port();
    let open = || {
        let client = TcpStream::connect((there, served)).unwrap();
        let (server, _) = listener.accept().unwrap();
        (client, server)
    };
    let settle = || std::thread::sleep(Duration::from_millis(300));
    let before_data = || vec![ENDPOINTS, SOCKET, BUFFERS, STARTED, SYNCHRONIZED];
    let after_data = || vec![ENDPOINTS, SOCKET, BUFFERS, STARTED, SYNCHRONIZED, SENT];
    let mut add = |what, state, port: u16, foreign: u16, present| {
        cases.push(Case { what, state, record: take(port, Some(foreign), state), present });
    };

    let (mut client, mut server) = open();
    let port = port_of(&client);
    settle();
    add("a client before data", State::ESTABLISHED, port, served, before_data());
    add("a server before data", State::ESTABLISHED, served, port, before_data());
    client.write_all(&[7; 5000]).unwrap();
    server.write_all(&[7; 5000]).unwrap();
    settle();
    add("a client after data", State::ESTABLISHED, port, served, after_data());
    add("a server after data", State::ESTABLISHED, served, port, after_data());
    client.shutdown(Shutdown::Write).unwrap();
    add("half closed here", State::FIN_WAIT_2, port, served, after_data());
    add("half closed there", State::CLOSE_WAIT, served, port, after_data());
    // The last acknowledgement is not delivered.
    mirror.policy.closed_port.store(served.into(), Relaxed);
    server.shutdown(Shutdown::Write).unwrap();
    add("not acknowledged", State::LAST_ACK, served, port, after_data());
    add("closed", State::TIME_WAIT, port, served, after_data());
    mirror.policy.closed_port.store(0, Relaxed);

    let (client, server) = open();
    let port = port_of(&client);
    mirror.policy.closed.store(true, Relaxed);
    client.shutdown(Shutdown::Write).unwrap();
    add("FIN sent", State::FIN_WAIT_1, port, served, before_data());
    server.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // The server's FIN is delivered when it is retransmitted, the client's is not.
    mirror.policy.closed_port.store(served.into(), Relaxed);
    mirror.policy.closed.store(false, Relaxed);
    add("closed on both sides at once", State::CLOSING, port, served, before_data());
    mirror.policy.closed_port.store(0, Relaxed);

    // Reset while the application still has the socket.
    let (mut client, server) = open();
    let port = port_of(&client);
    client.write_all(&[7; 5000]).unwrap();
    settle();
    reset(server);
    add("reset", State::CLOSED, port, served, after_data());
}

/// Opens a connection whose client never gets an answer, so that it stays in
/// the SYN cache.
fn half_open(mirror: &Mirror, cases: &mut Vec<Case>) {
    let (here, there) = ENDS[0];
    let listener = TcpListener::bind((here, 0)).unwrap();
    let served = listener.local_addr().unwrap().port();
    let (socket, port) = bound();
    mirror.policy.closed_port.store(port.into(), Relaxed);
    start_connecting(&socket, SocketAddr::new(there, served));
    let record = take(served, Some(port), State::SYN_RCVD);
    mirror.policy.closed_port.store(0, Relaxed);
    cases.push(Case { what: "in the SYN cache", state: State::SYN_RCVD, record, present: vec![ENDPOINTS] });
}
