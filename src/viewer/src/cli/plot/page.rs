// SPDX-License-Identifier: BSD-2-Clause

//! Writes a figure as a self-contained interactive page.  `page.js` draws it with
//! uPlot (see `vendor/uplot/README.md`).

use std::fmt::Write;

use super::bins::seconds;
use super::figure::{Curve, Figure, Form, Look, Panel};
use super::line::Point;
use crate::json::quoted;
use crate::uplot;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// Returns the page.
pub fn write(figure: &Figure, utc: bool) -> String {
    let data = figure_json(figure, utc);
    let parts = [
        ("UPLOT_STYLE", uplot::STYLE),
        ("STYLE", STYLE),
        ("UPLOT", uplot::SCRIPT),
        ("DATA", &data),
        ("CHART", uplot::CHART),
        ("SCRIPT", SCRIPT),
    ];
    // The parts are in the order of the page, and inserted text is not searched.
    let (mut page, mut rest) = (String::new(), PAGE);
    for (name, part) in parts {
        let (before, after) = rest.split_once(&format!("/*{name}*/")).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Returns the figure as JSON, which `page.js` reads.
fn figure_json(figure: &Figure, utc: bool) -> String {
    let mut json = String::new();
    let notes: Vec<_> = figure.notes.iter().map(|note| quoted(note)).collect();
    let (title, subtitle, notes) = (quoted(&figure.title), quoted(&figure.subtitle), notes.join(","));
    let (start, span) = (seconds(figure.start_ns), seconds(figure.span_ns));
    put(&mut json, format_args!(r#"{{"title":{title},"subtitle":{subtitle},"notes":[{notes}],"#));
    let many = !figure.legend.is_empty();
    put(&mut json, format_args!(r#""start":{start:.6},"span":{span:.6},"utc":{utc},"many":{many},"panels":["#));
    for (number, panel) in figure.panels.iter().enumerate() {
        put(&mut json, format_args!("{}", if number > 0 { ",\n" } else { "\n" }));
        put_panel(&mut json, panel);
    }
    json.push_str("]}");
    json
}

fn put_panel(json: &mut String, panel: &Panel) {
    let (title, message) = (quoted(&panel.title), quoted(panel.message.as_deref().unwrap_or_default()));
    put(json, format_args!(r#"{{"title":{title},"message":{message},"weight":{},"units":["#, panel.weight));
    for (number, (unit, size)) in panel.quantity.units().iter().enumerate() {
        put(json, format_args!("{}[{},{size}]", comma(number), quoted(unit)));
    }
    json.push_str(r#"],"curves":["#);
    let curves = panel.curves.iter().filter(|curve| !curve.pieces.is_empty());
    for (number, Curve { label, look, form, leads, pieces }) in curves.enumerate() {
        json.push_str(comma(number));
        let form = match form {
            Form::Line => "line",
            Form::Steps => "steps",
            Form::Stems => "stems",
        };
        put_curve(json, label, look, form, *leads, pieces);
    }
    let band = panel.band.as_ref().map_or("", |band| band.label);
    put(json, format_args!(r#"],"bandLabel":{},"band":["#, quoted(band)));
    if let (Some(band), Some(first)) = (&panel.band, panel.curves.first()) {
        put_curve(json, band.labels[1], &first.look, "line", true, &band.high);
        json.push(',');
        put_curve(json, band.labels[0], &first.look, "line", true, &band.low);
    }
    json.push_str("]}");
}

/// Writes a curve: times in microseconds, as differences from the previous time,
/// and values, null where the line is interrupted.
fn put_curve(json: &mut String, label: &str, look: &Look, form: &str, leads: bool, pieces: &[Vec<Point>]) {
    let Look { color, dark, width, dash, .. } = look;
    put(json, format_args!(r#"{{"label":{},"form":"{form}","leads":{leads},"#, quoted(label)));
    put(json, format_args!(r#""color":["{color}","{dark}"],"width":{width},"dash":{dash:?},"#));
    let (mut times, mut values) = (String::new(), String::new());
    let mut before_us = 0;
    let mut add = |at_us: u64, value: Option<f64>| {
        // Times must not decrease.
        let step = at_us.saturating_sub(before_us);
        before_us = before_us.max(at_us);
        let comma = comma(times.len());
        put(&mut times, format_args!("{comma}{step}"));
        match value {
            Some(value) => put(&mut values, format_args!("{comma}{value:.0}")),
            None => put(&mut values, format_args!("{comma}null")),
        }
    };
    for piece in pieces {
        for point in piece {
            add(point.at_ns / 1000, Some(point.value));
        }
        if let Some(last) = piece.last().filter(|_| form != "stems") {
            add(last.at_ns / 1000 + 1, None);
        }
    }
    put(json, format_args!(r#""times":[{times}],"values":[{values}]}}"#));
}

fn comma(before: usize) -> &'static str {
    if before == 0 { "" } else { "," }
}

fn put(json: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = json.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_placeholders_in_the_order_of_the_parts() {
        let mut rest = PAGE;
        for name in ["UPLOT_STYLE", "STYLE", "UPLOT", "DATA", "CHART", "SCRIPT"] {
            rest = rest.split_once(&format!("/*{name}*/")).unwrap_or_else(|| panic!("{name} has no placeholder")).1;
        }
        assert!(
            [uplot::SCRIPT, uplot::CHART].iter().all(|script| !script.contains("</script"))
                && !SCRIPT.contains("</script")
        );
    }

    #[test]
    fn a_curve_is_written_as_differences_with_nulls_at_interruptions() {
        let point = |at_us: u64, value| Point { at_ns: at_us * 1000, value };
        let look = Look { color: "#000", dark: "#fff", width: 1.5, dash: &[2, 3], marker: None };
        let mut json = String::new();
        put_curve(&mut json, "srtt", &look, "line", true, &[vec![point(5, 7.4), point(9, 8.0)], vec![point(20, 1.0)]]);
        assert_eq!(
            json,
            r##"{"label":"srtt","form":"line","leads":true,"color":["#000","#fff"],"width":1.5,"dash":[2, 3],"times":[5,4,1,10,1],"values":[7,8,null,1,null]}"##
        );
    }
}
