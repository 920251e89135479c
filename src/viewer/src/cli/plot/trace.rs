// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of each selected connection over time, collected in a second reading
//! of the logs, in memory that does not grow with them.

use std::collections::BTreeSet;

use anyhow::Result;
use tcpstats::frame::flag;
use tcpstats::{Header, Record, key};
use tcpstats_log::{Boot, ByteCounter, ConnectionId, Moment, Timeline};

use super::bins::Bins;
use super::line::{Line, PixelColumns};
use super::reading::{Damage, Purpose, RereadableLogs};
use super::selection::{SelectedConnection, Selection};
use crate::log::Item;
use crate::units::{self, NO_THRESHOLD};

/// A line is interrupted if the interval between two records exceeds the usual one
/// by this factor.
const GAP_FACTOR: u64 = 10;

/// One connection over time, in bytes, microseconds and segments.
pub struct Trace {
    /// The connection.
    pub connection: SelectedConnection,
    /// Its congestion control algorithms and TCP stacks.
    pub names: BTreeSet<String>,
    /// The number of its records.
    pub records: u64,
    /// Congestion window.
    pub snd_cwnd: Line,
    /// Slow start threshold, once a loss has set it.
    pub snd_ssthresh: Line,
    /// Window offered by the peer.
    pub snd_wnd: Line,
    /// Bytes sent and not acknowledged.
    pub inflight: Line,
    /// Smoothed round-trip time.
    pub srtt: Line,
    /// `srtt - rttvar`, at least 0.
    pub srtt_low: Line,
    /// `srtt + rttvar`.
    pub srtt_high: Line,
    /// Bytes sent.
    pub sent: Bins,
    /// The name of the field that counts them.
    pub sent_from: &'static str,
    /// Bytes received.
    pub received: Bins,
    /// The name of the field that counts them.
    pub received_from: &'static str,
    /// Segments retransmitted.
    pub rexmit: Bins,
    /// The last record, and the time until which it is valid.
    last: Option<(u64, Record)>,
    /// Whether the next record continues the lines.
    is_continuous: bool,
    /// Whether the current snapshot has a record of it.
    is_in_snapshot: bool,
}

impl Trace {
    fn new(connection: SelectedConnection, columns: PixelColumns, bin_ns: u64) -> Self {
        let line = || Line::new(columns);
        let bins = || Bins::new(columns, bin_ns);
        Self {
            connection,
            names: BTreeSet::new(),
            records: 0,
            snd_cwnd: line(),
            snd_ssthresh: line(),
            snd_wnd: line(),
            inflight: line(),
            srtt: line(),
            srtt_low: line(),
            srtt_high: line(),
            sent: bins(),
            sent_from: "",
            received: bins(),
            received_from: "",
            rexmit: bins(),
            last: None,
            is_continuous: false,
            is_in_snapshot: false,
        }
    }

    fn lines(&mut self) -> [&mut Line; 7] {
        [
            &mut self.snd_cwnd,
            &mut self.snd_ssthresh,
            &mut self.snd_wnd,
            &mut self.inflight,
            &mut self.srtt,
            &mut self.srtt_low,
            &mut self.srtt_high,
        ]
    }

    /// Adds a record of the log.
    fn add(&mut self, at_ns: u64, record: &Record) {
        self.records += 1;
        self.is_in_snapshot = true;
        for field in [key::cc.field(), key::stack.field()] {
            self.names.insert(units::exact(record, field).unwrap_or_default());
        }
        self.sent_from = ByteCounter::sent(record).map_or(self.sent_from, |counter| counter.field);
        self.received_from = ByteCounter::received(record).map_or(self.received_from, |counter| counter.field);
        self.extend(at_ns, record.clone());
    }

    /// Extends the lines to this time.
    fn extend(&mut self, at_ns: u64, record: Record) {
        let number = |key| record.get(key).map(f64::from);
        let is_set = |value: &f64| *value < f64::from(NO_THRESHOLD);
        let (srtt, rttvar) = (number(key::srtt), number(key::rttvar));
        let values = [
            number(key::snd_cwnd).filter(is_set),
            number(key::snd_ssthresh).filter(is_set),
            number(key::snd_wnd),
            number(key::inflight),
            srtt,
            srtt.zip(rttvar).map(|(srtt, rttvar)| (srtt - rttvar).max(0.0)),
            srtt.zip(rttvar).map(|(srtt, rttvar)| srtt + rttvar),
        ];
        for (line, value) in self.lines().into_iter().zip(values) {
            line.push(at_ns, value);
        }
        if let Some((from_ns, before)) = self.last.take()
            && from_ns < at_ns
        {
            if self.is_continuous {
                self.add_bytes(from_ns, &before, at_ns, &record);
            }
            // Retransmissions during a gap are shown at its end.
            if let Some((before, now)) = before.get(key::rexmit_packs).zip(record.get(key::rexmit_packs)) {
                self.rexmit.count(from_ns, at_ns, f64::from(now.saturating_sub(before)));
            }
        }
        self.last = Some((at_ns, record));
        self.is_continuous = true;
    }

    /// Returns whether the log counts the bytes that the connection sent or received.
    pub fn has_counter(&self) -> bool {
        !self.sent_from.is_empty() || !self.received_from.is_empty()
    }

    /// Adds the bytes transferred between two records.
    fn add_bytes(&mut self, from_ns: u64, before: &Record, at_ns: u64, record: &Record) {
        let bytes_of = |counter: fn(&Record) -> Option<ByteCounter>| counter(record)?.since(counter(before)?);
        if let Some(bytes) = bytes_of(ByteCounter::sent) {
            self.sent.spread(from_ns, at_ns, as_f64(bytes));
        }
        if let Some(bytes) = bytes_of(ByteCounter::received) {
            self.received.spread(from_ns, at_ns, as_f64(bytes));
        }
    }

    /// Adds the bytes of a connection whose only record is its final one.
    fn add_life(&mut self, from_ns: u64, to_ns: u64, record: &Record) {
        let total = |counter: Option<ByteCounter>| counter.and_then(ByteCounter::total);
        if from_ns < to_ns {
            for (bins, counter) in
                [(&mut self.sent, ByteCounter::sent(record)), (&mut self.received, ByteCounter::received(record))]
            {
                if let Some(bytes) = total(counter) {
                    bins.spread(from_ns, to_ns, as_f64(bytes));
                }
            }
        }
    }

    /// Interrupts the lines.
    fn cut(&mut self) {
        self.is_continuous = false;
        for line in self.lines() {
            line.cut();
        }
    }

    /// Ends the connection.
    fn close(&mut self) {
        self.cut();
        self.last = None;
    }

    /// Ends a snapshot.  If it has changes only, the last record is still valid.
    fn end_snapshot(&mut self, at_ns: u64, header: &Header) {
        if std::mem::take(&mut self.is_in_snapshot) {
            return;
        }
        if header.flags & flag::CHANGED_ONLY == 0 {
            return self.close();
        }
        if let Some((_, record)) = &self.last {
            self.extend(at_ns, record.clone());
        }
    }

    /// Returns whether a record of this name in this snapshot belongs to the
    /// connection.
    fn owns(&self, connection: &ConnectionId, moment: u64) -> bool {
        self.connection.connection == *connection && self.connection.moments.contains(&moment)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a plot shows three digits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// The state of the second reading.
struct TraceReader<'a> {
    selection: &'a Selection,
    timeline: Timeline<Record>,
    traces: Vec<Trace>,
    /// The number and the time of the last snapshot.
    snapshot: Option<(u64, u64)>,
}

impl TraceReader<'_> {
    fn item(&mut self, file: usize, item: &Item<'_>, columns: Option<&tcpstats::Columns>) {
        match *item {
            Item::Record { time_ns, snapshot, record } => {
                if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                    self.moment(file, moment);
                }
                let connection = ConnectionId::of(record);
                if self.traces.iter().any(|trace| trace.connection.connection == connection) {
                    self.timeline.add(time_ns, connection, Some(record.clone()));
                }
            }
            Item::Snapshot(ref header) => {
                self.timeline.snapshot(header).into_iter().flatten().for_each(|moment| self.moment(file, moment));
            }
            Item::Note(ref note) => {
                if let Some(moment) = self.timeline.note(&note.note, columns) {
                    self.moment(file, moment);
                }
            }
        }
    }

    /// Adds a snapshot that has ended.
    fn moment(&mut self, file: usize, mut moment: Moment<Record>) {
        let long_ns = self
            .selection
            .intervals_ns
            .get(file)
            .map_or(u64::MAX, |interval_ns| interval_ns.saturating_mul(GAP_FACTOR));
        let at_ns = self.at(moment.time_ns);
        self.cut_after_gap(&moment, at_ns, long_ns);
        for trace in self.traces.iter_mut().filter(|trace| trace.connection.moments.end == moment.number) {
            trace.close();
        }
        for entry in moment.entries.drain(..) {
            let at_ns = self.at(entry.time_ns);
            let mut traces = self.traces.iter_mut();
            let Some(trace) = traces.find(|trace| trace.owns(&entry.id, moment.number)) else { continue };
            let Some(record) = entry.sample else {
                trace.close();
                continue;
            };
            let gap_ns = trace.last.as_ref().map_or(0, |(last_ns, _)| at_ns.saturating_sub(*last_ns));
            if gap_ns > long_ns {
                trace.cut();
            }
            if let (Some(us), 0) = (record.get(key::duration), trace.records) {
                trace.add_life(at_ns.saturating_sub(us.saturating_mul(1000)), at_ns, &record);
            }
            trace.add(at_ns, &record);
            if record.is_final() {
                trace.close();
                trace.is_in_snapshot = true;
            }
        }
        for trace in &mut self.traces {
            if moment.is_finished() {
                trace.end_snapshot(at_ns, &moment.header);
            }
            trace.is_in_snapshot = false;
        }
        self.timeline.give_back(moment.entries);
    }

    /// Interrupts the lines if snapshots are missing or the logger was restarted.
    fn cut_after_gap(&mut self, moment: &Moment<Record>, at_ns: u64, long_ns: u64) {
        let number = moment.header.sequence;
        let is_gap = |(before, before_ns): (u64, u64)| {
            let is_late = || at_ns.saturating_sub(before_ns) > long_ns;
            number != before && (number != before + 1 || is_late())
        };
        if moment.boot != Boot::Same || self.snapshot.is_some_and(is_gap) {
            self.traces.iter_mut().for_each(Trace::cut);
        }
        self.snapshot = Some((number, at_ns));
    }

    /// Converts an elapsed time to a time of the plot.
    fn at(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.selection.start_ns).min(self.selection.span_ns)
    }
}

/// Reads the values of the selected connections, for a plot with this number of
/// columns and intervals of this length.
///
/// # Errors
/// Returns an error if a log cannot be opened.
pub fn read(logs: &RereadableLogs, selection: &Selection, columns: u64, bin_ns: u64) -> Result<Vec<Trace>> {
    let columns = PixelColumns { span_ns: selection.span_ns, count: columns };
    let connections = selection.connections.iter().cloned();
    let traces = connections.map(|connection| Trace::new(connection, columns, bin_ns)).collect();
    let mut reader = TraceReader { selection, timeline: Timeline::default(), traces, snapshot: None };
    // The first reading has recorded the damage.
    let (mut damage, mut last_file) = (Damage::default(), 0);
    logs.each(Purpose::Plot, &mut damage, |file, item, columns| {
        last_file = file;
        reader.item(file, item, columns.text.as_ref());
    })?;
    if let Some(moment) = reader.timeline.unfinished() {
        reader.moment(last_file, moment);
    }
    Ok(reader.traces)
}
