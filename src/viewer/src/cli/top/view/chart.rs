// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A chart of the recent history of a connection.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

use super::style::Capabilities;
use crate::list::tracker::Point;
use crate::table::ABSENT;

/// The minimum duration of a chart, in seconds.
const SPAN_MIN: f64 = 10.0;

/// Formats a value with its unit.
pub type Format = fn(f64) -> String;

/// A series of values.
pub struct Series {
    name: &'static str,
    marker: Marker,
    colour: Color,
    /// Times relative to the last point in seconds (negative), and values.
    points: Vec<(f64, f64)>,
    /// The duration in seconds.
    span: f64,
}

impl Series {
    /// Returns the values that `pick` selects.  The marker distinguishes the series if
    /// there are no colours.
    #[allow(clippy::cast_precision_loss, reason = "the error is less than a cell")]
    pub fn new(
        name: &'static str,
        marker: Marker,
        colour: Color,
        points: &[Point],
        pick: impl Fn(&Point) -> Option<f64>,
    ) -> Self {
        let last = points.last().map_or(0, |point| point.at_ns);
        let ago = |point: &Point| -(last.saturating_sub(point.at_ns) as f64 / 1e9);
        let span = points.first().map_or(0.0, |first| -ago(first));
        let points = points.iter().filter_map(|point| Some((ago(point), pick(point)?))).collect();
        Self { name, marker, colour, points, span }
    }

    fn sign(&self) -> char {
        match self.marker {
            Marker::Custom(sign) => sign,
            Marker::Dot => '•',
            _ => '━',
        }
    }
}

/// Draws the series over one time axis, below a legend.
pub fn draw(frame: &mut Frame<'_>, area: Rect, series: &[Series], unit: Format, caps: Capabilities) {
    let [legend, plot] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let of = |series: &Series| caps.coloured(Style::new(), series.colour);
    let names = series.iter().map(|each| {
        let last =
            each.points.last().filter(|(ago, _)| *ago >= 0.0).map_or_else(|| ABSENT.into(), |(_, value)| unit(*value));
        Span::styled(format!("{} {} {last} ", each.sign(), each.name), of(each))
    });
    frame.render_widget(Paragraph::new(names.collect::<Line<'_>>()), legend);
    let span = series.iter().map(|each| each.span).fold(SPAN_MIN, f64::max);
    let max = series.iter().flat_map(|each| &each.points).map(|(_, value)| *value).fold(1.0, f64::max) * 1.05;
    // The first series is the most important one and is drawn last.
    let datasets = series.iter().rev().map(|each| {
        let kind = if each.marker == Marker::Dot { GraphType::Scatter } else { GraphType::Line };
        // Braille characters are not ASCII.
        let marker = if caps.unicode || each.marker == Marker::Dot { each.marker } else { Marker::Custom(each.sign()) };
        Dataset::default().marker(marker).graph_type(kind).style(of(each)).data(&each.points)
    });
    let chart = Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([-span, 0.0]).labels([format!("-{span:.0}s"), "now".into()]))
        .y_axis(Axis::default().bounds([0.0, max]).labels(["0".into(), unit(max / 2.0), unit(max)]));
    frame.render_widget(chart, plot);
}
