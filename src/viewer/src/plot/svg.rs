// SPDX-License-Identifier: BSD-2-Clause

//! A figure as SVG, for papers and tickets: lines in fractions of a pixel, and
//! text that stays text.
//!
//! Every curve is a group of the class `curve` with its label and the panel's
//! title as `data-` attributes, so that a program finds what is drawn.

use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::axis::{self, Axis};
use super::bins::seconds;
use super::figure::{Band, Curve, Figure, Form, Look, MARKERS, Panel};
use super::line::Point;

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// The sizes between which a picture can be drawn and read: a panel's title and
/// legend stand side by side.
const WIDTHS: RangeInclusive<u32> = 420..=8000;
const HEIGHTS: RangeInclusive<u32> = 240..=8000;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str, range: RangeInclusive<u32>| text.parse().ok().filter(|number| range.contains(number));
        let size =
            text.split_once('x').and_then(|(width, height)| Some((number(width, WIDTHS)?, number(height, HEIGHTS)?)));
        let (width, height) = size.ok_or("expected a width from 420 and a height from 240 to 8000, as in 960x900")?;
        Ok(Self { width, height })
    }
}

const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
/// The line above a panel that has its title and legend.
const HEADING: f64 = 30.0;
const ROW: f64 = 16.0;
/// The axis of time below a panel.
const AXIS: f64 = 40.0;
const SMALL: f64 = 11.0;
/// A piece of a line in a legend, and to where its text begins.
const SAMPLE: f64 = 24.0;
const GAP: f64 = 29.0;

/// About how wide a text is, in pixels.
fn width_of(text: &str) -> f64 {
    let letter = |letter| match letter {
        'i' | 'j' | 'l' | 't' | 'f' | '.' | ',' | ':' | ' ' | '[' | ']' => 0.36,
        'm' | 'w' | 'M' | 'W' | '→' | '±' => 0.86,
        _ => 0.61,
    };
    text.chars().map(letter).sum::<f64>() * SMALL
}

/// Draws the figure.
pub fn draw(figure: &Figure, size: Size) -> String {
    let mut svg = Svg { text: String::new(), panels: 0 };
    svg.figure(figure, f64::from(size.width), f64::from(size.height));
    svg.text
}

/// Where a panel lies, and how values become places in it.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    span: f64,
    axis: Axis,
}

impl Frame {
    fn x(&self, at_s: f64) -> f64 {
        self.left + self.width * at_s / self.span
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - value / self.axis.top)
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x(seconds(point.at_ns)), self.y(point.value))
    }
}

struct Svg {
    text: String,
    panels: usize,
}

/// Text as XML has it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            // XML has no way to write the others.
            control if control.is_control() => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}

impl Svg {
    fn put(&mut self, what: fmt::Arguments<'_>) {
        // A string takes all that is written.
        let _ = self.text.write_fmt(what);
        self.text.push('\n');
    }

    fn figure(&mut self, figure: &Figure, width: f64, height: f64) {
        let longest = figure.legend.iter().map(|(label, _)| width_of(label)).fold(0.0, f64::max);
        let column = longest + GAP + 18.0;
        let columns = ((width - LEFT - RIGHT) / column).floor().max(1.0);
        let mut rows = 0.0;
        self.put(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="'DejaVu Sans', Verdana, sans-serif" font-size="{SMALL}" fill="none" stroke-linejoin="round">"#
        ));
        self.put(format_args!("<title>{}</title>", Escaped(&figure.title)));
        self.put(format_args!(r##"<rect width="{width}" height="{height}" fill="#fff"/>"##));
        self.letters(LEFT, 24.0, r##"font-size="15" fill="#000""##, &figure.title);
        self.letters(LEFT, 42.0, r##"fill="#444""##, &figure.subtitle);
        for (number, (label, look)) in (0u32..).zip(&figure.legend) {
            rows = (f64::from(number) / columns).floor() + 1.0;
            let (x, y) = (LEFT + f64::from(number) % columns * column, 46.0 + rows * ROW);
            self.sample(x, y - 4.0, look);
            self.letters(x + GAP, y, r##"fill="#000""##, label);
        }
        #[expect(clippy::cast_precision_loss, reason = "there are a few")]
        let (notes, panels) = (figure.notes.len() as f64, figure.panels.len() as f64);
        let top = 44.0 + rows * ROW;
        let below = AXIS + notes * ROW;
        let room = (height - top - below - panels * HEADING).max(panels * 20.0);
        let weights: f64 = figure.panels.iter().map(|panel| panel.weight).sum();
        let mut at = top;
        let last = figure.panels.iter().rposition(|panel| panel.message.is_none());
        for (number, panel) in figure.panels.iter().enumerate() {
            let height = room * panel.weight / weights;
            let frame = Frame {
                left: LEFT,
                top: at + HEADING,
                width: width - LEFT - RIGHT,
                height,
                span: seconds(figure.span_ns),
                axis: Axis::up_to(panel.quantity, panel.highest(), (height / 24.0).clamp(axis::FEWEST, 6.0)),
            };
            match &panel.message {
                Some(message) => self.message(panel, message, &frame),
                None => self.panel(figure, panel, &frame, Some(number) == last),
            }
            at = frame.bottom() + if Some(number) == last { AXIS } else { 0.0 };
        }
        for (number, note) in (1u32..).zip(&figure.notes) {
            self.letters(LEFT, at - 2.0 + f64::from(number) * ROW, r##"fill="#444""##, note);
        }
        self.put(format_args!("</svg>"));
    }

    fn letters(&mut self, x: f64, y: f64, look: &str, text: &str) {
        self.put(format_args!(r#"<text x="{x:.1}" y="{y:.1}" {look}>{}</text>"#, Escaped(text)));
    }

    /// A panel with nothing to draw.
    fn message(&mut self, panel: &Panel, message: &str, frame: &Frame) {
        self.put(format_args!(r#"<g class="message" data-title="{}">"#, Escaped(&panel.title)));
        self.letters(frame.left, frame.top - 8.0, r##"fill="#000" font-size="12""##, &panel.title);
        self.letters(frame.left, frame.top + 8.0, r##"fill="#444""##, message);
        self.put(format_args!("</g>"));
    }

    fn panel(&mut self, figure: &Figure, panel: &Panel, frame: &Frame, is_last: bool) {
        self.panels += 1;
        let Frame { left, top, width, height, .. } = *frame;
        let (right, bottom, axis) = (frame.right(), frame.bottom(), &frame.axis);
        let unit = if axis.unit.is_empty() { String::new() } else { format!(" ({})", axis.unit) };
        self.put(format_args!(r#"<g class="panel" data-title="{}">"#, Escaped(&panel.title)));
        self.letters(left, top - 8.0, r##"fill="#000" font-size="12""##, &format!("{}{unit}", panel.title));
        if figure.legend.is_empty() {
            self.legend(panel, right, top - 8.0);
        }
        for tick in &axis.ticks {
            let y = frame.y(tick.value);
            self.put(format_args!(r##"<path d="M{left},{y:.2}H{right}" stroke="#ddd"/>"##));
            let look = r##"class="y" text-anchor="end" fill="#000""##;
            self.letters(left - 6.0, y + 4.0, look, &tick.text);
        }
        for tick in &figure.time.ticks {
            let x = frame.x(tick.value);
            self.put(format_args!(r##"<path d="M{x:.2},{top:.2}V{bottom:.2}" stroke="#eee"/>"##));
            if is_last {
                self.put(format_args!(r##"<path d="M{x:.2},{bottom:.2}v4" stroke="#000"/>"##));
                let look = r##"class="x" text-anchor="middle" fill="#000""##;
                self.letters(x, bottom + 17.0, look, &tick.text);
            }
        }
        if is_last {
            let look = r##"text-anchor="middle" fill="#000""##;
            self.letters(left + width / 2.0, bottom + 34.0, look, &figure.time.label);
        }
        let clip = self.panels;
        self.put(format_args!(
            r#"<clipPath id="clip{clip}"><rect x="{left}" y="{top:.2}" width="{width}" height="{height:.2}"/></clipPath>"#
        ));
        self.put(format_args!(r#"<g clip-path="url(#clip{clip})">"#));
        if let Some(band) = &panel.band {
            self.band(band, panel.curves.first().map_or("#000", |curve| curve.look.color), frame);
        }
        for curve in panel.curves.iter().rev() {
            self.curve(curve, frame);
        }
        self.put(format_args!("</g>"));
        self.put(format_args!(r##"<path d="M{left},{top:.2}V{bottom:.2}H{right}" stroke="#000"/>"##));
        self.put(format_args!("</g>"));
    }

    /// The legend of a panel, which ends at the right.
    fn legend(&mut self, panel: &Panel, right: f64, y: f64) {
        let mut x = right;
        let mut entry = |svg: &mut Self, label: &str, sample: &dyn Fn(&mut Self, f64)| {
            svg.letters(x, y, r##"text-anchor="end" fill="#000""##, label);
            x -= width_of(label) + GAP;
            sample(svg, x);
            x -= 12.0;
        };
        if let Some(band) = &panel.band {
            let color = panel.curves.first().map_or("#000", |curve| curve.look.color);
            entry(self, band.label, &|svg, x| {
                let top = y - 9.0;
                svg.put(format_args!(
                    r#"<rect x="{x:.1}" y="{top:.1}" width="{SAMPLE}" height="10" fill="{color}" opacity=".25"/>"#
                ));
            });
        }
        for curve in panel.curves.iter().rev().filter(|curve| !curve.pieces.is_empty()) {
            entry(self, &curve.label, &|svg, x| svg.sample(x, y - 4.0, &curve.look));
        }
    }

    /// A piece of a line as the legend shows it.
    fn sample(&mut self, x: f64, y: f64, look: &Look) {
        let style = style(look);
        self.put(format_args!(r#"<path d="M{x:.1},{y:.1}h{SAMPLE}" {style}/>"#));
        self.marker(x + SAMPLE / 2.0, y, look);
    }

    fn marker(&mut self, x: f64, y: f64, look: &Look) {
        if let Some(shape) = look.marker.and_then(|marker| MARKERS.get(marker)) {
            let color = look.color;
            self.put(format_args!(
                r##"<path transform="translate({x:.2},{y:.2})" d="{shape}" fill="#fff" stroke="{color}" stroke-width="1.3"/>"##
            ));
        }
    }

    fn band(&mut self, band: &Band, color: &str, frame: &Frame) {
        self.put(format_args!(r#"<g class="band" data-label="{}" fill="{color}" opacity=".22">"#, Escaped(band.label)));
        for (high, low) in band.high.iter().zip(&band.low) {
            let mut points = String::new();
            for (x, y) in high.iter().chain(low.iter().rev()).map(|point| frame.place(point)) {
                let _ = write!(points, "{x:.2},{y:.2} ");
            }
            self.put(format_args!(r#"<polygon points="{}"/>"#, points.trim_end()));
        }
        self.put(format_args!("</g>"));
    }

    fn curve(&mut self, curve: &Curve, frame: &Frame) {
        // Bars are too short for dashes.
        let dash: &[u32] = if curve.form == Form::Stems { &[] } else { curve.look.dash };
        let (label, style) = (Escaped(&curve.label), style(&Look { dash, ..curve.look }));
        self.put(format_args!(r#"<g class="curve" data-label="{label}" {style}>"#));
        for piece in &curve.pieces {
            let mut drawn = String::new();
            for (number, (x, y)) in piece.iter().map(|point| frame.place(point)).enumerate() {
                let _ = match (curve.form, number) {
                    (Form::Stems, _) => write!(drawn, "M{x:.2},{:.2}V{y:.2}", frame.bottom()),
                    (_, 0) => write!(drawn, "M{x:.2},{y:.2}"),
                    (Form::Line, _) => write!(drawn, "L{x:.2},{y:.2}"),
                    (Form::Steps, _) => write!(drawn, "H{x:.2}V{y:.2}"),
                };
            }
            // A point alone is a dot.
            if piece.len() == 1 && curve.form == Form::Line {
                drawn.push_str("h0.01");
            }
            self.put(format_args!(r#"<path d="{drawn}"/>"#));
        }
        self.put(format_args!("</g>"));
        self.markers(curve, frame);
    }

    /// Monotone the curve about eight times from left to right, and every stem.
    fn markers(&mut self, curve: &Curve, frame: &Frame) {
        let Some(number) = curve.look.marker else { return };
        let every = frame.width / 8.0;
        #[expect(clippy::cast_precision_loss, reason = "there are eight")]
        let mut next = frame.left + every * (number as f64 + 0.5) / MARKERS.len() as f64;
        for (x, y) in curve.pieces.iter().flatten().map(|point| frame.place(point)) {
            if curve.form == Form::Stems || x >= next {
                self.marker(x, y, &curve.look);
                next += every * ((x - next) / every).floor().max(0.0) + every;
            }
        }
    }
}

fn style(look: &Look) -> String {
    let mut style = format!(r#"stroke="{}" stroke-width="{}""#, look.color, look.width);
    if !look.dash.is_empty() {
        let dash: Vec<_> = look.dash.iter().map(ToString::to_string).collect();
        let _ = write!(style, r#" stroke-dasharray="{}""#, dash.join(" "));
    }
    style
}
