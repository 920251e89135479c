// SPDX-License-Identifier: BSD-2-Clause

//! One connection: how it came to be as it is, and all its fields.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tcpstats::{FIELDS, Record, key};
use tcpstats_log::ConnectionId;

use super::super::column::per_second;
use super::super::model::Model;
use super::super::tracker::{Point, Rates, Row};
use super::Abilities;
use super::chart::{Format, Series, draw as draw_chart};
use crate::table::ABSENT;
use crate::units;

/// Lines of the charts.
const CHART_HEIGHT: u16 = 10;

/// The narrowest chart that tells something.
const CHART_WIDTH: u16 = 34;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &mut Model, identity: ConnectionId, can: Abilities) {
    let Some((row, here)) = model.detailed(identity) else {
        return;
    };
    let points = row.history.until(row.at_ns);
    // Fields without charts are of more use than charts without fields.
    let chart_height =
        if points.is_empty() || area.height < CHART_HEIGHT + 5 { 0 } else { CHART_HEIGHT.max(area.height / 2) };
    let [title, charts, fields] =
        Layout::vertical([Constraint::Length(2), Constraint::Length(chart_height), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(vec![who(row, here, can), what(row, can)]), title);
    if chart_height > 0 {
        draw_charts(frame, charts, &points, can);
    }
    let (lines, offset) = field_lines(&row.record, fields, model.detail_offset, can);
    model.detail_offset = offset;
    frame.render_widget(Paragraph::new(lines), fields);
}

/// Which connection it is.
fn who(row: &Row, here: bool, can: Abilities) -> Line<'static> {
    let text = |key| units::readable(&row.record, key).unwrap_or_else(|| ABSENT.into());
    let state = text(key::state.field());
    let mut spans = vec![
        if here { Span::styled(state, can.name()) } else { Span::styled(format!("{state}, gone since"), can.alarm()) },
        Span::raw("  "),
        Span::styled(row.identity.local.with_zone_name(units::zone).to_string(), Abilities::value()),
        Span::raw(" → "),
        Span::styled(row.identity.foreign.with_zone_name(units::zone).to_string(), Abilities::value()),
    ];
    spans.push(Span::raw(format!("  {}", text(key::cc.field()))));
    Line::from(spans)
}

/// What it does just now.
fn what(row: &Row, can: Abilities) -> Line<'static> {
    let Rates { send, receive, rexmit } = row.rates;
    let bits = |rate: Option<f64>| rate.map_or_else(|| ABSENT.into(), |rate| units::bits(rate) + "bit/s");
    let again = rexmit.map_or_else(|| ABSENT.into(), |rate| per_second(rate) + "/s");
    let again_style = if rexmit.is_some_and(|rate| rate > 0.0) { can.notable() } else { Abilities::value() };
    Line::from(vec![
        Span::raw("send "),
        Span::styled(bits(send), Abilities::value()),
        Span::raw("  receive "),
        Span::styled(bits(receive), Abilities::value()),
        Span::raw("  retransmit "),
        Span::styled(again, again_style),
    ])
}

/// Windows, time and, where there is room, rates: on one axis of time.
fn draw_charts(frame: &mut Frame<'_>, area: Rect, points: &[Point], can: Abilities) {
    let count = (area.width / CHART_WIDTH).clamp(1, 3);
    // The first has the longest legend.
    let shares = [3, 2, 2].into_iter().take(count.into()).map(Constraint::Fill);
    let areas = Layout::horizontal(shares).spacing(1).split(area);
    let number = |pick: fn(&Point) -> Option<u32>| move |point: &Point| pick(point).map(f64::from);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made of a u32 or of a rate")]
    let (bytes, time, rate): (Format, Format, Format) =
        (|bytes| units::bytes(bytes as u64), |us| units::time(us as u64), units::bits);
    let windows = [
        Series::new("cwnd", Marker::Braille, Color::Green, points, number(|point| point.snd_cwnd)),
        Series::new("ssthresh", Marker::Custom('-'), Color::Red, points, number(|point| point.snd_ssthresh)),
        Series::new("inflight", Marker::Dot, Color::Yellow, points, number(|point| point.inflight)),
    ];
    let srtt = [Series::new("srtt", Marker::Braille, Color::Cyan, points, number(|point| point.srtt))];
    let rates = [
        Series::new("send b/s", Marker::Braille, Color::Green, points, |point| point.rates.send),
        Series::new("recv b/s", Marker::Dot, Color::Yellow, points, |point| point.rates.receive),
    ];
    let charts: [(&[Series], Format); 3] = [(&windows, bytes), (&srtt, time), (&rates, rate)];
    for (area, (series, unit)) in areas.iter().zip(charts) {
        draw_chart(frame, *area, series, unit, can);
    }
}

/// All other fields that are known, in as many columns as there is room for,
/// from a line on; and that line, which is no later than needed.
fn field_lines(record: &Record, area: Rect, offset: usize, can: Abilities) -> (Vec<Line<'static>>, usize) {
    let ports = [key::lport.field(), key::fport.field()];
    let above = [key::laddr.field(), key::faddr.field(), key::state.field(), key::cc.field()].into_iter().chain(ports);
    let others = FIELDS.iter().filter(|field| above.clone().all(|each| each.index != field.index));
    let known: Vec<_> = others.filter_map(|field| Some((field.name, units::readable(record, field)?))).collect();
    let columns = columns(&known, area.width.into());
    let needed = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let offset = offset.min(needed.saturating_sub(area.height.into()));
    let line = |at: usize| {
        let cells = columns.iter().filter_map(|column| Some((column, column.cells.get(at)?)));
        let spans = cells.flat_map(|(column, (name, value))| {
            let (name_width, value_width) = (column.name, column.value);
            [Span::styled(format!("{name:<name_width$} "), can.name()), Span::raw(format!("{value:<value_width$}  "))]
        });
        spans.collect()
    };
    ((offset..needed).take(area.height.into()).map(line).collect(), offset)
}

/// Fields that stand below each other.
struct FieldColumn<'a> {
    cells: &'a [(&'static str, String)],
    /// The longest name.
    name: usize,
    /// The longest value.
    value: usize,
}

/// Splits the fields into as many columns as fit, one at least.
fn columns<'a>(known: &'a [(&'static str, String)], width: usize) -> Vec<FieldColumn<'a>> {
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let split = |count: usize| -> Vec<FieldColumn<'a>> {
        let column = |cells: &'a [(&'static str, String)]| FieldColumn {
            cells,
            name: longest(&mut cells.iter().map(|(name, _)| name.len())),
            value: longest(&mut cells.iter().map(|(_, value)| value.len())),
        };
        known.chunks(known.len().div_ceil(count).max(1)).map(column).collect()
    };
    let taken =
        |columns: &[FieldColumn<'_>]| columns.iter().map(|column| column.name + column.value + 3).sum::<usize>();
    (2..=known.len()).map(split).take_while(|columns| taken(columns) <= width + 2).last().unwrap_or_else(|| split(1))
}
