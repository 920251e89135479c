// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The list of connections.  The cost of drawing does not depend on its length.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::model::Model;
use super::style::{Capabilities, fit};
use crate::list::column::Column;
use crate::list::tracker::Row;
use crate::table::Align;

/// The minimum width at which the local address is shown, and not only its port.
const WIDE: u16 = 104;

/// The maximum width of an address and a port, or a name.
const END_MAX: usize = 47;

/// A column on the screen, and its width.
struct VisibleColumn {
    column: Column,
    width: usize,
    sorted: bool,
}

/// Draws the titles and as many lines as fit.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &mut Model, caps: Capabilities) {
    let titles = usize::from(area.height >= 2);
    model.fit(usize::from(area.height) - titles);
    let wide = area.width >= WIDE;
    let columns = layout(model, usize::from(area.width), wide);
    let mut lines = Vec::new();
    if titles == 1 {
        lines.push(title_line(&columns, usize::from(area.width), wide));
    }
    let cursor = model.selected;
    lines.extend(model.visible().map(|row| {
        let line = Line::from(cells(&columns, row, wide, caps));
        if cursor == Some(row.identity) { line.style(Capabilities::bar()) } else { line }
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Returns the columns that fit, always including the one by which the list is
/// sorted.
fn layout(model: &Model, width: usize, wide: bool) -> Vec<VisibleColumn> {
    let mut left = width + 1;
    let mut shown: Vec<VisibleColumn> = Vec::new();
    let sorted = model.sort;
    let of = |at: usize| VisibleColumn {
        column: model.columns[at],
        width: model.columns[at].width(wide),
        sorted: at == sorted,
    };
    for at in 0..model.columns.len() {
        let next = of(at);
        let reserved = if at < sorted { of(sorted).width + 1 } else { 0 };
        if at != sorted && next.width + 1 + reserved > left {
            // The process is wider than the columns after it.
            if at > sorted && !matches!(next.column, Column::Process) {
                break;
            }
            continue;
        }
        left = left.saturating_sub(next.width + 1);
        shown.push(next);
    }
    // The remaining width is used for long addresses and names.
    for each in shown.iter_mut().filter(|each| each.column.grows(wide)) {
        let longest = model.visible().map(|row| each.column.text(row, wide).chars().count()).max().unwrap_or(0);
        let more = longest.min(END_MAX).saturating_sub(each.width).min(left);
        (each.width, left) = (each.width + more, left - more);
    }
    shown
}

fn title_line(columns: &[VisibleColumn], width: usize, wide: bool) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for each in columns {
        let style = if each.sorted {
            Capabilities::bar().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            Capabilities::bar()
        };
        let title = each.column.title(wide);
        let text = aligned(title, each.width, each.column.align());
        let (before, after) = text.split_at(text.find(title).unwrap_or(0));
        let (name, after) = after.split_at(title.len().min(after.len()));
        spans.push(Span::styled(before.to_owned(), Capabilities::bar()));
        spans.push(Span::styled(name.to_owned(), style));
        spans.push(Span::styled(format!("{after} "), Capabilities::bar()));
        used += each.width + 1;
    }
    spans.push(Span::styled(" ".repeat(width.saturating_sub(used)), Capabilities::bar()));
    Line::from(spans)
}

fn cells(columns: &[VisibleColumn], row: &Row, wide: bool, caps: Capabilities) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for each in columns {
        let text = match each.column {
            Column::Local | Column::Foreign => shorten_end(&each.column.text(row, wide), each.width),
            _ => fit(&each.column.text(row, wide), each.width),
        };
        let text = aligned(&text, each.width, each.column.align()) + " ";
        let notable = match each.column {
            Column::Rexmit => row.rates.rexmit.is_some_and(|rate| rate > 0.0),
            _ => false,
        };
        spans.push(if notable { Span::styled(text, caps.notable()) } else { Span::raw(text) });
    }
    spans
}

fn aligned(text: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// Shortens an address in the middle, so that its network and the port remain.
fn shorten_end(text: &str, width: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= width {
        return text.into();
    }
    let Some(room) = width.checked_sub(1) else { return String::new() };
    let tail = (room / 2).max(room.min(chars.len() - text.rfind(':').unwrap_or(0)));
    chars[..room - tail].iter().chain(['…'].iter()).chain(&chars[chars.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::shorten_end;

    #[test]
    fn a_long_address_is_shortened_in_the_middle() {
        assert_eq!(shorten_end("192.0.2.1:443", 21), "192.0.2.1:443");
        let long = "[2001:db8:1234:5678:9abc:def0:1234:5678]:44321";
        assert_eq!(shorten_end(long, 21), "[2001:db8:…678]:44321");
        for width in 0..60 {
            assert!(shorten_end(long, width).chars().count() <= width);
        }
    }
}
