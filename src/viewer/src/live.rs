// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Snapshots of a running kernel, or of a log that is replayed.

#![allow(clippy::doc_markdown, reason = "the comments on arguments are the text of --help")]

use std::fs::metadata;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueHint;
use tcpstats::Filter;
use tcpstats::frame::Frame;
use tcpstats::stream::SnapshotBuffer;
use tcpstats_log::Snapshot;
#[cfg(feature = "serve")]
use tcpstats_source::AnchoredPath;
use tcpstats_source::owners::{Finder, WithOwners};
use tcpstats_source::{Sample, Source, Stacks, report};

use crate::replay::Replay;
use crate::units;

/// Why a filter cannot compare owners with --no-owners.
pub const NO_OWNERS: &str = "--no-owners cannot be combined with a filter that compares owners";

/// The source and the filter of live statistics.
#[derive(clap::Args, Clone)]
pub struct LiveArgs {
    /// Show only connections that match FILTER, for example 'port 443 and srtt > 100ms'
    #[arg(short = 'e', long, value_name = "FILTER", value_hint = ValueHint::Other)]
    pub filter: Option<String>,
    /// Read from SOURCE: sock_diag, a device, or a log in any format (- for standard input)
    #[arg(short = 'd', long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: Option<String>,
    /// Show the connections of the network namespaces NAMES: all, or a comma-separated list of names in /run/netns and
    /// of inode numbers (Linux)
    #[arg(long, value_name = "NAMES", value_hint = ValueHint::Other)]
    pub netns: Option<String>,
    /// Show the connections of all virtual network stacks, see vnet(9); only root on the host may do this
    #[arg(long)]
    pub all_vnets: bool,
    /// Do not look for the processes that have the connections open
    #[arg(long)]
    pub no_owners: bool,
}

impl LiveArgs {
    /// Parses the filter, if one is given.
    ///
    /// # Errors
    /// Returns an error that shows the position of the mistake.
    pub fn filter(&self) -> Result<Option<Filter>> {
        Ok(self.filter.as_deref().map(tcpstats_source::parse_filter).transpose()?)
    }

    /// Opens the source, whose snapshots contain the connections that the filter matches,
    /// with their owners if these are shown.
    ///
    /// # Errors
    /// Returns an error that names the source.
    pub fn open(&self, filter: Option<Filter>, shows_owners: bool) -> Result<Live> {
        let stacks = Stacks::of_options(self.netns.as_deref(), self.all_vnets)?;
        let name = match self.source.as_deref() {
            Some(name) if is_log(name) => {
                if stacks != Stacks::Own {
                    let option = if stacks == Stacks::AllVnets { "--all-vnets" } else { "--netns" };
                    bail!("{option}: for live statistics only; select connections of a log with -e");
                }
                return Ok(Live::Log(Box::new(Replay::open(Path::new(name), filter)?)));
            }
            name => name.unwrap_or(tcpstats_source::DEFAULT),
        };
        units::name_zones();
        let needs_owners = filter.as_ref().is_some_and(Filter::needs_owners);
        if needs_owners && self.no_owners {
            bail!(NO_OWNERS);
        }
        let mut warning = None;
        let finder = match (needs_owners || shows_owners && !self.no_owners).then(Finder::open) {
            Some(Err(error)) if !needs_owners => {
                warning = Some(format!("{}; continuing without owners", report(&error)));
                None
            }
            finder => finder.transpose()?,
        };
        let of_source = match &filter {
            Some(filter) if finder.is_some() => WithOwners::filter_of_source(filter),
            filter => filter.clone(),
        };
        let has_owners = finder.is_some();
        let mut source = tcpstats_source::open(name, of_source, &stacks)?.source;
        if let Some(finder) = finder {
            source = Box::new(WithOwners::new(source, Box::new(finder), filter.as_ref()));
        }
        Ok(Live::Kernel { source, buffer: SnapshotBuffer::new(), warning, has_owners })
    }
}

/// An open source: a kernel, or a log that is replayed.
pub enum Live {
    /// A running kernel.
    Kernel {
        /// The source that queries the kernel.
        source: Box<dyn Source + Send>,
        /// Memory for a snapshot.
        buffer: SnapshotBuffer,
        /// What is missing from the start.
        warning: Option<String>,
        /// Whether records have owners.
        #[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only serve reports it"))]
        has_owners: bool,
    },
    /// A log.
    Log(Box<Replay>),
}

impl Live {
    /// Shows no progress while a log is read.
    #[cfg(feature = "top")]
    pub fn quiet(&mut self) {
        if let Self::Log(replay) = self {
            replay.quiet();
        }
    }

    /// Returns the next snapshot, or `None` at the end of a log.
    ///
    /// # Errors
    /// Returns an error that names the source.
    pub fn sample(&mut self) -> Result<Option<Snapshot>> {
        match self {
            Self::Log(replay) => Ok(replay.next()?),
            Self::Kernel { source, buffer, .. } => match source.sample(buffer)? {
                Sample::End => Ok(None),
                Sample::Taken => Ok(Some(Snapshot::of(&Frame::parse(buffer.bytes())?))),
            },
        }
    }

    /// Returns what users must know about the last snapshots.
    pub fn warnings(&mut self) -> Vec<String> {
        match self {
            Self::Kernel { source, warning, .. } => warning.take().into_iter().chain(source.warnings()).collect(),
            Self::Log(_) => Vec::new(),
        }
    }

    /// Returns whether the records are those of Linux.
    #[cfg(feature = "serve")]
    pub fn is_linux(&self) -> bool {
        match self {
            Self::Log(replay) => replay.is_linux(),
            Self::Kernel { .. } => cfg!(target_os = "linux"),
        }
    }

    /// Returns whether the filter of the logger can leave out some records of a connection.
    #[cfg(feature = "serve")]
    pub fn is_partial(&self) -> bool {
        match self {
            Self::Log(replay) => replay.is_partial(),
            Self::Kernel { .. } => false,
        }
    }

    /// Returns whether records can have owners.
    #[cfg(feature = "serve")]
    pub fn has_owners(&self) -> bool {
        match self {
            Self::Log(_) => true,
            Self::Kernel { has_owners, .. } => *has_owners,
        }
    }

    /// Returns the path from which the source is reopened, or `None` if it is not reopened
    /// from a file.
    #[cfg(feature = "serve")]
    pub fn reopen_path(&self) -> Option<&AnchoredPath> {
        match self {
            Self::Log(_) => None,
            Self::Kernel { source, .. } => source.reopen_path(),
        }
    }

    /// Returns the last complete snapshot of a log, or a new snapshot of a kernel.
    ///
    /// # Errors
    /// As [`Live::sample`].
    pub fn last(&mut self) -> Result<Option<Snapshot>> {
        match self {
            Self::Log(replay) => Ok(replay.last()?),
            Self::Kernel { .. } => self.sample(),
        }
    }

    /// Adds final records to the snapshots of a kernel; returns whether it has them.  A
    /// log has those that the logger wrote.
    ///
    /// # Errors
    /// Returns an error that names the source.
    pub fn start_ledger(&mut self) -> Result<bool> {
        match self {
            Self::Kernel { source, .. } => Ok(source.start_ledger()?),
            Self::Log(_) => Ok(true),
        }
    }

    /// Returns the final records of a log or, if the source is a kernel, those of the
    /// connections that end within the given time.
    ///
    /// # Errors
    /// As [`Live::sample`].
    pub fn ended(&mut self, within: Duration) -> Result<Option<Snapshot>> {
        if let Self::Log(replay) = self {
            return Ok(replay.all_ended()?);
        }
        if !self.start_ledger()? {
            bail!("the source has no final records of connections that have ended");
        }
        // For the owners, which the final records no longer have.
        self.sample()?;
        thread::sleep(within);
        self.sample()
    }

    /// Returns whether there may be further snapshots after an error and
    /// [`Live::reopen`].
    #[cfg(any(feature = "serve", feature = "top"))]
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Kernel { source, .. } => source.comes_back(),
            // It continues after the damage.
            Self::Log(_) => true,
        }
    }

    /// Reopens the source if it is a kernel.
    ///
    /// # Errors
    /// Returns the error of the system.  What was open stays open.
    #[cfg(any(feature = "serve", feature = "top"))]
    pub fn reopen(&mut self) -> Result<()> {
        match self {
            Self::Kernel { source, .. } => Ok(source.reopen()?),
            Self::Log(_) => Ok(()),
        }
    }
}

/// Returns whether a source is a log and not a kernel.
fn is_log(name: &str) -> bool {
    let kind = || Some(metadata(name).ok()?.file_type());
    name == "-" || kind().is_some_and(|kind| kind.is_file() || kind.is_fifo())
}
