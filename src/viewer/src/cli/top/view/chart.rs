// SPDX-License-Identifier: BSD-2-Clause

//! A chart of what a connection did lately.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

use super::super::tracker::Point;
use super::Abilities;
use crate::table::ABSENT;

/// The shortest time that a chart spans, in seconds.
const SPAN_MIN: f64 = 10.0;

/// Writes a value with its unit.
pub type Format = fn(f64) -> String;

/// A line of a chart.
pub struct Series {
    name: &'static str,
    marker: Marker,
    colour: Color,
    /// Seconds before the last point, which are negative, and values.
    points: Vec<(f64, f64)>,
    span: f64,
}

impl Series {
    /// What `pick` finds in the points; another marker tells it from the others
    /// where there is no colour.
    #[allow(clippy::cast_precision_loss, reason = "a cell is wider")]
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

/// Draws them over one axis of time, below a line that names them.
pub fn draw(frame: &mut Frame<'_>, area: Rect, series: &[Series], unit: Format, can: Abilities) {
    let [legend, plot] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let of = |series: &Series| can.coloured(Style::new(), series.colour);
    let names = series.iter().map(|each| {
        let last =
            each.points.last().filter(|(ago, _)| *ago >= 0.0).map_or_else(|| ABSENT.into(), |(_, value)| unit(*value));
        Span::styled(format!("{} {} {last} ", each.sign(), each.name), of(each))
    });
    frame.render_widget(Paragraph::new(names.collect::<Line<'_>>()), legend);
    let span = series.iter().map(|each| each.span).fold(SPAN_MIN, f64::max);
    let greatest = series.iter().flat_map(|each| &each.points).map(|(_, value)| *value).fold(1.0, f64::max) * 1.05;
    // What one looks for is drawn over the rest: the first last.
    let datasets = series.iter().rev().map(|each| {
        let kind = if each.marker == Marker::Dot { GraphType::Scatter } else { GraphType::Line };
        // Half a letter is beyond ASCII.
        let marker = if can.unicode || each.marker == Marker::Dot { each.marker } else { Marker::Custom(each.sign()) };
        Dataset::default().marker(marker).graph_type(kind).style(of(each)).data(&each.points)
    });
    let chart = Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([-span, 0.0]).labels([format!("-{span:.0}s"), "now".into()]))
        .y_axis(Axis::default().bounds([0.0, greatest]).labels(["0".into(), unit(greatest / 2.0), unit(greatest)]));
    frame.render_widget(chart, plot);
}
