// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats show`: one snapshot as a table.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use tcpstats::frame::flag;
use tcpstats::text::Text;
use tcpstats::{Columns, Field, Header, Record, json, key};
use tcpstats_log::Snapshot;
use tcpstats_source::Sentence;

use crate::cli;
use crate::live::Live;
use crate::output::{self, Stdout};
use crate::table::{ABSENT, Align, Table};
use crate::units;

/// What the table shows unless told otherwise.
const COLUMNS: &str = "state,laddr,lport,faddr,fport,srtt,snd_cwnd,inflight,snd_cc,rcv_cc,rexmit_packs,cc";

/// Takes a snapshot and prints it.
pub fn run(asked: &cli::Show) -> Result<ExitCode, Sentence> {
    let filter = asked.live.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    let columns = match &asked.columns {
        Some(list) => columns(list)?,
        None if asked.json => Columns::all(),
        None => columns(COLUMNS)?,
    };
    let mut live = Live::open(asked.live.source.as_deref(), filter)?;
    let mut snapshot = live.last()?.ok_or("the source has no whole snapshot in it")?;
    snapshot.records.sort_by_cached_key(place);
    let missing = missing(&snapshot.header);
    let mut to = BufWriter::new(Stdout::open().map_err(|error| output::failed(&error))?);
    let written = if asked.json {
        if let Some(sentence) = &missing {
            output::complain(sentence);
        }
        write_json(&mut to, &columns, &snapshot)
    } else {
        let shown: Vec<_> = columns.fields().filter(|field| is_shown(field, asked, &snapshot)).collect();
        let cell = if asked.numbers { units::exact } else { units::readable };
        let written = write_table(&mut to, &shown, cell, &snapshot);
        written.and_then(|()| missing.map_or(Ok(()), |sentence| writeln!(to, "{sentence}")))
    };
    output::end(written.and_then(|()| to.flush()))
}

/// Reads a list of columns.
pub fn columns(list: &str) -> Result<Columns, Sentence> {
    Columns::parse(list).map_err(|error| format!("-o \"{list}\": {error}"))
}

/// A column that no connection has is shown only where it was named.
fn is_shown(field: &Field, asked: &cli::Show, snapshot: &Snapshot) -> bool {
    let named = asked.columns.as_ref().is_some_and(|list| list != "basic" && list != "all");
    named || snapshot.records.is_empty() || snapshot.records.iter().any(|record| record.has(field))
}

/// Where a connection stands in the order: by state, then by what it is.
fn place(record: &Record) -> impl Ord + use<> {
    let state = record.get(key::state).map(|state| state.0);
    let local = (record.get(key::lport), record.get(key::laddr));
    (state, local, record.get(key::faddr), record.get(key::fport), record.get(key::gencnt))
}

fn write_table(
    to: &mut impl Write,
    fields: &[&Field],
    cell: fn(&Record, &Field) -> Option<String>,
    snapshot: &Snapshot,
) -> io::Result<()> {
    let align = |field: &Field| if field.kind.is_text() { Align::Left } else { Align::Right };
    let mut table = Table::new(fields.iter().map(|field| (field.name.to_owned(), align(field))));
    for record in &snapshot.records {
        table.push(fields.iter().map(|field| cell(record, field).unwrap_or_else(|| ABSENT.into())).collect());
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

/// What a reader of the table must know to trust it.
fn missing(header: &Header) -> Option<Sentence> {
    let Header { seen, matched, missed, .. } = header;
    if *missed > 0 || header.flags & flag::TRUNCATED != 0 {
        return Some(format!(
            "missing: {missed} of {matched} matching connections, of {seen} seen, for want of memory or by a limit"
        ));
    }
    if header.flags & flag::CHANGED_ONLY != 0 {
        return Some("missing: what did not change, which this log does not repeat in every snapshot".into());
    }
    (header.flags & flag::INTERRUPTED != 0).then(|| {
        format!("the tables changed during the walk: of {seen} connections seen some may be missing or stand twice")
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
    fn listeners_stand_first_and_ports_ascend() {
        let mut records = [
            record(State::ESTABLISHED, 443),
            record(State::LISTEN, 443),
            record(State::ESTABLISHED, 22),
            Record::new(),
        ];
        records.sort_by_cached_key(place);
        let ports: Vec<_> = records.iter().map(|record| record.get(key::lport)).collect();
        assert_eq!(ports, [None, Some(443), Some(22), Some(443)]);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(missing(&Header { seen: 9, matched: 5, ..Header::default() }), None);
        let truncated = Header { seen: 9, matched: 5, missed: 2, flags: flag::TRUNCATED, ..Header::default() };
        assert!(missing(&truncated).unwrap().starts_with("missing: 2 of 5 matching connections, of 9 seen"));
        assert!(missing(&Header { flags: flag::INTERRUPTED, ..Header::default() }).is_some());
    }

    #[test]
    fn an_absent_value_is_a_dash() {
        let snapshot =
            Snapshot { header: Header::default(), records: vec![record(State::LISTEN, 22)], boot: Boot::Same };
        let fields: Vec<_> = ["state", "lport", "srtt"].iter().filter_map(|name| Field::by_name(name)).collect();
        let mut text = Vec::new();
        write_table(&mut text, &fields, units::readable, &snapshot).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "state   lport  srtt\nLISTEN     22     -\n");
    }
}
