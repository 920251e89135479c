// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Connections in every state that one machine can create.

use std::ffi::CString;
use std::io::{Error, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use tcpstats::State;

use crate::system::run;

/// An address at which nobody answers: see [`nowhere`].
pub const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A socket and what the device must report about it.
pub struct Expected {
    pub what: String,
    pub state: State,
    pub local: SocketAddr,
    pub foreign: SocketAddr,
    /// The socket, or `None` if the application has closed it.
    pub socket: Option<Box<dyn AsRawFd>>,
}

/// This machine's address in the same network.
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// Creates a network in which nobody answers: an epair(4) whose other end
/// discards all packets.  Also makes local connections stay in TIME_WAIT as
/// long as remote ones.
pub fn nowhere() {
    run("ifconfig epair9a >/dev/null 2>&1 || { kldload -n if_epair && ifconfig epair9 create; }");
    run(&format!("ifconfig epair9a inet {HERE}/24 up && ifconfig epair9b up"));
    run("sysctl net.inet.tcp.msl_local=30000 || sysctl net.inet.tcp.nolocaltimewait=0");
    run(&format!("sysctl net.inet6.ip6.dad_count=0; ifconfig lo0 inet6 {LINK_LOCAL}%lo0/64"));
    run(&format!("arp -s {NOWHERE} 02:00:00:00:00:01"));
}

/// A link-local address of the loopback interface.
pub const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Returns the index of a network interface.
pub fn index_of(interface: &str) -> u32 {
    let name = CString::new(interface).unwrap();
    // SAFETY: the name is a string with a terminating zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "{interface}");
    index
}

/// Returns both ends of a connection over a loopback address, and its listener.
pub fn pair(address: IpAddr) -> (TcpStream, TcpStream, TcpListener) {
    pair_at(SocketAddr::new(address, 0))
}

/// Returns the same as [`pair`] for an address that may have a zone.
pub fn pair_at(address: SocketAddr) -> (TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server, listener)
}

fn expected(what: &str, state: State, socket: TcpStream) -> Expected {
    let (local, foreign) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
    Expected { what: what.into(), state, local, foreign, socket: Some(Box::new(socket)) }
}

fn settle() {
    std::thread::sleep(Duration::from_millis(100));
}

/// Opens one connection of each kind.
pub fn every_state() -> Vec<Expected> {
    nowhere();
    let mut all = Vec::new();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let name = |what: &str| format!("{family} {what}");

        let (mut client, server, listener) = pair(address);
        client.write_all(&[7; 5000]).unwrap();
        let nobody = SocketAddr::new(
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() },
            0,
        );
        let local = listener.local_addr().unwrap();
        all.push(Expected {
            what: name("listener"),
            state: State::LISTEN,
            local,
            foreign: nobody,
            socket: Some(Box::new(listener)),
        });
        all.push(expected(&name("client"), State::ESTABLISHED, client));
        all.push(expected(&name("server with data waiting"), State::ESTABLISHED, server));

        let (client, server, _) = pair(address);
        client.shutdown(Shutdown::Write).unwrap();
        settle();
        all.push(expected(&name("half closed here"), State::FIN_WAIT_2, client));
        all.push(expected(&name("half closed there"), State::CLOSE_WAIT, server));

        let (client, server, _) = pair(address);
        let (local, foreign) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        client.shutdown(Shutdown::Write).unwrap();
        settle();
        drop(server);
        settle();
        drop(client);
        all.push(Expected { what: name("in TIME_WAIT"), state: State::TIME_WAIT, local, foreign, socket: None });
    }

    // Addresses with a zone.
    let (client, server, _) = pair_at(SocketAddrV6::new(LINK_LOCAL, 0, 0, index_of("lo0")).into());
    all.push(expected("link-local client", State::ESTABLISHED, client));
    all.push(expected("link-local server", State::ESTABLISHED, server));

    // An IPv4 connection of an IPv6 socket.
    let listener = dual_stack_listener();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (server, _) = listener.accept().unwrap();
    let (local, foreign) = (client.peer_addr().unwrap(), client.local_addr().unwrap());
    all.push(expected("client of a dual-stack server", State::ESTABLISHED, client));
    all.push(Expected {
        what: "dual-stack server".into(),
        state: State::ESTABLISHED,
        local,
        foreign,
        socket: Some(Box::new(server)),
    });

    let (socket, local) = connecting(SocketAddr::new(NOWHERE.into(), 9));
    let foreign = SocketAddr::new(NOWHERE.into(), 9);
    all.push(Expected {
        what: "without an answer".into(),
        state: State::SYN_SENT,
        local,
        foreign,
        socket: Some(Box::new(socket)),
    });

    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let local = listener.local_addr().unwrap();
    let foreign = SocketAddr::new(NOWHERE.into(), 4321);
    send_syn(4321, local.port());
    settle();
    all.push(Expected { what: "in the SYN cache".into(), state: State::SYN_RCVD, local, foreign, socket: None });
    let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    all.push(Expected {
        what: "listener of a SYN".into(),
        state: State::LISTEN,
        local,
        foreign: nobody,
        socket: Some(Box::new(listener)),
    });
    all
}

fn check(result: i32, what: &str) -> i32 {
    assert_ne!(result, -1, "{what}: {}", Error::last_os_error());
    result
}

/// Returns a `sockaddr_in`.
fn sockaddr_in(address: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_len: 16,
        sin_family: libc::AF_INET as u8,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    }
}

/// Returns a socket whose SYN is not answered, and its own address.
pub fn connecting(to: SocketAddr) -> (TcpStream, SocketAddr) {
    let (stream, _) = bound();
    start_connecting(&stream, to);
    let local = stream.local_addr().unwrap();
    (stream, local)
}

/// Returns a non-blocking socket that is neither bound nor connected.
pub fn unbound(family: i32) -> TcpStream {
    // SAFETY: a plain system call returns a descriptor that nobody else owns.
    unsafe {
        let socket = check(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0), "socket");
        TcpStream::from_raw_fd(socket)
    }
}

/// Returns a bound but unconnected IPv4 socket, and its port.
pub fn bound() -> (TcpStream, u16) {
    let socket = unbound(libc::AF_INET);
    // SAFETY: a plain system call with a structure of the given size.
    unsafe {
        let any = sockaddr_in(Ipv4Addr::UNSPECIFIED, 0);
        check(libc::bind(socket.as_raw_fd(), (&raw const any).cast(), 16), "bind");
    }
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Starts to connect a non-blocking socket.
pub fn start_connecting(socket: &TcpStream, to: SocketAddr) {
    // SAFETY: plain system calls with structures of the given sizes.
    let result = unsafe {
        match to {
            SocketAddr::V4(to) => {
                let to = sockaddr_in(*to.ip(), to.port());
                libc::connect(socket.as_raw_fd(), (&raw const to).cast(), 16)
            }
            SocketAddr::V6(to) => {
                let mut address: libc::sockaddr_in6 = std::mem::zeroed();
                address.sin6_len = 28;
                address.sin6_family = libc::AF_INET6 as u8;
                address.sin6_port = to.port().to_be();
                address.sin6_addr.s6_addr = to.ip().octets();
                address.sin6_scope_id = to.scope_id();
                libc::connect(socket.as_raw_fd(), (&raw const address).cast(), 28)
            }
        }
    };
    assert_eq!((result, Error::last_os_error().raw_os_error()), (-1, Some(libc::EINPROGRESS)));
}

/// Closes a connection with RST.
pub fn reset(socket: TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of::<libc::linger>() as u32;
    // SAFETY: the option is a structure of the given size.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const at_once).cast(), len)
    };
    check(result, "SO_LINGER");
}

/// Returns a listener for both families.
fn dual_stack_listener() -> TcpListener {
    // SAFETY: plain system calls with structures of the given sizes.
    unsafe {
        let socket = check(libc::socket(libc::AF_INET6, libc::SOCK_STREAM, 0), "socket");
        let off = 0_i32;
        check(
            libc::setsockopt(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, (&raw const off).cast(), 4),
            "IPV6_V6ONLY",
        );
        let mut address: libc::sockaddr_in6 = std::mem::zeroed();
        address.sin6_len = 28;
        address.sin6_family = libc::AF_INET6 as u8;
        check(libc::bind(socket, (&raw const address).cast(), 28), "bind");
        check(libc::listen(socket, 5), "listen");
        TcpListener::from_raw_fd(socket)
    }
}

/// Sends a SYN from an address that will not answer the SYN|ACK.
fn send_syn(from_port: u16, to_port: u16) {
    let (from, to) = (NOWHERE, HERE);
    let mut packet = [0_u8; 40];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&40_u16.to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet[20..22].copy_from_slice(&from_port.to_be_bytes());
    packet[22..24].copy_from_slice(&to_port.to_be_bytes());
    packet[24..28].copy_from_slice(&7777_u32.to_be_bytes());
    packet[32] = 5 << 4;
    packet[33] = 2;
    packet[34..36].copy_from_slice(&8192_u16.to_be_bytes());
    // RFC 9293, section 3.1: the checksum covers the pseudo-header and the segment.
    let words = packet[12..40].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + 6 + 20;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    // SAFETY: plain system calls with structures of the given sizes.
    unsafe {
        let socket: RawFd = check(libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW), "raw socket");
        let socket = OwnedFd::from_raw_fd(socket);
        let on = 1_i32;
        check(
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_HDRINCL, (&raw const on).cast(), 4),
            "IP_HDRINCL",
        );
        let address = sockaddr_in(to, 0);
        let sent = libc::sendto(socket.as_raw_fd(), packet.as_ptr().cast(), 40, 0, (&raw const address).cast(), 16);
        assert_eq!(sent, 40, "sendto: {}", Error::last_os_error());
    }
}
