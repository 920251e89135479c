// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Which connection a record describes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use tcpstats::{Record, is_scoped, key};

/// One end of a connection, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// The TCP port.
    pub port: Option<u16>,
    /// The address; an IPv4 address is mapped into IPv6.
    pub address: Option<[u8; 16]>,
    /// The zone of a scoped address, whose other bytes are the same on every
    /// interface.
    pub zone: Option<u32>,
}

impl End {
    fn new(port: Option<u16>, address: Option<[u8; 16]>, zone: Option<u32>) -> Self {
        Self { port, address, zone: zone.filter(|_| address.is_some_and(is_scoped)) }
    }

    /// Returns the address; an IPv4-mapped address is returned as IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| Ipv6Addr::from(address).to_canonical())
    }

    /// Returns the end for display, with the name that `zone_name` gives to a
    /// zone.
    #[must_use]
    pub fn with_zone_name<F: Fn(u32) -> String>(self, zone_name: F) -> ZonedEnd<F> {
        ZonedEnd { end: self, zone_name }
    }

    fn known(self) -> bool {
        self.port.is_some() && self.address.is_some()
    }
}

/// `192.0.2.1:443` or `[2001:db8::1]:443`; an unknown address is `?`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_zone_name(|zone| zone.to_string()).fmt(f)
    }
}

/// An end whose zone is displayed by its name.
#[derive(Clone, Copy, Debug)]
pub struct ZonedEnd<F> {
    end: End,
    zone_name: F,
}

impl<F: Fn(u32) -> String> fmt::Display for ZonedEnd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end.ip() {
            Some(IpAddr::V6(address)) => match self.end.zone {
                Some(zone) => write!(f, "[{address}%{}]", (self.zone_name)(zone))?,
                None => write!(f, "[{address}]")?,
            },
            Some(IpAddr::V4(address)) => write!(f, "{address}")?,
            None => f.write_str("?")?,
        }
        self.end.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The ID of a connection, unique within one boot of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The local end.
    pub local: End,
    /// The foreign end.
    pub foreign: End,
    /// The number that the kernel gives to the connection; it differs for sockets
    /// that share their ports.
    pub gencnt: Option<u64>,
    /// The network stack in which the number is unique.
    pub vnet: Option<u64>,
    /// The jail.
    pub jid: Option<u32>,
}

impl ConnectionId {
    /// Returns the ID of the connection of a record, with everything that the
    /// record says about it.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let zone = record.get(key::zone);
        Self {
            local: End::new(record.get(key::lport), record.get(key::laddr), zone),
            foreign: End::new(record.get(key::fport), record.get(key::faddr), zone),
            gencnt: record.get(key::gencnt),
            vnet: record.get(key::vnet),
            jid: record.get(key::jid),
        }
    }

    /// Returns whether both ends are known, which is enough to distinguish the
    /// connections of one snapshot.  Listening sockets have no foreign end and
    /// may share the local one.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.local.known() && self.foreign.known() && self.foreign.port != Some(0)
    }
}

/// `192.0.2.1:50000 → 198.51.100.7:443`, as far as it is known.
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.local, self.foreign, self.gencnt) {
            (End { port: None, address: None, .. }, End { port: None, address: None, .. }, gencnt) => {
                f.write_str("connection")?;
                gencnt.map_or(Ok(()), |gencnt| write!(f, " {gencnt}"))
            }
            (local, foreign, _) => write!(f, "{local} → {foreign}"),
        }
    }
}

impl Hash for ConnectionId {
    /// Hashes the number if there is one: it is nearly always unique.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.gencnt {
            Some(gencnt) => state.write_u64(gencnt),
            None => (self.local, self.foreign).hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::ipv4;

    use super::*;

    #[test]
    fn a_connection_is_displayed_as_far_as_it_is_known() {
        let mut record = Record::new();
        assert_eq!(ConnectionId::of(&record).to_string(), "connection");
        record.set(key::gencnt, 7);
        assert_eq!(ConnectionId::of(&record).to_string(), "connection 7");
        record.set(key::lport, 22);
        assert_eq!(ConnectionId::of(&record).to_string(), "?:22 → ?");
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::faddr, "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        record.set(key::fport, 443);
        assert_eq!(ConnectionId::of(&record).to_string(), "192.0.2.1:22 → [2001:db8::7]:443");
    }

    #[test]
    fn the_same_number_in_another_network_stack_is_another_connection() {
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        let host = ConnectionId::of(&record);
        record.set(key::vnet, 3);
        let jail = ConnectionId::of(&record);
        record.set(key::vnet, 4);
        assert!(host != jail && jail != ConnectionId::of(&record), "the jail was restarted");
    }

    #[test]
    fn a_zone_is_displayed_by_its_name() {
        let mut record = Record::new();
        record.set(key::laddr, "fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        record.set(key::zone, 2);
        let local = ConnectionId::of(&record).local;
        assert_eq!(local.to_string(), "[fe80::1%2]");
        assert_eq!(local.with_zone_name(|zone| format!("em{zone}")).to_string(), "[fe80::1%em2]");
    }
}
