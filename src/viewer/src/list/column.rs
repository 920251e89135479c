// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The columns of the list.

use std::cmp::Ordering;

#[cfg(feature = "top")]
use tcpstats::Unit;
#[cfg(feature = "top")]
use tcpstats::text::longest;
use tcpstats::{Field, Kind, State, key};

use super::tracker::{Row, Trend};
use crate::shown::{PROCESS, Shown, process};
#[cfg(feature = "top")]
use crate::table::ABSENT;
use crate::table::Align;
use crate::units;

/// A column of the list.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// The local address and port, or the port alone on a narrow terminal.
    Local,
    /// The foreign address and port.
    Foreign,
    /// Bits per second sent and acknowledged.
    Send,
    /// Bits per second received.
    Receive,
    /// Segments per second retransmitted.
    Rexmit,
    /// The smoothed round-trip time and its trend.
    Srtt,
    /// The process that has the socket open.
    Process,
    /// A field.
    Field(&'static Field),
}

/// The value by which a column sorts.  Absent values are last in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SortKey<'a> {
    /// A number.
    Number(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A name and a number.
    Numbered(&'a [u8], u32),
    /// No value.
    Absent,
}

impl SortKey<'_> {
    /// Returns the order of two connections.
    pub fn order(self, other: Self, descending: bool) -> Ordering {
        let directed = |order: Ordering| if descending { order.reverse() } else { order };
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => directed(one.total_cmp(&other)),
            (Self::Bytes(one), Self::Bytes(other)) => directed(one.cmp(other)),
            (Self::Numbered(one, number), Self::Numbered(other, other_number)) => {
                directed(one.cmp(other).then(number.cmp(&other_number)))
            }
            (Self::Absent, Self::Absent) => Ordering::Equal,
            (Self::Absent, _) => Ordering::Greater,
            (_, Self::Absent) => Ordering::Less,
            // No column has values of several kinds.
            _ => Ordering::Equal,
        }
    }
}

/// Returns the columns in the order of their importance, because a narrow terminal
/// shows only the first: the connection and its rates, then the requested fields.
pub fn columns(shown: Option<&[Shown]>) -> Vec<Column> {
    let mut columns = vec![Column::Local, Column::Foreign, Column::Field(key::state.field())];
    columns.extend([Column::Send, Column::Receive, Column::Rexmit, Column::Srtt]);
    let column = |shown: &Shown| match shown {
        Shown::Field(field) => (field.index != key::srtt.field().index).then_some(Column::Field(field)),
        Shown::Process => Some(Column::Process),
    };
    match shown {
        Some(shown) => columns.extend(shown.iter().filter_map(column)),
        None => columns.extend(
            [key::snd_cwnd, key::inflight, key::snd_ssthresh, key::rttmin, key::snd_wnd, key::snd_cc, key::rcv_cc]
                .map(|key| Column::Field(key.field()))
                .into_iter()
                .chain([Column::Field(key::rexmit_packs.field()), Column::Field(key::cc.field())]),
        ),
    }
    columns
}

/// Adds the column of the process, after those that every source has, and returns its position.
pub fn add_process(columns: &mut Vec<Column>) -> usize {
    let is_field = |column: &Column| matches!(column, Column::Field(field) if field.kind != Kind::State);
    let at = columns.iter().position(is_field).unwrap_or(columns.len());
    columns.insert(at, Column::Process);
    at
}

impl Column {
    /// Returns the title.
    pub fn title(self, wide: bool) -> &'static str {
        match self {
            Self::Local if wide => "local",
            Self::Local => "lport",
            Self::Foreign => "foreign",
            Self::Send => "send b/s",
            Self::Receive => "recv b/s",
            Self::Rexmit => "rexm/s",
            Self::Srtt => "srtt",
            Self::Process => PROCESS,
            Self::Field(field) => field.name,
        }
    }

    /// Returns the name, which has no spaces.
    #[cfg(feature = "serve")]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Rexmit => "rexmit",
            other => other.title(true),
        }
    }

    /// Returns the meaning, in one line.
    #[cfg(feature = "serve")]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Local => "local address and port",
            Self::Foreign => "foreign address and port",
            Self::Send => "payload acknowledged by the peer, in bits per second",
            Self::Receive => "payload received, in bits per second",
            Self::Rexmit => "segments retransmitted per second",
            Self::Srtt => key::srtt.field().meaning,
            Self::Process => "process that has the socket open",
            Self::Field(field) => field.meaning,
        }
    }

    /// Returns the minimum width in characters.
    #[cfg(feature = "top")]
    pub fn width(self, wide: bool) -> usize {
        match self {
            Self::Local if !wide => 5,
            Self::Local | Self::Foreign => 21,
            Self::Srtt => 8,
            Self::Process => 15,
            Self::Field(field) if field.kind == Kind::State => 6,
            Self::Field(field) => field.name.len().max(match (field.kind, field.unit) {
                (_, Unit::Bytes | Unit::Microseconds) => 6,
                (_, Unit::BytesPerSecond) => 7,
                (Kind::Name16 | Kind::Name32, _) => 8,
                // It fits into 80 characters, and grows.
                (Kind::Name64, _) => 11,
                (Kind::Options, _) => 18,
                (kind, _) => longest(kind),
            }),
            _ => self.title(wide).len(),
        }
    }

    /// Returns whether values that are wider than the column are common.
    #[cfg(feature = "top")]
    pub fn grows(self, wide: bool) -> bool {
        match self {
            Self::Local => wide,
            Self::Foreign | Self::Process => true,
            Self::Field(field) => field.kind == Kind::Name64,
            _ => false,
        }
    }

    /// Returns the alignment.
    pub fn align(self) -> Align {
        match self {
            Self::Local | Self::Foreign | Self::Process => Align::Left,
            Self::Field(field) if field.kind.is_text() => Align::Left,
            _ => Align::Right,
        }
    }

    /// Returns whether the initial order is descending.
    pub fn descends(self) -> bool {
        self.align() == Align::Right
    }

    /// Returns the text of a cell.
    #[cfg(feature = "top")]
    pub fn text(self, row: &Row, wide: bool) -> String {
        self.value(row, wide).unwrap_or_else(|| ABSENT.into())
    }

    /// Returns the text of a value, or `None` if it is absent.
    pub fn value(self, row: &Row, wide: bool) -> Option<String> {
        let rate = |rate: Option<f64>| rate.map(units::bits);
        match self {
            Self::Local if !wide => row.identity.local.port.map(|port| port.to_string()),
            Self::Local => Some(row.identity.local.to_string()),
            Self::Foreign => Some(row.identity.foreign.to_string()),
            Self::Send => rate(row.rates.send),
            Self::Receive => rate(row.rates.receive),
            Self::Rexmit => row.rates.rexmit.map(per_second),
            Self::Srtt => units::readable(&row.record, key::srtt.field()).map(|srtt| srtt + trend(row.trend)),
            Self::Process => process(&row.record),
            Self::Field(field) if field.kind == Kind::State => row.record.get(key::state).map(short),
            Self::Field(field) => units::readable(&row.record, field),
        }
    }

    /// Returns the value by which the column sorts.
    pub fn sort_key(self, row: &Row) -> SortKey<'_> {
        let rate = |rate: Option<f64>| rate.map_or(SortKey::Absent, SortKey::Number);
        match self {
            Self::Local => field_key(row, key::lport.field()),
            Self::Foreign => field_key(row, key::faddr.field()),
            Self::Send => rate(row.rates.send),
            Self::Receive => rate(row.rates.receive),
            Self::Rexmit => rate(row.rates.rexmit),
            Self::Srtt => field_key(row, key::srtt.field()),
            Self::Process => match (row.record.bytes(key::command.field()), row.record.get(key::pid)) {
                (None, None) => SortKey::Absent,
                (command, pid) => SortKey::Numbered(command.unwrap_or_default(), pid.unwrap_or_default()),
            },
            Self::Field(field) => field_key(row, field),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "the order of huge numbers that differ by one does not matter")]
fn field_key<'a>(row: &'a Row, field: &Field) -> SortKey<'a> {
    match row.record.number(field) {
        Some(number) => SortKey::Number(number as f64),
        None => row.record.bytes(field).map_or(SortKey::Absent, SortKey::Bytes),
    }
}

/// Returns an arrow, or a space.
fn trend(trend: Trend) -> &'static str {
    match trend {
        Trend::Rising => "↑",
        Trend::Falling => "↓",
        Trend::Steady => " ",
    }
}

/// Formats a rate of events.
pub fn per_second(rate: f64) -> String {
    if rate == 0.0 || rate >= 99.95 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// Returns the name of a state in at most six characters.
fn short(state: State) -> String {
    let text = match state {
        State::SYN_SENT => "SYN_S",
        State::SYN_RCVD => "SYN_R",
        State::ESTABLISHED => "ESTAB",
        State::CLOSE_WAIT => "CLOS_W",
        State::FIN_WAIT_1 => "FIN_W1",
        State::CLOSING => "CLOSNG",
        State::LAST_ACK => "LAST_A",
        State::FIN_WAIT_2 => "FIN_W2",
        State::TIME_WAIT => "TIME_W",
        other => return other.name().map_or_else(|| other.0.to_string(), str::to_owned),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_values_are_last_in_both_directions() {
        for descending in [false, true] {
            let mut keys = [SortKey::Absent, SortKey::Number(1.0), SortKey::Number(2.0)];
            keys.sort_by(|one, other| one.order(*other, descending));
            assert_eq!(keys[2], SortKey::Absent);
            assert_eq!(keys[0], SortKey::Number(if descending { 2.0 } else { 1.0 }));
        }
    }

    #[test]
    fn the_name_of_a_state_fits_its_column() {
        for number in 0..=11 {
            assert!(short(State(number)).len() <= Column::Field(key::state.field()).width(true));
        }
    }

    #[test]
    fn srtt_has_only_one_column() {
        let shown = Shown::parse("cc,srtt,process,uid").unwrap();
        let titles: Vec<_> = columns(Some(&shown)).iter().map(|column| column.title(true)).collect();
        assert_eq!(titles[6..], ["srtt", "cc", "process", "uid"]);
    }
}
