// SPDX-License-Identifier: BSD-2-Clause

//! Which connection a record is of.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use tcpstats::note::NoteText;
use tcpstats::{Columns, Field, Record, is_scoped, key};

use crate::units;

/// One end of a connection, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// The TCP port.
    pub port: Option<u16>,
    /// The address, IPv4 mapped into IPv6.
    pub address: Option<[u8; 16]>,
    /// The zone of a scoped address, which is the same on every interface.
    pub zone: Option<u32>,
}

impl End {
    fn new(port: Option<u16>, address: Option<[u8; 16]>, zone: Option<u32>) -> Self {
        Self { port, address, zone: zone.filter(|_| address.is_some_and(is_scoped)) }
    }

    /// The address as what it is.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| Ipv6Addr::from(address).to_canonical())
    }
}

/// `192.0.2.1:443` or `[2001:db8::1]:443`, `?` for what is not known.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(IpAddr::V6(address)) => match self.zone {
                Some(zone) => write!(f, "[{address}%{}]", units::zone(zone))?,
                None => write!(f, "[{address}]")?,
            },
            Some(IpAddr::V4(address)) => write!(f, "{address}")?,
            None => f.write_str("?")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A connection, among those of one boot of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The end that is here.
    pub local: End,
    /// The other one.
    pub foreign: End,
    /// The kernel's number; sockets that have ports in common differ in it.
    pub gencnt: Option<u64>,
    /// The network stack that the number is of.
    pub vnet: Option<u64>,
    /// The jail.
    pub jid: Option<u32>,
}

impl Identity {
    /// That of the record.
    pub fn of(record: &Record) -> Self {
        Self {
            local: End::new(record.get(key::lport), record.get(key::laddr), record.get(key::zone)),
            foreign: End::new(record.get(key::fport), record.get(key::faddr), record.get(key::zone)),
            gencnt: record.get(key::gencnt),
            vnet: record.get(key::vnet),
            jid: record.get(key::jid),
        }
    }

    /// Whether both ends are known, which tell connections apart at one instant;
    /// listeners have none that is foreign, and may share the local one.
    pub fn is_complete(&self) -> bool {
        let is_known = |end: End| end.port.is_some() && end.address.is_some();
        is_known(self.local) && is_known(self.foreign) && self.foreign.port != Some(0)
    }

    /// Those that the note of a closed connection may mean in a log of those
    /// columns: the note names it in full, the log's records may not.
    pub fn closed(note: &NoteText<'_>, columns: Option<&Columns>) -> [Self; 2] {
        let (mut named, mut shown) = (Record::new(), Record::new());
        for (key, value) in note.pairs() {
            if let Some(field) = Field::by_name(key) {
                // What cannot be read is not known.
                let _ = named.set_text(field, value.as_bytes());
                if columns.is_none_or(|columns| columns.fields().any(|column| column.index == field.index)) {
                    let _ = shown.set_text(field, value.as_bytes());
                }
            }
        }
        [Self::of(&named), Self::of(&shown)]
    }
}

/// `192.0.2.1:50000 → 198.51.100.7:443`, as far as it is known.
impl fmt::Display for Identity {
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

impl Hash for Identity {
    /// The number alone tells connections apart nearly always.
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
    fn a_connection_is_named_by_what_is_known_of_it() {
        let mut record = Record::new();
        assert_eq!(Identity::of(&record).to_string(), "connection");
        record.set(key::gencnt, 7);
        assert_eq!(Identity::of(&record).to_string(), "connection 7");
        record.set(key::lport, 22);
        assert_eq!(Identity::of(&record).to_string(), "?:22 → ?");
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::faddr, "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        record.set(key::fport, 443);
        assert_eq!(Identity::of(&record).to_string(), "192.0.2.1:22 → [2001:db8::7]:443");
    }

    #[test]
    fn a_number_of_another_network_stack_is_another_connection() {
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        let host = Identity::of(&record);
        record.set(key::vnet, 3);
        let jail = Identity::of(&record);
        record.set(key::vnet, 4);
        assert!(host != jail && jail != Identity::of(&record), "a jail that was started again");
    }

    #[test]
    fn a_closing_note_names_a_connection_also_where_the_log_has_fewer_columns() {
        let note = NoteText::read("close gencnt=7 laddr=192.0.2.1 lport=22 uid=0 jid=3").unwrap();
        let mut record = Record::new();
        record.set(key::gencnt, 7);
        record.set(key::lport, 22);
        let columns = Columns::parse("gencnt,lport,srtt").unwrap();
        assert_eq!(Identity::closed(&note, Some(&columns))[1], Identity::of(&record));
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::jid, 3);
        assert_eq!(Identity::closed(&note, None), [Identity::of(&record); 2]);
        assert_eq!(Identity::closed(&note, Some(&columns))[0], Identity::of(&record));
    }
}
