// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The contents of a plot, independent of the output format: panels over one time
//! axis, with their curves.

use super::axis::{Quantity, TimeAxis, duration, wall_clock};
use super::line::Point;
use super::selection::Selection;
use super::trace::Trace;
use tcpstats_log::{RECEIVED, SENT};

/// A plot.
pub struct Figure {
    /// The name of the connection, or the number of connections.
    pub title: String,
    /// The start, the duration, and the number of records.
    pub subtitle: String,
    /// Remarks about what the plot does not show.
    pub notes: Vec<String>,
    /// The start, in nanoseconds since the Epoch.
    pub start_ns: u64,
    /// The duration in nanoseconds.
    pub span_ns: u64,
    /// The time axis.
    pub time: TimeAxis,
    /// The connections and their styles, if there are several.
    pub legend: Vec<(String, Look)>,
    /// The panels from top to bottom.
    pub panels: Vec<Panel>,
}

/// A panel.
pub struct Panel {
    /// The title.
    pub title: String,
    /// The quantity of the axis.
    pub quantity: Quantity,
    /// The height relative to the other panels.
    pub weight: f64,
    /// The curves, the first in front.
    pub curves: Vec<Curve>,
    /// An area around the first curve.
    pub band: Option<Band>,
    /// The message that is shown instead of curves.
    pub message: Option<String>,
}

/// A curve of a panel.
pub struct Curve {
    /// The label.
    pub label: String,
    /// The style.
    pub look: Look,
    /// The way in which points are drawn.
    pub form: Form,
    /// Whether the axis includes the complete curve.  Otherwise it extends to at most
    /// 1.5 times the maximum of the other curves.
    pub leads: bool,
    /// The uninterrupted pieces.
    pub pieces: Vec<Vec<Point>>,
}

/// The area between two lines.
pub struct Band {
    /// The label of the area.
    pub label: &'static str,
    /// The labels of the lower and the upper edge.
    pub labels: [&'static str; 2],
    /// The lower edge.
    pub low: Vec<Vec<Point>>,
    /// The upper edge, with the same number of pieces.
    pub high: Vec<Vec<Point>>,
}

/// The way in which points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line through the points.
    Line,
    /// A step function: each value is valid until the next point.
    Steps,
    /// A bar from the axis to each point.
    Stems,
}

/// The style of a curve, which can be distinguished without colours too.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The colour on white.
    pub color: &'static str,
    /// The colour on black.
    pub dark: &'static str,
    /// The width of the line.
    pub width: f64,
    /// The lengths of dashes and gaps; empty for a solid line.
    pub dash: &'static [u32],
    /// The index in [`MARKERS`] of the marker on the line.
    pub marker: Option<usize>,
}

/// Markers as SVG paths, about 8 pixels wide and centred at the origin.
pub const MARKERS: [&str; 8] = [
    "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0z",
    "M-3,-3h6v6h-6z",
    "M0,-4l4,7h-8z",
    "M0,-4.5l4.5,4.5l-4.5,4.5l-4.5,-4.5z",
    "M0,4l4,-7h-8z",
    "M-3.5,-3.5l7,7m0,-7l-7,7",
    "M0,-4.5v9m-4.5,-4.5h9",
    "M-4,-1.5h8v3h-8z",
];

const fn look(color: &'static str, dark: &'static str, width: f64, dash: &'static [u32]) -> Look {
    Look { color, dark, width, dash, marker: None }
}

const MAIN: Look = look("#08519c", "#6baed6", 1.6, &[]);
const LIMIT: Look = look("#c2410c", "#fb923c", 1.4, &[7, 4]);
const FAINT: Look = look("#525252", "#bdbdbd", 1.2, &[2, 3]);
const LOSS: Look = look("#b91c1c", "#f87171", 2.0, &[]);

/// The styles of several connections, whose colours differ in lightness too.
const CONNECTIONS: [Look; CONNECTIONS_MAX as usize] = [
    look("#08519c", "#6baed6", 1.5, &[]),
    look("#d95f02", "#fdae6b", 1.5, &[8, 3]),
    look("#1b7837", "#7fbf7b", 1.5, &[3, 2]),
    look("#7b3294", "#c2a5cf", 1.5, &[10, 3, 2, 3]),
    look("#111111", "#eeeeee", 1.5, &[1, 2]),
    look("#c51b7d", "#f1a7d0", 1.5, &[14, 4]),
    look("#8c6d1f", "#dfc27d", 1.5, &[6, 2, 2, 2, 2, 2]),
    look("#3690c0", "#a6d8e8", 1.5, &[4, 4]),
];

/// The maximum number of connections in one plot.
pub const CONNECTIONS_MAX: u8 = 8;

impl Figure {
    /// Returns the plot of connections.  `bin_ns` is the length of the intervals over
    /// which throughput and retransmissions are summed.
    pub fn of(selection: &Selection, traces: Vec<Trace>, bin_ns: u64, time: TimeAxis) -> Self {
        let many = traces.len();
        let title = match traces.as_slice() {
            [trace] => trace.connection.to_string(),
            _ => format!("{many} TCP connections"),
        };
        let names: std::collections::BTreeSet<_> = traces.iter().flat_map(|trace| trace.names.iter()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
        let records: u64 = traces.iter().map(|trace| trace.records).sum();
        let mut subtitle =
            vec![wall_clock(selection.start_wall_ns), duration(selection.span_ns), format!("{records} records")];
        if !names.is_empty() {
            subtitle.push(names.join(", "));
        }
        let mut notes = Vec::new();
        if selection.candidates > many {
            let which = if many == 1 { "the connection".to_owned() } else { format!("the {many} connections") };
            notes.push(format!("{which} that sent the most data, of {}", selection.candidates));
        }
        if selection.connections.iter().any(|selected| selected.number.is_some()) {
            notes.push("numbered in chronological order: connections with the same name".into());
        }
        if let Some(steps) = &selection.clock_steps {
            notes.push(format!("{steps}; the time axis excludes this"));
        }
        let has_counter = traces.iter().any(Trace::has_counter);
        let (legend, panels) = if many == 1 {
            (Vec::new(), traces.into_iter().flat_map(|trace| panels_of_one(trace, bin_ns)).collect())
        } else {
            panels_of_several(traces, bin_ns)
        };
        let is_throughput = |panel: &Panel| panel.quantity == Quantity::BitRate;
        let (mut panels, empty): (Vec<Panel>, Vec<Panel>) =
            panels.into_iter().partition(|panel| panel.has_points() || is_throughput(panel));
        notes.extend(empty.iter().map(|panel| format!("not in the log: {}", panel.title)));
        for panel in panels.iter_mut().filter(|panel| !panel.has_points()) {
            panel.explain(has_counter);
        }
        if panels.iter().all(|panel| panel.message.is_some()) {
            panels.clear();
        }
        let subtitle = subtitle.join(" · ");
        Self {
            title,
            subtitle,
            notes,
            start_ns: selection.start_wall_ns,
            span_ns: selection.span_ns,
            time,
            legend,
            panels,
        }
    }
}

impl Panel {
    fn new(title: impl Into<String>, quantity: Quantity, weight: f64, curves: Vec<Curve>) -> Self {
        Self { title: title.into(), quantity, weight, curves, band: None, message: None }
    }

    /// Replaces the panel with a message that explains why there is no throughput.
    fn explain(&mut self, has_counter: bool) {
        let fields = || SENT.iter().chain(&RECEIVED).copied().collect::<Vec<_>>().join(", ");
        let message = if has_counter {
            "no two records are close enough to each other".to_owned()
        } else {
            format!("the log has no byte counter ({})", fields())
        };
        let (title, weight) = ("throughput".to_owned(), 0.15);
        *self = Self {
            title,
            weight,
            curves: Vec::new(),
            message: Some(message),
            ..Self::new("", self.quantity, 0.0, Vec::new())
        };
    }

    fn has_points(&self) -> bool {
        self.curves.iter().any(|curve| !curve.pieces.is_empty())
    }

    /// Returns the highest value that the axis must include.
    pub fn highest(&self) -> f64 {
        let highest = |pieces: &[Vec<Point>]| pieces.iter().flatten().fold(0.0, |top, point| point.value.max(top));
        let of = |leads| {
            let curves = self.curves.iter().filter(move |curve| curve.leads == leads);
            curves.fold(0.0, |top, curve| highest(&curve.pieces).max(top))
        };
        let band = self.band.as_ref().map_or(0.0, |band| highest(&band.high));
        let leading = f64::max(of(true), band);
        of(false).min(leading * 1.5).max(leading)
    }
}

impl Curve {
    fn line(label: &str, look: Look, pieces: Vec<Vec<Point>>) -> Self {
        Self { label: label.to_owned(), look, form: Form::Line, leads: true, pieces }
    }
}

/// Returns the panels of one connection.
fn panels_of_one(trace: Trace, bin_ns: u64) -> Vec<Panel> {
    let per = duration(bin_ns);
    // The bytes received are plotted unless they are negligible.
    let is_receiver = trace.received.total() * 50.0 > trace.sent.total();
    let mut throughput =
        vec![Curve { form: Form::Steps, ..Curve::line(trace.sent_from, MAIN, bits(trace.sent.rates())) }];
    if is_receiver {
        let curve = Curve::line(trace.received_from, LIMIT, bits(trace.received.rates()));
        throughput.push(Curve { form: Form::Steps, ..curve });
    }
    let rexmit = Curve { form: Form::Stems, ..Curve::line("rexmit_packs", LOSS, trace.rexmit.counts()) };
    let mut panels = vec![
        Panel::new(
            "congestion window",
            Quantity::Bytes,
            1.5,
            vec![
                Curve::line("snd_cwnd", MAIN, trace.snd_cwnd.finish()),
                Curve::line("snd_ssthresh", LIMIT, trace.snd_ssthresh.finish()),
            ],
        ),
        Panel::new(
            "in flight",
            Quantity::Bytes,
            1.1,
            vec![
                Curve::line("inflight", MAIN, trace.inflight.finish()),
                Curve { leads: false, ..Curve::line("snd_wnd", FAINT, trace.snd_wnd.finish()) },
            ],
        ),
        Panel::new(
            "round-trip time",
            Quantity::Microseconds,
            1.1,
            vec![Curve::line("srtt", MAIN, trace.srtt.finish())],
        ),
        Panel::new(format!("throughput, per {per}"), Quantity::BitRate, 1.0, throughput),
        Panel::new(format!("segments retransmitted, per {per}"), Quantity::Segments, 0.7, vec![rexmit]),
    ];
    let (low, high) = (trace.srtt_low.finish(), trace.srtt_high.finish());
    if !high.is_empty() {
        panels[2].band = Some(Band { label: "± rttvar", labels: ["srtt - rttvar", "srtt + rttvar"], low, high });
    }
    panels
}

/// Returns the panels of several connections, and the legend.
fn panels_of_several(traces: Vec<Trace>, bin_ns: u64) -> (Vec<(String, Look)>, Vec<Panel>) {
    let per = duration(bin_ns);
    let sent: f64 = traces.iter().map(|trace| trace.sent.total()).sum();
    let received: f64 = traces.iter().map(|trace| trace.received.total()).sum();
    let is_receiver = received > sent;
    let from = |trace: &Trace| if is_receiver { trace.received_from } else { trace.sent_from };
    let from = traces.iter().map(from).find(|from| !from.is_empty()).unwrap_or_default();
    let direction = if is_receiver { "received" } else { "sent" };
    let mut panels = vec![
        Panel::new("congestion window, snd_cwnd", Quantity::Bytes, 1.4, Vec::new()),
        Panel::new("in flight, inflight", Quantity::Bytes, 1.1, Vec::new()),
        Panel::new("round-trip time, srtt", Quantity::Microseconds, 1.1, Vec::new()),
        Panel::new(format!("throughput {direction}, {from}, per {per}"), Quantity::BitRate, 1.1, Vec::new()),
        Panel::new(format!("segments retransmitted, rexmit_packs, per {per}"), Quantity::Segments, 0.8, Vec::new()),
    ];
    let mut legend = Vec::new();
    for (number, (trace, look)) in traces.into_iter().zip(CONNECTIONS).enumerate() {
        let look = Look { marker: Some(number), ..look };
        let label = trace.connection.to_string();
        let transferred = if is_receiver { trace.received } else { trace.sent };
        let curves = [
            (Form::Line, trace.snd_cwnd.finish()),
            (Form::Line, trace.inflight.finish()),
            (Form::Line, trace.srtt.finish()),
            (Form::Steps, bits(transferred.rates())),
            (Form::Stems, trace.rexmit.counts()),
        ];
        for (panel, (form, pieces)) in panels.iter_mut().zip(curves) {
            panel.curves.push(Curve { form, ..Curve::line(&label, look, pieces) });
        }
        legend.push((label, look));
    }
    (legend, panels)
}

/// Converts bytes to bits.
fn bits(mut pieces: Vec<Vec<Point>>) -> Vec<Vec<Point>> {
    pieces.iter_mut().flatten().for_each(|point| point.value *= 8.0);
    pieces
}
