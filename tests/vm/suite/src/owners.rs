// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The owners of connections, compared with sockstat(1): while nothing happens, and while processes open connections,
//! pass them to each other, fork, run other programs and exit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use tcpstats::{State, key};
use tcpstats_source::Numbered;
use tcpstats_source::owners::{Finder, Owner, Process, Socket};

use crate::connections::pair;
use crate::cost::{allow_files, ns_of_1000_instructions};
use crate::device::Device;
use crate::system::run as run_command;
use crate::tap::Tap;

const WORKERS: u32 = 10;

/// Number of sockets that a worker has open at most.
const FILES_MAX: usize = 40;

/// Number of calls after which a command is known if no process has opened or closed a socket meanwhile.
const COMMAND_CALLS: u32 = 4;

/// Number of measurements, of which the median is used.
const ROUNDS: usize = 9;

/// The processes that have a socket open, with their commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holders(BTreeMap<u32, String>);

/// Returns the holders of each connection as sockstat(1) shows them.
fn sockstat() -> BTreeMap<u64, Holders> {
    let mut found = BTreeMap::<u64, Holders>::new();
    for line in run_command("sockstat -46qniw -P tcp").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        // Half-open connections have no number.
        let Some(gencnt) = words.last().and_then(|word| word.parse().ok()).filter(|_| words.len() == 8) else {
            continue;
        };
        let holders = found.entry(gencnt).or_default();
        if let Ok(pid) = words[2].parse() {
            holders.0.insert(pid, words[1].into());
        }
    }
    found
}

/// Returns the sockets of a new snapshot, without half-open connections.
fn snapshot(device: &mut Device) -> Vec<Socket> {
    let sockets = device.snapshot().records.into_iter().filter_map(|record| {
        let id = Numbered { gencnt: record.get(key::gencnt)?, vnet: record.get(key::vnet) };
        Some(Socket { id, inode: None, jid: record.get(key::jid) })
    });
    sockets.collect()
}

/// Returns whether an owner is that which sockstat(1) shows.
fn agrees(owner: &Owner, holders: &Holders, with_command: bool) -> bool {
    match (&owner.process, holders.0.first_key_value()) {
        (None, None) => true,
        (Some(Process { pid, command, processes }), Some((lowest, name))) => {
            let command = String::from_utf8_lossy(command);
            let command = command.trim_end_matches('\0');
            // sockstat(1) prints at most 10 characters.
            let is_command = !with_command || command.get(..10).unwrap_or(command) == name;
            pid == lowest && is_command && *processes as usize == holders.0.len()
        }
        _ => false,
    }
}

/// The numbers of comparisons with sockstat(1).
#[derive(Debug, Default)]
struct Counts {
    equal: usize,
    absent: usize,
    wrong: usize,
}

/// Takes a snapshot after a run of sockstat(1), runs it again, and compares the sockets whose holders are the same in
/// both.
fn compare(
    before: &BTreeMap<u64, Holders>,
    device: &mut Device,
    finder: &mut Finder,
    with_commands: bool,
    counts: &mut Counts,
) {
    let sockets = snapshot(device);
    let owners = finder.find(&sockets).unwrap();
    let after = sockstat();
    for (socket, owner) in sockets.iter().zip(owners.iter()) {
        let shown = before.get(&socket.id.gencnt);
        let Some(holders) = shown.filter(|_| shown == after.get(&socket.id.gencnt)) else {
            continue;
        };
        match &**owner {
            _ if agrees(owner, holders, with_commands) => counts.equal += 1,
            Owner { process: None, .. } => counts.absent += 1,
            _ => {
                counts.wrong += 1;
                println!("# {}: found {:?}, sockstat shows {holders:?}", socket.id.gencnt, owner.process);
            }
        }
    }
}

/// Checks that every socket has the owner that sockstat(1) shows, and returns the owners.
fn all_agree(device: &mut Device, finder: &mut Finder) -> BTreeMap<u64, Owner> {
    let mut counts = Counts::default();
    compare(&sockstat(), device, finder, true, &mut counts);
    assert!(counts.absent == 0 && counts.wrong == 0 && counts.equal > 0, "{counts:?}");
    let sockets = snapshot(device);
    let owners = finder.find(&sockets).unwrap();
    sockets.iter().map(|socket| socket.id.gencnt).zip(owners.iter().map(|owner| (**owner).clone())).collect()
}

fn gencnt_of(device: &mut Device, local: SocketAddr, foreign: SocketAddr) -> u64 {
    let records = device.snapshot().records;
    let is_it = |record: &&tcpstats::Record| {
        record.get(key::lport) == Some(local.port()) && record.get(key::fport) == Some(foreign.port())
    };
    records.iter().find(is_it).and_then(|record| record.get(key::gencnt)).expect("the connection is in the snapshot")
}

/// Runs `child` in a new process, which then exits.
fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this program has one thread here, so the child can do whatever the parent can.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", io::Error::last_os_error()),
        0 => {
            child();
            // SAFETY: exits without running handlers that belong to the parent.
            unsafe { libc::_exit(0) }
        }
        pid => pid,
    }
}

/// A child process that is killed when this is dropped.
struct Child(libc::pid_t);

impl Child {
    fn start(child: impl FnOnce()) -> Self {
        Self(fork(child))
    }

    fn id(&self) -> u32 {
        self.0.cast_unsigned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the process is a child that was not reaped yet, so its ID is not reused.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

fn sleep_forever() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Replaces this process by sleep(1), which inherits the files.
fn run_sleep(seconds: &std::ffi::CStr) {
    let arguments = [c"sleep".as_ptr(), seconds.as_ptr(), std::ptr::null()];
    // SAFETY: the path and the arguments end with zero bytes, and the list with a null pointer.
    unsafe { libc::execv(c"/bin/sleep".as_ptr(), arguments.as_ptr()) };
}

/// Lets programs that are executed inherit a file.
fn inherit(file: RawFd) {
    // SAFETY: the call only changes a flag.
    unsafe { libc::fcntl(file, libc::F_SETFD, 0) };
}

/// A socket over which processes pass files to whichever of them receives first.
struct Pool {
    sender: OwnedFd,
    receiver: OwnedFd,
}

/// A control message with one file, aligned as the kernel requires.
#[repr(C, align(8))]
struct Control([u8; 64]);

impl Pool {
    fn new() -> Self {
        let mut ends = [0; 2];
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
        // SAFETY: the array has room for both descriptors.
        let result = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        // SAFETY: the descriptors are new, and nothing else owns them.
        let [sender, receiver] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        Self { sender, receiver }
    }

    /// Calls `transfer` with a message of one byte and a control message for one file.
    fn with_message<R>(transfer: impl FnOnce(&mut libc::msghdr) -> R) -> R {
        let (mut byte, mut control) = ([0_u8], Control([0; 64]));
        let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        // SAFETY: zeros are a valid msghdr; its pointers are to memory of the length given, which outlives the call.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the macro only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(4) };
        transfer(&mut message)
    }

    /// Returns whether the file was sent: the pool may be full.
    fn send(&self, file: RawFd) -> bool {
        Self::with_message(|message| {
            // SAFETY: the control buffer is aligned and has room for the header and one descriptor.
            unsafe {
                let header = libc::CMSG_FIRSTHDR(message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(4);
                libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(file);
                libc::sendmsg(self.sender.as_raw_fd(), message, 0) == 1
            }
        })
    }

    fn receive(&self) -> Option<OwnedFd> {
        Self::with_message(|message| {
            // SAFETY: as above; a received descriptor is new, and nothing else owns it.
            unsafe {
                if libc::recvmsg(self.receiver.as_raw_fd(), message, 0) != 1 {
                    return None;
                }
                let header = libc::CMSG_FIRSTHDR(message);
                let has_file = !header.is_null() && (*header).cmsg_len == libc::CMSG_LEN(4);
                has_file.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
            }
        })
    }
}

fn known_cases(tap: &mut Tap) {
    let mut device = Device::binary();
    let mut finder = Finder::open().unwrap();
    let own = std::process::id();
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        tap.test(&format!("a process owns its connections to {address}"), || {
            let (client, server, listener) = pair(address);
            let found = all_agree(&mut device, &mut finder);
            for (local, foreign) in [
                (client.local_addr().unwrap(), client.peer_addr().unwrap()),
                (server.local_addr().unwrap(), server.peer_addr().unwrap()),
                (listener.local_addr().unwrap(), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            ] {
                let process = found[&gencnt_of(&mut device, local, foreign)].process.clone().unwrap();
                assert_eq!((process.pid, process.processes), (own, 1));
                assert!(process.command.starts_with(b"vmsuite\0"), "{process:?}");
            }
        });
    }
    tap.test("a connection that is not accepted has no owner, and then that which accepts it", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = (client.peer_addr().unwrap(), client.local_addr().unwrap());
        let gencnt = gencnt_of(&mut device, ends.0, ends.1);
        assert_eq!(all_agree(&mut device, &mut finder)[&gencnt], Owner::default());
        let _server = listener.accept().unwrap();
        assert_eq!(all_agree(&mut device, &mut finder)[&gencnt].process.as_ref().unwrap().pid, own);
    });
    tap.test("a connection that was closed has no owner", || {
        let (client, server, _listener) = pair(Ipv4Addr::LOCALHOST.into());
        let gencnt = gencnt_of(&mut device, client.local_addr().unwrap(), client.peer_addr().unwrap());
        assert!(all_agree(&mut device, &mut finder)[&gencnt].process.is_some());
        drop(client);
        assert_eq!(all_agree(&mut device, &mut finder)[&gencnt], Owner::default());
        drop(server);
        all_agree(&mut device, &mut finder);
    });
    tap.test("a child that inherits a connection and runs another program becomes its owner", || {
        let (client, _server, _listener) = pair(Ipv4Addr::LOCALHOST.into());
        let gencnt = gencnt_of(&mut device, client.local_addr().unwrap(), client.peer_addr().unwrap());
        inherit(client.as_raw_fd());
        let child = Child::start(|| run_sleep(c"100"));
        std::thread::sleep(Duration::from_millis(500));
        let of = |owner: &Owner| owner.process.clone().map(|process| (process.pid, process.processes));
        assert_eq!(of(&all_agree(&mut device, &mut finder)[&gencnt]), Some((own, 2)));
        drop(client);
        let found = all_agree(&mut device, &mut finder);
        assert_eq!(of(&found[&gencnt]), Some((child.id(), 1)));
        assert!(found[&gencnt].process.as_ref().unwrap().command.starts_with(b"sleep\0"));
        drop(child);
        let gone = all_agree(&mut device, &mut finder).get(&gencnt).cloned();
        assert!(gone.is_none_or(|owner| owner == Owner::default()));
    });
}

fn processes_that_receive(tap: &mut Tap) {
    let mut device = Device::binary();
    let mut finder = Finder::open().unwrap();
    let own = std::process::id();
    tap.test("a process that receives a connection becomes its owner, also if other sockets were created", || {
        for creates in [false, true] {
            let pool = Pool::new();
            let receiver = Child::start(|| {
                loop {
                    std::mem::forget(pool.receive());
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let (client, _server, _listener) = pair(Ipv4Addr::LOCALHOST.into());
            let gencnt = gencnt_of(&mut device, client.local_addr().unwrap(), client.peer_addr().unwrap());
            assert_eq!(all_agree(&mut device, &mut finder)[&gencnt].process.as_ref().unwrap().pid, own);
            assert!(pool.send(client.as_raw_fd()));
            drop(client);
            let _other = creates.then(|| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            std::thread::sleep(Duration::from_millis(500));
            let found = all_agree(&mut device, &mut finder);
            assert_eq!(found[&gencnt].process.as_ref().unwrap().pid, receiver.id(), "created: {creates}");
        }
    });
    tap.test("the socket of a connection that was created in a process that exited has its child as owner", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pool = Pool::new();
        let creator = Child::start(|| {
            let client = TcpStream::connect(address).unwrap();
            fork(|| {
                pool.send(client.as_raw_fd());
                std::thread::sleep(Duration::from_secs(3));
            });
        });
        let (server, client) = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let gencnt = gencnt_of(&mut device, client, server.local_addr().unwrap());
        let process = all_agree(&mut device, &mut finder)[&gencnt].process.clone().unwrap();
        assert!(process.pid != creator.id() && process.pid != own && process.processes == 1, "{process:?}");
    });
    tap.test("connections in a jail have its name", || {
        run_command("jail -c name=inner persist path=/ ip4=inherit ip6=inherit");
        let in_jail = Child::start(|| {
            let attached = std::process::Command::new("jls").args(["-j", "inner", "jid"]).output().unwrap().stdout;
            let jid: i32 = String::from_utf8(attached).unwrap().trim().parse().unwrap();
            // SAFETY: the call only takes a number.
            assert_eq!(unsafe { jail_attach(jid) }, 0, "{}", io::Error::last_os_error());
            let _listener = TcpListener::bind("127.0.0.1:7099").unwrap();
            sleep_forever();
        });
        std::thread::sleep(Duration::from_secs(1));
        let mut names = Vec::new();
        // The jail was created after the finder.
        for _ in 0..2 {
            let found = all_agree(&mut device, &mut finder);
            let listener = device.snapshot().records.into_iter().find(|record| record.get(key::lport) == Some(7099));
            let owner = found[&listener.unwrap().get(key::gencnt).unwrap()].clone();
            assert_eq!(owner.process.unwrap().pid, in_jail.id());
            names.push(owner.jail);
        }
        run_command("jail -r inner");
        assert_eq!(names.last().unwrap(), &Some(tcpstats::name(b"inner")));
    });
}

unsafe extern "C" {
    fn jail_attach(jid: i32) -> i32;
}

/// A pseudo-random number generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Does random things with sockets until it is killed.
fn work(seed: u64, listener: &TcpListener, pool: &Pool) {
    let address = listener.local_addr().unwrap();
    let mut random = Random(seed);
    let mut files: Vec<OwnedFd> = Vec::new();
    // SAFETY: children that exit do not become zombies.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    loop {
        std::thread::sleep(Duration::from_millis(20 + random.below(100) as u64));
        let at = random.below(files.len().max(1));
        match random.below(16) {
            0..=4 if files.len() < FILES_MAX => {
                let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { continue };
                inherit(client.as_raw_fd());
                files.push(client.into());
            }
            5..=8 => {
                if let Ok((server, _)) = listener.accept() {
                    inherit(server.as_raw_fd());
                    files.push(server.into());
                }
            }
            9 if !files.is_empty() => drop(files.swap_remove(at)),
            10 | 11 if !files.is_empty() => {
                let file = files.swap_remove(at);
                if !pool.send(file.as_raw_fd()) || random.below(2) == 0 {
                    files.push(file);
                }
            }
            12 => files.extend(pool.receive()),
            13 if random.below(4) == 0 => {
                fork(|| std::thread::sleep(Duration::from_secs(3)));
            }
            14 if random.below(4) == 0 => {
                fork(|| run_sleep(c"3"));
            }
            // The child continues the work.
            15 if random.below(4) == 0 => {
                let mut is_child = false;
                fork_into(&mut is_child);
                if !is_child {
                    return;
                }
                random.0 = random.0.wrapping_mul(6_364_136_223_846_793_005) | 1;
            }
            _ => (),
        }
    }
}

/// Forks; both processes return.
fn fork_into(is_child: &mut bool) {
    // SAFETY: as in `fork`.
    *is_child = unsafe { libc::fork() } == 0;
}

fn exchange(tap: &mut Tap, seconds: u64) {
    tap.test(
        &format!("no owner is wrong and 99.9 % are found for {seconds} s while processes exchange sockets"),
        || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let pool = Pool::new();
            // One process group, which also has the descendants.
            let leader = Child::start(|| {
                // SAFETY: the calls only change the process group and the handling of a signal.
                unsafe {
                    libc::setpgid(0, 0);
                    libc::signal(libc::SIGCHLD, libc::SIG_IGN);
                }
                for worker in 0..WORKERS {
                    fork(|| work(0x9e37_79b9_7f4a_7c15 * u64::from(worker + 1), &listener, &pool));
                }
                sleep_forever();
            });
            let (mut device, mut finder) = (Device::binary(), Finder::open().unwrap());
            let (mut counts, mut rounds, mut processes) = (Counts::default(), 0, BTreeSet::new());
            // SAFETY: the group is that of the child, which was not reaped yet.
            let signal = |signal| unsafe { libc::kill(-leader.0, signal) };
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < end {
                for _ in 0..5 {
                    finder.find(&snapshot(&mut device)).unwrap();
                    std::thread::sleep(Duration::from_millis(100));
                }
                // The results of sockstat(1) are only comparable while nothing happens.
                signal(libc::SIGSTOP);
                std::thread::sleep(Duration::from_millis(100));
                let before = sockstat();
                processes.extend(before.values().flat_map(|holders| holders.0.keys().copied()));
                compare(&before, &mut device, &mut finder, false, &mut counts);
                for _ in 0..COMMAND_CALLS {
                    finder.find(&snapshot(&mut device)).unwrap();
                }
                compare(&before, &mut device, &mut finder, true, &mut counts);
                signal(libc::SIGCONT);
                rounds += 1;
            }
            signal(libc::SIGKILL);
            println!(
                "# {} owners equal, {} absent, {} wrong, in {rounds} rounds with {} processes",
                counts.equal,
                counts.absent,
                counts.wrong,
                processes.len()
            );
            assert!(counts.equal > 100 && counts.wrong == 0 && counts.absent * 1000 <= counts.equal, "{counts:?}");
        },
    );
}

/// Runs the tests.
pub fn run(seconds: u64) -> bool {
    std::panic::set_hook(Box::new(|what| println!("# {what}")));
    let mut tap = Tap::default();
    known_cases(&mut tap);
    processes_that_receive(&mut tap);
    exchange(&mut tap, seconds);
    tap.end()
}

fn median_ns(mut call: impl FnMut()) -> u64 {
    let once = |_| {
        let start = Instant::now();
        call();
        u64::try_from(start.elapsed().as_nanos()).unwrap()
    };
    let mut times: Vec<_> = (0..ROUNDS).map(once).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn read_sysctl(name: &std::ffi::CStr, buffer: &mut [u8], size: usize) -> usize {
    let mut len = size.min(buffer.len());
    // SAFETY: the kernel writes at most `len` bytes.
    unsafe { libc::sysctlbyname(name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut len, std::ptr::null(), 0) };
    len
}

/// Prints what finding the owners of `count` connections of 50 processes costs.
pub fn cost(count: u64) -> bool {
    const PROCESSES: u64 = 50;
    println!("# 1000 instructions take {} ns", ns_of_1000_instructions());
    allow_files(count + 10_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let open = || {
        let client = TcpStream::connect(address).unwrap();
        (client, listener.accept().unwrap().0)
    };
    let _children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Child::start(|| {
                let _files: Vec<_> = (0..count / 2 / PROCESSES).map(|_| open()).collect();
                sleep_forever();
            })
        })
        .collect();
    let mut device = Device::binary();
    let established = |device: &mut Device| {
        device.snapshot().records.iter().filter(|record| record.get(key::state) == Some(State::ESTABLISHED)).count()
    };
    while (established(&mut device) as u64) < count / 2 / PROCESSES * PROCESSES * 2 {
        std::thread::sleep(Duration::from_secs(1));
    }
    let mut finder = Finder::open().unwrap();
    let mut buffer = vec![0; 64 << 20];
    let sockets = snapshot(&mut device);
    println!("# {} connections of {PROCESSES} processes, median of {ROUNDS}", sockets.len());
    let sample = median_ns(|| assert!(!device.read_all(1 << 20).unwrap().is_empty()));
    #[allow(clippy::cast_precision_loss, reason = "there are no 2^52 connections")]
    let report = |what: &str, ns: u64| {
        println!(
            "{what:44}{:>9.1} ns per connection{:>8.3} samples",
            ns as f64 / count as f64,
            ns as f64 / sample as f64
        );
    };
    report("a sample", sample);
    let first = Instant::now();
    let owned = finder.find(&sockets).unwrap().iter().filter(|owner| owner.process.is_some()).count() as u64;
    report("the first call", u64::try_from(first.elapsed().as_nanos()).unwrap());
    assert!(owned >= count / 2 / PROCESSES * PROCESSES * 2, "{owned}");
    report("a call in which nothing has changed", median_ns(|| drop(finder.find(&sockets).unwrap())));
    let mut files = Vec::new();
    report(
        "a call after a file was opened",
        median_ns(|| {
            files.push(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            drop(finder.find(&sockets).unwrap());
        }),
    );
    let mut pairs = Vec::new();
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        pairs.extend((0..count / 200).map(|_| open()));
        let sockets = snapshot(&mut device);
        let start = Instant::now();
        drop(finder.find(&sockets).unwrap());
        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap());
    }
    times.sort_unstable();
    report("a call with 1 % new connections", times[ROUNDS / 2]);
    let mut all = |name: &std::ffi::CStr, size: usize| median_ns(|| assert!(read_sysctl(name, &mut buffer, size) > 0));
    let room = usize::try_from(count).unwrap() + 1000;
    report("sysctl kern.file", all(c"kern.file", room * 128));
    report("sysctl net.inet.tcp.pcblist", all(c"net.inet.tcp.pcblist", room * 744));
    report("sysctl net.inet.tcp.pcblist, its header", all(c"net.inet.tcp.pcblist", 64));
    true
}
