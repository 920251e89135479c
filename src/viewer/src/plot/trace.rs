// SPDX-License-Identifier: BSD-2-Clause

//! What is drawn of each chosen connection, gathered in one reading of the
//! logs and in memory that does not grow with them.

use std::collections::BTreeSet;

use tcpstats::frame::flag;
use tcpstats::text::Text;
use tcpstats::{Field, Header, Record, key};
use tcpstats_log::{Boot, ByteCounter, ConnectionId, Moment, Timeline};
use tcpstats_source::Sentence;

use super::bins::Bins;
use super::choice::{Choice, Chosen};
use super::line::{Columns, Line};
use super::reading::{Again, Damage, Reading};
use crate::log::Item;

/// What `snd_ssthresh` is before a loss, and `snd_cwnd` before a connection:
/// no threshold, no window.
const UNSET: u32 = 1_073_725_440;

/// A time without a record that is so many times longer than usual breaks a
/// line.
const LONG: u64 = 10;

/// One connection over time.  Bytes, microseconds, segments.
pub struct Trace {
    /// Which.
    pub chosen: Chosen,
    /// The congestion controls and stacks that it had.
    pub names: BTreeSet<String>,
    /// Its records.
    pub records: u64,
    /// Congestion window.
    pub snd_cwnd: Line,
    /// Slow start threshold, where a loss has set one.
    pub snd_ssthresh: Line,
    /// Window that the peer offers.
    pub snd_wnd: Line,
    /// Sent and not acknowledged.
    pub inflight: Line,
    /// Smoothed round-trip time.
    pub srtt: Line,
    /// `srtt - rttvar`, at least 0.
    pub srtt_low: Line,
    /// `srtt + rttvar`.
    pub srtt_high: Line,
    /// Bytes sent.
    pub sent: Bins,
    /// The fields that tell it.
    pub sent_from: &'static str,
    /// Bytes received.
    pub received: Bins,
    /// The fields that tell it.
    pub received_from: &'static str,
    /// Segments retransmitted.
    pub rexmit: Bins,
    /// The record that holds, and when it was last known to.
    last: Option<(u64, Record)>,
    /// Whether what comes next is joined to it.
    is_joined: bool,
    /// Whether it has a record in the snapshot that is being read.
    is_in_snapshot: bool,
}

impl Trace {
    fn new(chosen: Chosen, columns: Columns, bin_ns: u64) -> Self {
        let line = || Line::new(columns);
        let bins = || Bins::new(columns, bin_ns);
        Self {
            chosen,
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
            is_joined: false,
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

    /// Goes on to a record of the log.
    fn add(&mut self, at_ns: u64, record: &Record) {
        self.records += 1;
        self.is_in_snapshot = true;
        for field in [key::cc.field(), key::stack.field()] {
            self.names.insert(text_of(record, field));
        }
        self.sent_from = ByteCounter::sent(record).map_or(self.sent_from, |counter| counter.field);
        self.received_from = ByteCounter::received(record).map_or(self.received_from, |counter| counter.field);
        self.go_on(at_ns, record.clone());
    }

    /// Draws up to that time.
    fn go_on(&mut self, at_ns: u64, record: Record) {
        let number = |key| record.get(key).map(f64::from);
        let is_set = |value: &f64| *value < f64::from(UNSET);
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
            if self.is_joined {
                self.add_moved(from_ns, &before, at_ns, &record);
            }
            // Those of a gap are seen behind it.
            if let Some((before, now)) = before.get(key::rexmit_packs).zip(record.get(key::rexmit_packs)) {
                self.rexmit.count(from_ns, at_ns, f64::from(now.saturating_sub(before)));
            }
        }
        self.last = Some((at_ns, record));
        self.is_joined = true;
    }

    /// Whether the log counts what the connection sent or received.
    pub fn has_counter(&self) -> bool {
        !self.sent_from.is_empty() || !self.received_from.is_empty()
    }

    /// Adds what moved between two records.
    fn add_moved(&mut self, from_ns: u64, before: &Record, at_ns: u64, record: &Record) {
        let moved = |counter: fn(&Record) -> Option<ByteCounter>| counter(record)?.since(counter(before)?);
        if let Some(bytes) = moved(ByteCounter::sent) {
            self.sent.spread(from_ns, at_ns, as_f64(bytes));
        }
        if let Some(bytes) = moved(ByteCounter::received) {
            self.received.spread(from_ns, at_ns, as_f64(bytes));
        }
    }

    /// What comes next is not joined to what was.
    fn cut(&mut self) {
        self.is_joined = false;
        for line in self.lines() {
            line.cut();
        }
    }

    /// The connection is gone.
    fn close(&mut self) {
        self.cut();
        self.last = None;
    }

    /// The snapshot has been read: where it tells changes only, what was there
    /// before holds.
    fn end_snapshot(&mut self, at_ns: u64, header: &Header) {
        if std::mem::take(&mut self.is_in_snapshot) {
            return;
        }
        if header.flags & flag::CHANGED_ONLY == 0 {
            return self.close();
        }
        if let Some((_, record)) = &self.last {
            self.go_on(at_ns, record.clone());
        }
    }

    /// Whether the record of that name in that moment is its own.
    fn is_of(&self, connection: &ConnectionId, moment: u64) -> bool {
        self.chosen.connection == *connection && self.chosen.moments.contains(&moment)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture shows three digits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// A field as the log has it in text.
fn text_of(record: &Record, field: &Field) -> String {
    let mut buffer = [0; 64];
    let mut text = Text::new(&mut buffer);
    text.value(record, field);
    text.finish().unwrap_or_default().to_owned()
}

/// The chosen connections, while the logs are read.
struct Drawing<'a> {
    choice: &'a Choice,
    timeline: Timeline<Record>,
    traces: Vec<Trace>,
    /// Number and time of the snapshot that ended last.
    snapshot: Option<(u64, u64)>,
}

impl Drawing<'_> {
    fn item(&mut self, file: usize, item: &Item<'_>, columns: Option<&tcpstats::Columns>) {
        match *item {
            Item::Record { time_ns, snapshot, record } => {
                if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                    self.moment(file, moment);
                }
                let connection = ConnectionId::of(record);
                if self.traces.iter().any(|trace| trace.chosen.connection == connection) {
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

    /// A snapshot has ended.
    fn moment(&mut self, file: usize, mut moment: Moment<Record>) {
        let long_ns =
            self.choice.intervals_ns.get(file).map_or(u64::MAX, |interval_ns| interval_ns.saturating_mul(LONG));
        let at_ns = self.at(moment.time_ns);
        self.cut_after_gap(&moment, at_ns, long_ns);
        for trace in self.traces.iter_mut().filter(|trace| trace.chosen.moments.end == moment.number) {
            trace.close();
        }
        for entry in moment.entries.drain(..) {
            let at_ns = self.at(entry.time_ns);
            let mut traces = self.traces.iter_mut();
            let Some(trace) = traces.find(|trace| trace.is_of(&entry.id, moment.number)) else { continue };
            let Some(record) = entry.sample else {
                trace.close();
                continue;
            };
            let silent_ns = trace.last.as_ref().map_or(0, |(last_ns, _)| at_ns.saturating_sub(*last_ns));
            if silent_ns > long_ns {
                trace.cut();
            }
            trace.add(at_ns, &record);
        }
        for trace in &mut self.traces {
            if moment.is_finished() {
                trace.end_snapshot(at_ns, &moment.header);
            }
            trace.is_in_snapshot = false;
        }
        self.timeline.give_back(moment.entries);
    }

    /// Breaks the lines where snapshots are missing, or where the logger was
    /// started again.
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

    /// The time in the picture.
    fn at(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.choice.start_ns).min(self.choice.span_ns)
    }
}

/// Reads what was chosen, into so many columns and intervals of that length.
///
/// # Errors
/// A sentence: a log cannot be read.
pub fn read(logs: &Again, choice: &Choice, columns: u64, bin_ns: u64) -> Result<Vec<Trace>, Sentence> {
    let columns = Columns { span_ns: choice.span_ns, count: columns };
    let traces = choice.connections.iter().map(|chosen| Trace::new(chosen.clone(), columns, bin_ns)).collect();
    let mut drawing = Drawing { choice, timeline: Timeline::default(), traces, snapshot: None };
    // What is damaged was told by the first reading.
    let (mut damage, mut last_file) = (Damage::default(), 0);
    logs.each(Reading::Draw, &mut damage, |file, item, columns| {
        last_file = file;
        drawing.item(file, item, columns.text.as_ref());
    })?;
    if let Some(moment) = drawing.timeline.unfinished() {
        drawing.moment(last_file, moment);
    }
    Ok(drawing.traces)
}
