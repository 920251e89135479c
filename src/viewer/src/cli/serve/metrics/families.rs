// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What the metric families contain, for every format.

use tcpstats::{Ending, State};

use super::family::{self, Family};
use super::group::{Group, LIMITS, REASONS, WINDOWS};
use super::histogram::Histogram;
use super::key::Labels;
use super::number::Number;
use super::view::View;

/// A label of a metric within its group.
pub type Label<'a> = Option<(&'static str, &'a str)>;

/// A format that is being written.
pub trait Sink {
    /// Starts a family, to which the following metrics belong.
    fn family(&mut self, family: Family);

    /// Writes a counter that was created at this time, in nanoseconds since the Epoch.
    fn counter(&mut self, labels: &Labels, label: Label<'_>, value: Number, created_ns: u64);

    /// Writes a gauge, or an info.
    fn gauge(&mut self, labels: &Labels, label: Label<'_>, value: Number);

    /// Writes a histogram that was created at this time, in nanoseconds since the Epoch.
    fn histogram(&mut self, labels: &Labels, histogram: &Histogram, created_ns: u64);

    /// Returns what was written.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// Writes all metrics.
pub fn write(view: &View, mut sink: Box<dyn Sink>) -> Vec<u8> {
    let groups: Vec<_> = view.groups.iter().map(|(key, group)| (view.grouping.labels(key), group)).collect();
    let mut families = Families { sink: &mut *sink, view, groups: &groups };
    families.groups();
    families.health();
    sink.finish()
}

/// Returns the name of a state, as in OpenTelemetry's attribute `network.connection.state`.
fn state_name(state: State) -> String {
    if state == State::SYN_RCVD {
        return "syn_received".into();
    }
    state.name().unwrap_or_default().to_ascii_lowercase()
}

/// Returns a number of nanoseconds in seconds.
fn seconds(ns: u64) -> Number {
    Number::Billionths(ns.into())
}

struct Families<'a> {
    sink: &'a mut dyn Sink,
    view: &'a View,
    groups: &'a [(Labels, &'a Group)],
}

impl Families<'_> {
    /// Writes the metrics of the groups.
    fn groups(&mut self) {
        self.counters(family::SENT_BYTES, |group| group.total.sent_bytes);
        self.counters(family::RECEIVED_BYTES, |group| group.total.received_bytes);
        self.counters(family::REXMIT_BYTES, |group| group.total.rexmit_bytes);
        self.counters(family::REXMIT_PACKS, |group| group.total.rexmit_packs);
        self.counters(family::OPENED, |group| Some(group.total.opened));
        self.closed();
        self.limited();
        self.connections();
        self.gauges(family::LISTEN_QUEUE, |group| group.listen.length);
        self.gauges(family::LISTEN_QUEUE_LIMIT, |group| group.listen.limit);
        self.gauges(family::LISTEN_QUEUES_FULL, |group| group.listen.full);
        if self.has(|group| group.zero_windows != [None; WINDOWS.len()]) {
            self.sink.family(family::ZERO_WINDOW);
            for (labels, group) in self.groups {
                for (direction, count) in WINDOWS.iter().zip(group.zero_windows) {
                    if let Some(count) = count {
                        self.sink.gauge(labels, Some(("direction", direction)), count.into());
                    }
                }
            }
        }
        self.histograms(family::SRTT, |group| &group.srtt);
        if !self.view.health.has_ledger {
            return;
        }
        self.histograms(family::MIN_RTT, |group| &group.min_rtt);
        self.histograms(family::DURATION, |group| &group.duration);
        self.histograms(family::SIZE, |group| &group.size);
        self.histograms(family::SHARE, |group| &group.share);
    }

    fn closed(&mut self) {
        self.sink.family(family::CLOSED);
        let has_reasons = self.view.has_reasons && self.has(|group| group.has_reasons);
        for (labels, group) in self.groups {
            let mut add = |reason: &str, count: u64| {
                self.sink.counter(labels, Some(("reason", reason)), count.into(), group.created_ns);
            };
            if !has_reasons {
                add("unknown", group.closed.iter().sum());
                continue;
            }
            for (number, count) in group.closed.iter().enumerate() {
                add(Ending::ALL.get(number).map_or("unknown", |ending| ending.name()), *count);
            }
        }
    }

    fn limited(&mut self) {
        if !self.has(|group| group.total.limited_ns.iter().any(Option::is_some)) {
            return;
        }
        self.sink.family(family::LIMITED);
        for (labels, group) in self.groups {
            for (limit, ns) in LIMITS.iter().zip(group.total.limited_ns) {
                if let Some(ns) = ns {
                    self.sink.counter(labels, Some(("limit", limit)), seconds(ns), group.created_ns);
                }
            }
        }
    }

    fn connections(&mut self) {
        self.sink.family(family::CONNECTIONS);
        // After a failure, the states are unknown.
        let is_known = self.view.health.is_up || self.view.health.snapshots == 0;
        for (labels, group) in self.groups.iter().filter(|_| is_known) {
            for (number, count) in (0..).zip(group.states) {
                self.sink.gauge(labels, Some(("state", &state_name(State(number)))), count.into());
            }
        }
    }

    fn has(&self, is_known: impl Fn(&Group) -> bool) -> bool {
        self.groups.iter().any(|(_, group)| is_known(group))
    }

    fn counters(&mut self, family: Family, value: impl Fn(&Group) -> Option<u64>) {
        if self.has(|group| value(group).is_some()) {
            self.sink.family(family);
            for (labels, group) in self.groups {
                if let Some(value) = value(group) {
                    self.sink.counter(labels, None, value.into(), group.created_ns);
                }
            }
        }
    }

    fn gauges(&mut self, family: Family, value: impl Fn(&Group) -> Option<u64>) {
        if self.has(|group| value(group).is_some()) {
            self.sink.family(family);
            for (labels, group) in self.groups {
                if let Some(value) = value(group) {
                    self.sink.gauge(labels, None, value.into());
                }
            }
        }
    }

    fn histograms(&mut self, family: Family, of: impl Fn(&Group) -> &Histogram) {
        self.sink.family(family);
        for (labels, group) in self.groups {
            self.sink.histogram(labels, of(group), group.created_ns);
        }
    }

    /// Writes the metrics of the program itself.
    fn health(&mut self) {
        let (view, health, none) = (self.view, &self.view.health, Labels::default());
        let sink = &mut *self.sink;
        sink.family(family::BUILD);
        sink.gauge(&none, Some(("version", env!("CARGO_PKG_VERSION"))), 1.into());
        let mut counter = |family, value| {
            sink.family(family);
            sink.counter(&none, None, value, health.created_ns);
        };
        counter(family::SNAPSHOTS, health.snapshots.into());
        counter(family::WALK, seconds(health.walk_ns));
        counter(family::MISSED_TICKS, health.missed_ticks.into());
        counter(family::MISSED, health.missed.into());
        if health.has_ledger {
            counter(family::ENDED_LOST, health.ended_lost.into());
        }
        counter(family::ERRORS, health.errors.into());
        counter(family::REPLACED, view.replaced.into());
        let mut gauge = |family, value| {
            sink.family(family);
            sink.gauge(&none, None, value);
        };
        gauge(family::UP, u64::from(health.is_up).into());
        if let Some(ns) = health.last_ns {
            gauge(family::LAST, seconds(ns));
        }
        gauge(family::GROUPS, (view.groups.len().saturating_sub(1) as u64).into());
        gauge(family::GROUPS_MAX, health.groups_max.into());
        gauge(family::IN_OTHER, view.in_other.into());
    }
}

const _: () = assert!(REASONS == Ending::ALL.len() + 1);
