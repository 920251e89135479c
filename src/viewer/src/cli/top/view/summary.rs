// SPDX-License-Identifier: BSD-2-Clause

//! What is said of all connections together, and the filter.

use std::fmt::Write;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use tcpstats::State;
use tcpstats::frame::flag;

use super::super::column::per_second;
use super::super::model::Model;
use super::{Abilities, fit};
use crate::units;

/// What stands before the filter's text.
const PROMPT: &str = "filter: ";

/// What is said, in lines, where so many lines are all there are.
struct Lines {
    /// Above the filter.
    above: usize,
    filter: bool,
}

impl Lines {
    fn of(model: &Model, screen_height: u16) -> Self {
        match screen_height {
            14.. => Self { above: 3, filter: true },
            8.. => Self { above: 1, filter: true },
            3.. => Self { above: usize::from(!model.filter.is_changing()), filter: model.filter.is_changing() },
            _ => Self { above: 0, filter: false },
        }
    }
}

/// Lines that it takes on a screen with so many.
pub fn height(model: &Model, screen_height: u16) -> u16 {
    let Lines { above, filter } = Lines::of(model, screen_height);
    let error = if screen_height >= 8 && model.filter.error().is_some() { 2 } else { 0 };
    u16::try_from(above + usize::from(filter) + error).unwrap_or(u16::MAX)
}

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, can: Abilities) {
    let asked = Lines::of(model, frame.area().height);
    let (filter, cursor) = filter(model, usize::from(area.width), can);
    let mut lines = vec![source(model, can), states(model, can), rates(model, can)];
    lines.truncate(asked.above);
    if asked.filter {
        lines.extend(filter);
    }
    frame.render_widget(Paragraph::new(lines), area);
    let y = area.y.saturating_add(u16::try_from(asked.above).unwrap_or(0));
    let x = u16::try_from(cursor).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
    if model.filter.is_changing() && !model.help && y < area.bottom() {
        frame.set_cursor_position(Position { x: area.x + x, y });
    }
}

/// Which source, when, and whether it is whole.
fn source(model: &Model, can: Abilities) -> Line<'static> {
    let header = model.header();
    let seconds = header.wall_ns / 1_000_000_000 % 86400;
    let time = format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut spans =
        vec![Span::styled("tcpstats", Abilities::value()), Span::raw(format!("  {}  {time}  ", model.host))];
    if let Some(trouble) = &model.trouble {
        spans.push(Span::styled(trouble.clone(), can.alarm()));
        return Line::from(spans);
    }
    let walk = units::time(header.walk_ns / 1000);
    spans.push(Span::raw(format!("every {:?}  walk {walk}  ", model.interval)));
    let missed = format!("missed {}", header.missed);
    let whole = header.missed == 0 && header.flags & flag::TRUNCATED == 0;
    spans.push(if whole { Span::raw(missed) } else { Span::styled(missed, can.alarm()) });
    if header.flags & flag::INTERRUPTED != 0 {
        spans.push(Span::styled("  tables changed", can.notable()));
    }
    if model.paused {
        spans.push(Span::styled("  PAUSED", can.notable()));
    }
    Line::from(spans)
}

/// How many connections there are, and in which states.
fn states(model: &Model, can: Abilities) -> Line<'static> {
    let (seen, shown) = (model.header().seen, model.shown.len());
    let mut text = format!("{seen} connections");
    if seen != shown as u64 {
        _ = write!(text, ", {shown} match");
    }
    let mut spans = vec![Span::styled(text, Abilities::value())];
    for (number, count) in model.summary.states.iter().enumerate().filter(|(_, count)| **count > 0) {
        let name = u8::try_from(number).ok().and_then(|number| State(number).name()).unwrap_or("other");
        spans.push(Span::raw(format!("  {count} ")));
        spans.push(Span::styled(name, can.name()));
    }
    Line::from(spans)
}

/// What they do together, and the order of the list.
fn rates(model: &Model, can: Abilities) -> Line<'static> {
    let summary = &model.summary;
    let rexmit = format!("{}/s", per_second(summary.rexmit));
    let rexmit = if summary.rexmit > 0.0 {
        Span::styled(rexmit, can.notable())
    } else {
        Span::styled(rexmit, Abilities::value())
    };
    let column = model.columns[model.sort].title(true);
    let order = if model.descending { "high first" } else { "low first" };
    Line::from(vec![
        Span::raw("send "),
        Span::styled(units::bits(summary.send) + "bit/s", Abilities::value()),
        Span::raw("  receive "),
        Span::styled(units::bits(summary.receive) + "bit/s", Abilities::value()),
        Span::raw("  retransmit "),
        rexmit,
        Span::raw(format!("   by {column}, {order}")),
    ])
}

/// The filter and what is wrong with it, and the cell of the cursor.
fn filter(model: &Model, width: usize, can: Abilities) -> (Vec<Line<'static>>, usize) {
    let filter = &model.filter;
    if !filter.is_changing() && filter.text().is_empty() {
        return (vec![Line::from(format!("{PROMPT}none, all are shown"))], 0);
    }
    if !filter.is_changing() {
        let text = fit(filter.text(), width.saturating_sub(PROMPT.len()));
        return (vec![Line::from(vec![Span::styled(PROMPT, can.name()), Span::styled(text, Abilities::value())])], 0);
    }
    // A text that is too long is shown around the cursor.
    let room = width.saturating_sub(PROMPT.len() + 1).max(1);
    let skip = (filter.cursor() + 1).saturating_sub(room);
    let text: String = filter.text().chars().skip(skip).take(room).collect();
    let mut lines = vec![Line::from(vec![Span::styled(PROMPT, can.name()), Span::styled(text, Abilities::value())])];
    if let Some(wrong) = filter.error() {
        let column = PROMPT.len() + wrong.column.saturating_sub(skip);
        lines.push(Line::styled(format!("{:column$}^", ""), can.alarm()));
        lines.push(Line::styled(fit(&wrong.expected, width), can.alarm()));
    }
    (lines, PROMPT.len() + filter.cursor() - skip)
}
