// SPDX-License-Identifier: BSD-2-Clause

//! What a picture shows, be it printed or a page: panels over one axis of
//! time, with their curves and how these look.

use super::axis::{Quantity, TimeAxis, duration, wall_clock};
use super::choice::Choice;
use super::line::Point;
use super::trace::Trace;
use tcpstats_log::{RECEIVED, SENT};

/// The whole picture.
pub struct Figure {
    /// Which connection, or how many.
    pub title: String,
    /// When, how long, and of what.
    pub subtitle: String,
    /// What the picture does not show.
    pub notes: Vec<String>,
    /// Where it begins, in nanoseconds since the UNIX epoch.
    pub start_ns: u64,
    /// How long it is.
    pub span_ns: u64,
    /// Its axis of time.
    pub time: TimeAxis,
    /// The connections that look apart in all panels; empty where there is
    /// one.
    pub legend: Vec<(String, Look)>,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// One of the diagrams.
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// What its axis measures.
    pub quantity: Quantity,
    /// How high it is beside the others.
    pub weight: f64,
    /// What is drawn, the first in front.
    pub curves: Vec<Curve>,
    /// The area between two lines around a curve.
    pub band: Option<Band>,
    /// Why there is nothing in it.
    pub message: Option<String>,
}

/// A line in a panel, or what stands there instead.
pub struct Curve {
    /// Its name.
    pub label: String,
    /// How it looks.
    pub look: Look,
    /// How points become a drawing.
    pub form: Form,
    /// Whether the axis reaches all of it: where not, half as much again as
    /// the others need.
    pub leads: bool,
    /// Unbroken pieces.
    pub pieces: Vec<Vec<Point>>,
}

/// Pieces of a line below and of one above.
pub struct Band {
    /// What it means.
    pub label: &'static str,
    /// Names of its edges, the lower one's first.
    pub labels: [&'static str; 2],
    /// The lower edge.
    pub low: Vec<Vec<Point>>,
    /// The upper edge, with as many pieces.
    pub high: Vec<Vec<Point>>,
}

/// How points become a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line through the points.
    Line,
    /// Each value until the next point.
    Steps,
    /// A bar up to each point.
    Stems,
}

/// How a curve looks, also where there are no colours.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// On white.
    pub color: &'static str,
    /// On black.
    pub dark: &'static str,
    /// Width of the line.
    pub width: f64,
    /// Lengths drawn and left out in turn; empty for a whole line.
    pub dash: &'static [u32],
    /// Which of [`MARKERS`] stands on the line here and there.
    pub marker: Option<usize>,
}

/// Markers in SVG, about 8 wide around 0,0.
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

/// Connections side by side: colours that differ also in how dark they are.
const CONNECTIONS: [Look; MOST as usize] = [
    look("#08519c", "#6baed6", 1.5, &[]),
    look("#d95f02", "#fdae6b", 1.5, &[8, 3]),
    look("#1b7837", "#7fbf7b", 1.5, &[3, 2]),
    look("#7b3294", "#c2a5cf", 1.5, &[10, 3, 2, 3]),
    look("#111111", "#eeeeee", 1.5, &[1, 2]),
    look("#c51b7d", "#f1a7d0", 1.5, &[14, 4]),
    look("#8c6d1f", "#dfc27d", 1.5, &[6, 2, 2, 2, 2, 2]),
    look("#3690c0", "#a6d8e8", 1.5, &[4, 4]),
];

/// The most connections that one picture can hold apart.
pub const MOST: u8 = 8;

impl Figure {
    /// The picture of what was read; `bin_ns` is the length of the intervals
    /// in which throughput and retransmissions were summed.
    pub fn of(choice: &Choice, traces: Vec<Trace>, bin_ns: u64, time: TimeAxis) -> Self {
        let many = traces.len();
        let title = match traces.as_slice() {
            [trace] => trace.chosen.to_string(),
            _ => format!("{many} TCP connections"),
        };
        let names: std::collections::BTreeSet<_> = traces.iter().flat_map(|trace| trace.names.iter()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).map(String::as_str).collect();
        let records: u64 = traces.iter().map(|trace| trace.records).sum();
        let mut subtitle =
            vec![wall_clock(choice.start_wall_ns), duration(choice.span_ns), format!("{records} records")];
        if !names.is_empty() {
            subtitle.push(names.join(", "));
        }
        let mut notes = Vec::new();
        if choice.of > many {
            let which =
                if many == 1 { "the one that sent most".to_owned() } else { format!("the {many} that sent most") };
            notes.push(format!("{which} of {} connections", choice.of));
        }
        if choice.connections.iter().any(|chosen| chosen.number.is_some()) {
            notes.push("numbered in the order of time: connections of the same name before and after a reboot".into());
        }
        if let Some(stepped) = &choice.stepped {
            notes.push(format!("{stepped}; the axis of time does not count that"));
        }
        let has_counter = traces.iter().any(Trace::has_counter);
        let (legend, panels) = if many == 1 {
            (Vec::new(), traces.into_iter().flat_map(|trace| alone(trace, bin_ns)).collect())
        } else {
            side_by_side(traces, bin_ns)
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
        Self { title, subtitle, notes, start_ns: choice.start_wall_ns, span_ns: choice.span_ns, time, legend, panels }
    }
}

impl Panel {
    fn new(title: impl Into<String>, quantity: Quantity, weight: f64, curves: Vec<Curve>) -> Self {
        Self { title: title.into(), quantity, weight, curves, band: None, message: None }
    }

    /// Says why there is no throughput.
    fn explain(&mut self, has_counter: bool) {
        let fields = || SENT.iter().chain(&RECEIVED).copied().collect::<Vec<_>>().join(", ");
        let message = if has_counter {
            "no two records follow each other closely enough".to_owned()
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

    /// The highest value that its axis reaches.
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

/// The panels of one connection.
fn alone(trace: Trace, bin_ns: u64) -> Vec<Panel> {
    let per = duration(bin_ns);
    // What is received is drawn where it matters.
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

/// The panels of several connections, and what tells these apart.
fn side_by_side(traces: Vec<Trace>, bin_ns: u64) -> (Vec<(String, Look)>, Vec<Panel>) {
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
        let label = trace.chosen.to_string();
        let moved = if is_receiver { trace.received } else { trace.sent };
        let curves = [
            (Form::Line, trace.snd_cwnd.finish()),
            (Form::Line, trace.inflight.finish()),
            (Form::Line, trace.srtt.finish()),
            (Form::Steps, bits(moved.rates())),
            (Form::Stems, trace.rexmit.counts()),
        ];
        for (panel, (form, pieces)) in panels.iter_mut().zip(curves) {
            panel.curves.push(Curve { form, ..Curve::line(&label, look, pieces) });
        }
        legend.push((label, look));
    }
    (legend, panels)
}

/// Bytes as bits.
fn bits(mut pieces: Vec<Vec<Point>>) -> Vec<Vec<Point>> {
    pieces.iter_mut().flatten().for_each(|point| point.value *= 8.0);
    pieces
}
