// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics in the protobuf format of Prometheus, the only one with native histograms.
//!
//! The messages and the numbers of their fields are those of `io/prometheus/client/metrics.proto`
//! in the repository prometheus/client_model; fields that are not used are omitted.  Optional
//! fields are written even if they are 0, because readers distinguish absent fields.

use prost::Message;

use super::families::{Label, Sink};
use super::family::{Family, Kind};
use super::histogram::Histogram;
use super::key::Labels;
use super::native::{Native, ZERO_THRESHOLD};
use super::number::{BILLION, Number};
use super::text::suffix_of_sample;

/// `MetricFamily`.
#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

/// `MetricType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

/// `Metric`.
#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<GaugeValue>,
    #[prost(message, optional, tag = "3")]
    counter: Option<CounterValue>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramValue>,
}

/// `LabelPair`.
#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `Gauge`.
#[derive(Clone, PartialEq, Message)]
struct GaugeValue {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

/// `Counter`.
#[derive(Clone, PartialEq, Message)]
struct CounterValue {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created_timestamp: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `Histogram`.
#[derive(Clone, PartialEq, Message)]
struct HistogramValue {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    created_timestamp: Option<Timestamp>,
}

/// `Bucket`.
#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

/// `BucketSpan`.
#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    /// The number of the first bucket of the first span, or the gap after the previous span.
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    /// The number of buckets.
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// Messages that are being written.
#[derive(Default)]
pub struct Protobuf {
    bytes: Vec<u8>,
    family: MetricFamily,
}

impl Protobuf {
    fn add(&mut self, labels: &Labels, label: Label<'_>, metric: Metric) {
        let pairs = labels.pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let pair = |(name, value): (&str, &str)| LabelPair { name: name.into(), value: value.into() };
        self.family.metric.push(Metric { label: pairs.chain(label).map(pair).collect(), ..metric });
    }

    /// Ends the family, which is left out if it has no metrics.
    fn flush(&mut self) {
        if !self.family.metric.is_empty() {
            let bytes = self.family.encode_length_delimited_to_vec();
            self.bytes.extend_from_slice(&bytes);
        }
        self.family = MetricFamily::default();
    }
}

impl Sink for Protobuf {
    fn family(&mut self, family: Family) {
        self.flush();
        let Family { name, kind, unit, help } = family;
        let name = format!("{name}{}", suffix_of_sample(kind));
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge | Kind::Info => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let kind = Some(kind.into());
        self.family = MetricFamily { name, help: help.into(), kind, metric: Vec::new(), unit: unit.into() };
    }

    fn counter(&mut self, labels: &Labels, label: Label<'_>, value: Number, created_ns: u64) {
        let created_timestamp = Some(timestamp(created_ns));
        let counter = Some(CounterValue { value: Some(value.as_f64()), created_timestamp });
        self.add(labels, label, Metric { counter, ..Metric::default() });
    }

    fn gauge(&mut self, labels: &Labels, label: Label<'_>, value: Number) {
        let gauge = Some(GaugeValue { value: Some(value.as_f64()) });
        self.add(labels, label, Metric { gauge, ..Metric::default() });
    }

    /// Writes both kinds of buckets: a scraper that does not store native histograms uses the
    /// fixed ones.
    fn histogram(&mut self, labels: &Labels, histogram: &Histogram, created_ns: u64) {
        let number = |units: u128| Some(histogram.scale.number(units).as_f64());
        let bucket =
            |(bound, count): (u64, u64)| Bucket { cumulative_count: Some(count), upper_bound: number(bound.into()) };
        let native = &histogram.native;
        let (positive_span, positive_delta) = spans(native);
        let value = HistogramValue {
            sample_count: Some(histogram.count()),
            sample_sum: number(histogram.sum()),
            bucket: histogram.cumulative().map(bucket).collect(),
            schema: Some(native.schema().into()),
            zero_threshold: Some(ZERO_THRESHOLD),
            zero_count: Some(native.zero()),
            positive_span,
            positive_delta,
            created_timestamp: Some(timestamp(created_ns)),
        };
        self.add(labels, None, Metric { histogram: Some(value), ..Metric::default() });
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        self.flush();
        self.bytes
    }
}

fn timestamp(ns: u64) -> Timestamp {
    let (seconds, nanos) = (ns / BILLION, ns % BILLION);
    Timestamp { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: i32::try_from(nanos).unwrap_or(i32::MAX) }
}

/// Returns the runs of consecutive buckets, and the differences of the counts.
fn spans(native: &Native) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::with_capacity(native.buckets().len()));
    let (mut next, mut before) = (0, 0);
    for (number, count) in native.buckets() {
        match spans.last_mut() {
            Some(BucketSpan { length: Some(length), .. }) if *number == next => *length += 1,
            _ => spans.push(BucketSpan { offset: Some(number - next), length: Some(1) }),
        }
        next = number + 1;
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        before = count;
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_buckets_are_one_span() {
        let mut native = Native::default();
        // Buckets 0, 1, 1 and 32 of 16 for each power of two.
        for value in [1.0, 1.03, 1.04, 4.0, 0.0] {
            native.observe(value);
        }
        let (spans, deltas) = spans(&native);
        let span = |offset, length| BucketSpan { offset: Some(offset), length: Some(length) };
        assert_eq!(spans, [span(0, 2), span(30, 1)]);
        assert_eq!(deltas, [1, 1, -1]);
    }
}
