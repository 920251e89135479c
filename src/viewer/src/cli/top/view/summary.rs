// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The lines above the list: the source, the totals and the filter.

use std::fmt::Write;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tcpstats::State;
use tcpstats::frame::flag;

use super::super::model::Model;
use super::style::{Capabilities, fit};
use crate::list::column::per_second;
use crate::units;

/// The prompt before the filter.
const PROMPT: &str = "filter: ";

/// The lines that a screen of a certain height has room for.
struct SummaryLines {
    /// The number of lines above the filter.
    above: usize,
    /// Whether there is a line for the filter.
    filter: bool,
}

impl SummaryLines {
    fn of(model: &Model, screen_height: u16) -> Self {
        match screen_height {
            14.. => Self { above: 3, filter: true },
            8.. => Self { above: 1, filter: true },
            3.. => Self { above: usize::from(!model.filter.is_editing()), filter: model.filter.is_editing() },
            _ => Self { above: 0, filter: false },
        }
    }
}

/// Returns the number of lines on a screen of this height.
pub fn height(model: &Model, screen_height: u16) -> u16 {
    let SummaryLines { above, filter } = SummaryLines::of(model, screen_height);
    let error = if screen_height >= 8 && model.filter.error().is_some() { 2 } else { 0 };
    u16::try_from(above + usize::from(filter) + error).unwrap_or(u16::MAX)
}

/// Draws the lines.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, caps: Capabilities) {
    let lines_shown = SummaryLines::of(model, frame.area().height);
    let (filter, cursor) = filter(model, usize::from(area.width), caps);
    let mut lines = vec![source(model, caps), states(model, caps), rates(model, caps)];
    lines.truncate(lines_shown.above);
    if lines_shown.filter {
        lines.extend(filter);
    }
    frame.render_widget(Paragraph::new(lines), area);
    let y = area.y.saturating_add(u16::try_from(lines_shown.above).unwrap_or(0));
    let x = u16::try_from(cursor).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
    if model.filter.is_editing() && !model.help && y < area.bottom() {
        frame.set_cursor_position(Position { x: area.x + x, y });
    }
}

/// Returns the line with the host, the time, and the completeness of the snapshot.
fn source(model: &Model, caps: Capabilities) -> Line<'static> {
    let header = model.header();
    let seconds = header.wall_ns / 1_000_000_000 % 86400;
    let time = format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut spans =
        vec![Span::styled("tcpstats", Capabilities::value()), Span::raw(format!("  {}  {time}  ", model.host))];
    if let Some(error) = &model.error {
        spans.push(Span::styled(error.clone(), caps.alarm()));
        return Line::from(spans);
    }
    let walk = units::time(header.walk_ns / 1000);
    spans.push(Span::raw(format!("every {:?}  walk {walk}  ", model.interval)));
    let missed = format!("missed {}", header.missed);
    let is_complete = header.missed == 0 && header.flags & flag::TRUNCATED == 0;
    spans.push(if is_complete { Span::raw(missed) } else { Span::styled(missed, caps.alarm()) });
    if header.ended_lost > 0 {
        spans.push(Span::styled(format!("  no final record {}", header.ended_lost), caps.notable()));
    }
    if header.flags & flag::INTERRUPTED != 0 {
        spans.push(Span::styled("  tables changed", caps.notable()));
    }
    if model.paused {
        spans.push(Span::styled("  PAUSED", caps.notable()));
    }
    Line::from(spans)
}

/// Returns the line with the number of connections and their states.
fn states(model: &Model, caps: Capabilities) -> Line<'static> {
    let ended = model.summary.states[usize::from(State::ENDED.0)];
    let (seen, shown) = (model.header().seen, model.shown.len() - ended);
    let mut text = format!("{seen} connections");
    if seen != shown as u64 {
        _ = write!(text, ", {shown} match");
    }
    let mut spans = vec![Span::styled(text, Capabilities::value())];
    for (number, count) in model.summary.states.iter().enumerate().filter(|(_, count)| **count > 0) {
        let name = u8::try_from(number).ok().and_then(|number| State(number).name()).unwrap_or("other");
        spans.push(Span::raw(format!("  {count} ")));
        spans.push(Span::styled(name, caps.name()));
    }
    Line::from(spans)
}

/// Returns the line with the total rates and the order of the list.
fn rates(model: &Model, caps: Capabilities) -> Line<'static> {
    let summary = &model.summary;
    let rexmit = format!("{}/s", per_second(summary.rexmit));
    let rexmit = if summary.rexmit > 0.0 {
        Span::styled(rexmit, caps.notable())
    } else {
        Span::styled(rexmit, Capabilities::value())
    };
    let column = model.columns[model.sort].title(true);
    let order = if model.descending { "descending" } else { "ascending" };
    Line::from(vec![
        Span::raw("send "),
        Span::styled(units::bits(summary.send) + "bit/s", Capabilities::value()),
        Span::raw("  receive "),
        Span::styled(units::bits(summary.receive) + "bit/s", Capabilities::value()),
        Span::raw("  retransmit "),
        rexmit,
        Span::raw(format!("   by {column}, {order}")),
    ])
}

/// Returns the lines with the filter and its mistake, and the column of the cursor.
fn filter(model: &Model, width: usize, caps: Capabilities) -> (Vec<Line<'static>>, usize) {
    let filter = &model.filter;
    if !filter.is_editing() && filter.text().is_empty() {
        return (vec![Line::from(format!("{PROMPT}none"))], 0);
    }
    if !filter.is_editing() {
        let text = fit(filter.text(), width.saturating_sub(PROMPT.len()));
        return (
            vec![Line::from(vec![Span::styled(PROMPT, caps.name()), Span::styled(text, Capabilities::value())])],
            0,
        );
    }
    // Only the part of a long text around the cursor is shown.
    let room = width.saturating_sub(PROMPT.len() + 1).max(1);
    let skip = (filter.cursor() + 1).saturating_sub(room);
    let text: String = filter.text().chars().skip(skip).take(room).collect();
    let mut lines =
        vec![Line::from(vec![Span::styled(PROMPT, caps.name()), Span::styled(text, Capabilities::value())])];
    if let Some(mistake) = filter.error() {
        let column = PROMPT.len() + mistake.column.saturating_sub(skip);
        lines.push(Line::styled(format!("{:column$}^", ""), caps.alarm()));
        lines.push(Line::styled(fit(&mistake.expected, width), caps.alarm()));
    }
    (lines, PROMPT.len() + filter.cursor() - skip)
}
