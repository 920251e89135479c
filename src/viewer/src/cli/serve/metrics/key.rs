// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The group of a connection.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tcpstats::{Field, Record, key};
use tcpstats_log::ConnectionId;

use super::super::args::By;

/// The value of all labels of the connections in groups that have no series.
pub const OTHER: &str = "other";

/// Separates the values in a key.  No value contains it, because names in records end
/// with it.
pub const SEPARATOR: char = '\0';

/// The labels of a group.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Their names and values.
    pub pairs: Vec<(&'static str, String)>,
    /// The same as text, with escapes.
    pub text: String,
}

/// Groups connections by the values of labels.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    by: Vec<By>,
    prefix4: u8,
    prefix6: u8,
    /// The key of all groups without series.
    pub other: String,
}

impl Grouping {
    /// Groups by these labels, without duplicates, and by prefixes with these lengths.
    pub fn new(labels: &[By], prefix4: u8, prefix6: u8) -> Self {
        let mut by = Vec::new();
        for label in labels {
            if !by.contains(label) {
                by.push(*label);
            }
        }
        let other = vec![OTHER; by.len()].join("\0");
        Self { by, prefix4, prefix6, other }
    }

    /// Writes the key of the group of a record.  A final record can lack values, which are
    /// then those of the group in which its connection was.
    pub fn write_key(&self, record: &Record, last: Option<&str>, key: &mut String) {
        key.clear();
        let mut before = last.map(|last| last.split(SEPARATOR));
        for (number, by) in self.by.iter().enumerate() {
            if number > 0 {
                key.push(SEPARATOR);
            }
            let start = key.len();
            self.write_value(*by, record, key);
            let last = before.as_mut().and_then(Iterator::next);
            if key.len() == start {
                key.push_str(last.unwrap_or_default());
            }
        }
    }

    /// Writes the value of a label; nothing if it is absent.
    fn write_value(&self, by: By, record: &Record, to: &mut String) {
        // Writing to a string does not fail.
        let _ = match by {
            By::Port => {
                let ports = [record.get(key::lport), record.get(key::fport)];
                // The lower port is that of the service; ephemeral ports are higher.
                ports.into_iter().flatten().filter(|port| *port > 0).min().map_or(Ok(()), |port| write!(to, "{port}"))
            }
            By::Lport => record.get(key::lport).map_or(Ok(()), |port| write!(to, "{port}")),
            By::Prefix => match ConnectionId::of(record).foreign.ip() {
                None => Ok(()),
                Some(address) if address.is_unspecified() => Ok(()),
                Some(IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix4)).unwrap_or(0);
                    write!(to, "{}/{}", Ipv4Addr::from_bits(address.to_bits() & mask), self.prefix4)
                }
                Some(IpAddr::V6(address)) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix6)).unwrap_or(0);
                    write!(to, "{}/{}", Ipv6Addr::from_bits(address.to_bits() & mask), self.prefix6)
                }
            },
            By::Cc => write_name(record, key::cc.field(), to),
            By::Stack => write_name(record, key::stack.field(), to),
            By::Process => write_name(record, key::command.field(), to),
            By::Container => write_name(record, key::container.field(), to),
            By::Netns => write_name(record, key::netns.field(), to),
            By::Jail => match record.get(key::jid) {
                Some(jid) if !record.has(key::jail.field()) => write!(to, "{jid}"),
                _ => write_name(record, key::jail.field(), to),
            },
        };
    }

    /// Returns the labels of a group.
    pub fn labels(&self, key: &str) -> Labels {
        let mut labels = Labels::default();
        for (by, value) in self.by.iter().zip(key.split(SEPARATOR)) {
            let text = &mut labels.text;
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{}=\"", by.label());
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
            labels.pairs.push((by.label(), value.into()));
        }
        labels
    }
}

fn write_name(record: &Record, field: &Field, to: &mut String) -> std::fmt::Result {
    let bytes = record.bytes(field).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    to.write_str(&String::from_utf8_lossy(&bytes[..end]))
}

#[cfg(test)]
mod tests {
    use tcpstats::{ipv4, name};

    use super::*;

    fn record() -> Record {
        let mut record = Record::new();
        record.set(key::lport, 50_000);
        record.set(key::fport, 443);
        record.set(key::faddr, ipv4([192, 0, 2, 77]));
        record.set(key::command, name(b"a\"b\\c\nd"));
        record
    }

    fn labels(by: &[By], record: &Record, last: Option<&str>) -> String {
        let grouping = Grouping::new(by, 24, 48);
        let mut key = String::new();
        grouping.write_key(record, last, &mut key);
        grouping.labels(&key).text
    }

    #[test]
    fn a_group_is_labelled_by_its_values() {
        let all = [By::Port, By::Lport, By::Prefix, By::Process, By::Cc, By::Port];
        let expected = r#"port="443",lport="50000",prefix="192.0.2.0/24",process="a\"b\\c\nd",cc="""#;
        assert_eq!(labels(&all, &record(), None), expected);
        let mut six = Record::new();
        six.set(key::faddr, "2001:db8:1:2::3".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(labels(&[By::Prefix], &six, None), r#"prefix="2001:db8:1::/48""#);
    }

    #[test]
    fn a_listening_socket_has_a_port_and_no_prefix() {
        let mut listener = record();
        listener.set(key::lport, 80);
        listener.set(key::fport, 0);
        listener.set(key::faddr, ipv4([0; 4]));
        assert_eq!(labels(&[By::Port, By::Prefix], &listener, None), r#"port="80",prefix="""#);
    }

    #[test]
    fn a_final_record_keeps_the_owner() {
        let by = [By::Cc, By::Process];
        let mut last = record();
        last.clear();
        assert_eq!(labels(&by, &last, Some("cubic\0nginx")), r#"cc="cubic",process="nginx""#);
    }
}
