// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats summary`: what a log says of each connection.

mod connection;
mod roundtrips;
mod rows;
mod sample;

use std::process::ExitCode;

use tcpstats::frame::flag;
use tcpstats::{Columns, Filter, Record};
use tcpstats_log::{ConnectionId, Entry, Lifetimes, Moment, Note, Timeline};
use tcpstats_source::{Sentence, report};

use self::connection::{Connection, Place, is_live};
use self::sample::Sample;
use crate::cli;
use crate::log::{Item, Log};
use crate::output;

/// The fields that a summary is made of.
const FIELDS: &str = "gencnt,vnet,zone,age,iss,irs,inode,laddr,lport,faddr,fport,state,jid,snd_cwnd,snd_ssthresh,snd_wnd,maxseg,srtt,inflight,\
                      sent_bytes,acked_bytes,rexmit_bytes,rexmit_packs,snd_cc,snd_hiwat,received_bytes,\
                      snd_una,rcv_nxt,rwnd_limited,sndbuf_limited";

/// Reads the logs and tells what is in them.
pub fn run(asked: &cli::Summary) -> Result<ExitCode, Sentence> {
    let filter = asked.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    let mut log = Log::open_all(&asked.logs).map_err(|error| report(&error))?.warning();
    if filter.is_none() {
        log = log.only(&Columns::named(FIELDS).map_err(|error| error.to_string())?);
    }
    let mut seen = Seen::default();
    // What was read before the log turned out to be damaged is told.
    let read = seen.read(&mut log, filter.as_ref());
    drop(log);
    seen.end();
    let is_table = !asked.json && !asked.csv;
    if let Some(stepped) = seen.timeline.steps().message().filter(|_| !is_table) {
        output::warn(&stepped);
    }
    let written = rows::write(seen, asked)?;
    read.map(|()| written)
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    timeline: Timeline<Sample>,
    connections: Lifetimes<Connection>,
    place: Place,
    is_linux: bool,
    records: u64,
    begin_ns: Option<u64>,
    end_ns: u64,
    /// The last note said that the run goes on in the next file.
    is_rotated: bool,
}

impl Seen {
    fn read(&mut self, log: &mut Log, filter: Option<&Filter>) -> Result<(), Sentence> {
        while let Some((item, columns)) = log.next_with_columns().map_err(|error| report(&error))? {
            match item {
                Item::Record { time_ns, snapshot, record } => {
                    if let Some(moment) = self.timeline.record(snapshot, time_ns) {
                        self.moment(moment);
                    }
                    self.record(time_ns, record, filter);
                }
                Item::Snapshot(header) => {
                    self.timeline.snapshot(&header).into_iter().flatten().for_each(|moment| self.moment(moment));
                    self.place.snapshots += 1;
                    self.place.changes_only |= header.flags & flag::CHANGED_ONLY != 0;
                }
                Item::Note(note) => self.note(&note.note, columns.text.as_ref()),
            }
        }
        Ok(())
    }

    fn record(&mut self, wall_ns: u64, record: &Record, filter: Option<&Filter>) {
        let is_wanted = is_live(record) && filter.is_none_or(|filter| filter.matches(record));
        let sample = is_wanted.then(|| Sample::of(record, self.is_linux));
        self.timeline.add(wall_ns, ConnectionId::of(record), sample);
    }

    /// A snapshot has ended.
    fn moment(&mut self, moment: Moment<Sample>) {
        let (end_ns, place) = (self.end_ns, self.place);
        let marks = |entry: &Entry<Sample>| entry.sample.as_ref().map(|sample| (entry.id, sample.marks));
        let leave = |connection: &mut Connection| connection.leave(end_ns, place);
        self.connections.start_snapshot(moment.boot, moment.entries.iter().filter_map(marks), leave);
        for entry in &moment.entries {
            match &entry.sample {
                Some(sample) => self.sample(entry, sample),
                None => {
                    if let Some(connection) = self.connections.get_mut(&entry.id) {
                        connection.leave(entry.time_ns, place);
                    }
                }
            }
        }
        self.see(moment.time_ns);
        self.place.snapshot_ns = moment.time_ns;
        self.timeline.give_back(moment.entries);
    }

    fn see(&mut self, time_ns: u64) {
        self.begin_ns.get_or_insert(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    fn sample(&mut self, entry: &Entry<Sample>, sample: &Sample) {
        let (&Entry { time_ns, wall_ns, id, .. }, place) = (entry, self.place);
        self.records += 1;
        self.see(time_ns);
        let new = || Connection::new(time_ns, wall_ns);
        let leave = |before: &mut Connection| before.leave(place.snapshot_ns, place);
        self.connections.record(id, &sample.marks, new, leave).see(time_ns, wall_ns, sample, place);
    }

    fn note(&mut self, note: &Note<'_>, columns: Option<&Columns>) {
        if let Some(moment) = self.timeline.note(note, columns) {
            self.moment(moment);
        }
        match note {
            Note::Rotated(_) => self.is_rotated = true,
            Note::Log(log) => {
                if !std::mem::take(&mut self.is_rotated) {
                    self.leave_all();
                }
                self.place.changes_only = log.keyframe_us.is_some();
                self.is_linux = log.system == Some("Linux");
            }
            _ => (),
        }
    }

    /// Nothing more is known of any connection.
    fn leave_all(&mut self) {
        let (end_ns, place) = (self.end_ns, self.place);
        self.connections.values_mut().for_each(|connection| connection.leave(end_ns, place));
    }

    /// The log has been read.
    fn end(&mut self) {
        if let Some(moment) = self.timeline.unfinished() {
            self.moment(moment);
        }
        self.leave_all();
    }
}
