// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The rows of a summary, for connections or groups of connections.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::rc::Rc;
use tcpstats_log::{ConnectionId, End};

use anyhow::{Context, Result};

use super::args::{Args, By, Measure};
use super::connection::{Connection, TimeSpent, per_second};
use super::owner::{Owner, Owners};
use super::reader::LogSummary;
use super::roundtrips::RoundTrips;
use crate::output::{self, STANDARD_OUTPUT, Stdout, seconds};
use crate::table::{ABSENT, Align, Table};
use crate::units;

/// A row: the values of a connection or a group of connections, `None` if the
/// log lacks them.
struct Row {
    subject: Subject,
    connections: u64,
    first_ns: u64,
    last_ns: u64,
    /// The first and the last record as times of day.
    wall_ns: (u64, u64),
    /// The sum over the connections whose duration is known.
    duration_ns: Option<u64>,
    sent: Option<u64>,
    send_mean: Option<f64>,
    send_max: Option<f64>,
    received: Option<u64>,
    receive_mean: Option<f64>,
    receive_max: Option<f64>,
    /// Bytes sent, without retransmissions.
    sent_once: Option<u64>,
    rexmit_bytes: Option<u64>,
    rexmit_packs: Option<u64>,
    srtt: RoundTrips,
    slow_start: TimeSpent,
    cwnd_limited: TimeSpent,
    receiver_limited: TimeSpent,
    buffer_limited: TimeSpent,
}

/// The subject of a row.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Connection(ConnectionId),
    /// A prefix of foreign addresses, and its length in bits.
    Prefix(IpAddr, u8),
    Port(u16),
    /// An owner, and the field of its name.  All connections without an owner are one subject.
    Owner(Option<Rc<Owner>>, &'static str),
}

impl Subject {
    fn of(identity: &ConnectionId, connection: &Connection, owners: &Owners, args: &Args) -> Self {
        if let Some(field) = args.by.owner_field() {
            return Self::Owner(connection.owner.and_then(|owner| owners.get(owner)), field.name);
        }
        match args.by {
            By::Prefix => match identity.foreign.ip().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) {
                IpAddr::V4(address) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(args.prefix4)).unwrap_or(0);
                    Self::Prefix(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)), args.prefix4)
                }
                IpAddr::V6(address) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(args.prefix6)).unwrap_or(0);
                    Self::Prefix(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)), args.prefix6)
                }
            },
            // The lower port is that of the service; ephemeral ports are higher.
            By::Port => {
                Self::Port(identity.local.port.unwrap_or_default().min(identity.foreign.port.unwrap_or_default()))
            }
            _ => Self::Connection(*identity),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(ConnectionId { local, foreign, .. }) => write!(f, "{local} {foreign}"),
            Self::Prefix(address, len) => write!(f, "{address}/{len}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::Owner(Some(owner), _) => owner.fmt(f),
            Self::Owner(None, _) => f.write_str(ABSENT),
        }
    }
}

impl Row {
    fn of(subject: Subject, connection: Connection) -> Self {
        let duration_ns = connection.duration_ns();
        Self {
            subject,
            connections: 1,
            first_ns: connection.first_ns,
            last_ns: connection.last_ns,
            wall_ns: connection.wall_ns,
            duration_ns,
            sent: connection.sends.bytes(),
            send_mean: connection.sends.mean_per_s(duration_ns),
            send_max: connection.sends.max_per_s(duration_ns),
            received: connection.receives.bytes(),
            receive_mean: connection.receives.mean_per_s(duration_ns),
            receive_max: connection.receives.max_per_s(duration_ns),
            sent_once: connection.sent.grown(),
            rexmit_bytes: connection.rexmit_bytes.grown(),
            rexmit_packs: connection.rexmit_packs.grown(),
            srtt: connection.srtt,
            slow_start: connection.slow_start,
            cwnd_limited: connection.cwnd_limited,
            receiver_limited: connection.receiver_limited,
            buffer_limited: connection.buffer_limited,
        }
    }

    /// Adds another connection of the group.  The mean throughput of a group is that
    /// from its first record to its last.
    fn merge(&mut self, other: &Self) {
        fn sum(one: &mut Option<u64>, other: Option<u64>) {
            if let Some(other) = other {
                *one.get_or_insert(0) += other;
            }
        }
        fn greater(one: &mut Option<f64>, other: Option<f64>) {
            if let Some(other) = other {
                *one = Some(one.map_or(other, |one| one.max(other)));
            }
        }
        self.connections += other.connections;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.wall_ns = (self.wall_ns.0.min(other.wall_ns.0), self.wall_ns.1.max(other.wall_ns.1));
        sum(&mut self.duration_ns, other.duration_ns);
        sum(&mut self.sent, other.sent);
        sum(&mut self.received, other.received);
        sum(&mut self.sent_once, other.sent_once);
        sum(&mut self.rexmit_bytes, other.rexmit_bytes);
        sum(&mut self.rexmit_packs, other.rexmit_packs);
        greater(&mut self.send_max, other.send_max);
        greater(&mut self.receive_max, other.receive_max);
        let span_ns = self.last_ns - self.first_ns;
        let mean = |bytes: Option<u64>| bytes.filter(|_| span_ns > 0).map(|bytes| per_second(bytes, span_ns));
        self.send_mean = mean(self.sent);
        self.receive_mean = mean(self.received);
        self.srtt.merge(&other.srtt);
        self.slow_start.merge(other.slow_start);
        self.cwnd_limited.merge(other.cwnd_limited);
        self.receiver_limited.merge(other.receiver_limited);
        self.buffer_limited.merge(other.buffer_limited);
    }

    /// Returns the retransmitted share of all bytes sent.
    fn rexmit_rate(&self) -> Option<f64> {
        let (once, again) = self.sent_once.zip(self.rexmit_bytes)?;
        let all = once.saturating_add(again);
        (all > 0).then(|| ratio(again, all))
    }

    /// Returns the value of a measure, or `None` if the log lacks it.
    fn value_of(&self, measure: Measure) -> Option<f64> {
        let srtt = |which: usize| self.srtt.quantiles().and_then(|quantiles| quantiles.get(which).copied());
        let share = |spent: TimeSpent| Some(ratio(spent.ns()?, self.duration_ns?.max(1)));
        let number = |number: Option<u64>| number.map(as_float);
        match measure {
            Measure::RexmitBytes => number(self.rexmit_bytes),
            Measure::RexmitPacks => number(self.rexmit_packs),
            Measure::RexmitRate => self.rexmit_rate(),
            Measure::SrttMin => srtt(0),
            Measure::SrttMedian => srtt(1),
            Measure::SrttP95 => srtt(2),
            Measure::SrttMax => srtt(3),
            Measure::SlowStart => share(self.slow_start),
            Measure::CwndLimited => share(self.cwnd_limited),
            Measure::ReceiverLimited => share(self.receiver_limited),
            Measure::BufferLimited => share(self.buffer_limited),
            Measure::Bytes => {
                let bytes = [self.sent, self.received].into_iter().flatten().reduce(u64::saturating_add);
                number(bytes)
            }
            Measure::Sent => number(self.sent),
            Measure::Received => number(self.received),
            Measure::Duration => number(self.duration_ns),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
fn as_float(number: u64) -> f64 {
    number as f64
}

fn ratio(part: u64, all: u64) -> f64 {
    as_float(part) / as_float(all)
}

/// Writes the summary to standard output in the requested form.
///
/// # Errors
/// Returns the error of standard output.
pub fn write(mut summary: LogSummary, args: &Args) -> Result<ExitCode> {
    let rows = collect(&mut summary, args);
    let all = rows.len();
    // Rows are large, so their indices are sorted.
    let mut order: Vec<_> = rows.iter().map(|row| row.value_of(args.measure())).zip(0..).collect();
    order.sort_by(|(one_value, one), (other_value, other)| {
        let of = |value: &Option<f64>| value.unwrap_or(f64::NEG_INFINITY);
        let (one, other): (&Row, &Row) = (&rows[*one], &rows[*other]);
        of(other_value)
            .total_cmp(&of(one_value))
            .then(one.first_ns.cmp(&other.first_ns))
            .then_with(|| one.subject.to_string().cmp(&other.subject.to_string()))
    });
    order.truncate(args.count.unwrap_or(if args.json || args.csv { usize::MAX } else { 10 }));
    let rows: Vec<_> = order.into_iter().map(|(_, index): (_, usize)| &rows[index]).collect();
    let mut out = BufWriter::new(Stdout::open().context(STANDARD_OUTPUT)?);
    let written = if args.json {
        rows.iter().try_for_each(|row| writeln!(out, "{}", json(row)))
    } else if args.csv {
        let header = writeln!(out, "{}", CELLS.map(|(name, _)| name).join(","));
        header.and_then(|()| rows.iter().try_for_each(|row| writeln!(out, "{}", csv(row))))
    } else {
        write_table(&mut out, &summary, &rows, all, args)
    };
    output::end(written.and_then(|()| out.flush()))
}

/// Returns the rows in any order.
fn collect(summary: &mut LogSummary, args: &Args) -> Vec<Row> {
    let connections = std::mem::take(&mut summary.connections).into_all();
    let owners = std::mem::take(&mut summary.owners);
    let rows = connections.map(|(identity, connection)| {
        let subject = Subject::of(&identity, &connection, &owners, args);
        Row::of(subject, connection)
    });
    if args.by == By::Connection {
        // Two rows of the same name are different connections.
        return rows.collect();
    }
    let mut groups: HashMap<Subject, Row> = HashMap::new();
    for row in rows {
        match groups.get_mut(&row.subject) {
            Some(group) => group.merge(&row),
            None => _ = groups.insert(row.subject.clone(), row),
        }
    }
    groups.into_values().collect()
}

/// A value in JSON and CSV.
enum Cell {
    Text(String),
    Number(String),
}

type CellOf = fn(&Row) -> Option<Cell>;

fn integer(number: Option<u64>) -> Option<Cell> {
    number.map(|number| Cell::Number(number.to_string()))
}

fn decimal(number: Option<f64>, decimals: usize) -> Option<Cell> {
    number.map(|number| Cell::Number(format!("{number:.decimals$}")))
}

fn spent(spent: TimeSpent) -> Option<Cell> {
    spent.ns().map(|ns| Cell::Number(output::seconds9(ns)))
}

fn round_trip(row: &Row, which: usize) -> Option<Cell> {
    row.srtt.quantiles().and_then(|quantiles| decimal(quantiles.get(which).copied(), 0))
}

fn address(end: End) -> Option<Cell> {
    end.ip().map(|address| Cell::Text(address.to_string()))
}

/// Returns a value of the connection, if the row is one of a connection.
fn identity<T>(row: &Row, get: impl FnOnce(&ConnectionId) -> Option<T>) -> Option<T> {
    match &row.subject {
        Subject::Connection(identity) => get(identity),
        Subject::Prefix(..) | Subject::Port(_) | Subject::Owner(..) => None,
    }
}

/// Returns the name of the owner, if this field contains it.
fn owner(row: &Row, field: &str) -> Option<Cell> {
    match &row.subject {
        Subject::Owner(Some(owner), of) if *of == field => owner.name.clone().map(Cell::Text),
        _ => None,
    }
}

/// Returns the process ID of the owner.
fn pid(row: &Row) -> Option<Cell> {
    match &row.subject {
        Subject::Owner(Some(owner), _) => integer(owner.pid.map(u64::from)),
        _ => None,
    }
}

/// The columns in JSON and CSV, in this order: names with units, and values.
const CELLS: [(&str, CellOf); 34] = [
    ("gencnt", |row| identity(row, |identity| integer(identity.gencnt))),
    ("vnet", |row| identity(row, |identity| integer(identity.vnet))),
    ("laddr", |row| identity(row, |identity| address(identity.local))),
    ("lport", |row| identity(row, |identity| integer(identity.local.port.map(u64::from)))),
    ("faddr", |row| identity(row, |identity| address(identity.foreign))),
    ("fport", |row| identity(row, |identity| integer(identity.foreign.port.map(u64::from)))),
    ("prefix", |row| matches!(row.subject, Subject::Prefix(..)).then(|| Cell::Text(row.subject.to_string()))),
    ("port", |row| matches!(row.subject, Subject::Port(_)).then(|| Cell::Number(row.subject.to_string()))),
    ("pid", pid),
    ("command", |row| owner(row, "command")),
    ("container", |row| owner(row, "container")),
    ("jail", |row| owner(row, "jail")),
    ("netns", |row| owner(row, "netns")),
    ("connections", |row| integer(Some(row.connections))),
    ("first", |row| Some(Cell::Number(output::seconds9(row.wall_ns.0)))),
    ("last", |row| Some(Cell::Number(output::seconds9(row.wall_ns.1)))),
    ("duration_s", |row| row.duration_ns.map(|ns| Cell::Number(output::seconds9(ns)))),
    ("sent_bytes", |row| integer(row.sent)),
    ("send_mean_bytes_per_s", |row| decimal(row.send_mean, 3)),
    ("send_max_bytes_per_s", |row| decimal(row.send_max, 3)),
    ("received_bytes", |row| integer(row.received)),
    ("receive_mean_bytes_per_s", |row| decimal(row.receive_mean, 3)),
    ("receive_max_bytes_per_s", |row| decimal(row.receive_max, 3)),
    ("rexmit_bytes", |row| integer(row.rexmit_bytes)),
    ("rexmit_packs", |row| integer(row.rexmit_packs)),
    ("rexmit_rate", |row| decimal(row.rexmit_rate(), 9)),
    ("srtt_min_us", |row| round_trip(row, 0)),
    ("srtt_median_us", |row| round_trip(row, 1)),
    ("srtt_p95_us", |row| round_trip(row, 2)),
    ("srtt_max_us", |row| round_trip(row, 3)),
    ("slow_start_s", |row| spent(row.slow_start)),
    ("cwnd_limited_s", |row| spent(row.cwnd_limited)),
    ("receiver_limited_s", |row| spent(row.receiver_limited)),
    ("buffer_limited_s", |row| spent(row.buffer_limited)),
];

/// Returns a row as a JSON object, without the keys of unknown values.
fn json(row: &Row) -> String {
    let members = CELLS.iter().filter_map(|(name, cell)| {
        cell(row).map(|cell| match cell {
            Cell::Text(text) => format!("\"{name}\":\"{text}\""),
            Cell::Number(number) => format!("\"{name}\":{number}"),
        })
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Returns a row as CSV, with empty cells for unknown values.
fn csv(row: &Row) -> String {
    let cells = CELLS.iter().map(|(_, cell)| match cell(row) {
        Some(Cell::Text(text) | Cell::Number(text)) => text,
        None => String::new(),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// Writes the table and the line about the log above it.
fn write_table(
    out: &mut impl Write,
    summary: &LogSummary,
    rows: &[&Row],
    all: usize,
    args: &Args,
) -> std::io::Result<()> {
    let what = match args.by {
        By::Connection => "connections",
        By::Prefix => "prefixes",
        By::Port => "ports",
        By::Process => "processes",
        By::Container => "containers",
        By::Jail => "jails",
        By::Netns => "network namespaces",
    };
    let (records, snapshots) = (summary.records, summary.context.snapshots);
    let time = seconds(summary.end_ns - summary.start_ns.unwrap_or(summary.end_ns));
    let shown = match rows.len() {
        count if count < all => format!("; the {count} worst by {}", name_of(args.measure())),
        _ => String::new(),
    };
    writeln!(out, "{all} {what}, {records} records in {snapshots} snapshots over {time} s{shown}")?;
    if let Some(steps) = summary.timeline.steps().message() {
        writeln!(out, "{steps}; durations exclude this")?;
    }
    writeln!(out)?;
    let first: &[(&str, Align)] = match args.by {
        By::Connection => &[("LOCAL", Align::Left), ("FOREIGN", Align::Left)],
        By::Prefix => &[("PREFIX", Align::Left), ("CONNS", Align::Right)],
        By::Port => &[("PORT", Align::Right), ("CONNS", Align::Right)],
        By::Process => &[("PROCESS", Align::Left), ("CONNS", Align::Right)],
        By::Container => &[("CONTAINER", Align::Left), ("CONNS", Align::Right)],
        By::Jail => &[("JAIL", Align::Left), ("CONNS", Align::Right)],
        By::Netns => &[("NETNS", Align::Left), ("CONNS", Align::Right)],
    };
    let titles = first.iter().copied().chain(TITLES.map(|title| (title, Align::Right)));
    let mut table = Table::new(titles.map(|(title, align)| (title.to_owned(), align)));
    for row in rows {
        table.push(readable(row));
    }
    table.write(out)?;
    writeln!(out, "\n{LEGEND}")
}

/// The titles after those of the subject.
const TITLES: [&str; 16] = [
    "SECS", "SENT", "MEAN/s", "MAX/s", "RECV", "MEAN/s", "REXMIT", "RATE", "SRTTMIN", "MEDIAN", "P95", "MAX", "SLOWST",
    "CWND", "PEER", "BUF",
];

/// The legend below the table.
const LEGEND: &str = "Bytes and bytes/s in the log; segments retransmitted, and the share of bytes retransmitted; srtt in \
                      ms; shares of the time in slow start, and limited by cwnd, by the peer and by the send buffer.";

/// Returns the cells of a row of the table.
fn readable(row: &Row) -> Vec<String> {
    let or_absent = |text: Option<String>| text.unwrap_or_else(|| ABSENT.into());
    let share = |spent: TimeSpent| {
        let duration_ns = row.duration_ns.filter(|ns| *ns > 0);
        or_absent(spent.ns().zip(duration_ns).map(|(ns, all)| format!("{:.0}%", 100.0 * ratio(ns, all))))
    };
    let mut cells: Vec<String> = match &row.subject {
        Subject::Connection(_) => row.subject.to_string().split(' ').map(String::from).collect(),
        subject => vec![subject.to_string(), row.connections.to_string()],
    };
    cells.push(or_absent(row.duration_ns.map(|ns| format!("{:.1}", as_float(ns) / 1e9))));
    let sent = [row.sent.map(as_float), row.send_mean, row.send_max];
    let received = [row.received.map(as_float), row.receive_mean];
    cells.extend(sent.into_iter().chain(received).map(|bytes| or_absent(bytes.map(bytes_of))));
    cells.push(or_absent(row.rexmit_packs.map(|packs| packs.to_string())));
    cells.push(or_absent(row.rexmit_rate().map(|rate| format!("{:.2}%", 100.0 * rate))));
    match row.srtt.quantiles() {
        Some(quantiles) => cells.extend(quantiles.map(milliseconds)),
        None => cells.extend([ABSENT; 4].map(String::from)),
    }
    cells.extend([row.slow_start, row.cwnd_limited, row.receiver_limited, row.buffer_limited].map(share));
    cells
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no count of bytes is near the limits of u64"
)]
fn bytes_of(number: f64) -> String {
    units::bytes(number.round() as u64)
}

/// Formats a round-trip time in milliseconds with a sensible number of decimals.
fn milliseconds(us: f64) -> String {
    let decimals = match us {
        ..1_000.0 => 3,
        ..10_000.0 => 2,
        ..100_000.0 => 1,
        _ => 0,
    };
    format!("{:.decimals$}", us / 1000.0)
}

fn name_of(measure: Measure) -> String {
    clap::ValueEnum::to_possible_value(&measure).map(|value| value.get_name().to_owned()).unwrap_or_default()
}
