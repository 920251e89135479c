// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats summary`: what a log says of each connection.

mod connection;
mod roundtrips;
mod rows;
mod sample;

use std::collections::HashMap;
use std::process::ExitCode;

use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats::{Columns, Filter, Header, Record};
use tcpstats_source::Sentence;

use self::connection::{Connection, Place, is_live};
use self::sample::Sample;
use crate::boot::{Boot, Boots};
use crate::cli;
use crate::clock::Clock;
use crate::identity::Identity;
use crate::log::{Item, Log};
use crate::output;

/// The fields that a summary is made of.
const FIELDS: &str = "gencnt,vnet,zone,age,iss,irs,inode,laddr,lport,faddr,fport,state,jid,snd_cwnd,snd_ssthresh,snd_wnd,maxseg,srtt,inflight,\
                      sent_bytes,acked_bytes,rexmit_bytes,rexmit_packs,snd_cc,snd_hiwat,received_bytes,\
                      rwnd_limited,sndbuf_limited";

/// Reads the logs and tells what is in them.
pub fn run(asked: &cli::Summary) -> Result<ExitCode, Sentence> {
    let filter = asked.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    let mut log = Log::open_all(&asked.logs)?.warning();
    if filter.is_none() {
        log = log.only(&Columns::named(FIELDS).map_err(|error| error.to_string())?);
    }
    let mut seen = Seen::default();
    // What was read before the log turned out to be damaged is told.
    let read = seen.read(&mut log, filter.as_ref());
    drop(log);
    seen.unfinished();
    seen.leave_all();
    let is_table = !asked.json && !asked.csv;
    if let Some(stepped) = seen.clock.steps().message().filter(|_| !is_table) {
        output::warn(&stepped);
    }
    let written = rows::write(seen, asked)?;
    read.map(|()| written)
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    connections: HashMap<Identity, Box<Connection>>,
    /// Connections of a kernel that was booted again since.
    ended: Vec<(Identity, Box<Connection>)>,
    place: Place,
    is_linux: bool,
    clock: Clock,
    boots: Boots,
    /// Runs of the logger after which the kernel may be another.
    run: u32,
    /// What the snapshot has that is being read: when it was is known at its end.
    waiting: Vec<Waiting>,
    waiting_for: Option<u64>,
    records: u64,
    begin_ns: Option<u64>,
    end_ns: u64,
    /// The last note said that the run goes on in the next file.
    is_rotated: bool,
}

/// What waits for the end of its snapshot.
struct Waiting {
    wall_ns: u64,
    identity: Identity,
    /// `None` if the connection is over, or the filter excludes it.
    sample: Option<Sample>,
}

/// Records of a snapshot that wait for its end at most.
const WAITING_MAX: usize = 1 << 20;

impl Seen {
    fn read(&mut self, log: &mut Log, filter: Option<&Filter>) -> Result<(), Sentence> {
        while let Some((item, columns)) = log.next_with_columns()? {
            match item {
                Item::Record { time_ns, snapshot, record } => {
                    let is_next = self.waiting_for.is_some_and(|number| snapshot == 0 || snapshot != number);
                    if is_next || self.waiting.len() >= WAITING_MAX {
                        self.unfinished();
                    }
                    self.waiting_for = Some(snapshot);
                    self.record(time_ns, record, filter);
                }
                Item::Snapshot(header) => {
                    if self.waiting_for.is_some_and(|number| number != header.sequence) {
                        self.unfinished();
                    }
                    self.end_snapshot(&header);
                    self.place.snapshots += 1;
                    self.place.changes_only |= header.flags & flag::CHANGED_ONLY != 0;
                }
                Item::Note(text) => {
                    if let Some(note) = NoteText::read(text) {
                        self.note(&note, columns.text.as_ref());
                    }
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, wall_ns: u64, record: &Record, filter: Option<&Filter>) {
        let identity = Identity::of(record);
        let is_wanted = is_live(record) && filter.is_none_or(|filter| filter.matches(record));
        let sample = is_wanted.then(|| Sample::of(record, self.is_linux));
        self.waiting.push(Waiting { wall_ns, identity, sample });
    }

    /// Ends a snapshot whose closing line is not there, at the time of its first
    /// record.
    fn unfinished(&mut self) {
        match (self.waiting_for, self.waiting.first()) {
            (Some(sequence), Some(first)) => {
                let header = Header { sequence, wall_ns: first.wall_ns, flags: flag::UNFINISHED, ..Header::default() };
                self.end_snapshot(&header);
            }
            _ => self.end_waiting(),
        }
    }

    /// Ends a snapshot: now it is known when it was, and of which kernel.
    fn end_snapshot(&mut self, header: &Header) {
        let boot = self.boots.snapshot(header);
        let now_ns = self.clock.snapshot(header);
        if boot == Boot::Unsure {
            self.run += 1;
        }
        let contradicts = |waiting: &Waiting| {
            let before = waiting.sample.as_ref().zip(self.connections.get(&waiting.identity));
            before.is_some_and(|(sample, connection)| connection.is_another(sample))
        };
        if boot == Boot::Other || boot == Boot::Unsure && self.waiting.iter().any(contradicts) {
            self.leave_all();
            self.ended.extend(self.connections.drain());
        }
        self.end_waiting();
        self.see(now_ns);
        self.place.snapshot_ns = now_ns;
    }

    fn end_waiting(&mut self) {
        self.waiting_for = None;
        let mut waiting = std::mem::take(&mut self.waiting);
        for Waiting { wall_ns, identity, sample } in waiting.drain(..) {
            let time_ns = self.clock.at(wall_ns);
            match sample {
                Some(sample) => self.sample(time_ns, wall_ns, identity, &sample),
                None => {
                    if let Some(connection) = self.connections.get_mut(&identity) {
                        connection.leave(time_ns, self.place);
                    }
                }
            }
        }
        // Its memory is used again.
        self.waiting = waiting;
    }

    fn see(&mut self, time_ns: u64) {
        self.begin_ns.get_or_insert(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    fn sample(&mut self, time_ns: u64, wall_ns: u64, identity: Identity, sample: &Sample) {
        self.records += 1;
        self.see(time_ns);
        let new = || Box::new(Connection::new(time_ns, wall_ns));
        let connection = self.connections.entry(identity).or_insert_with(new);
        if connection.run != self.run {
            if connection.is_another(sample) {
                let mut before = std::mem::replace(connection, new());
                before.leave(self.place.snapshot_ns, self.place);
                self.ended.push((identity, before));
            }
            connection.run = self.run;
        }
        connection.see(time_ns, wall_ns, sample, self.place);
    }

    fn note(&mut self, note: &NoteText<'_>, columns: Option<&Columns>) {
        if matches!(note.name, "log" | "end" | "rotated") {
            self.unfinished();
        }
        self.clock.note(note);
        self.boots.note(note);
        match note.name {
            "rotated" => self.is_rotated = true,
            "log" => {
                if !std::mem::take(&mut self.is_rotated) {
                    self.leave_all();
                }
                self.place.changes_only = note.number("keyframe_us").is_some();
                self.is_linux = note.text("system") == Some("Linux");
            }
            "close" => {
                let last = self.waiting.last().map(|last| last.wall_ns);
                let Some(wall_ns) = note.seconds("time").or(last) else { return };
                let closed =
                    Identity::closed(note, columns).map(|identity| Waiting { wall_ns, identity, sample: None });
                self.waiting.extend(closed);
            }
            _ => (),
        }
    }

    /// Nothing more is known of any connection.
    fn leave_all(&mut self) {
        for connection in self.connections.values_mut() {
            connection.leave(self.end_ns, self.place);
        }
    }
}
