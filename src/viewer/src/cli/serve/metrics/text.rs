// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics as text: OpenMetrics 1.0, and version 0.0.4 of Prometheus.

use std::fmt::{Display, Write};

use super::families::{Label, Sink};
use super::family::{Family, Kind};
use super::histogram::Histogram;
use super::key::Labels;
use super::number::{Number, Scale};

/// Text that is being written.
pub struct Text {
    written: String,
    is_open: bool,
    name: &'static str,
    /// The suffix of a sample that is not part of a histogram.
    suffix: &'static str,
}

impl Text {
    /// Returns an empty text in the format 0.0.4 of Prometheus.
    pub fn prometheus() -> Self {
        Self { written: String::new(), is_open: false, name: "", suffix: "" }
    }

    /// Returns an empty text in the format OpenMetrics 1.0.
    pub fn open_metrics() -> Self {
        Self { is_open: true, ..Self::prometheus() }
    }

    fn sample(&mut self, suffix: &str, labels: &Labels, label: Label<'_>, value: impl Display) {
        let (name, labels) = (self.name, &labels.text);
        // Writing to a string does not fail.
        let _ = match label {
            None if labels.is_empty() => writeln!(self.written, "{name}{suffix} {value}"),
            None => writeln!(self.written, "{name}{suffix}{{{labels}}} {value}"),
            // These values need no escapes.
            Some((label, text)) => {
                let comma = if labels.is_empty() { "" } else { "," };
                writeln!(self.written, "{name}{suffix}{{{labels}{comma}{label}=\"{text}\"}} {value}")
            }
        };
    }

    fn created(&mut self, labels: &Labels, label: Label<'_>, created_ns: u64) {
        if self.is_open {
            self.sample("_created", labels, label, Number::Billionths(created_ns.into()));
        }
    }
}

/// Formats the bound of a bucket, which has a decimal point, as OpenMetrics requires.
fn bound(scale: Scale, units: u64) -> String {
    let text = scale.number(units.into()).to_string();
    if text.contains('.') { text } else { text + ".0" }
}

impl Sink for Text {
    fn family(&mut self, family: Family) {
        let Family { name, kind, unit, help } = family;
        (self.name, self.suffix) = (name, suffix_of_sample(kind));
        // In OpenMetrics, the name of a family has no suffix.
        let suffix = if self.is_open { "" } else { self.suffix };
        let kind = match (kind, self.is_open) {
            (Kind::Counter, _) => "counter",
            (Kind::Gauge, _) | (Kind::Info, false) => "gauge",
            (Kind::Histogram, _) => "histogram",
            (Kind::Info, true) => "info",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.written, "# TYPE {name}{suffix} {kind}");
        if self.is_open && !unit.is_empty() {
            let _ = writeln!(self.written, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.written, "# HELP {name}{suffix} {help}");
    }

    fn counter(&mut self, labels: &Labels, label: Label<'_>, value: Number, created_ns: u64) {
        self.sample(self.suffix, labels, label, value);
        self.created(labels, label, created_ns);
    }

    fn gauge(&mut self, labels: &Labels, label: Label<'_>, value: Number) {
        self.sample(self.suffix, labels, label, value);
    }

    fn histogram(&mut self, labels: &Labels, histogram: &Histogram, created_ns: u64) {
        for (units, count) in histogram.cumulative() {
            self.sample("_bucket", labels, Some(("le", &bound(histogram.scale, units))), count);
        }
        self.sample("_bucket", labels, Some(("le", "+Inf")), histogram.count());
        self.sample("_count", labels, None, histogram.count());
        self.sample("_sum", labels, None, histogram.scale.number(histogram.sum()));
        self.created(labels, None, created_ns);
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        if self.is_open {
            self.written.push_str("# EOF\n");
        }
        self.written.into_bytes()
    }
}

/// Returns what the name of a sample has after the name of its family.
pub fn suffix_of_sample(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    }
}
