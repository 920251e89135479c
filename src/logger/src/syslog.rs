// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Sends records and messages to a syslog daemon.
//!
//! The syslog crate connects and formats.  This module reconnects, separates
//! messages over TCP by line breaks (RFC 6587, 3.4.2), and detects that the peer
//! has closed the connection.
//!
//! Over the network the format is that of RFC 5424.  On the local socket it is
//! the format of the system's own syslog(3), which every daemon understands: RFC
//! 5424 on FreeBSD, and the traditional format on Linux, where journald, and
//! rsyslogd with Debian's configuration, would mistake the version of RFC 5424
//! for the name of the program.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::sys::socket::{MsgFlags, recv};
use syslog::{Facility, Formatter3164, Formatter5424, LogFormat, LoggerBackend, Severity};
use tcpstats_source::system::System;
use tcpstats_source::system_error;

const PROCESS: &str = "siftr_cdev_logger";

/// Time between two attempts to connect to a daemon.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Maximum time to connect.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The target of `-l`.
#[derive(Clone)]
pub struct Target {
    /// The argument of `-l`.
    pub text: String,
    facility: Facility,
    severity: Severity,
    transport: Transport,
}

/// How to reach the daemon.
#[derive(Clone)]
enum Transport {
    Local,
    Udp(String, u16),
    Tcp(String, u16),
}

/// The default port, from RFC 5426.
const PORT: u16 = 514;

impl Target {
    /// Parses `facility[.level][@host[:port]]`.  Two `@` select TCP.
    ///
    /// # Errors
    /// Returns an error that describes the invalid part.
    pub fn parse(text: &str) -> Result<Self> {
        let (what, server) = text.split_once('@').map_or((text, None), |(what, server)| (what, Some(server)));
        let (facility, level) = what.split_once('.').unwrap_or((what, "info"));
        let facility = facility.parse().map_err(|()| {
            anyhow!("-l \"{text}\": unknown facility \"{facility}\"; expected a name such as daemon or local0")
        })?;
        let severity = severity(level).ok_or_else(|| {
            anyhow!(
                "-l \"{text}\": unknown level \"{level}\"; \
                 expected emerg, alert, crit, err, warning, notice, info or debug"
            )
        })?;
        let transport = match server.map(|server| (server.strip_prefix('@'), server)) {
            None => Some(Transport::Local),
            Some((Some(server), _)) => host_and_port(server).map(|(host, port)| Transport::Tcp(host, port)),
            Some((None, server)) => host_and_port(server).map(|(host, port)| Transport::Udp(host, port)),
        };
        let transport = transport.ok_or_else(|| {
            anyhow!(
                "-l \"{text}\": expected @host:port for UDP or @@host:port for TCP, with an IPv6 address in brackets"
            )
        })?;
        Ok(Self { text: text.into(), facility, severity, transport })
    }

    /// Returns the addresses of the host, none for the local daemon.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.transport {
            Transport::Local => Ok(Vec::new()),
            Transport::Udp(host, port) | Transport::Tcp(host, port) => {
                Ok((host.as_str(), *port).to_socket_addrs()?.collect())
            }
        }
    }

    /// Returns the TCP port of the daemon, `None` for other transports.
    pub fn tcp_port(&self) -> Option<u16> {
        match self.transport {
            Transport::Tcp(_, port) => Some(port),
            Transport::Local | Transport::Udp(..) => None,
        }
    }
}

fn severity(level: &str) -> Option<Severity> {
    Some(match level {
        "emerg" => Severity::LOG_EMERG,
        "alert" => Severity::LOG_ALERT,
        "crit" => Severity::LOG_CRIT,
        "err" => Severity::LOG_ERR,
        "warning" => Severity::LOG_WARNING,
        "notice" => Severity::LOG_NOTICE,
        "info" => Severity::LOG_INFO,
        "debug" => Severity::LOG_DEBUG,
        _ => return None,
    })
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    let plain = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@');
    plain.then(|| (host.to_owned(), port))
}

/// Sends messages to one target, and reconnects if necessary.
struct Messages {
    target: Target,
    /// Looked up once, because the sandbox does not allow looking up names.
    addresses: Vec<SocketAddr>,
    backend: Option<LoggerBackend>,
    hostname: String,
    message: Vec<u8>,
}

impl Messages {
    fn new(target: Target, addresses: Vec<SocketAddr>) -> Self {
        Self { target, addresses, backend: None, hostname: System::this().host, message: Vec::new() }
    }

    fn connect(&self) -> io::Result<LoggerBackend> {
        let no_address = || io::Error::other("the host has no address");
        match self.target.transport {
            Transport::Local => Ok(syslog::unix(()).map_err(cause)?.backend),
            Transport::Udp(..) => {
                let server = *self.addresses.first().ok_or_else(no_address)?;
                let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                Ok(LoggerBackend::Udp(UdpSocket::bind(SocketAddr::new(any, 0))?, server))
            }
            Transport::Tcp(..) => {
                let mut last = no_address();
                for address in &self.addresses {
                    match TcpStream::connect_timeout(address, CONNECT_MAX) {
                        Ok(stream) => return Ok(LoggerBackend::Tcp(BufWriter::new(stream))),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// Sends a message.  After an error the next message reconnects.
    fn send(&mut self, severity: Severity, text: &str) -> io::Result<()> {
        self.format(severity, text)?;
        let mut backend = match self.backend.take() {
            Some(backend) => backend,
            None => self.connect()?,
        };
        backend.write_all(&self.message)?;
        self.backend = Some(backend);
        Ok(())
    }

    fn format(&mut self, severity: Severity, text: &str) -> io::Result<()> {
        self.message.clear();
        let (facility, process, pid) = (self.target.facility, PROCESS.to_owned(), std::process::id());
        let traditional = matches!(self.target.transport, Transport::Local) && cfg!(target_os = "linux");
        let formatted = if traditional {
            Formatter3164 { facility, hostname: None, process, pid }.format(&mut self.message, severity, text)
        } else {
            let hostname = Some(self.hostname.clone());
            Formatter5424 { facility, hostname, process, pid }.format(
                &mut self.message,
                severity,
                (1, BTreeMap::new(), text),
            )
        };
        formatted.map_err(cause)?;
        if matches!(self.target.transport, Transport::Tcp(..)) {
            self.message.push(b'\n');
        }
        Ok(())
    }

    /// Drops a connection that the peer has closed: what is written to it would
    /// be lost without an error.
    fn drop_closed_connection(&mut self) {
        if let Some(LoggerBackend::Tcp(stream)) = &self.backend {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            match recv(stream.get_ref().as_raw_fd(), &mut [0], flags) {
                Ok(1..) | Err(nix::Error::EAGAIN) => (),
                Ok(0) | Err(_) => self.backend = None,
            }
        }
    }
}

/// Returns the error of the system that an error of the crate wraps.
fn cause(error: syslog::Error) -> io::Error {
    match error {
        syslog::Error::Io(error) | syslog::Error::Write(error) => error,
        syslog::Error::Initialization(error) => {
            error.downcast::<syslog::Error>().map_or_else(io::Error::other, |inner| cause(*inner))
        }
    }
}

/// A log in syslog, with one message for each line.
pub struct Records {
    messages: Messages,
}

impl Records {
    /// Connects to the target.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn open(target: &Target) -> Result<Self> {
        let open = || -> io::Result<Self> {
            let mut messages = Messages::new(target.clone(), target.addresses()?);
            messages.backend = Some(messages.connect()?);
            Ok(Self { messages })
        };
        open().with_context(|| match target.transport {
            // The crate tries all of them, and returns one of the errors.
            Transport::Local => format!(
                "syslog {0}: no syslog daemon on /dev/log, /var/run/syslog or /var/run/log \
                 (start one, or name a host with -l {0}@HOST)",
                target.text
            ),
            Transport::Udp(..) | Transport::Tcp(..) => format!("syslog {}", target.text),
        })
    }

    /// Sends every line, and retries while the daemon cannot be reached.
    ///
    /// # Errors
    /// Returns an error only for a line that is too long for a message.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.messages.drop_closed_connection();
        for line in std::str::from_utf8(lines).map_err(io::Error::other)?.lines() {
            let mut is_retry = false;
            while let Err(error) = self.messages.send(self.messages.target.severity, line) {
                if error.raw_os_error() == Some(libc::EMSGSIZE) {
                    return Err(error);
                }
                if !is_retry {
                    log::warn!("syslog {}: {}; retrying", self.name(), system_error(&error));
                    is_retry = true;
                }
                sleep(RETRY_AFTER);
            }
            if is_retry {
                log::warn!("syslog {}: reconnected", self.name());
            }
        }
        Ok(())
    }

    /// Returns the argument of `-l`.
    pub fn name(&self) -> &str {
        &self.messages.target.text
    }

    /// Makes the next line reconnect.
    pub fn reconnect(&mut self) {
        self.messages.backend = None;
    }
}

/// Sends the logger's own messages to the local syslog daemon.
pub struct Diagnostics {
    messages: Messages,
}

impl Diagnostics {
    /// Connects.  If that fails, every message tries again.
    pub fn connect() -> Self {
        let target = Target {
            text: "daemon".into(),
            facility: Facility::LOG_DAEMON,
            severity: Severity::LOG_INFO,
            transport: Transport::Local,
        };
        let mut messages = Messages::new(target, Vec::new());
        messages.backend = connect_nonblocking(&messages);
        Self { messages }
    }

    /// Sends a message, over a new connection if necessary.  A message that
    /// cannot be sent is lost, because the logger must not wait for syslog.
    pub fn send(&mut self, severity: Severity, text: &str) {
        let messages = &mut self.messages;
        for _ in 0..2 {
            if messages.backend.is_none() {
                messages.backend = connect_nonblocking(messages);
            }
            if messages.backend.is_some() && messages.send(severity, text).is_ok() {
                return;
            }
        }
    }
}

/// Returns a connection on which sending does not block.
fn connect_nonblocking(messages: &Messages) -> Option<LoggerBackend> {
    messages.connect().ok().filter(|backend| match backend {
        LoggerBackend::Unix(socket) => socket.set_nonblocking(true).is_ok(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Option<(String, u16, bool)> {
        match Target::parse(text).ok()?.transport {
            Transport::Local => None,
            Transport::Udp(host, port) => Some((host, port, false)),
            Transport::Tcp(host, port) => Some((host, port, true)),
        }
    }

    #[test]
    fn a_host_may_have_a_port_and_an_ipv6_address_is_in_brackets() {
        assert_eq!(server("local0@logs"), Some(("logs".into(), 514, false)));
        assert_eq!(server("local0.debug@192.0.2.1:5514"), Some(("192.0.2.1".into(), 5514, false)));
        assert_eq!(server("local0@@[2001:db8::1]:601"), Some(("2001:db8::1".into(), 601, true)));
        assert_eq!(server("local0@@[::1]"), Some(("::1".into(), 514, true)));
    }

    #[test]
    fn the_system_error_is_extracted_from_an_error_of_the_crate() {
        let refused = || syslog::Error::Io(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(cause(refused()).raw_os_error(), Some(libc::ECONNREFUSED));
        let wrapped = syslog::Error::Initialization(Box::new(refused()));
        assert_eq!(cause(wrapped).raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(cause(syslog::Error::Initialization("no paths".into())).to_string(), "no paths");
    }

    #[test]
    fn an_invalid_target_is_named_in_the_error() {
        for wrong in
            ["", "local8", "local0.loud", "local0@", "local0@h:0", "local0@h:99999", "local0@[x]", "local0@::1"]
        {
            assert!(
                Target::parse(wrong).is_err_and(|error| error.to_string().contains(&format!("\"{wrong}\""))),
                "{wrong}"
            );
        }
    }
}
