// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The tests of the device.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use tcpstats::{FIELD_COUNT, Filter, MODULE_RECORD_LEN, Record, State, ioctl, ipv4, key};

use crate::connections::{self, Expected, pair};
use crate::device::{Device, PATH, errno};
use crate::mirror::Mirror;
use crate::tap::Tap;
use crate::tcp_info::TcpInfo;

/// Size of a transfer over a network that loses packets, in bytes.
const TRANSFER: u64 = 1_500_000;

fn address_of(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => ipv4(v4.octets()),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.octets(), |v4| ipv4(v4.octets())),
    }
}

fn is_of(record: &Record, local: SocketAddr, foreign: SocketAddr) -> bool {
    // netinet6 stores the unspecified address of an IPv4 listener as IPv4 zeros.
    record.get(key::lport) == Some(local.port())
        && record.get(key::fport) == Some(foreign.port())
        && record.get(key::laddr) == Some(address_of(local.ip()))
        && record.get(key::faddr) == Some(address_of(foreign.ip()))
}

/// Returns the only record of a connection.
fn only<'a>(records: &'a [Record], expected: &Expected) -> &'a Record {
    let found: Vec<_> = records.iter().filter(|record| is_of(record, expected.local, expected.foreign)).collect();
    assert_eq!(found.len(), 1, "records of {}: {found:?}", expected.what);
    found[0]
}

pub fn all() -> bool {
    std::panic::set_hook(Box::new(|what| println!("# {what}")));
    let mut tap = Tap::default();
    let known = connections::every_state();
    reading(&mut tap);
    values_of(&mut tap, &known);
    ioctls(&mut tap);
    filters(&mut tap, &known);
    limits(&mut tap);
    crate::truth::all(&mut tap);
    crate::presence::all(&mut tap, &Mirror::start());
    tap.end()
}

fn reading(tap: &mut Tap) {
    for size in [1, 100, 4096, 1 << 20] {
        tap.test(&format!("text is complete in reads of {size} bytes"), || {
            let text = String::from_utf8(Device::open().unwrap().read_all(size).unwrap()).unwrap();
            let lines: Vec<_> = text.lines().collect();
            let (head, rest) = lines.split_first().unwrap();
            let (note, rows) = rest.split_last().unwrap();
            assert!(head.starts_with("time,snapshot,gencnt,laddr,lport"), "{head}");
            assert!(rows.iter().all(|row| row.split(',').count() == head.split(',').count()));
            assert!(note.starts_with("# snapshot snapshot=1 "), "{note}");
            assert!(note.contains(&format!(" records={} ", rows.len())), "{note}");
            assert!(rows.len() >= 15);
        });
        tap.test(&format!("a frame is complete in reads of {size} bytes"), || {
            let mut device = Device::binary();
            let bytes = device.read_all(size).unwrap();
            let frame = tcpstats::frame::Frame::parse(&bytes).unwrap();
            assert_eq!(frame.bytes().len(), bytes.len());
            assert_eq!(frame.record_len, MODULE_RECORD_LEN);
            assert!(frame.header.written >= 15);
        });
    }
    tap.test("a read of 0 bytes ends a snapshot, and the next read starts a new one", || {
        let mut device = Device::binary();
        assert_eq!([1, 2, 3].map(|_| device.snapshot().header.sequence), [1, 2, 3]);
    });
    tap.test("lseek to 0 starts a new snapshot", || {
        let mut device = Device::open().unwrap();
        let mut head = [0; 20];
        device.0.read_exact(&mut head).unwrap();
        device.0.seek(SeekFrom::Start(0)).unwrap();
        let text = String::from_utf8(device.read_all(4096).unwrap()).unwrap();
        assert!(text.starts_with("time,snapshot,"));
        assert!(text.lines().last().unwrap().starts_with("# snapshot snapshot=2 "));
    });
    tap.test("opening for writing fails with EPERM", || {
        assert_eq!(errno(OpenOptions::new().write(true).open(PATH)), libc::EPERM);
        assert_eq!(errno(OpenOptions::new().read(true).write(true).open(PATH)), libc::EPERM);
    });
    tap.test("the module cannot be unloaded while a descriptor is open", || {
        let _device = Device::open().unwrap();
        let unload = Command::new("kldunload").arg("siftr_cdev").output().unwrap();
        assert!(!unload.status.success());
        let message = String::from_utf8(unload.stderr).unwrap();
        assert!(message.contains("busy"), "{message}");
    });
    tap.test("a signal interrupts a read", || {
        let mut device = Device::open().unwrap();
        for wait_us in (0..200).map(|n| n * 10) {
            // SAFETY: the handler does nothing.
            unsafe {
                libc::signal(libc::SIGALRM, handler as *const () as usize);
                let once = libc::itimerval {
                    it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
                    it_value: libc::timeval { tv_sec: 0, tv_usec: wait_us + 1 },
                };
                libc::setitimer(libc::ITIMER_REAL, &raw const once, std::ptr::null_mut());
            }
            match device.read_all(64) {
                Ok(text) => assert!(text.ends_with(b"\n")),
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINTR)),
            }
            device.0.seek(SeekFrom::Start(0)).unwrap();
        }
    });
}

extern "C" fn handler(_: i32) {}

fn values_of(tap: &mut Tap, known: &[Expected]) {
    let mut device = Device::binary();
    for expected in known {
        tap.test(&format!("{} is reported once, in {}", expected.what, expected.state.name().unwrap()), || {
            let tcp_info = |expected: &Expected| expected.socket.as_ref().map(|socket| TcpInfo::of(socket.as_ref()));
            let before = tcp_info(expected);
            let snapshot = device.snapshot();
            let after = tcp_info(expected);
            let record = only(&snapshot.records, expected);
            assert_eq!(record.get(key::state), Some(expected.state));
            let ipv4 = tcpstats::mapped_ipv4(record.get(key::laddr).unwrap()).is_some();
            assert_eq!(record.get(key::ipver), Some(if ipv4 { 4 } else { 6 }));
            if let (Some(before), Some(after)) = (before, after) {
                assert_eq!(before.state(), expected.state.0);
                let wrong = TcpInfo::differences(&before, &after, record, "freebsd");
                assert!(wrong.is_empty(), "{wrong:#?}");
                assert_eq!(record.get(key::uid), Some(0));
                assert_eq!(&record.get(key::stack).unwrap()[..8], b"freebsd\0");
            }
            match expected.state {
                State::LISTEN => {
                    assert!(record.get(key::qlimit).unwrap() > 0);
                    assert_eq!(record.get(key::snd_cc), None);
                }
                State::SYN_RCVD => assert_eq!(record.get(key::gencnt), None),
                State::TIME_WAIT => (),
                _ => assert!(record.get(key::snd_hiwat).unwrap() > 0),
            }
        });
    }
    tap.test("data in the receive queue is counted", || {
        let server = known.iter().find(|expected| expected.what == "IPv4 server with data waiting").unwrap();
        let snapshot = device.snapshot();
        assert_eq!(only(&snapshot.records, server).get(key::rcv_cc), Some(5000));
    });
    tap.test("connections waiting for accept(2) are counted", || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _waiting = [0; 3].map(|_| std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let record = device.snapshot().records.into_iter().find(|record| {
            record.get(key::state) == Some(State::LISTEN)
                && record.get(key::lport) == Some(listener.local_addr().unwrap().port())
        });
        assert_eq!(record.unwrap().get(key::qlen), Some(3));
    });
    tap.test("idle times and timers follow the clock", || {
        let client = known.iter().find(|expected| expected.what == "IPv4 client").unwrap();
        let first = only(&device.snapshot().records, client).clone();
        std::thread::sleep(Duration::from_millis(500));
        let then = only(&device.snapshot().records, client).clone();
        for (key, down) in [(key::idle_snd, false), (key::idle_rcv, false), (key::age, false), (key::tt_keep, true)] {
            let (first, then) = (first.get(key).unwrap(), then.get(key).unwrap());
            let moved = if down { first.wrapping_sub(then) } else { then.wrapping_sub(first) };
            assert!((400_000..2_000_000).contains(&moved), "{}: {first} then {then}", key.field().name);
        }
    });
    tap.test("the sockets match netstat(1)", || {
        let before = netstat_sockets();
        let shown: Vec<_> = device.snapshot().records.iter().map(netstat_form).collect();
        let after = netstat_sockets();
        let count = |list: &[String]| {
            let mut counts = BTreeMap::new();
            for line in list {
                *counts.entry(line.clone()).or_insert(0) += 1;
            }
            counts
        };
        let (before, after, shown) = (count(&before), count(&after), count(&shown));
        for (line, number) in &before {
            if after.get(line) == Some(number) {
                assert_eq!(shown.get(line), Some(number), "netstat shows {line}");
            }
        }
        for (line, number) in &shown {
            assert!(before.get(line) == Some(number) || after.get(line) == Some(number), "the device shows {line}");
        }
        assert!(before.len() >= 15);
    });
}

/// Returns the sockets that `netstat -an -p tcp` prints: address.port,
/// address.port, state.
fn netstat_sockets() -> Vec<String> {
    let output = Command::new("netstat").args(["-anW", "-p", "tcp"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("tcp"));
    lines
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let state = words.get(5).copied().unwrap_or("CLOSED");
            format!("{} {} {state}", words[3], words[4])
        })
        .collect()
}

fn netstat_form(record: &Record) -> String {
    let zone = record.get(key::zone).map_or_else(String::new, |zone| format!("%{}", name_of(zone)));
    let end = |address: [u8; 16], port: u16| {
        let address = match tcpstats::mapped_ipv4(address) {
            Some([0, 0, 0, 0]) => "*".into(),
            Some(octets) => Ipv4Addr::from(octets).to_string(),
            None if address == [0; 16] => "*".into(),
            None => format!("{}{zone}", Ipv6Addr::from(address)),
        };
        if port == 0 { format!("{address}.*") } else { format!("{address}.{port}") }
    };
    let local = end(record.get(key::laddr).unwrap(), record.get(key::lport).unwrap());
    let foreign = end(record.get(key::faddr).unwrap(), record.get(key::fport).unwrap());
    format!("{local} {foreign} {}", record.get(key::state).unwrap().name().unwrap())
}

/// Returns the name of a network interface.
fn name_of(index: u32) -> String {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the maximum length of a name.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    assert!(!found.is_null(), "no interface {index}");
    // SAFETY: the kernel terminates the name with a zero.
    unsafe { std::ffi::CStr::from_ptr(found) }.to_str().unwrap().into()
}

fn ioctls(tap: &mut Tap) {
    tap.test("every ioctl works", || {
        let mut device = Device::open().unwrap();
        let mut info = [0; ioctl::INFO_LEN];
        device.ioctl(ioctl::GET_INFO, &mut info).unwrap();
        assert_eq!(info, ioctl::info(env!("CARGO_PKG_VERSION")));
        for index in 0..u32::try_from(FIELD_COUNT).unwrap() {
            let mut field = [0; ioctl::FIELD_LEN];
            field[..4].copy_from_slice(&index.to_ne_bytes());
            device.ioctl(ioctl::GET_FIELD, &mut field).unwrap();
            assert_eq!(Some(field), ioctl::field(&index.to_ne_bytes()));
        }
        let mut columns = [0; ioctl::COLUMNS_LEN];
        columns[..10].copy_from_slice(b"lport,srtt");
        device.ioctl(ioctl::SET_COLUMNS, &mut columns).unwrap();
        let text = String::from_utf8(device.read_all(4096).unwrap()).unwrap();
        assert!(text.starts_with("time,snapshot,lport,srtt\n"), "{text}");
        device.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
        device.ioctl(ioctl::SET_FORMAT, &mut ioctl::BINARY.to_ne_bytes()).unwrap();
        assert_eq!(device.snapshot().header.flags, tcpstats::frame::flag::ALL_VNETS);
        device.ioctl(ioctl::SET_ALL_VNETS, &mut 0_u32.to_ne_bytes()).unwrap();
        assert_eq!(device.snapshot().header.flags, 0);
    });
    tap.test("an invalid ioctl fails and changes nothing", || {
        let mut device = Device::binary();
        device.set_filter("state listen");
        let refused = |command, data: &mut [u8]| errno(device.ioctl(command, data));
        assert_eq!(refused(ioctl::SET_FORMAT, &mut 2_u32.to_ne_bytes()), libc::EINVAL);
        assert_eq!(refused(ioctl::SET_ALL_VNETS, &mut 2_u32.to_ne_bytes()), libc::EINVAL);
        assert_eq!(refused(ioctl::SET_COLUMNS, &mut [b'x'; ioctl::COLUMNS_LEN]), libc::EINVAL);
        assert_eq!(refused(ioctl::SET_COLUMNS, &mut [0xff; ioctl::COLUMNS_LEN]), libc::EINVAL);
        assert_eq!(refused(ioctl::SET_FILTER, &mut [0xff; 2568]), libc::EINVAL);
        assert_eq!(refused(ioctl::GET_FIELD, &mut [0xff; ioctl::FIELD_LEN]), libc::EINVAL);
        assert_eq!(refused(0x2000_5400, &mut []), libc::ENOTTY);
        assert_eq!(refused(0x8008_5401, &mut [0; 8]), libc::ENOTTY);
        let snapshot = device.snapshot();
        assert!(snapshot.header.matched <= snapshot.header.seen);
        assert!(snapshot.records.iter().all(|record| record.get(key::state) == Some(State::LISTEN)));
    });
    tap.test("sysctl text selects the columns of the default text", || {
        let set = |value: &str| {
            let assignment = format!("net.inet.siftr_cdev.text={value}");
            Command::new("sysctl").arg(assignment).output().unwrap().status.success()
        };
        let head = || {
            Device::open().unwrap().read_all(4096).map(|text| text.split(|byte| *byte == b'\n').next().unwrap().len())
        };
        let basic = head().unwrap();
        assert!(set("all"));
        assert!(head().unwrap() > 2 * basic);
        assert!(!set("nonsense"));
        assert!(head().unwrap() > 2 * basic, "an invalid value changes nothing");
        assert!(set("lport,srtt"));
        let value = Command::new("sysctl").args(["-n", "net.inet.siftr_cdev.text"]).output().unwrap().stdout;
        assert_eq!(value, b"lport,srtt\n");
        assert!(set("basic"));
        assert_eq!(head().unwrap(), basic);
    });
}

fn filters(tap: &mut Tap, known: &[Expected]) {
    let port = known[0].local.port();
    let texts = [
        format!("port {port}"),
        format!("lport {port} and state listen"),
        "ip6".into(),
        "ip and not state listen".into(),
        "net 127.0.0.0/8 and srtt >= 0us".into(),
        "host ::1 and snd_cwnd > 1k".into(),
        "state time_wait or state syn_rcvd".into(),
        "cc cubic and stack freebsd and ip6".into(),
        "uid 0 and jid 0 and not ip6".into(),
        "options sack and maxseg > 500 and idle < 1000s and not state listen".into(),
        "not (rcv_cc > 0)".into(),
    ];
    for text in texts {
        tap.test(&format!("the filter in the kernel matches the same records: {text}"), || {
            let filter = Filter::parse(&text).unwrap();
            let mut device = Device::binary();
            let all = device.snapshot();
            device.set_filter(&text);
            let some = device.snapshot();
            let name = |record: &Record| (record.get(key::gencnt), record.get(key::lport), record.get(key::fport));
            let wanted: Vec<_> = all.records.iter().filter(|record| filter.matches(record)).map(name).collect();
            let taken: Vec<_> = some.records.iter().map(name).collect();
            assert_eq!(taken, wanted);
            assert!(
                !taken.is_empty() && taken.len() < all.records.len(),
                "the filter must match some of the records but not all"
            );
            assert_eq!(some.header.matched, taken.len() as u64);
            assert!((some.header.matched..=all.header.seen).contains(&some.header.seen));
            device.ioctl(ioctl::CLEAR_FILTER, &mut []).unwrap();
            assert_eq!(device.snapshot().records.len(), all.records.len());
        });
    }
}

fn sysctl(name: &str, value: u64) {
    let assignment = format!("net.inet.siftr_cdev.{name}={value}");
    assert!(Command::new("sysctl").arg(&assignment).output().unwrap().status.success(), "{assignment}");
}

fn limits(tap: &mut Tap) {
    tap.test("records beyond the memory limit are counted as missed", || {
        sysctl("snapshot_bytes_max", 0);
        let mut device = Device::binary();
        let snapshot = device.snapshot();
        sysctl("snapshot_bytes_max", 256 << 20);
        let header = snapshot.header;
        assert_eq!(
            (header.written, header.missed, header.flags),
            (0, header.matched, tcpstats::frame::flag::TRUNCATED)
        );
        assert!(header.missed >= 15);
        assert_eq!(device.snapshot().header.missed, 0);
    });
    tap.test("limits per user apply to users but not to root", || {
        sysctl("interval_min_us", 100_000);
        sysctl("opens_per_user_max", 2);
        as_user(1001, 0, || {
            let mut devices = [Device::open().unwrap(), Device::open().unwrap()];
            assert_eq!(errno(Device::open()), libc::EMFILE);
            let start = Instant::now();
            for turn in 0..6 {
                devices[turn % 2].read_all(1 << 16).unwrap();
            }
            assert!(start.elapsed() >= Duration::from_millis(480), "{:?}", start.elapsed());
            drop(devices);
            let mut again = Device::open_nonblocking().unwrap();
            assert_eq!(errno(again.read_all(4096)), libc::EAGAIN);
            std::thread::sleep(Duration::from_millis(150));
            again.read_all(4096).unwrap();
            assert_eq!(errno(again.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes())), libc::EPERM);
        });
        let mut devices: Vec<_> = (0..5).map(|_| Device::open().unwrap()).collect();
        let start = Instant::now();
        devices.iter_mut().for_each(|device| _ = device.read_all(1 << 16).unwrap());
        assert!(start.elapsed() < Duration::from_millis(400));
        sysctl("interval_min_us", 1000);
        sysctl("opens_per_user_max", 32);
    });
    tap.test("a descriptor for all network stacks cannot be read by a user who inherits it", || {
        let mut device = Device::binary();
        device.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
        as_user(1001, 0, || assert_eq!(errno(device.read_all(4096)), libc::EPERM));
    });
}

/// Runs a test as another user in a child process, and fails if it fails there.
fn as_user(uid: u32, gid: u32, test: impl FnOnce()) {
    std::io::stdout().flush().unwrap();
    // SAFETY: the child has a single thread and ends with _exit.
    unsafe {
        let child = libc::fork();
        assert_ne!(child, -1);
        if child == 0 {
            let became = libc::setgroups(1, &raw const gid) == 0 && libc::setgid(gid) == 0 && libc::setuid(uid) == 0;
            let good = became && std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_ok();
            std::io::stdout().flush().unwrap();
            libc::_exit(i32::from(!good));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert_eq!(status, 0, "the child's tests failed");
    }
}

/// Opens one connection of each kind, prints them, and waits for the end of its
/// input.
pub fn hold() -> bool {
    let known = connections::every_state();
    for expected in &known {
        println!("{} {} {}", expected.local, expected.foreign, expected.state.name().unwrap());
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    true
}

/// Prints the number of records of each local port, and the jail of the last
/// one if all network stacks are read.
pub fn visible(ports: &[String], everywhere: bool) -> bool {
    let mut device = Device::binary();
    if everywhere {
        if let Err(error) = device.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()) {
            println!("{error}");
            return false;
        }
    }
    let records = device.snapshot().records;
    for port in ports {
        let found: Vec<_> = records.iter().filter(|record| record.get(key::lport) == port.parse().ok()).collect();
        match found.last() {
            Some(last) if everywhere => println!("{port} {} jid {}", found.len(), last.get(key::jid).unwrap()),
            _ => println!("{port} {}", found.len()),
        }
    }
    true
}

/// Prints the network stack and the number of each connection of a local port,
/// in all network stacks.
pub fn identities(port: &str) -> bool {
    let mut device = Device::binary();
    device.ioctl(ioctl::SET_ALL_VNETS, &mut 1_u32.to_ne_bytes()).unwrap();
    for record in device.snapshot().records {
        if record.get(key::lport) == port.parse().ok() {
            println!("{} {}", record.get(key::vnet).unwrap(), record.get(key::gencnt).unwrap());
        }
    }
    true
}

/// Compares records with `TCP_INFO` while data flows, and the byte counters, in
/// which the kernel has errors, with the application and the packets.
pub fn values(seconds: u64) -> bool {
    std::panic::set_hook(Box::new(|what| println!("# {what}")));
    let mut tap = Tap::default();
    tap.test("records agree with TCP_INFO while data flows", || {
        let mut flows: Vec<_> = (0..8).map(|_| pair(Ipv4Addr::LOCALHOST.into())).collect();
        for (client, server, _) in &mut flows {
            let mut reader = server.try_clone().unwrap();
            let mut writer = client.try_clone().unwrap();
            std::thread::spawn(move || while reader.read(&mut [0; 65536]).is_ok_and(|len| len > 0) {});
            std::thread::spawn(move || {
                while writer.write_all(&[7; 30000]).is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let mut device = Device::binary();
        let stack_of = |record: &Record| String::from_utf8(record.get(key::stack).unwrap().to_vec()).unwrap();
        let end = Instant::now() + Duration::from_secs(seconds);
        let (mut compared, mut quiet, mut retransmitted, mut wrong) = (0, 0, 0, Vec::new());
        let (mut stacks, mut srtts) = (std::collections::BTreeSet::new(), Vec::new());
        while Instant::now() < end {
            for (client, _, _) in &flows {
                device.set_filter(&format!("lport {}", client.local_addr().unwrap().port()));
                let before = TcpInfo::of(client);
                let snapshot = device.snapshot();
                let after = TcpInfo::of(client);
                assert_eq!(snapshot.records.len(), 1);
                let record = &snapshot.records[0];
                let stack = stack_of(record);
                let stack = stack.trim_end_matches('\0').to_owned();
                srtts.push(record.get(key::srtt).unwrap());
                compared += 1;
                quiet += u32::from(before == after);
                retransmitted = retransmitted.max(record.get(key::rexmit_packs).unwrap());
                wrong.extend(TcpInfo::differences(&before, &after, record, &stack));
                stacks.insert(stack);
            }
            std::thread::sleep(Duration::from_millis(7));
        }
        srtts.sort_unstable();
        let srtt = srtts[srtts.len() / 2];
        println!(
            "# {compared} records of {stacks:?} compared, {quiet} without changes, at most {retransmitted} \
             retransmissions, median srtt {srtt} us"
        );
        assert!(wrong.is_empty(), "{} differences, first: {}", wrong.len(), wrong[0]);
        assert!(compared > 50 && quiet > 10);
    });
    crate::bytes::all(&mut tap, &Mirror::start(), TRANSFER);
    tap.end()
}
