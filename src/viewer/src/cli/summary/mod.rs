// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats summary`: totals, rates and limits of each connection in a log.

mod args;
mod connection;
mod owner;
mod reader;
mod roundtrips;
mod rows;
mod sample;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use tcpstats::Columns;

use self::args::By;
pub use self::args::{Args, LONG_ABOUT};
use self::owner::Owners;
use self::reader::LogSummary;
use crate::log::Log;
use crate::output;
use crate::shown::PROCESS_FIELDS;

/// The fields from which a summary is computed.
const FIELDS: &str = "gencnt,vnet,zone,age,iss,irs,inode,laddr,lport,faddr,fport,state,jid,snd_cwnd,snd_ssthresh,\
                      snd_wnd,maxseg,srtt,inflight,sent_bytes,acked_bytes,rexmit_bytes,rexmit_packs,snd_cc,snd_hiwat,\
                      received_bytes,snd_una,rcv_nxt,rwnd_limited,sndbuf_limited,duration,ending";

/// Reads the logs and prints their summary.
pub fn run(args: &Args) -> Result<ExitCode> {
    let filter = args.filter.as_deref().map(tcpstats_source::parse_filter).transpose()?;
    let mut log = Log::open_all(&args.logs)?.warning();
    if filter.is_none() {
        let owner = match args.by {
            By::Process => Some(PROCESS_FIELDS),
            by => by.owner_field().map(|field| field.name),
        };
        let fields = [Some(FIELDS), owner].into_iter().flatten().collect::<Vec<_>>().join(",");
        log = log.only(&Columns::named(&fields).map_err(|unknown| anyhow!("{unknown}"))?);
    }
    let mut summary = LogSummary::default();
    summary.owners = Owners::new(args.by);
    // If the log is damaged, the part before the damage is summarized.
    let result = summary.read(&mut log, filter.as_ref());
    drop(log);
    summary.end();
    let is_table = !args.json && !args.csv;
    if let Some(steps) = summary.timeline.steps().message().filter(|_| !is_table) {
        output::warn(&steps);
    }
    let written = rows::write(summary, args)?;
    result.map(|()| written)
}
