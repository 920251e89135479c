// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The groups, and which of them have series.

use std::cmp::Reverse;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::group::{Group, Shape};
use super::key::Grouping;

/// How often groups in `other` can replace groups with series.  A database keeps all series
/// that there have been, so that few may be created.
const REPLACE_NS: u64 = 600_000_000_000;

/// The maximum number of groups without series whose size is remembered, besides those of the
/// last snapshot.
const REMEMBERED_MAX: usize = 1 << 16;

/// The groups, and which of them have series.
#[derive(Debug)]
pub struct Groups {
    /// How connections are grouped.
    pub grouping: Grouping,
    /// What determines the number of series of a group.
    pub shape: Shape,
    /// The maximum number of groups with series, besides `other`.
    max: usize,
    known: HashMap<Arc<str>, Known>,
    /// Groups with series.  The first is `other`.
    with_series: Vec<(Arc<str>, Group)>,
    /// The number of the last snapshot.
    snapshot: u64,
    /// The time of the last replacement in nanoseconds of the monotonic clock.
    replaced_ns: Option<u64>,
    /// The number of groups in `other` in the last snapshot.
    pub in_other: u64,
    /// The number of groups whose series have ended.
    pub replaced: u64,
}

/// A group, with or without series.
#[derive(Debug, Default)]
struct Known {
    /// The position of its metrics, 0 for those of `other`.
    position: usize,
    /// Its traffic in bytes, halved at each replacement, and the number of its records.
    size: u64,
    /// The number of the last snapshot with the group.
    seen: u64,
}

impl Known {
    /// Adds a record with this traffic in a snapshot.  Returns the position, and whether the
    /// record is the first of the snapshot.
    fn add(&mut self, bytes: u64, snapshot: u64) -> (usize, bool) {
        self.size = self.size.saturating_add(bytes).saturating_add(1);
        let is_first = self.seen != snapshot;
        self.seen = snapshot;
        (self.position, is_first)
    }
}

impl Groups {
    /// Returns no groups.  Up to `max` of them can have series.
    pub fn new(grouping: Grouping, shape: Shape, max: usize, now_ns: u64) -> Self {
        let other: Arc<str> = grouping.other.as_str().into();
        let group = Group::new(&shape.buckets, now_ns);
        Self {
            grouping,
            shape,
            max,
            known: HashMap::new(),
            with_series: vec![(other, group)],
            snapshot: 0,
            replaced_ns: None,
            in_other: 0,
            replaced: 0,
        }
    }

    /// Starts a snapshot: forgets what was known only of the last one, and replaces groups.
    pub fn start_snapshot(&mut self, mono_ns: u64, now_ns: u64) {
        self.snapshot += 1;
        self.in_other = 0;
        for (_, group) in &mut self.with_series {
            group.clear_gauges();
        }
        match self.replaced_ns {
            Some(last) if mono_ns.wrapping_sub(last) < REPLACE_NS => (),
            Some(_) => {
                self.replaced_ns = Some(mono_ns);
                self.replace(now_ns);
            }
            None => self.replaced_ns = Some(mono_ns),
        }
    }

    /// Returns whether further groups can have series.
    pub fn has_room(&self) -> bool {
        self.with_series.len() <= self.max
    }

    /// Returns whether a group has no series of its own, and can have them.
    pub fn is_without_series(&self, key: &str) -> bool {
        key != self.grouping.other && self.known.get(key).is_none_or(|known| known.position == 0)
    }

    /// Gives series to the largest of these groups without series, by their sizes, while there
    /// is room.
    pub fn give_series(&mut self, sizes: HashMap<String, u64>, now_ns: u64) {
        let mut new: Vec<_> = sizes.into_iter().collect();
        new.sort_unstable_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        for (key, _) in new {
            if !self.has_room() {
                break;
            }
            let key: Arc<str> = key.into();
            self.known.entry(Arc::clone(&key)).or_default().position = self.with_series.len();
            self.with_series.push((key, Group::new(&self.shape.buckets, now_ns)));
        }
    }

    /// Returns the metrics of a group, or those of `other` if it has no series.  `bytes` is the
    /// traffic that its size grows by.
    pub fn get(&mut self, key: &str, bytes: u64) -> &mut Group {
        let snapshot = self.snapshot;
        let (position, is_first) = match self.known.get_mut(key) {
            Some(known) => known.add(bytes, snapshot),
            None => self.known.entry(key.into()).or_default().add(bytes, snapshot),
        };
        self.in_other += u64::from(is_first && position == 0);
        &mut self.with_series[position].1
    }

    /// Returns a key with memory that is shared.
    pub fn key(&self, key: &str) -> Arc<str> {
        self.known.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key))
    }

    /// Ends a snapshot: forgets groups if there are too many.
    pub fn end_snapshot(&mut self) {
        let current = usize::try_from(self.in_other).unwrap_or(usize::MAX);
        if self.known.len() > self.with_series.len() + current + REMEMBERED_MAX {
            let snapshot = self.snapshot;
            self.known.retain(|_, known| known.position > 0 || known.seen == snapshot);
        }
    }

    /// Gives the series of the smallest groups to groups in `other` that are more than twice
    /// as large.  At most a tenth is replaced at once, so that few series are created.
    fn replace(&mut self, now_ns: u64) {
        let without = |(key, known): (&Arc<str>, &Known)| {
            (known.position == 0 && **key != *self.grouping.other).then(|| (known.size, Arc::clone(key)))
        };
        let mut large: Vec<_> = self.known.iter().filter_map(without).collect();
        let count = self.max / 10 + 1;
        if large.len() > count {
            large.select_nth_unstable_by_key(count, |(size, _)| Reverse(*size));
            large.truncate(count);
        }
        large.sort_unstable_by(|one, other| other.cmp(one));
        let size = |key: &Arc<str>| self.known.get(key).map_or(0, |known| known.size);
        let mut small: Vec<_> =
            self.with_series.iter().enumerate().skip(1).map(|(at, (key, _))| (size(key), at)).collect();
        small.sort_unstable();
        if !self.has_room() {
            for ((size, key), (before, position)) in large.into_iter().zip(small) {
                if size <= before.saturating_mul(2) {
                    break;
                }
                let group = Group::new(&self.shape.buckets, now_ns);
                let (old, _) = std::mem::replace(&mut self.with_series[position], (Arc::clone(&key), group));
                if let Some(known) = self.known.get_mut(&old) {
                    known.position = 0;
                }
                self.known.entry(key).or_default().position = position;
                self.replaced += 1;
            }
        }
        self.known.retain(|_, known| {
            known.size /= 2;
            known.size > 0 || known.position > 0
        });
    }

    /// Returns the groups with series, `other` first.
    pub fn with_series(&self) -> &[(Arc<str>, Group)] {
        &self.with_series
    }

    /// Removes the gauges, when the source has failed.
    pub fn clear_gauges(&mut self) {
        self.in_other = 0;
        for (_, group) in &mut self.with_series {
            group.clear_gauges();
        }
    }
}
