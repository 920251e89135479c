// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! An event of a view: everything that the page shows, as JSON.

use std::fmt::{Display, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tcpstats::frame::flag;
use tcpstats::{FIELDS, Header, State as TcpState, key};
use tcpstats_log::ConnectionId;

use super::super::args::By;
use super::super::metrics::{Grouping, SEPARATOR};
use super::feed::State;
use super::groups::{Group, GroupColumn, Groups, Totals};
use super::query::Query;
use super::source::Source;
use crate::json::quoted;
use crate::list;
use crate::list::column::{Column, add_process, columns, per_second};
use crate::list::tracker::{Point, Row, TrackedSnapshot};
use crate::shown::has_process;
use crate::table::Align;
use crate::units;

/// The maximum number of connections in an event.
pub const ROWS_MAX: usize = 200;

/// The maximum number of groups in an event, and the default.
pub const GROUPS_MAX: usize = 200;
pub const GROUPS_SHOWN: usize = 8;

/// Returns the event of a view.
pub fn event(state: &State, query: &Query, source: &Source) -> String {
    let mut json = String::new();
    put(&mut json, "{\"source\":", quoted(&source.name));
    put(&mut json, ",\"filter\":", optional(source.filter.as_deref()));
    put(&mut json, ",\"interval\":", optional(source.interval.map(interval).as_deref()));
    put(&mut json, ",\"labels\":", list_of(source.labels.iter().map(|by| quoted(by.label()))));
    put(&mut json, ",\"by\":", list_of(query.by.iter().map(|by| quoted(by.label()))));
    put(&mut json, ",\"limit\":", ROWS_MAX);
    put(&mut json, ",\"error\":", optional(state.error.as_deref()));
    put(&mut json, ",\"over\":", state.is_over);
    if let Some(snapshot) = &state.snapshot {
        put_snapshot(&mut json, snapshot, query, source);
    }
    json.push('}');
    json
}

fn put(json: &mut String, name: &str, value: impl Display) {
    // Writing to a string does not fail.
    let _ = write!(json, "{name}{value}");
}

/// Returns a string, or null.
fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "null".into(), quoted)
}

fn list_of(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Returns the text of cells.  An absent value is an empty cell.
fn cells(values: impl Iterator<Item = Option<String>>) -> String {
    // A trend that is steady is a space.
    list_of(values.map(|value| quoted(value.as_deref().unwrap_or_default().trim_end())))
}

fn interval(interval: Duration) -> String {
    format!("{interval:?}")
}

fn put_snapshot(json: &mut String, snapshot: &TrackedSnapshot, query: &Query, source: &Source) {
    let TrackedSnapshot { header, rows } = snapshot;
    put_header(json, header);
    let grouping = Grouping::new(&query.by, source.prefixes.0, source.prefixes.1);
    let mut groups = Groups::new(&grouping);
    let (mut totals, mut states) = (Totals::default(), [0_usize; 13]);
    let (mut shown, mut opened) = (Vec::new(), None);
    let only = (!query.group.is_empty()).then(|| query.group.join(&String::from(SEPARATOR)));
    for (at, row) in rows.iter().enumerate() {
        if query.open.is_some_and(|id| id == id_of(row.identity))
            && opened.is_none_or(|row: &Row| row.record.is_final())
        {
            opened = Some(row);
        }
        let is_hidden = query.hides_ended && row.record.is_final();
        if is_hidden || query.filter.as_ref().is_some_and(|filter| !filter.matches(&row.record)) {
            continue;
        }
        groups.add(row);
        if only.as_ref().is_some_and(|only| *only != groups.key) {
            continue;
        }
        totals.add(row);
        let state = row.record.get(key::state).map_or(usize::MAX, |TcpState(number)| number.into());
        states[state.min(12)] += 1;
        shown.push(at);
    }
    put_totals(json, &totals, &states);
    put_connections(json, rows, shown, query);
    put_groups(json, groups, query);
    if let Some(row) = opened {
        put_opened(json, row, header);
    }
}

fn put_header(json: &mut String, header: &Header) {
    put(
        json,
        ",\"time\":",
        format_args!("{}.{:03}", header.wall_ns / 1_000_000_000, header.wall_ns / 1_000_000 % 1000),
    );
    put(json, ",\"walk\":", quoted(&units::time(header.walk_ns / 1000)));
    put(json, ",\"seen\":", header.seen);
    put(json, ",\"missed\":", header.missed);
    put(json, ",\"incomplete\":", header.missed > 0 || header.flags & flag::TRUNCATED != 0);
    put(json, ",\"lost\":", header.ended_lost);
    put(json, ",\"interrupted\":", header.flags & flag::INTERRUPTED != 0);
}

fn put_totals(json: &mut String, totals: &Totals, states: &[usize; 13]) {
    let bits = |rate: Option<f64>| optional(rate.map(|rate| units::bits(rate) + "bit/s").as_deref());
    put(json, ",\"totals\":{\"connections\":", totals.connections);
    put(json, ",\"send\":", bits(totals.send));
    put(json, ",\"receive\":", bits(totals.receive));
    put(json, ",\"rexmit\":", optional(totals.rexmit.map(|rate| per_second(rate) + "/s").as_deref()));
    put(json, ",\"retransmits\":", totals.rexmit.is_some_and(|rate| rate > 0.0));
    let name = |number: usize| u8::try_from(number).ok().and_then(|number| TcpState(number).name()).unwrap_or("other");
    let counted = states.iter().enumerate().filter(|(_, count)| **count > 0);
    let states = list_of(counted.map(|(number, count)| format!("[{},{count}]", quoted(name(number)))));
    put(json, "},\"states\":", states);
}

/// Returns the ID of a connection in URLs.
fn id_of(identity: ConnectionId) -> u64 {
    let mut hasher = DefaultHasher::new();
    // The hash of an ID contains only its number if it has one.
    (identity, identity.local, identity.foreign, identity.vnet, identity.jid).hash(&mut hasher);
    hasher.finish()
}

fn column_json(name: &str, title: &str, meaning: &str, align: Align) -> String {
    let is_number = align == Align::Right;
    format!(
        "{{\"name\":{},\"title\":{},\"meaning\":{},\"number\":{is_number}}}",
        quoted(name),
        quoted(title),
        quoted(meaning)
    )
}

/// Returns the order by which a list is sorted: its column, and whether it is descending.
fn order<C: Copy + Descends>(
    columns: &[C],
    name: impl Fn(C) -> String,
    asked: &(String, Option<bool>),
    default: &str,
) -> (C, bool) {
    let named = |wanted: &str| columns.iter().find(|column| name(**column) == wanted);
    let column = *named(&asked.0).or_else(|| named(default)).unwrap_or(&columns[0]);
    (column, asked.1.unwrap_or(column.descends()))
}

/// A column with an initial order.
trait Descends {
    fn descends(&self) -> bool;
}

impl Descends for Column {
    fn descends(&self) -> bool {
        Column::descends(*self)
    }
}

impl Descends for GroupColumn {
    fn descends(&self) -> bool {
        !matches!(self, Self::Label(_))
    }
}

fn put_order(json: &mut String, name: &str, is_descending: bool) {
    put(json, "\"sort\":", quoted(name));
    put(json, ",\"order\":", if is_descending { "\"desc\"" } else { "\"asc\"" });
}

fn put_connections(json: &mut String, rows: &[Row], mut shown: Vec<usize>, query: &Query) {
    let mut all = columns(None);
    if rows.iter().any(|row| has_process(&row.record)) {
        add_process(&mut all);
    }
    let (column, is_descending) = order(&all, |column| column.name().into(), &query.sort, Column::Send.name());
    list::sort(rows, &mut shown, column, is_descending);
    json.push_str(",\"connections\":{");
    put_order(json, column.name(), is_descending);
    put(json, ",\"total\":", shown.len());
    let heads =
        all.iter().map(|column| column_json(column.name(), column.title(true), column.meaning(), column.align()));
    put(json, ",\"columns\":", list_of(heads));
    let row_json = |row: &Row| {
        let (id, is_final) = (id_of(row.identity), row.record.is_final());
        format!("[\"{id:016x}\",{is_final},{}]", cells(all.iter().map(|column| column.value(row, true))))
    };
    let listed = shown.iter().take(ROWS_MAX).filter_map(|at| rows.get(*at));
    put(json, ",\"rows\":", list_of(listed.map(row_json)));
    json.push('}');
}

fn put_groups(json: &mut String, groups: Groups<'_>, query: &Query) {
    let labels = query.by.iter().enumerate();
    let all: Vec<_> = labels.map(|(at, _)| GroupColumn::Label(at)).chain(GroupColumn::VALUES).collect();
    let describe = |column: GroupColumn| match column {
        GroupColumn::Label(at) => {
            let label = query.by.get(at).map_or("", |by| By::label(*by));
            [label, label, ""]
        }
        other => other.description(),
    };
    let name = |column: GroupColumn| describe(column)[0].to_owned();
    let (column, is_descending) = order(&all, name, &query.sort_groups, "send");
    let (total, groups) = groups.sorted(column, is_descending, query.groups);
    json.push_str(",\"groups\":{");
    put_order(json, &name(column), is_descending);
    put(json, ",\"total\":", total);
    let head = |column: &GroupColumn| {
        let [name, title, meaning] = describe(*column);
        column_json(name, title, meaning, if column.descends() { Align::Right } else { Align::Left })
    };
    put(json, ",\"columns\":", list_of(all.iter().map(head)));
    let row = |group: &Group| {
        let values = list_of(group.key.split(SEPARATOR).take(query.by.len()).map(quoted));
        format!("[{values},{}]", cells(all.iter().map(|column| column.value(group))))
    };
    put(json, ",\"rows\":", list_of(groups.iter().map(row)));
    json.push('}');
}

fn put_opened(json: &mut String, row: &Row, header: &Header) {
    let text = |field| units::readable(&row.record, field);
    put(json, ",\"opened\":{\"title\":", quoted(&row.identity.to_string()));
    put(json, ",\"ended\":", row.record.is_final());
    let known = FIELDS.iter().filter_map(|field| Some((field, text(field)?)));
    let field_json = |(field, value): (&tcpstats::Field, String)| {
        format!("[{},{},{}]", quoted(field.name), quoted(&value), quoted(field.meaning))
    };
    put(json, ",\"fields\":", list_of(known.map(field_json)));
    let points = row.history.until(row.at_ns);
    let ago = |point: &Point| header.mono_ns.saturating_sub(point.at_ns);
    let times = points.iter().map(|point| {
        let ms = header.wall_ns.saturating_sub(ago(point)) / 1_000_000;
        format!("{}.{:03}", ms / 1000, ms % 1000)
    });
    put(json, ",\"points\":{\"time\":", list_of(times));
    let integers = |pick: fn(&Point) -> Option<u32>| {
        list_of(points.iter().map(|point| pick(point).map_or_else(|| "null".into(), |value| value.to_string())))
    };
    let rate = |pick: fn(&Point) -> Option<f64>| {
        list_of(points.iter().map(|point| pick(point).map_or_else(|| "null".into(), |value| format!("{value:.1}"))))
    };
    put(json, ",\"srtt\":", integers(|point| point.srtt));
    put(json, ",\"snd_cwnd\":", integers(|point| point.snd_cwnd));
    put(json, ",\"snd_ssthresh\":", integers(|point| point.snd_ssthresh));
    put(json, ",\"inflight\":", integers(|point| point.inflight));
    put(json, ",\"send\":", rate(|point| point.rates.send));
    put(json, ",\"receive\":", rate(|point| point.rates.receive));
    put(json, ",\"rexmit\":", rate(|point| point.rates.rexmit));
    json.push_str("}}");
}
