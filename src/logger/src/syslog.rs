// SPDX-License-Identifier: BSD-2-Clause

//! Records and messages to a syslog daemon.
//!
//! The syslog crate connects and formats.  What it leaves to its user is here:
//! to connect again, to put a line break between messages over TCP (RFC 6587,
//! 3.4.2), and to notice that the peer has closed.
//!
//! Over the network the format is RFC 5424.  On the local socket it is what
//! the system's own syslog(3) writes, because that is what is understood there:
//! RFC 5424 on FreeBSD, the traditional one on Linux, where rsyslogd as Debian
//! ships it and journald would take the version of RFC 5424 for the program's
//! name.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};
use syslog::{Facility, Formatter3164, Formatter5424, LogFormat, LoggerBackend, Severity};
use tcpstats_source::Sentence;
use tcpstats_source::system::System;

const PROCESS: &str = "siftr_cdev_logger";

/// Time between two attempts to reach a daemon.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The longest that a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What `-l` names.
#[derive(Clone)]
pub struct Target {
    /// `-l` as it was given.
    pub text: String,
    facility: Facility,
    severity: Severity,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Local,
    Udp(String, u16),
    Tcp(String, u16),
}

/// The port of RFC 5426.
const PORT: u16 = 514;

impl Target {
    /// Reads `facility[.level][@host[:port]]`; two `@` mean TCP.
    ///
    /// # Errors
    /// A sentence about the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, Sentence> {
        let (what, place) = text.split_once('@').map_or((text, None), |(what, place)| (what, Some(place)));
        let (facility, level) = what.split_once('.').unwrap_or((what, "info"));
        let facility = facility.parse().map_err(|()| {
            format!("-l \"{text}\": there is no facility \"{facility}\"; expected one such as daemon or local0")
        })?;
        let severity = severity(level).ok_or_else(|| {
            format!(
                "-l \"{text}\": there is no level \"{level}\"; \
                 expected emerg, alert, crit, err, warning, notice, info or debug"
            )
        })?;
        let place = match place.map(|place| (place.strip_prefix('@'), place)) {
            None => Some(Place::Local),
            Some((Some(place), _)) => host_and_port(place).map(|(host, port)| Place::Tcp(host, port)),
            Some((None, place)) => host_and_port(place).map(|(host, port)| Place::Udp(host, port)),
        };
        let place = place.ok_or_else(|| {
            format!("-l \"{text}\": expected @host:port for UDP or @@host:port for TCP, an IPv6 address in brackets")
        })?;
        Ok(Self { text: text.into(), facility, severity, place })
    }

    /// Where it is; nowhere for the local daemon.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.place {
            Place::Local => Ok(Vec::new()),
            Place::Udp(host, port) | Place::Tcp(host, port) => Ok((host.as_str(), *port).to_socket_addrs()?.collect()),
        }
    }

    /// The TCP port that is connected to.
    #[cfg(target_os = "linux")]
    pub fn tcp_port(&self) -> Option<u16> {
        match self.place {
            Place::Tcp(_, port) => Some(port),
            Place::Local | Place::Udp(..) => None,
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

/// Reads `host`, `host:port`, `[address]` or `[address]:port`.
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

/// Messages to one target, over a connection that may have to be made again.
struct Messages {
    target: Target,
    /// Looked up once: in the sandbox no name can be.
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
        let nowhere = || io::Error::other("the host has no address");
        match self.target.place {
            Place::Local => Ok(syslog::unix(()).map_err(cause)?.backend),
            Place::Udp(..) => {
                let server = *self.addresses.first().ok_or_else(nowhere)?;
                let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                Ok(LoggerBackend::Udp(UdpSocket::bind(SocketAddr::new(any, 0))?, server))
            }
            Place::Tcp(..) => {
                let mut last = nowhere();
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

    /// Sends a message; where it fails, the next one connects again.
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
        let traditional = matches!(self.target.place, Place::Local) && cfg!(target_os = "linux");
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
        if matches!(self.target.place, Place::Tcp(..)) {
            self.message.push(b'\n');
        }
        Ok(())
    }

    /// Lets go of a connection that the peer has closed: what is written to it
    /// would be lost without an error.
    fn notice_end(&mut self) {
        if let Some(LoggerBackend::Tcp(stream)) = &self.backend {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            match recv(stream.get_ref().as_raw_fd(), &mut [0], flags) {
                Ok(1..) | Err(nix::Error::EAGAIN) => (),
                Ok(0) | Err(_) => self.backend = None,
            }
        }
    }
}

/// What the system said, out of what the crate puts around it.
fn cause(error: syslog::Error) -> io::Error {
    match error {
        syslog::Error::Io(error) | syslog::Error::Write(error) => error,
        syslog::Error::Initialization(error) => {
            error.downcast::<syslog::Error>().map_or_else(io::Error::other, |inner| cause(*inner))
        }
    }
}

/// A log in syslog: a message a line.
pub struct Records {
    messages: Messages,
}

impl Records {
    /// Connects.
    ///
    /// # Errors
    /// A sentence that names the target and what was said.
    pub fn open(target: &Target) -> Result<Self, Sentence> {
        let open = || {
            let mut messages = Messages::new(target.clone(), target.addresses()?);
            messages.backend = Some(messages.connect()?);
            Ok(Self { messages })
        };
        open().map_err(|error: io::Error| match target.place {
            // Where the crate looks for it; it returns the error of one of them.
            Place::Local => format!(
                "syslog {0}: no syslog daemon answers on /dev/log, /var/run/syslog or /var/run/log: {error}; \
                 start one, or name a host: -l {0}@HOST",
                target.text
            ),
            Place::Udp(..) | Place::Tcp(..) => format!("syslog {}: {error}", target.text),
        })
    }

    /// Sends every line, and waits as long as the daemon cannot be reached.
    ///
    /// # Errors
    /// Never for want of a daemon; for a line that no message can hold.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.messages.notice_end();
        for line in std::str::from_utf8(lines).map_err(io::Error::other)?.lines() {
            let mut told = false;
            while let Err(error) = self.messages.send(self.messages.target.severity, line) {
                if error.raw_os_error() == Some(libc::EMSGSIZE) {
                    return Err(error);
                }
                if !told {
                    log::warn!("syslog {}: {error}; it is waited for", self.name());
                    told = true;
                }
                sleep(RETRY_AFTER);
            }
            if told {
                log::warn!("syslog {}: it is reached again", self.name());
            }
        }
        Ok(())
    }

    /// The target as it was given.
    pub fn name(&self) -> &str {
        &self.messages.target.text
    }

    /// Has the next line connect again.
    pub fn reconnect(&mut self) {
        self.messages.backend = None;
    }
}

/// The logger's own messages in the local syslog.
pub struct Diagnostics {
    messages: Messages,
}

impl Diagnostics {
    /// Connects; where that fails, every message tries again.
    pub fn connect() -> Self {
        let target = Target {
            text: "daemon".into(),
            facility: Facility::LOG_DAEMON,
            severity: Severity::LOG_INFO,
            place: Place::Local,
        };
        let mut messages = Messages::new(target, Vec::new());
        messages.backend = connect_without_waiting(&messages);
        Self { messages }
    }

    /// Sends a message, if need be over a new connection.  One that nobody
    /// takes is lost: nothing here may wait for syslog.
    pub fn say(&mut self, severity: Severity, text: &str) {
        let messages = &mut self.messages;
        for _ in 0..2 {
            if messages.backend.is_none() {
                messages.backend = connect_without_waiting(messages);
            }
            if messages.backend.is_some() && messages.send(severity, text).is_ok() {
                return;
            }
        }
    }
}

/// A connection on which no message waits until it is taken.
fn connect_without_waiting(messages: &Messages) -> Option<LoggerBackend> {
    messages.connect().ok().filter(|backend| match backend {
        LoggerBackend::Unix(socket) => socket.set_nonblocking(true).is_ok(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Option<(String, u16, bool)> {
        match Target::parse(text).ok()?.place {
            Place::Local => None,
            Place::Udp(host, port) => Some((host, port, false)),
            Place::Tcp(host, port) => Some((host, port, true)),
        }
    }

    #[test]
    fn a_host_may_have_a_port_and_an_ipv6_address_stands_in_brackets() {
        assert_eq!(place("local0@logs"), Some(("logs".into(), 514, false)));
        assert_eq!(place("local0.debug@192.0.2.1:5514"), Some(("192.0.2.1".into(), 5514, false)));
        assert_eq!(place("local0@@[2001:db8::1]:601"), Some(("2001:db8::1".into(), 601, true)));
        assert_eq!(place("local0@@[::1]"), Some(("::1".into(), 514, true)));
    }

    #[test]
    fn of_an_error_of_the_crate_only_what_the_system_said_is_told() {
        let refused = || syslog::Error::Io(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        assert_eq!(cause(refused()).raw_os_error(), Some(libc::ECONNREFUSED));
        let wrapped = syslog::Error::Initialization(Box::new(refused()));
        assert_eq!(cause(wrapped).raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(cause(syslog::Error::Initialization("no paths".into())).to_string(), "no paths");
    }

    #[test]
    fn a_wrong_target_is_named() {
        for wrong in
            ["", "local8", "local0.loud", "local0@", "local0@h:0", "local0@h:99999", "local0@[x]", "local0@::1"]
        {
            assert!(Target::parse(wrong).is_err_and(|sentence| sentence.contains(&format!("\"{wrong}\""))), "{wrong}");
        }
    }
}
