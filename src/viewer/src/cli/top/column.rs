// SPDX-License-Identifier: BSD-2-Clause

//! What the list shows of a connection, and can be sorted by.

use std::cmp::Ordering;

use tcpstats::text::longest;
use tcpstats::{Columns, Field, Kind, State, Unit, key};

use super::tracker::{Row, Trend};
use crate::table::{ABSENT, Align};
use crate::units;

/// A column of the list.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Local address and port; the port alone where there is no room.
    Local,
    /// Foreign address and port.
    Foreign,
    /// Bits a second sent and acknowledged.
    Send,
    /// Bits a second received.
    Receive,
    /// Segments a second retransmitted.
    Rexmit,
    /// The smoothed round-trip time and its trend.
    Srtt,
    /// A field of the table.
    Field(&'static Field),
}

/// What a column sorts by; what is absent stands last in either direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SortKey<'a> {
    /// A number.
    Number(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Nothing is known.
    Absent,
}

impl SortKey<'_> {
    /// The order of two connections by their keys.
    pub fn order(self, other: Self, descending: bool) -> Ordering {
        let directed = |order: Ordering| if descending { order.reverse() } else { order };
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => directed(one.total_cmp(&other)),
            (Self::Bytes(one), Self::Bytes(other)) => directed(one.cmp(other)),
            (Self::Absent, Self::Absent) => Ordering::Equal,
            // No column has numbers and bytes.
            (Self::Absent, _) | (Self::Bytes(_), Self::Number(_)) => Ordering::Greater,
            (_, Self::Absent) | (Self::Number(_), Self::Bytes(_)) => Ordering::Less,
        }
    }
}

/// The columns, those first that are shown also on a narrow terminal: which
/// connection and its rates, and then the fields that were asked for.
pub fn columns(fields: Option<&Columns>) -> Vec<Column> {
    let mut columns = vec![Column::Local, Column::Foreign, Column::Field(key::state.field())];
    columns.extend([Column::Send, Column::Receive, Column::Rexmit, Column::Srtt]);
    let field = |field: &'static Field| (field.index != key::srtt.field().index).then_some(Column::Field(field));
    match fields {
        Some(fields) => columns.extend(fields.fields().filter_map(field)),
        None => columns.extend(
            [key::snd_cwnd, key::inflight, key::snd_ssthresh, key::rttmin, key::snd_wnd, key::snd_cc, key::rcv_cc]
                .map(|key| Column::Field(key.field()))
                .into_iter()
                .chain([Column::Field(key::rexmit_packs.field()), Column::Field(key::cc.field())]),
        ),
    }
    columns
}

impl Column {
    /// What stands above it.
    pub fn title(self, wide: bool) -> &'static str {
        match self {
            Self::Local if wide => "local",
            Self::Local => "lport",
            Self::Foreign => "foreign",
            Self::Send => "send b/s",
            Self::Receive => "recv b/s",
            Self::Rexmit => "rexm/s",
            Self::Srtt => "srtt",
            Self::Field(field) => field.name,
        }
    }

    /// Cells that it takes at least.
    pub fn width(self, wide: bool) -> usize {
        match self {
            Self::Local if !wide => 5,
            Self::Local | Self::Foreign => 21,
            Self::Srtt => 8,
            Self::Field(field) if field.kind == Kind::State => 6,
            Self::Field(field) => field.name.len().max(match (field.kind, field.unit) {
                (_, Unit::Bytes | Unit::Microseconds) => 6,
                (_, Unit::BytesPerSecond) => 7,
                (Kind::Name16 | Kind::Name32 | Kind::Name64, _) => 8,
                (Kind::Options, _) => 18,
                (kind, _) => longest(kind),
            }),
            _ => self.title(wide).len(),
        }
    }

    /// Where its text stands.
    pub fn align(self) -> Align {
        match self {
            Self::Local | Self::Foreign => Align::Left,
            Self::Field(field) if field.kind.is_text() => Align::Left,
            _ => Align::Right,
        }
    }

    /// Whether the largest stands first when one begins to sort by it.
    pub fn descends(self) -> bool {
        self.align() == Align::Right
    }

    /// What a cell has.
    pub fn text(self, row: &Row, wide: bool) -> String {
        let rate = |rate: Option<f64>| rate.map(units::bits);
        let text = match self {
            Self::Local if !wide => row.identity.local.port.map(|port| port.to_string()),
            Self::Local => Some(row.identity.local.to_string()),
            Self::Foreign => Some(row.identity.foreign.to_string()),
            Self::Send => rate(row.rates.send),
            Self::Receive => rate(row.rates.receive),
            Self::Rexmit => row.rates.rexmit.map(per_second),
            Self::Srtt => units::readable(&row.record, key::srtt.field()).map(|srtt| srtt + trend(row.trend)),
            Self::Field(field) if field.kind == Kind::State => row.record.get(key::state).map(short),
            Self::Field(field) => units::readable(&row.record, field),
        };
        text.unwrap_or_else(|| ABSENT.into())
    }

    /// What it sorts by.
    pub fn sort_key(self, row: &Row) -> SortKey<'_> {
        let rate = |rate: Option<f64>| rate.map_or(SortKey::Absent, SortKey::Number);
        match self {
            Self::Local => field_key(row, key::lport.field()),
            Self::Foreign => field_key(row, key::faddr.field()),
            Self::Send => rate(row.rates.send),
            Self::Receive => rate(row.rates.receive),
            Self::Rexmit => rate(row.rates.rexmit),
            Self::Srtt => field_key(row, key::srtt.field()),
            Self::Field(field) => field_key(row, field),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "where numbers of 2^53 differ by one any order is as good")]
fn field_key<'a>(row: &'a Row, field: &Field) -> SortKey<'a> {
    match row.record.number(field) {
        Some(number) => SortKey::Number(number as f64),
        None => row.record.bytes(field).map_or(SortKey::Absent, SortKey::Bytes),
    }
}

/// An arrow, or a space in its place.
fn trend(trend: Trend) -> &'static str {
    match trend {
        Trend::Rising => "↑",
        Trend::Falling => "↓",
        Trend::Steady => " ",
    }
}

/// A rate of events.
pub fn per_second(rate: f64) -> String {
    if rate == 0.0 || rate >= 99.95 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// A state in six letters.
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
    fn what_is_absent_stands_last_whichever_way_one_sorts() {
        for descending in [false, true] {
            let mut keys = [SortKey::Absent, SortKey::Number(1.0), SortKey::Number(2.0)];
            keys.sort_by(|one, other| one.order(*other, descending));
            assert_eq!(keys[2], SortKey::Absent);
            assert_eq!(keys[0], SortKey::Number(if descending { 2.0 } else { 1.0 }));
        }
    }

    #[test]
    fn a_state_fits_its_column() {
        for number in 0..=11 {
            assert!(short(State(number)).len() <= Column::Field(key::state.field()).width(true));
        }
    }

    #[test]
    fn srtt_has_one_column_only() {
        let fields = Columns::parse("cc,srtt,uid").unwrap();
        let titles: Vec<_> = columns(Some(&fields)).iter().map(|column| column.title(true)).collect();
        assert_eq!(titles[6..], ["srtt", "cc", "uid"]);
    }
}
