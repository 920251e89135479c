// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The metrics as of one snapshot, as the server formats them.

use std::sync::{Arc, OnceLock};

use clap::ValueEnum;

use super::super::args::By;
use super::families::{Sink, write};
use super::format::Format;
use super::group::{Group, Increase, LIMITS, Listen, Shape, WINDOWS};
use super::groups::Groups;
use super::health::Health;
use super::histogram::Buckets;
use super::key::Grouping;
use super::protobuf::Protobuf;
use super::text::Text;

/// The metrics as of one snapshot.
#[derive(Debug, Default)]
pub struct View {
    /// How connections are grouped.
    pub grouping: Grouping,
    /// The groups by their keys, `other` first.
    pub groups: Vec<(Arc<str>, Group)>,
    /// Whether the reasons why connections end can have series.
    pub has_reasons: bool,
    /// The number of groups in `other`.
    pub in_other: u64,
    /// The number of groups whose series have ended.
    pub replaced: u64,
    /// The metrics of the program itself.
    pub health: Health,
    prometheus: OnceLock<Vec<u8>>,
    open_metrics: OnceLock<Vec<u8>>,
    protobuf: OnceLock<Vec<u8>>,
}

impl View {
    /// Copies the metrics.
    pub fn new(groups: &Groups, health: Health) -> Self {
        Self {
            grouping: groups.grouping.clone(),
            groups: groups.with_series().to_vec(),
            has_reasons: groups.shape.has_reasons,
            in_other: groups.in_other,
            replaced: groups.replaced,
            health,
            ..Self::default()
        }
    }

    /// Returns the metrics in a format, in which they are formatted once.
    pub fn body(&self, format: Format) -> &[u8] {
        let (body, sink): (_, fn() -> Box<dyn Sink>) = match format {
            Format::Prometheus => (&self.prometheus, || Box::new(Text::prometheus())),
            Format::OpenMetrics => (&self.open_metrics, || Box::new(Text::open_metrics())),
            Format::Protobuf => (&self.protobuf, || Box::<Protobuf>::default()),
        };
        body.get_or_init(|| write(self, sink()))
    }

    /// Returns the number of series in OpenMetrics, which has the most, because it has a line for
    /// each time of creation.
    fn series(&self) -> usize {
        let lines = self.body(Format::OpenMetrics).split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).count()
    }
}

/// The metrics of a view in a format, without a copy of them.
pub struct Body {
    view: Arc<View>,
    format: Format,
}

impl Body {
    /// Returns the metrics of a view.
    pub fn new(view: Arc<View>, format: Format) -> Self {
        Self { view, format }
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.view.body(self.format)
    }
}

/// Returns a view of one group with every metric.
fn full_view(grouping: Grouping, shape: &Shape) -> View {
    let mut group = Group::new(&shape.buckets, 0);
    let known = Some(0);
    group.total = Increase {
        opened: 0,
        sent_bytes: known,
        received_bytes: known,
        rexmit_bytes: known,
        rexmit_packs: known,
        limited_ns: [known; LIMITS.len()],
    };
    group.listen = Listen { length: known, limit: known, full: known };
    group.zero_windows = [known; WINDOWS.len()];
    group.has_reasons = true;
    let groups = vec![(grouping.other.as_str().into(), group)];
    View { grouping, groups, has_reasons: shape.has_reasons, health: full_health(), ..View::default() }
}

/// Returns the maximum number of series of a group.
pub fn series_of_group(shape: &Shape) -> usize {
    full_view(Grouping::default(), shape).series() - series_of_health()
}

/// Returns every metric with every label, in the format of OpenMetrics.
pub fn every_metric() -> String {
    let grouping = Grouping::new(By::value_variants(), 0, 0);
    let shape = Shape { buckets: Buckets::new(1), has_reasons: true };
    String::from_utf8_lossy(full_view(grouping, &shape).body(Format::OpenMetrics)).into_owned()
}

/// Returns the maximum number of series that belong to no group.
pub fn series_of_health() -> usize {
    View { health: full_health(), ..View::default() }.series()
}

fn full_health() -> Health {
    Health { last_ns: Some(0), has_ledger: true, ..Health::default() }
}
