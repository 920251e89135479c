// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Writes a figure as SVG, for papers and tickets.  Text is not converted to paths.
//!
//! Every curve is a group of class `curve`, and every panel one of class `panel`,
//! with the label or title in a `data-` attribute, so that a program can find them.

use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::axis::{self, Axis};
use super::bins::seconds;
use super::figure::{Band, Curve, Figure, Form, Look, MARKERS, Panel};
use super::line::Point;

/// The width and height of an image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
}

/// The widths at which an image is legible: the title and the legend of a panel are
/// side by side.
const WIDTHS: RangeInclusive<u32> = 420..=8000;
/// The heights at which an image is legible.
const HEIGHTS: RangeInclusive<u32> = 240..=8000;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str, range: RangeInclusive<u32>| text.parse().ok().filter(|number| range.contains(number));
        let size =
            text.split_once('x').and_then(|(width, height)| Some((number(width, WIDTHS)?, number(height, HEIGHTS)?)));
        let (width, height) =
            size.ok_or("expected a width from 420 to 8000 and a height from 240 to 8000, such as 960x900")?;
        Ok(Self { width, height })
    }
}

const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
/// The height of the title and legend above a panel.
const HEADING: f64 = 30.0;
const ROW: f64 = 16.0;
/// The height of the time axis below the last panel.
const AXIS: f64 = 40.0;
const SMALL: f64 = 11.0;
/// The length of a line in a legend.
const SAMPLE: f64 = 24.0;
/// The distance from the start of this line to its label.
const GAP: f64 = 29.0;

/// Returns the approximate width of a text in pixels.
fn width_of(text: &str) -> f64 {
    let letter = |letter| match letter {
        'i' | 'j' | 'l' | 't' | 'f' | '.' | ',' | ':' | ' ' | '[' | ']' => 0.36,
        'm' | 'w' | 'M' | 'W' | '→' | '±' => 0.86,
        _ => 0.61,
    };
    text.chars().map(letter).sum::<f64>() * SMALL
}

/// Returns the figure as SVG.
pub fn draw(figure: &Figure, size: Size) -> String {
    let mut svg = Svg { text: String::new(), panels: 0 };
    svg.figure(figure, f64::from(size.width), f64::from(size.height));
    svg.text
}

/// The area of a panel, and the scales of its axes.
struct Viewport {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    span: f64,
    axis: Axis,
}

impl Viewport {
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

    fn position(&self, point: &Point) -> (f64, f64) {
        (self.x(seconds(point.at_ns)), self.y(point.value))
    }
}

struct Svg {
    text: String,
    panels: usize,
}

/// Text with the special characters of XML escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            // XML cannot represent control characters.
            control if control.is_control() => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}

impl Svg {
    fn put(&mut self, what: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
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
        #[expect(clippy::cast_precision_loss, reason = "there are only a few")]
        let (notes, panels) = (figure.notes.len() as f64, figure.panels.len() as f64);
        let top = 44.0 + rows * ROW;
        let below = AXIS + notes * ROW;
        let room = (height - top - below - panels * HEADING).max(panels * 20.0);
        let weights: f64 = figure.panels.iter().map(|panel| panel.weight).sum();
        let mut at = top;
        let last = figure.panels.iter().rposition(|panel| panel.message.is_none());
        for (number, panel) in figure.panels.iter().enumerate() {
            let height = room * panel.weight / weights;
            let viewport = Viewport {
                left: LEFT,
                top: at + HEADING,
                width: width - LEFT - RIGHT,
                height,
                span: seconds(figure.span_ns),
                axis: Axis::up_to(panel.quantity, panel.highest(), (height / 24.0).clamp(axis::TICKS_MIN, 6.0)),
            };
            match &panel.message {
                Some(message) => self.message(panel, message, &viewport),
                None => self.panel(figure, panel, &viewport, Some(number) == last),
            }
            at = viewport.bottom() + if Some(number) == last { AXIS } else { 0.0 };
        }
        for (number, note) in (1u32..).zip(&figure.notes) {
            self.letters(LEFT, at - 2.0 + f64::from(number) * ROW, r##"fill="#444""##, note);
        }
        self.put(format_args!("</svg>"));
    }

    fn letters(&mut self, x: f64, y: f64, look: &str, text: &str) {
        self.put(format_args!(r#"<text x="{x:.1}" y="{y:.1}" {look}>{}</text>"#, Escaped(text)));
    }

    /// Draws a panel that has a message instead of curves.
    fn message(&mut self, panel: &Panel, message: &str, viewport: &Viewport) {
        self.put(format_args!(r#"<g class="message" data-title="{}">"#, Escaped(&panel.title)));
        self.letters(viewport.left, viewport.top - 8.0, r##"fill="#000" font-size="12""##, &panel.title);
        self.letters(viewport.left, viewport.top + 8.0, r##"fill="#444""##, message);
        self.put(format_args!("</g>"));
    }

    fn panel(&mut self, figure: &Figure, panel: &Panel, viewport: &Viewport, is_last: bool) {
        self.panels += 1;
        let Viewport { left, top, width, height, .. } = *viewport;
        let (right, bottom, axis) = (viewport.right(), viewport.bottom(), &viewport.axis);
        let unit = if axis.unit.is_empty() { String::new() } else { format!(" ({})", axis.unit) };
        self.put(format_args!(r#"<g class="panel" data-title="{}">"#, Escaped(&panel.title)));
        self.letters(left, top - 8.0, r##"fill="#000" font-size="12""##, &format!("{}{unit}", panel.title));
        if figure.legend.is_empty() {
            self.legend(panel, right, top - 8.0);
        }
        for tick in &axis.ticks {
            let y = viewport.y(tick.value);
            self.put(format_args!(r##"<path d="M{left},{y:.2}H{right}" stroke="#ddd"/>"##));
            let look = r##"class="y" text-anchor="end" fill="#000""##;
            self.letters(left - 6.0, y + 4.0, look, &tick.text);
        }
        for tick in &figure.time.ticks {
            let x = viewport.x(tick.value);
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
            self.band(band, panel.curves.first().map_or("#000", |curve| curve.look.color), viewport);
        }
        for curve in panel.curves.iter().rev() {
            self.curve(curve, viewport);
        }
        self.put(format_args!("</g>"));
        self.put(format_args!(r##"<path d="M{left},{top:.2}V{bottom:.2}H{right}" stroke="#000"/>"##));
        self.put(format_args!("</g>"));
    }

    /// Draws the legend of a panel, right-aligned.
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

    /// Draws the sample of a line in a legend.
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

    fn band(&mut self, band: &Band, color: &str, viewport: &Viewport) {
        self.put(format_args!(r#"<g class="band" data-label="{}" fill="{color}" opacity=".22">"#, Escaped(band.label)));
        for (high, low) in band.high.iter().zip(&band.low) {
            let mut points = String::new();
            for (x, y) in high.iter().chain(low.iter().rev()).map(|point| viewport.position(point)) {
                let _ = write!(points, "{x:.2},{y:.2} ");
            }
            self.put(format_args!(r#"<polygon points="{}"/>"#, points.trim_end()));
        }
        self.put(format_args!("</g>"));
    }

    fn curve(&mut self, curve: &Curve, viewport: &Viewport) {
        // Bars are too short to be dashed.
        let dash: &[u32] = if curve.form == Form::Stems { &[] } else { curve.look.dash };
        let (label, style) = (Escaped(&curve.label), style(&Look { dash, ..curve.look }));
        self.put(format_args!(r#"<g class="curve" data-label="{label}" {style}>"#));
        for piece in &curve.pieces {
            let mut drawn = String::new();
            for (number, (x, y)) in piece.iter().map(|point| viewport.position(point)).enumerate() {
                let _ = match (curve.form, number) {
                    (Form::Stems, _) => write!(drawn, "M{x:.2},{:.2}V{y:.2}", viewport.bottom()),
                    (_, 0) => write!(drawn, "M{x:.2},{y:.2}"),
                    (Form::Line, _) => write!(drawn, "L{x:.2},{y:.2}"),
                    (Form::Steps, _) => write!(drawn, "H{x:.2}V{y:.2}"),
                };
            }
            // A single point is drawn as a dot.
            if piece.len() == 1 && curve.form == Form::Line {
                drawn.push_str("h0.01");
            }
            self.put(format_args!(r#"<path d="{drawn}"/>"#));
        }
        self.put(format_args!("</g>"));
        self.markers(curve, viewport);
    }

    /// Draws about eight markers on a curve, or one on every bar.
    fn markers(&mut self, curve: &Curve, viewport: &Viewport) {
        let Some(number) = curve.look.marker else { return };
        let every = viewport.width / 8.0;
        #[expect(clippy::cast_precision_loss, reason = "there are eight")]
        let mut next = viewport.left + every * (number as f64 + 0.5) / MARKERS.len() as f64;
        for (x, y) in curve.pieces.iter().flatten().map(|point| viewport.position(point)) {
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
