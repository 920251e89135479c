// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats summary`: what a log says of each connection.

mod connection;
mod rows;

use std::collections::HashMap;
use std::process::ExitCode;

use tcpstats::frame::flag;
use tcpstats::note::NoteText;
use tcpstats::{Columns, Filter, Record};
use tcpstats_source::Sentence;

use self::connection::{Connection, Place, is_live};
use crate::cli;
use crate::identity::Identity;
use crate::log::{Item, Log};

/// The fields that a summary is made of.
const FIELDS: &str = "gencnt,laddr,lport,faddr,fport,state,jid,snd_cwnd,snd_ssthresh,snd_wnd,maxseg,srtt,inflight,\
                      sent_bytes,acked_bytes,rexmit_bytes,rexmit_packs,snd_cc,snd_hiwat,received_bytes,\
                      rwnd_limited,sndbuf_limited";

/// Reads the logs and tells what is in them.
pub fn run(asked: &cli::Summary) -> Result<ExitCode, Sentence> {
    let filter = asked.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| format!("-e: {error}"))?;
    let mut log = Log::open_all(&asked.logs)?;
    if filter.is_none() {
        log = log.only(&Columns::named(FIELDS).map_err(|error| error.to_string())?);
    }
    let mut seen = Seen::default();
    // What was read before the log turned out to be damaged is told.
    let read = seen.read(&mut log, filter.as_ref());
    drop(log);
    seen.leave_all();
    rows::write(seen, asked)?;
    read.map(|()| ExitCode::SUCCESS)
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    connections: HashMap<Identity, Connection>,
    place: Place,
    records: u64,
    begin_ns: Option<u64>,
    end_ns: u64,
    /// The last note said that the run goes on in the next file.
    is_rotated: bool,
}

impl Seen {
    fn read(&mut self, log: &mut Log, filter: Option<&Filter>) -> Result<(), Sentence> {
        while let Some((item, columns)) = log.next_with_columns()? {
            match item {
                Item::Record { time_ns, record, .. } => {
                    self.see(time_ns);
                    if is_live(record) && filter.is_none_or(|filter| filter.matches(record)) {
                        self.record(time_ns, record);
                    } else if let Some(connection) = self.connections.get_mut(&Identity::of(record)) {
                        connection.leave(time_ns, self.place);
                    }
                }
                Item::Snapshot(header) => {
                    self.place.snapshots += 1;
                    self.place.snapshot_ns = header.wall_ns;
                    self.place.changes_only |= header.flags & flag::CHANGED_ONLY != 0;
                    self.see(header.wall_ns);
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

    fn see(&mut self, time_ns: u64) {
        self.begin_ns.get_or_insert(time_ns);
        self.end_ns = self.end_ns.max(time_ns);
    }

    fn record(&mut self, time_ns: u64, record: &Record) {
        self.records += 1;
        let connection = self.connections.entry(Identity::of(record)).or_insert_with(|| Connection::new(time_ns));
        connection.see(time_ns, record, self.place);
    }

    fn note(&mut self, note: &NoteText<'_>, columns: Option<&Columns>) {
        match note.name {
            "rotated" => self.is_rotated = true,
            "log" => {
                if !std::mem::take(&mut self.is_rotated) {
                    self.leave_all();
                }
                self.place.changes_only = note.number("keyframe_us").is_some();
                self.place.is_linux = note.text("system") == Some("Linux");
            }
            "close" => {
                let time_ns = note.seconds("time").unwrap_or(self.end_ns);
                for identity in Identity::closed(note, columns) {
                    if let Some(connection) = self.connections.get_mut(&identity) {
                        connection.leave(time_ns, self.place);
                    }
                }
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
