// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The details of one connection: its history and its fields.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tcpstats::{FIELDS, Record, key};
use tcpstats_log::ConnectionId;

use super::super::model::Model;
use super::chart::{Format, Series, draw as draw_chart};
use super::style::Capabilities;
use crate::list::column::per_second;
use crate::list::tracker::{Point, Rates, Row};
use crate::table::ABSENT;
use crate::units;

/// The height of the charts in lines.
const CHART_HEIGHT: u16 = 10;

/// The minimum width of a chart in columns.
const CHART_WIDTH: u16 = 34;

/// Draws the details of a connection.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &mut Model, identity: ConnectionId, caps: Capabilities) {
    let Some((row, exists)) = model.detailed(identity) else {
        return;
    };
    let points = row.history.until(row.at_ns);
    // On a small screen, the fields are more useful than the charts.
    let chart_height =
        if points.is_empty() || area.height < CHART_HEIGHT + 5 { 0 } else { CHART_HEIGHT.max(area.height / 2) };
    let [title, charts, fields] =
        Layout::vertical([Constraint::Length(2), Constraint::Length(chart_height), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(vec![title_line(row, exists, caps), rate_line(row, caps)]), title);
    if chart_height > 0 {
        draw_charts(frame, charts, &points, caps);
    }
    let (lines, offset) = field_lines(&row.record, fields, model.detail_offset, caps);
    model.detail_offset = offset;
    frame.render_widget(Paragraph::new(lines), fields);
}

/// Returns the line with the state and the addresses.
fn title_line(row: &Row, exists: bool, caps: Capabilities) -> Line<'static> {
    let text = |key| units::readable(&row.record, key).unwrap_or_else(|| ABSENT.into());
    let state = text(key::state.field());
    let mut spans = vec![
        if exists { Span::styled(state, caps.name()) } else { Span::styled(format!("{state}, closed"), caps.alarm()) },
        Span::raw("  "),
        Span::styled(row.identity.local.to_string(), Capabilities::value()),
        Span::raw(" → "),
        Span::styled(row.identity.foreign.to_string(), Capabilities::value()),
    ];
    spans.push(Span::raw(format!("  {}", text(key::cc.field()))));
    Line::from(spans)
}

/// Returns the line with the current rates.
fn rate_line(row: &Row, caps: Capabilities) -> Line<'static> {
    let Rates { send, receive, rexmit } = row.rates;
    let bits = |rate: Option<f64>| rate.map_or_else(|| ABSENT.into(), |rate| units::bits(rate) + "bit/s");
    let rexmits = rexmit.map_or_else(|| ABSENT.into(), |rate| per_second(rate) + "/s");
    let rexmit_style = if rexmit.is_some_and(|rate| rate > 0.0) { caps.notable() } else { Capabilities::value() };
    Line::from(vec![
        Span::raw("send "),
        Span::styled(bits(send), Capabilities::value()),
        Span::raw("  receive "),
        Span::styled(bits(receive), Capabilities::value()),
        Span::raw("  retransmit "),
        Span::styled(rexmits, rexmit_style),
    ])
}

/// Draws charts of the windows, of the round-trip time and, if there is room, of the
/// rates.
fn draw_charts(frame: &mut Frame<'_>, area: Rect, points: &[Point], caps: Capabilities) {
    let count = (area.width / CHART_WIDTH).clamp(1, 3);
    // The first chart has the longest legend.
    let shares = [3, 2, 2].into_iter().take(count.into()).map(Constraint::Fill);
    let areas = Layout::horizontal(shares).spacing(1).split(area);
    let number = |pick: fn(&Point) -> Option<u32>| move |point: &Point| pick(point).map(f64::from);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the values are those of a u32 or a rate"
    )]
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
        draw_chart(frame, *area, series, unit, caps);
    }
}

/// Returns the lines with the other fields, in as many columns as fit, from a given
/// line on, and the number of this line after limiting it.
fn field_lines(record: &Record, area: Rect, offset: usize, caps: Capabilities) -> (Vec<Line<'static>>, usize) {
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
            [Span::styled(format!("{name:<name_width$} "), caps.name()), Span::raw(format!("{value:<value_width$}  "))]
        });
        spans.collect()
    };
    ((offset..needed).take(area.height.into()).map(line).collect(), offset)
}

/// A column of fields.
struct FieldColumn<'a> {
    cells: &'a [(&'static str, String)],
    /// The width of the longest name.
    name: usize,
    /// The width of the longest value.
    value: usize,
}

/// Splits the fields into as many columns as fit, at least one.
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
