// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics as text: OpenMetrics 1.0, and version 0.0.4 of Prometheus.

use std::fmt::{Display, Formatter, Result as FormatResult, Write};
use std::sync::{Arc, OnceLock};

use tcpstats::{Ending, State};

use super::group::{Group, LIMITS, REASONS};
use super::groups::Groups;
use super::health::Health;
use super::histogram::{BILLION, Buckets, Histogram};

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
}

impl Format {
    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Returns the format that a client prefers, by its Accept header.  Every client is
    /// assumed to accept that of Prometheus.
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut text) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut is_known) = (1.0, true);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0_f64).clamp(0.0, 1.0),
                    Some(("version", version)) => is_known = matches!(version, "1.0.0" | "0.0.1" | "0.0.4"),
                    _ => (),
                }
            }
            let best = match media {
                "application/openmetrics-text" if is_known => &mut open,
                "text/plain" => &mut text,
                _ => continue,
            };
            *best = quality.max(*best);
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// The metrics as of one snapshot.
#[derive(Debug, Default)]
pub struct View {
    /// The groups with their labels.
    groups: Vec<(String, Group)>,
    in_other: u64,
    replaced: u64,
    health: Health,
    open_metrics: OnceLock<String>,
    prometheus: OnceLock<String>,
}

impl View {
    /// Copies the metrics.
    pub fn new(groups: &Groups, health: Health) -> Self {
        let labelled = |(key, group): (&str, &Group)| (groups.grouping.labels(key), group.clone());
        Self {
            groups: groups.with_series().map(labelled).collect(),
            in_other: groups.in_other,
            replaced: groups.replaced,
            health,
            ..Self::default()
        }
    }

    /// Returns the text, which is formatted once.
    pub fn text(&self, format: Format) -> &str {
        let text = match format {
            Format::OpenMetrics => &self.open_metrics,
            Format::Prometheus => &self.prometheus,
        };
        text.get_or_init(|| self.format(format))
    }

    fn format(&self, format: Format) -> String {
        let mut text = Writer { text: String::new(), format };
        let mut families = Families { text: &mut text, view: self };
        families.groups();
        families.health();
        if format == Format::OpenMetrics {
            text.text.push_str("# EOF\n");
        }
        text.text
    }

    fn series(&self) -> usize {
        self.text(Format::OpenMetrics).lines().filter(|line| !line.starts_with('#')).count()
    }
}

/// The text of a view, without a copy of it.
pub struct Text {
    view: Arc<View>,
    format: Format,
}

impl Text {
    /// Returns the text of a view.
    pub fn new(view: Arc<View>, format: Format) -> Self {
        Self { view, format }
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.view.text(self.format).as_bytes()
    }
}

/// Returns the maximum number of series of a group.
pub fn series_of_group(buckets: &Buckets) -> usize {
    let mut group = Group::new(buckets, 0);
    let known = Some(0);
    group.total = super::group::Increase {
        opened: 0,
        sent_bytes: known,
        received_bytes: known,
        rexmit_bytes: known,
        rexmit_packs: known,
        limited_ns: [known; LIMITS.len()],
    };
    group.listen = (known, known);
    group.has_reasons = true;
    View { groups: vec![(String::new(), group)], health: full_health(), ..View::default() }.series()
        - series_of_health()
}

/// Returns the maximum number of series that belong to no group.
pub fn series_of_health() -> usize {
    View { health: full_health(), ..View::default() }.series()
}

fn full_health() -> Health {
    Health { last_ns: Some(0), has_ledger: true, ..Health::default() }
}

/// Returns the name of a state, as in OpenTelemetry's attribute `network.connection.state`.
fn state_name(state: State) -> String {
    if state == State::SYN_RCVD {
        return "syn_received".into();
    }
    state.name().unwrap_or_default().to_ascii_lowercase()
}

/// The type of a metric family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// A metric family.
#[derive(Clone, Copy)]
struct Family {
    /// The name, which ends with the unit and lacks `_total` and `_info`.
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
}

/// A number in billionths, as a decimal fraction.
struct Billionths(u128);

impl Display for Billionths {
    fn fmt(&self, f: &mut Formatter<'_>) -> FormatResult {
        let billion = u128::from(BILLION);
        let fraction = format!("{:09}", self.0 % billion);
        let digits = fraction.trim_end_matches('0');
        write!(f, "{}.{}", self.0 / billion, if digits.is_empty() { "0" } else { digits })
    }
}

/// The unit of the values of a histogram.
#[derive(Clone, Copy)]
enum Scale {
    One,
    Billionth,
}

impl Scale {
    /// Formats a value.  Bounds of buckets have a decimal point, as OpenMetrics requires.
    fn bound(self, value: u64) -> String {
        match self {
            Self::One => format!("{value}.0"),
            Self::Billionth => Billionths(value.into()).to_string(),
        }
    }

    fn sum(self, value: u128) -> String {
        match self {
            Self::One => value.to_string(),
            Self::Billionth => Billionths(value).to_string(),
        }
    }
}

/// Text that is being written.
struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    fn family(&mut self, family: Family) {
        let Family { name, kind, unit, help } = family;
        let is_open = self.format == Format::OpenMetrics;
        let (suffix, kind) = match (kind, is_open) {
            (Kind::Counter, true) => ("", "counter"),
            (Kind::Counter, false) => ("_total", "counter"),
            (Kind::Gauge, _) => ("", "gauge"),
            (Kind::Histogram, _) => ("", "histogram"),
            (Kind::Info, true) => ("", "info"),
            (Kind::Info, false) => ("_info", "gauge"),
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# TYPE {name}{suffix} {kind}");
        if is_open && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name}{suffix} {help}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, more: &str, value: impl Display) {
        let comma = if labels.is_empty() || more.is_empty() { "" } else { "," };
        let _ = match (labels, more) {
            ("", "") => writeln!(self.text, "{name}{suffix} {value}"),
            _ => writeln!(self.text, "{name}{suffix}{{{labels}{comma}{more}}} {value}"),
        };
    }

    fn created(&mut self, name: &str, labels: &str, more: &str, created_ns: u64) {
        if self.format == Format::OpenMetrics {
            self.sample(name, "_created", labels, more, Billionths(created_ns.into()));
        }
    }

    fn counter(&mut self, name: &str, labels: &str, more: &str, value: impl Display, created_ns: u64) {
        self.sample(name, "_total", labels, more, value);
        self.created(name, labels, more, created_ns);
    }

    fn histogram(&mut self, name: &str, labels: &str, scale: Scale, histogram: &Histogram, created_ns: u64) {
        for (bound, count) in histogram.cumulative() {
            self.sample(name, "_bucket", labels, &format!("le=\"{}\"", scale.bound(bound)), count);
        }
        self.sample(name, "_bucket", labels, "le=\"+Inf\"", histogram.count());
        self.sample(name, "_count", labels, "", histogram.count());
        self.sample(name, "_sum", labels, "", scale.sum(histogram.sum()));
        self.created(name, labels, "", created_ns);
    }
}

/// Writes all metric families.
struct Families<'a> {
    text: &'a mut Writer,
    view: &'a View,
}

impl Families<'_> {
    /// Writes the metrics of the groups.
    fn groups(&mut self) {
        let seconds = |ns: Option<u64>| ns.map(|ns| Billionths(ns.into()));
        self.counters(SENT_BYTES, |group| group.total.sent_bytes);
        self.counters(RECEIVED_BYTES, |group| group.total.received_bytes);
        self.counters(REXMIT_BYTES, |group| group.total.rexmit_bytes);
        self.counters(REXMIT_PACKS, |group| group.total.rexmit_packs);
        self.counters(OPENED, |group| Some(group.total.opened));
        self.text.family(CLOSED);
        let has_reasons = self.has(|group| group.has_reasons);
        for (labels, group) in &self.view.groups {
            for (number, count) in group.closed.iter().enumerate().skip(if has_reasons { 0 } else { REASONS - 1 }) {
                let reason = Ending::ALL.get(number).map_or("unknown", |ending| ending.name());
                let reason = format!("reason=\"{reason}\"");
                self.text.counter(CLOSED.name, labels, &reason, count, group.created_ns);
            }
        }
        if self.has(|group| group.total.limited_ns.iter().any(Option::is_some)) {
            self.text.family(LIMITED);
            for (labels, group) in &self.view.groups {
                for (limit, ns) in LIMITS.iter().zip(group.total.limited_ns) {
                    if let Some(value) = seconds(ns) {
                        let limit = format!("limit=\"{limit}\"");
                        self.text.counter(LIMITED.name, labels, &limit, value, group.created_ns);
                    }
                }
            }
        }
        self.text.family(CONNECTIONS);
        // After a failure, the states are unknown.
        let is_known = self.view.health.is_up || self.view.health.snapshots == 0;
        for (labels, group) in self.view.groups.iter().filter(|_| is_known) {
            for (number, count) in (0..).zip(group.states) {
                let state = state_name(State(number));
                self.text.sample(CONNECTIONS.name, "", labels, &format!("state=\"{state}\""), count);
            }
        }
        self.gauges(LISTEN_QUEUE, |group| group.listen.0);
        self.gauges(LISTEN_QUEUE_LIMIT, |group| group.listen.1);
        self.histograms(SRTT, Scale::Billionth, |group| &group.srtt);
        if !self.view.health.has_ledger {
            return;
        }
        self.histograms(MIN_RTT, Scale::Billionth, |group| &group.min_rtt);
        self.histograms(DURATION, Scale::Billionth, |group| &group.duration);
        self.histograms(SIZE, Scale::One, |group| &group.size);
        self.histograms(SHARE, Scale::Billionth, |group| &group.share);
    }

    fn has(&self, is_known: impl Fn(&Group) -> bool) -> bool {
        self.view.groups.iter().any(|(_, group)| is_known(group))
    }

    fn counters(&mut self, family: Family, value: impl Fn(&Group) -> Option<u64>) {
        if self.has(|group| value(group).is_some()) {
            self.text.family(family);
            for (labels, group) in &self.view.groups {
                if let Some(value) = value(group) {
                    self.text.counter(family.name, labels, "", value, group.created_ns);
                }
            }
        }
    }

    fn gauges(&mut self, family: Family, value: impl Fn(&Group) -> Option<u64>) {
        if self.has(|group| value(group).is_some()) {
            self.text.family(family);
            for (labels, group) in &self.view.groups {
                if let Some(value) = value(group) {
                    self.text.sample(family.name, "", labels, "", value);
                }
            }
        }
    }

    fn histograms(&mut self, family: Family, scale: Scale, of: impl Fn(&Group) -> &Histogram) {
        self.text.family(family);
        for (labels, group) in &self.view.groups {
            self.text.histogram(family.name, labels, scale, of(group), group.created_ns);
        }
    }

    /// Writes the metrics of the program itself.
    fn health(&mut self) {
        let (view, health) = (self.view, &self.view.health);
        let text = &mut *self.text;
        text.family(BUILD);
        text.sample(BUILD.name, "_info", "", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        let mut counter = |family: Family, value: &dyn Display| {
            text.family(family);
            text.counter(family.name, "", "", value, health.created_ns);
        };
        counter(SNAPSHOTS, &health.snapshots);
        counter(WALK, &Billionths(health.walk_ns.into()));
        counter(MISSED_TICKS, &health.missed_ticks);
        counter(MISSED, &health.missed);
        if health.has_ledger {
            counter(ENDED_LOST, &health.ended_lost);
        }
        counter(ERRORS, &health.errors);
        counter(REPLACED, &view.replaced);
        let mut gauge = |family: Family, value: &dyn Display| {
            text.family(family);
            text.sample(family.name, "", "", "", value);
        };
        gauge(UP, &u8::from(health.is_up));
        if let Some(ns) = health.last_ns {
            gauge(LAST, &Billionths(ns.into()));
        }
        gauge(GROUPS, &view.groups.len().saturating_sub(1));
        gauge(GROUPS_MAX, &health.groups_max);
        gauge(IN_OTHER, &view.in_other);
    }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, unit, help }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit, help }
}

const fn histogram(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, unit, help }
}

const SENT_BYTES: Family = counter("tcpstats_sent_bytes", "bytes", "Payload sent, without retransmissions.");
const RECEIVED_BYTES: Family = counter("tcpstats_received_bytes", "bytes", "Payload received in order.");
const REXMIT_BYTES: Family = counter("tcpstats_retransmitted_bytes", "bytes", "Payload retransmitted.");
const REXMIT_PACKS: Family = counter("tcpstats_retransmitted_segments", "segments", "Segments retransmitted.");
const OPENED: Family = counter("tcpstats_connections_opened", "", "Connections that began.");
const CLOSED: Family = counter("tcpstats_connections_closed", "", "Connections that ended, by reason.");
const LIMITED: Family =
    counter("tcpstats_limited_seconds", "seconds", "Time during which sending was limited, summed over connections.");
const CONNECTIONS: Family = gauge("tcpstats_connections", "", "Connections and listening sockets, by state.");
const LISTEN_QUEUE: Family = gauge("tcpstats_listen_queue_length", "", "Connections that wait for accept(2).");
const LISTEN_QUEUE_LIMIT: Family = gauge("tcpstats_listen_queue_limit", "", "Maximum of tcpstats_listen_queue_length.");
const SRTT: Family =
    histogram("tcpstats_srtt_seconds", "seconds", "Smoothed round-trip time of each connection in each snapshot.");
const MIN_RTT: Family =
    histogram("tcpstats_min_rtt_seconds", "seconds", "Minimum round-trip time of connections that ended.");
const DURATION: Family =
    histogram("tcpstats_connection_duration_seconds", "seconds", "Duration of connections that ended.");
const SIZE: Family =
    histogram("tcpstats_connection_size_bytes", "bytes", "Payload sent and received by connections that ended.");
const SHARE: Family = histogram(
    "tcpstats_connection_retransmitted_ratio",
    "ratio",
    "Retransmitted share of the payload sent by connections that ended.",
);
const BUILD: Family = Family { name: "tcpstats_build", kind: Kind::Info, unit: "", help: "Version of the program." };
const SNAPSHOTS: Family = counter("tcpstats_snapshots", "", "Snapshots taken.");
const WALK: Family = counter("tcpstats_snapshot_walk_seconds", "seconds", "Time that the snapshots took.");
const MISSED_TICKS: Family =
    counter("tcpstats_snapshots_missed", "", "Snapshots not taken because an earlier one took too long.");
const MISSED: Family = counter(
    "tcpstats_records_missed",
    "",
    "Connections without a record because memory ran out or a limit was reached.",
);
const ENDED_LOST: Family = counter("tcpstats_final_records_lost", "", "Connections that ended without a final record.");
const ERRORS: Family = counter("tcpstats_source_errors", "", "Snapshots that failed.");
const REPLACED: Family =
    counter("tcpstats_groups_replaced", "", "Groups whose series ended, because others are larger.");
const UP: Family = gauge("tcpstats_source_up", "", "1 if the last snapshot succeeded, 0 if it failed.");
const LAST: Family = gauge("tcpstats_last_snapshot_timestamp_seconds", "seconds", "Time of the last snapshot.");
const GROUPS: Family = gauge("tcpstats_groups", "", "Groups that have their own series.");
const GROUPS_MAX: Family = gauge("tcpstats_groups_limit", "", "Maximum of tcpstats_groups.");
const IN_OTHER: Family =
    gauge("tcpstats_groups_in_other", "", "Groups of the last snapshot that share the series of other.");

const _: () = assert!(REASONS == Ending::ALL.len() + 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                        application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5";
        for accept in [prometheus, protobuf, "application/openmetrics-text"] {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        let only_newer = "application/openmetrics-text;version=2.0.0";
        let refused = "application/openmetrics-text;q=0";
        let plain = "text/plain, application/openmetrics-text;q=0.3";
        for accept in ["", "*/*", "text/html,*/*;q=0.8", only_newer, refused, plain, ";;,=q;q=", "text/plain;q=NaN"] {
            assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
        }
    }

    #[test]
    fn fractions_are_exact() {
        let text = |value| Billionths(value).to_string();
        assert_eq!([0, 1, 500_000_000, 16_000_000_000].map(text), ["0.0", "0.000000001", "0.5", "16.0"]);
    }
}
