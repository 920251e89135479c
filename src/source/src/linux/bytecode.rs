// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Compiling a filter to a program that Linux's kernel runs during a dump: the
//! bytecode of `INET_DIAG_REQ_BYTECODE`, which `inet_diag_bc_run()` in
//! `net/ipv4/inet_diag.c` interprets.
//!
//! The bytecode can only test ports and addresses.  The program accepts every
//! socket that the filter can match, and some that it does not match, so the
//! filter must be applied again.

use tcpstats::filter::Condition;
use tcpstats::{Filter, ipv4, mapped_ipv4};

/// An address family.  Each family has its own dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Inet,
    Inet6,
}

impl Family {
    /// Returns `AF_INET` or `AF_INET6`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Inet => 2,
            Self::Inet6 => 10,
        }
    }
}

/// The sockets of a family that the kernel returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All sockets.
    All,
    /// No sockets.
    Nothing,
    /// The sockets that this program accepts.
    Program(Vec<u8>),
}

use Selection::{All, Nothing, Program};

/// Returns the smallest selection that contains every socket that the filter
/// can match.
pub fn select(filter: &Filter, family: Family) -> Selection {
    let bounds = filter.fold(|condition| Bounds::of(condition, family), Bounds::not, Bounds::and, Bounds::or);
    bounds.map_or(All, |bounds| bounds.can_hold)
}

/// The sockets for which a condition can hold and those for which it can fail.
/// If the kernel cannot evaluate the condition, both are all sockets.
struct Bounds {
    can_hold: Selection,
    can_fail: Selection,
}

impl Bounds {
    fn of(condition: Condition, family: Family) -> Self {
        let can_hold = match condition {
            Condition::Port { is_local, least, most } => port(is_local, least, most),
            Condition::Network { is_local, len, address } => match network(is_local, len, address, family) {
                Some(selection) => selection,
                None => return Self { can_hold: All, can_fail: All },
            },
            Condition::Other => return Self { can_hold: All, can_fail: All },
        };
        let can_fail = can_hold.clone().inverted();
        Self { can_hold, can_fail }
    }

    fn not(self) -> Self {
        Self { can_hold: self.can_fail, can_fail: self.can_hold }
    }

    fn and(self, other: Self) -> Self {
        Self { can_hold: self.can_hold.and(other.can_hold), can_fail: self.can_fail.or(other.can_fail) }
    }

    fn or(self, other: Self) -> Self {
        Self { can_hold: self.can_hold.or(other.can_hold), can_fail: self.can_fail.and(other.can_fail) }
    }
}

// Operations in linux/inet_diag.h.
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;

/// Length of an `inet_diag_bc_op` in bytes.
const OP_LEN: usize = 4;

/// Returns an `inet_diag_bc_op`: `yes` is the distance in bytes to the next
/// operation, `no` is the distance to the operation to continue with if the
/// condition fails.
///
/// A program accepts a socket if it ends exactly at its end, and rejects it if
/// it jumps one operation's length past its end.
fn op(code: u8, yes: usize, no: usize) -> [u8; OP_LEN] {
    let yes = u8::try_from(yes).unwrap_or(u8::MAX);
    let [no_low, no_high] = u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes();
    [code, yes, no_low, no_high]
}

/// Returns a program that consists of one condition.
fn alone(code: u8, operand: &[u8]) -> Vec<u8> {
    let len = OP_LEN + operand.len();
    [&op(code, len, len + OP_LEN), operand].concat()
}

fn port(is_local: bool, least: u16, most: u16) -> Selection {
    let (at_least, at_most) = if is_local { (S_GE, S_LE) } else { (D_GE, D_LE) };
    // The operand is an operation whose jump distance is the port.
    let bound = |code, port: u16| Program(alone(code, &op(0, 0, port.into())));
    match (least, most) {
        (least, most) if least > most => Nothing,
        (0, u16::MAX) => All,
        (0, most) => bound(at_most, most),
        (least, u16::MAX) => bound(at_least, least),
        (least, most) => bound(at_least, least).and(bound(at_most, most)),
    }
}

/// Returns `None` if the kernel interprets the network differently from a
/// filter.
fn network(is_local: bool, len: u8, address: [u8; 16], family: Family) -> Option<Selection> {
    /// The value of `inet_diag_hostcond.port` for any port.
    const ANY_PORT: i32 = -1;
    let ipv4_len = len.checked_sub(96);
    let (network_family, len, bytes) = match (mapped_ipv4(address), ipv4_len) {
        (Some(ipv4), Some(len)) => (Family::Inet, len, ipv4.to_vec()),
        // To the kernel, IPv4-mapped addresses are in this network too.
        _ if holds(address, len, ipv4([0; 4])) => return if family == Family::Inet { Some(Nothing) } else { None },
        _ => (Family::Inet6, len, address.to_vec()),
    };
    if family == Family::Inet && network_family == Family::Inet6 {
        return Some(Nothing);
    }
    let mut operand = vec![network_family.number(), len, 0, 0];
    operand.extend(ANY_PORT.to_ne_bytes());
    operand.extend(bytes);
    Some(Program(alone(if is_local { S_COND } else { D_COND }, &operand)))
}

/// Returns whether the network contains the other address, regardless of its
/// family.
fn holds(network: [u8; 16], len: u8, other: [u8; 16]) -> bool {
    let differing = u128::from_be_bytes(network) ^ u128::from_be_bytes(other);
    differing.leading_zeros() >= len.into()
}

impl Selection {
    fn inverted(self) -> Self {
        match self {
            All => Nothing,
            Nothing => All,
            // A program that reaches its end now jumps past the end, and one
            // that jumped past the end now reaches it.
            Program(mut program) => {
                program.extend(op(JMP, OP_LEN, 2 * OP_LEN));
                Program(program)
            }
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Nothing, _) | (_, Nothing) => Nothing,
            (All, selection) | (selection, All) => selection,
            (Program(mut first), Program(second)) => {
                jump_further(&mut first, second.len());
                first.extend(second);
                Program(first)
            }
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (All, _) | (_, All) => All,
            (Nothing, selection) | (selection, Nothing) => selection,
            // If the first program accepts, it skips the second; otherwise it continues with the second.
            (Program(mut first), Program(second)) => {
                first.extend(op(JMP, OP_LEN, OP_LEN + second.len()));
                first.extend(second);
                Program(first)
            }
        }
    }
}

/// Extends the jumps past the end of the program by `by` bytes.
fn jump_further(program: &mut [u8], by: usize) {
    let mut rest = program;
    while let [_, yes, no_low, no_high, ..] = rest {
        let no = usize::from(u16::from_ne_bytes([*no_low, *no_high]));
        let next = usize::from(*yes);
        if no > rest.len() {
            [rest[2], rest[3]] = u16::try_from(no + by).unwrap_or(u16::MAX).to_ne_bytes();
        }
        rest = rest.get_mut(next..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tcpstats::{Record, State, key};

    use super::*;

    /// The endpoints of a socket, as the kernel stores them.
    #[derive(Clone, Copy, Debug)]
    struct Socket {
        family: Family,
        ports: [u16; 2],
        addresses: [[u8; 16]; 2],
    }

    /// Returns whether the kernel's interpreter would accept the socket.
    fn accepts(program: &[u8], socket: &Socket) -> bool {
        let mut at = 0;
        while at < program.len() {
            let [code, yes, no @ ..] = *program[at..].first_chunk::<4>().unwrap();
            let operand = &program[at + 4..];
            let port = || i32::from(u16::from_ne_bytes([operand[2], operand[3]]));
            let end = usize::from(matches!(code, D_GE | D_LE | D_COND));
            let holds_here = match code {
                JMP => false,
                S_GE | D_GE => i32::from(socket.ports[end]) >= port(),
                S_LE | D_LE => i32::from(socket.ports[end]) <= port(),
                S_COND | D_COND => {
                    assert_eq!(operand[4..8], (-1_i32).to_ne_bytes());
                    let (family, len, address) = (operand[0], operand[1], socket.addresses[end]);
                    match (family, socket.family) {
                        (2, _) => {
                            let network = ipv4(operand[8..12].try_into().unwrap());
                            mapped_ipv4(address).is_some() && holds(network, 96 + len, address)
                        }
                        (10, Family::Inet6) => holds(operand[8..24].try_into().unwrap(), len, address),
                        _ => false,
                    }
                }
                other => panic!("unknown operation {other}"),
            };
            at += if holds_here { yes.into() } else { usize::from(u16::from_ne_bytes(no)) };
        }
        at == program.len()
    }

    /// Returns whether `inet_diag_bc_audit()` would accept the program.
    fn is_accepted(program: &[u8]) -> bool {
        let mut ends = vec![];
        let mut at = 0;
        while at < program.len() {
            ends.push(at);
            at += usize::from(program[at + 1]);
        }
        ends.push(at);
        at == program.len()
            && ends.iter().take(ends.len() - 1).all(|start| {
                let no = usize::from(u16::from_ne_bytes([program[start + 2], program[start + 3]]));
                no >= 4 && no % 4 == 0 && (start + no == program.len() + 4 || ends.contains(&(start + no)))
            })
    }

    /// Networks that the kernel interprets like a filter.
    const EXACT: [&str; 5] = ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "10.1.2.3/32", "::ffff:0:0/96"];
    const OTHERS: [&str; 6] = ["::/0", "::/64", "::/1", "2001:db8::/32", "2001:db8::1/128", "8000::/1"];

    fn any_filter(networks: Vec<&'static str>, others: Vec<&'static str>) -> impl Strategy<Value = String> {
        let comparison = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
        let port = (prop::sample::select(vec!["lport", "fport"]), comparison, prop::sample::select(PORTS.to_vec()))
            .prop_map(|(field, comparison, port)| format!("{field} {comparison} {port}"));
        let network = (
            prop::sample::select(vec!["lnet", "fnet", "net"]),
            prop::sample::select(vec!["=", "!="]),
            prop::sample::select(networks),
        )
            .prop_map(|(what, comparison, network)| format!("{what} {comparison} {network}"));
        let other = prop::sample::select(others).prop_map(str::to_owned);
        prop_oneof![port, network, other].prop_recursive(4, 12, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|a| format!("not ({a})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) or ({b})")),
            ]
        })
    }

    const PORTS: [u16; 6] = [0, 1, 22, 443, 65534, 65535];

    fn any_socket() -> impl Strategy<Value = Socket> {
        let v4 = || prop::sample::select(vec![[10, 1, 2, 3], [10, 2, 0, 0], [192, 0, 2, 1], [0; 4]]).prop_map(ipv4);
        let v6 = || {
            prop::sample::select(vec![0, 1, 0x2001_0db8_u128 << 96 | 1, 0x2001_0db9_u128 << 96, u128::MAX])
                .prop_map(u128::to_be_bytes)
        };
        let ports = || prop::array::uniform2(prop::sample::select(PORTS.to_vec()));
        prop_oneof![
            (ports(), v4(), v4()).prop_map(|(ports, a, b)| Socket { family: Family::Inet, ports, addresses: [a, b] }),
            (ports(), prop_oneof![v4(), v6()], prop_oneof![v4(), v6()]).prop_map(|(ports, a, b)| Socket {
                family: Family::Inet6,
                ports,
                addresses: [a, b]
            }),
        ]
    }

    fn record_of(socket: &Socket) -> Record {
        let mut record = Record::new();
        record.set(key::lport, socket.ports[0]);
        record.set(key::fport, socket.ports[1]);
        record.set(key::laddr, socket.addresses[0]);
        record.set(key::faddr, socket.addresses[1]);
        record
    }

    fn is_selected(filter: &Filter, socket: &Socket) -> bool {
        match select(filter, socket.family) {
            All => true,
            Nothing => false,
            Program(program) => {
                assert!(is_accepted(&program), "{program:?}");
                accepts(&program, socket)
            }
        }
    }

    proptest! {
        #[test]
        fn every_socket_that_the_filter_matches_is_accepted(
            text in any_filter([EXACT.to_vec(), OTHERS.to_vec()].concat(), vec!["srtt > 5", "uid 0", "state listen", "ip6", "not pid 7"]),
            socket in any_socket(),
        ) {
            let filter = Filter::parse(&text).unwrap();
            let selected = is_selected(&filter, &socket);
            let mut record = record_of(&socket);
            // Try several values of the fields that the kernel cannot test.
            for (uid, state, srtt) in (0..8).map(|bits| (bits & 1, bits >> 1 & 1, 4 + (bits >> 2 & 1) * 5)) {
                record.set(key::uid, uid);
                record.set(key::state, if state == 0 { State::LISTEN } else { State::ESTABLISHED });
                record.set(key::srtt, srtt);
                prop_assert!(selected || !filter.matches(&record));
            }
        }

        #[test]
        fn filters_of_ports_and_ipv4_networks_accept_nothing_else(
            text in any_filter(EXACT.to_vec(), vec!["ip"]),
            socket in any_socket(),
        ) {
            let filter = Filter::parse(&text).unwrap();
            prop_assert_eq!(is_selected(&filter, &socket), filter.matches(&record_of(&socket)));
        }
    }
}
