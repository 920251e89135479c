// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Properties of the metrics, read from their text.

#![allow(clippy::float_cmp, reason = "the values are integers")]

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use tcpstats::frame::flag;
use tcpstats::{Header, Record, State, ipv4, key, name};
use tcpstats_log::{Boot, Snapshot};

use super::super::args::By;
use super::{Buckets, Format, Grouping, Metrics, Origin, Shape, series_of_group, series_of_health};

const S: u64 = 1_000_000_000;

/// A connection of an imagined host.
#[derive(Clone, Debug)]
struct Simulated {
    number: u64,
    service: u16,
    start: u64,
    sent: u64,
    received: u64,
    packs: u32,
    /// The time at which it was reset, although its socket is still open.
    reset: Option<u64>,
}

impl Simulated {
    fn record(&self) -> Record {
        let mut record = Record::new();
        record.set(key::gencnt, self.number);
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::lport, self.service);
        record.set(key::faddr, ipv4([198, 51, 100, 1]));
        record.set(key::fport, 50_000);
        record.set(key::state, State::ESTABLISHED);
        record.set(key::srtt, 1000);
        record.set(key::acked_bytes, self.sent);
        record.set(key::sent_bytes, self.sent);
        record.set(key::received_bytes, self.received);
        record.set(key::rexmit_packs, self.packs);
        record
    }

    fn last_record(&self, now: u64) -> Record {
        let mut record = self.record();
        record.set(key::state, State::ENDED);
        record.set(key::duration, (self.reset.unwrap_or(now) - self.start) * 1_000_000);
        record.set(key::ending, name(b"fin_sent"));
        record
    }
}

fn snapshot(second: u64, records: Vec<Record>, ended: Vec<Record>) -> Snapshot {
    let header =
        Header { sequence: second, mono_ns: second * S, wall_ns: second * S, flags: flag::LEDGER, ..Header::default() };
    Snapshot { header, records, ended, boot: Boot::Same }
}

fn metrics(by: &[By], groups: usize) -> Metrics {
    let shape = Shape { buckets: Buckets::new(1), has_reasons: true };
    Metrics::new(Grouping::new(by, 24, 48), shape, groups, 1)
}

/// The values of the samples by name and labels.
fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let view = metrics.view();
    let text = str::from_utf8(view.body(Format::OpenMetrics)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.map(|line| sample(line).unwrap()).collect()
}

fn is_counter(name: &str) -> bool {
    ["_total", "_bucket", "_count", "_sum"].iter().any(|suffix| name.split('{').next().unwrap().ends_with(suffix))
}

/// The sums of counters over all series, including those that have ended.
#[derive(Default)]
struct Sums {
    before: BTreeMap<String, f64>,
    ended: BTreeMap<String, f64>,
}

impl Sums {
    /// Checks that no counter has decreased, unless its series ended.
    fn scrape(&mut self, now: BTreeMap<String, f64>) {
        let created = |samples: &BTreeMap<String, f64>, name: &str| {
            let labels = name.split_once("lport=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(port, _)| port);
            labels.and_then(|port| {
                samples.get(&format!("tcpstats_connections_opened_created{{lport=\"{port}\"}}")).copied()
            })
        };
        for (name, before) in self.before.iter().filter(|(name, _)| is_counter(name)) {
            match now.get(name) {
                Some(value) if created(&now, name) == created(&self.before, name) => {
                    assert!(value >= before, "{name} has decreased from {before} to {value}");
                }
                _ => {
                    assert!(name.contains("lport=") && !name.contains("lport=\"other\""), "{name} has ended");
                    *self.ended.entry(name.split('{').next().unwrap().to_owned()).or_default() += before;
                }
            }
        }
        self.before = now;
    }

    fn total(&self, family: &str) -> u64 {
        let is_of = |name: &str| name.split('{').next() == Some(family);
        let current: f64 = self.before.iter().filter(|(name, _)| is_of(name)).map(|(_, value)| value).sum();
        let sum = current + self.ended.get(family).copied().unwrap_or(0.0);
        assert!(sum.fract() == 0.0 && sum >= 0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was just checked")]
        let sum = sum as u64;
        sum
    }
}

/// What happens to the connection with this number modulo the number of connections.
#[derive(Clone, Debug)]
enum Event {
    Open(u16, u32),
    Send(usize, u32),
    Reset(usize),
    End(usize, u32),
    Short(u16, u32),
}

fn event() -> impl Strategy<Value = Event> {
    let (service, any, bytes) = (1..9_u16, 0..50_usize, 0..100_000_u32);
    prop_oneof![
        (service.clone(), bytes.clone()).prop_map(|(service, bytes)| Event::Open(service, bytes)),
        (any.clone(), bytes.clone()).prop_map(|(at, bytes)| Event::Send(at, bytes)),
        any.clone().prop_map(Event::Reset),
        (any, bytes.clone()).prop_map(|(at, bytes)| Event::End(at, bytes)),
        (service, bytes).prop_map(|(service, bytes)| Event::Short(service, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_counter_decreases_and_the_groups_have_everything(
        groups in 0..10_usize,
        step in 1..100_u64,
        rounds in prop::collection::vec(prop::collection::vec(event(), 0..8), 1..30),
    ) {
        let (mut metrics, mut sums) = (metrics(&[By::Lport], groups), Sums::default());
        let (mut open, mut number) = (Vec::<Simulated>::new(), 0);
        // Bytes sent and received, segments, connections that began and ended.
        let mut expected = [0_u64; 5];
        for (round, events) in (0..).zip(rounds) {
            let (now, mut ended) = (1000 + round * step, Vec::new());
            let counts = round > 0;
            for event in events {
                let count = open.len();
                let mut start = |service, bytes: u32| {
                    number += 1;
                    let sent = u64::from(bytes);
                    let (received, packs) = (sent / 2, bytes / 1000);
                    Simulated { number, service, start: now, sent, received, packs, reset: None }
                };
                let mut count_new = |new: &Simulated| if counts {
                    let values = [new.sent, new.received, new.packs.into(), 1, 0];
                    for (sum, value) in expected.iter_mut().zip(values) {
                        *sum += value;
                    }
                };
                match event {
                    Event::Open(service, bytes) => {
                        let new = start(service, bytes);
                        count_new(&new);
                        open.push(new);
                    }
                    Event::Short(service, bytes) if counts => {
                        let new = start(service, bytes);
                        count_new(&new);
                        expected[4] += 1;
                        ended.push(new.last_record(now));
                    }
                    Event::Send(at, bytes) | Event::End(at, bytes) if count > 0 => {
                        let connection = &mut open[at % count];
                        let bytes = if connection.reset.is_some() { 0 } else { bytes };
                        if counts && bytes > 0 {
                            expected[0] += u64::from(bytes);
                            expected[2] += 1;
                            connection.packs += 1;
                        }
                        connection.sent += if counts { u64::from(bytes) } else { 0 };
                        if counts && matches!(event, Event::End(..)) {
                            ended.push(open.swap_remove(at % count).last_record(now));
                            expected[4] += 1;
                        }
                    }
                    Event::Reset(at) if counts && count > 0 => _ = open[at % count].reset.get_or_insert(now),
                    _ => (),
                }
            }
            let visible = open.iter().filter(|connection| connection.reset.is_none());
            let records: Vec<_> = visible.map(Simulated::record).collect();
            metrics.add(&snapshot(now, records, ended), Origin { is_linux: true, is_partial: false }, now * S);
            sums.scrape(samples(&metrics));
            let opened = |name: &'_ &String| name.starts_with("tcpstats_connections_opened_total");
            let own: HashSet<_> = sums.before.keys().filter(opened).collect();
            prop_assert!(own.len() <= groups + 1);
        }
        let now = 1000 + 100 * step;
        let ended = open.iter().map(|connection| connection.last_record(now)).collect::<Vec<_>>();
        expected[4] += ended.len() as u64;
        metrics.add(&snapshot(now, Vec::new(), ended), Origin { is_linux: true, is_partial: false }, now * S);
        sums.scrape(samples(&metrics));
        let families =
            ["sent_bytes", "received_bytes", "retransmitted_segments", "connections_opened", "connections_closed"];
        let totals = families.map(|family| sums.total(&format!("tcpstats_{family}_total")));
        prop_assert_eq!(totals, expected);
    }
}

/// Returns the value of a counter of the only group.
fn value(metrics: &Metrics, name: &str) -> Option<f64> {
    let samples = samples(metrics);
    let of_group = |sample: &&String| sample.starts_with(name) && sample.contains("lport=\"1\"");
    samples.keys().find(of_group).map(|sample| samples[sample])
}

fn connection(number: u64, sent: u64) -> Simulated {
    Simulated { number, service: 1, start: 0, sent, received: 0, packs: 0, reset: None }
}

fn add(metrics: &mut Metrics, second: u64, records: Vec<Record>, ended: Vec<Record>) {
    metrics.add(&snapshot(second, records, ended), Origin { is_linux: true, is_partial: false }, second * S);
}

#[test]
fn the_past_of_a_connection_that_was_open_at_the_start_does_not_count() {
    let mut metrics = metrics(&[By::Lport], 5);
    add(&mut metrics, 10, vec![connection(1, 1000).record()], vec![]);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(0.0));
    add(&mut metrics, 11, vec![connection(1, 1500).record(), connection(2, 70).record()], vec![]);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(570.0));
    add(&mut metrics, 12, vec![], vec![connection(1, 1600).last_record(12), connection(2, 80).last_record(12)]);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(680.0));
    assert_eq!(value(&metrics, "tcpstats_connections_opened_total"), Some(1.0));
}

#[test]
fn a_counter_that_the_source_lacks_is_absent() {
    let mut metrics = metrics(&[By::Lport], 5);
    let mut record = connection(1, 0).record();
    record.set(key::state, State::ESTABLISHED);
    add(&mut metrics, 1, vec![record], vec![]);
    assert_eq!(value(&metrics, "tcpstats_retransmitted_segments_total"), Some(0.0));
    assert_eq!(value(&metrics, "tcpstats_retransmitted_bytes_total"), None);
    assert_eq!(value(&metrics, "tcpstats_limited_seconds_total"), None);
    assert_eq!(value(&metrics, "tcpstats_listen_queue_length"), None);
}

#[test]
fn a_rebooted_host_has_other_connections() {
    let mut metrics = metrics(&[By::Lport], 5);
    add(&mut metrics, 1, vec![connection(1, 1000).record()], vec![]);
    let after = |boot, second, sent| Snapshot { boot, ..snapshot(second, vec![connection(1, sent).record()], vec![]) };
    metrics.add(&after(Boot::Unsure, 2, 1100), Origin::default(), 0);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(100.0));
    metrics.add(&after(Boot::Unsure, 3, 50), Origin::default(), 0);
    metrics.add(&after(Boot::Other, 4, 9000), Origin::default(), 0);
    metrics.add(&after(Boot::Same, 5, 9001), Origin::default(), 0);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(101.0));
}

#[test]
fn a_connection_is_not_counted_again_when_its_socket_is_closed_long_after_its_end() {
    let mut metrics = metrics(&[By::Lport], 5);
    add(&mut metrics, 1, vec![], vec![]);
    add(&mut metrics, 2, vec![connection(1, 1000).record()], vec![]);
    for second in [3, 5000] {
        add(&mut metrics, second, vec![], vec![]);
    }
    let mut last = connection(1, 1000).last_record(10_000);
    last.set(key::duration, 9_000_000_000);
    add(&mut metrics, 10_000, vec![], vec![last]);
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(1000.0));
    assert_eq!(value(&metrics, "tcpstats_connections_opened_total"), Some(1.0));
}

#[test]
fn with_a_filter_the_first_record_of_a_connection_does_not_count() {
    let mut metrics = metrics(&[By::Lport], 5);
    let partial = Origin { is_linux: true, is_partial: true };
    for (second, sent) in [(1, None), (2, Some(1000)), (3, None), (4, Some(1500))] {
        let records = sent.map(|sent| connection(1, sent).record()).into_iter().collect();
        metrics.add(&snapshot(second, records, vec![]), partial, 0);
    }
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(500.0));
    assert_eq!(value(&metrics, "tcpstats_connections_opened_total"), Some(0.0));
}

#[test]
fn a_connection_without_a_final_record_ends_for_an_unknown_reason() {
    let mut metrics = metrics(&[By::Lport], 5);
    for (second, records) in [(1, vec![connection(1, 0).record()]), (2, vec![]), (3, vec![])] {
        let mut snapshot = snapshot(second, records, vec![]);
        snapshot.header.flags = 0;
        metrics.add(&snapshot, Origin::default(), 0);
    }
    assert_eq!(value(&metrics, "tcpstats_connections_closed_total{lport=\"1\",reason=\"unknown\"}"), Some(1.0));
}

#[test]
fn a_larger_group_replaces_a_smaller_one_which_returns_with_new_series() {
    let mut metrics = metrics(&[By::Lport], 1);
    let pair = |small: u64, large: u64| {
        let large = Simulated { service: 2, ..connection(2, large) };
        vec![connection(1, small).record(), large.record()]
    };
    let created = |metrics: &Metrics, port: u16| {
        samples(metrics).get(&format!("tcpstats_sent_bytes_created{{lport=\"{port}\"}}")).copied()
    };
    add(&mut metrics, 1, vec![connection(1, 5000).record()], vec![]);
    add(&mut metrics, 2, pair(5100, 0), vec![]);
    assert_eq!((created(&metrics, 1), created(&metrics, 2)), (Some(1.0), None));
    add(&mut metrics, 3, pair(5100, 90_000), vec![]);
    add(&mut metrics, 700, pair(5200, 90_001), vec![]);
    assert_eq!((created(&metrics, 1), created(&metrics, 2)), (None, Some(700.0)));
    let other = |metrics: &Metrics| samples(metrics)["tcpstats_sent_bytes_total{lport=\"other\"}"];
    assert_eq!(other(&metrics), 90_100.0, "what was counted in other remains there");
    add(&mut metrics, 701, pair(900_000, 90_001), vec![]);
    add(&mut metrics, 1400, pair(900_001, 90_001), vec![]);
    assert_eq!((created(&metrics, 1), created(&metrics, 2)), (Some(1400.0), None));
    assert_eq!(value(&metrics, "tcpstats_sent_bytes_total"), Some(1.0));
    assert_eq!(samples(&metrics)["tcpstats_groups_replaced_total"], 2.0);
}

#[test]
fn a_process_named_other_does_not_collide_with_the_other_groups() {
    let mut metrics = metrics(&[By::Process], 5);
    let mut record = connection(1, 0).record();
    record.set(key::command, name(b"other"));
    add(&mut metrics, 1, vec![record.clone()], vec![]);
    let view = metrics.view();
    let text = str::from_utf8(view.body(Format::Prometheus)).unwrap();
    let mut lines: Vec<_> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all);
}

#[test]
fn a_snapshot_of_many_groups_gives_series_to_the_largest() {
    let mut metrics = metrics(&[By::Lport], 3);
    let of = |service: u16| Simulated { service, ..connection(service.into(), u64::from(service % 100) * 1000) };
    add(&mut metrics, 1, (1..=200).map(|service| of(service).record()).collect(), vec![]);
    let own: Vec<_> =
        samples(&metrics).into_keys().filter(|name| name.starts_with("tcpstats_connections_opened_total")).collect();
    let expected =
        ["198", "199", "99", "other"].map(|port| format!("tcpstats_connections_opened_total{{lport=\"{port}\"}}"));
    assert_eq!(own, expected);
    assert_eq!(samples(&metrics)["tcpstats_groups_in_other"], 197.0);
}

#[test]
fn the_manual_states_the_number_of_series_of_a_group() {
    let series = [false, true].map(|has_reasons| series_of_group(&Shape { buckets: Buckets::new(1), has_reasons }));
    assert_eq!(series, [113, 127]);
    assert_eq!(series.map(|group| (2000 - series_of_health()) / group - 1), [16, 14]);
}
