// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats show`: one snapshot as a table.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the text of --help")]

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::ValueHint;
use tcpstats::frame::flag;
use tcpstats::text::Text;
use tcpstats::{Columns, Field, Header, Record, json, key};
use tcpstats_log::Snapshot;

use crate::live::LiveArgs;
use crate::output::{self, STANDARD_OUTPUT, Stdout};
use crate::shown::Shown;
use crate::table::{ABSENT, Table};

/// The arguments of `tcpstats show`.
#[derive(clap::Args)]
pub struct Args {
    /// The source and the filter.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Show COLUMNS: basic, all, or a comma-separated list of fields, in which process combines command, pid and
    /// processes
    #[arg(short = 'o', visible_short_alias = 'O', long, value_name = "COLUMNS", value_hint = ValueHint::Other)]
    pub columns: Option<String>,
    /// Show the final records of connections that have ended: all of them if the source is a log, otherwise those of
    /// connections that end within the next second
    #[arg(long)]
    pub ended: bool,
    /// Print exact numbers, in bytes and microseconds, as in a log
    #[arg(short, long)]
    pub numbers: bool,
    /// Print JSON Lines, one object for each connection, with all fields unless -o is given
    #[arg(long, conflicts_with = "numbers")]
    pub json: bool,
}

/// The default columns of the table.
const COLUMNS: &str = "state,laddr,lport,faddr,fport,srtt,snd_cwnd,inflight,snd_cc,rcv_cc,rexmit_packs,cc,process";

/// The default columns of the table of connections that have ended.
const ENDED_COLUMNS: &str = "ending,laddr,lport,faddr,fport,duration,sent_bytes,received_bytes,rexmit_bytes,rexmit_packs,srtt,rttmin,cc,process";

/// How long `--ended` collects the final records of a kernel.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// Takes a snapshot and prints it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let filter = args.live.filter()?;
    let columns = match &args.columns {
        Some(list) => columns(list)?,
        None if args.json => columns("all")?,
        None => columns(&with_stack(&args.live, if args.ended { ENDED_COLUMNS } else { COLUMNS }))?,
    };
    let shows_owners = Shown::fields(&columns).fields().any(Field::is_of_owner);
    let mut live = args.live.open(filter, shows_owners)?;
    let taken = if args.ended { live.ended(ENDED_WITHIN)? } else { live.last()? };
    live.warnings().iter().for_each(|warning| output::warn(warning));
    let mut snapshot = taken.context("the source has no complete snapshot")?;
    if args.ended {
        snapshot.records = std::mem::take(&mut snapshot.ended);
        let header = &snapshot.header;
        snapshot.records.sort_by_cached_key(|record| (header.wall_ns.wrapping_add(record.at_ns), sort_key(record)));
    } else {
        snapshot.records.sort_by_cached_key(sort_key);
    }
    let warning = if args.ended { lost(&snapshot.header) } else { warning(&snapshot.header) };
    let mut to = BufWriter::new(Stdout::open().context(STANDARD_OUTPUT)?);
    let written = if args.json {
        if let Some(warning) = &warning {
            output::print_error(warning);
        }
        write_json(&mut to, &Shown::fields(&columns), &snapshot)
    } else {
        let shown: Vec<_> = columns.into_iter().filter(|column| is_shown(*column, args, &snapshot)).collect();
        let cell = if args.numbers { Shown::exact } else { Shown::readable };
        let written = write_table(&mut to, &shown, cell, &snapshot);
        written.and_then(|()| warning.map_or(Ok(()), |warning| writeln!(to, "{warning}")))
    };
    output::end(written.and_then(|()| to.flush()))
}

/// Returns the columns after one that names the network stack, if several are shown.
fn with_stack(live: &LiveArgs, columns: &str) -> String {
    match (&live.netns, live.all_vnets) {
        (Some(_), _) => format!("netns,{columns}"),
        (None, true) => format!("vnet,{columns}"),
        (None, false) => columns.into(),
    }
}

/// Parses the value of `-o`.
///
/// # Errors
/// Returns an error that names the column.
pub fn columns(list: &str) -> Result<Vec<Shown>> {
    Shown::parse(list).map_err(|unknown| anyhow!("-o \"{list}\": {unknown}"))
}

/// Returns whether a column is shown.  One that is empty for all connections is
/// shown only if it was named.
fn is_shown(column: Shown, args: &Args, snapshot: &Snapshot) -> bool {
    let named = args.columns.as_ref().is_some_and(|list| list != "basic" && list != "all");
    let is_known = match column {
        Shown::Field(_) => snapshot.records.is_empty(),
        // Most sources have no owners.
        Shown::Process => false,
    };
    named || is_known || snapshot.records.iter().any(|record| column.is_in(record))
}

/// Returns the key by which connections are sorted.
fn sort_key(record: &Record) -> impl Ord + use<> {
    let state = record.get(key::state).map(|state| state.0);
    let local = (record.get(key::lport), record.get(key::laddr));
    (state, local, record.get(key::faddr), record.get(key::fport), record.get(key::gencnt))
}

fn write_table(
    to: &mut impl Write,
    columns: &[Shown],
    cell: fn(Shown, &Record) -> Option<String>,
    snapshot: &Snapshot,
) -> io::Result<()> {
    let mut table = Table::new(columns.iter().map(|column| (column.name().to_owned(), column.align())));
    for record in &snapshot.records {
        table.push(columns.iter().map(|column| cell(*column, record).unwrap_or_else(|| ABSENT.into())).collect());
    }
    table.write(to)
}

fn write_json(to: &mut impl Write, columns: &Columns, snapshot: &Snapshot) -> io::Result<()> {
    let mut buffer = vec![0; json::ROW_MAX];
    for record in &snapshot.records {
        let mut text = Text::new(&mut buffer);
        json::row(&mut text, columns, snapshot.header.wall_ns, snapshot.header.sequence, record);
        to.write_all(text.finish().unwrap_or_default().as_bytes())?;
    }
    Ok(())
}

/// Returns a warning if connections have ended without a final record.
fn lost(header: &Header) -> Option<String> {
    let missing =
        || format!("missing: {} connections that have ended, whose final records were lost", header.ended_lost);
    (header.ended_lost > 0).then(missing)
}

/// Returns a warning if the snapshot is incomplete.
fn warning(header: &Header) -> Option<String> {
    let Header { seen, matched, missed, .. } = header;
    if *missed > 0 || header.flags & flag::TRUNCATED != 0 {
        return Some(format!(
            "missing: {missed} of {matched} matching connections ({seen} seen), because of a limit or a lack of memory"
        ));
    }
    if header.flags & flag::CHANGED_ONLY != 0 {
        return Some(
            "missing: connections that did not change, which this log does not repeat in every snapshot".into(),
        );
    }
    (header.flags & flag::INTERRUPTED != 0).then(|| {
        format!("the kernel's tables changed during the walk: some of {seen} connections may be missing or duplicated")
    })
}

#[cfg(test)]
mod tests {
    use tcpstats::{State, ipv4};

    use tcpstats_log::Boot;

    use super::*;

    fn record(state: State, lport: u16) -> Record {
        let mut record = Record::new();
        record.set(key::state, state);
        record.set(key::laddr, ipv4([192, 0, 2, 1]));
        record.set(key::lport, lport);
        record
    }

    #[test]
    fn listeners_come_first_and_ports_ascend() {
        let mut records = [
            record(State::ESTABLISHED, 443),
            record(State::LISTEN, 443),
            record(State::ESTABLISHED, 22),
            Record::new(),
        ];
        records.sort_by_cached_key(sort_key);
        let ports: Vec<_> = records.iter().map(|record| record.get(key::lport)).collect();
        assert_eq!(ports, [None, Some(443), Some(22), Some(443)]);
    }

    #[test]
    fn an_incomplete_snapshot_causes_a_warning() {
        assert_eq!(warning(&Header { seen: 9, matched: 5, ..Header::default() }), None);
        let truncated = Header { seen: 9, matched: 5, missed: 2, flags: flag::TRUNCATED, ..Header::default() };
        assert!(warning(&truncated).unwrap().starts_with("missing: 2 of 5 matching connections (9 seen)"));
        assert!(warning(&Header { flags: flag::INTERRUPTED, ..Header::default() }).is_some());
    }

    #[test]
    fn an_absent_value_is_a_dash() {
        let snapshot = Snapshot {
            header: Header::default(),
            records: vec![record(State::LISTEN, 22)],
            ended: Vec::new(),
            boot: Boot::Same,
        };
        let mut text = Vec::new();
        write_table(&mut text, &columns("state,lport,srtt").unwrap(), Shown::readable, &snapshot).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "state   lport  srtt\nLISTEN     22     -\n");
    }
}
