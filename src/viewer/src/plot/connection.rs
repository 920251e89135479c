// SPDX-License-Identifier: BSD-2-Clause

//! Which connection a record is of.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use tcpstats::{Record, key};

/// A connection, also among those of other machines and other boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    gencnt: Option<u64>,
    jid: Option<u32>,
    local: (Option<[u8; 16]>, Option<u16>),
    foreign: (Option<[u8; 16]>, Option<u16>),
}

impl Connection {
    /// That of the record.
    pub fn of(record: &Record) -> Self {
        Self {
            gencnt: record.get(key::gencnt),
            jid: record.get(key::jid),
            local: (record.get(key::laddr), record.get(key::lport)),
            foreign: (record.get(key::faddr), record.get(key::fport)),
        }
    }
}

/// `192.0.2.1:50000 → 198.51.100.7:443`, as far as it is known.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.local, self.foreign, self.gencnt) {
            ((None, None), (None, None), Some(gencnt)) => write!(f, "connection {gencnt}"),
            ((None, None), (None, None), None) => f.write_str("connection"),
            (local, foreign, _) => write!(f, "{} → {}", End(local), End(foreign)),
        }
    }
}

struct End((Option<[u8; 16]>, Option<u16>));

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0.map(|address| Ipv6Addr::from(address).to_canonical()) {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}")?,
            None => f.write_str("?")?,
        }
        self.0.1.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::ipv4;

    use super::*;

    #[test]
    fn a_connection_is_named_by_what_is_known_of_it() {
        let mut record = Record::new();
        assert_eq!(Connection::of(&record).to_string(), "connection");
        record.set(key::gencnt, 7);
        assert_eq!(Connection::of(&record).to_string(), "connection 7");
        record.set(key::lport, 22);
        assert_eq!(Connection::of(&record).to_string(), "?:22 → ?");
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::faddr, "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        record.set(key::fport, 443);
        assert_eq!(Connection::of(&record).to_string(), "192.0.2.1:22 → [2001:db8::7]:443");
    }
}
