// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! What the page can show of the source.

use std::time::Duration;

use clap::ValueEnum;

use super::super::args::By;

/// What the page can show of the source, which does not change.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name of the host, or of the log.
    pub name: String,
    /// The filter of the command line.
    pub filter: Option<String>,
    /// The time between two snapshots, `None` for a log.
    pub interval: Option<Duration>,
    /// The labels by which connections are grouped by default.
    pub by: Vec<By>,
    /// All labels by which connections can be grouped.
    pub labels: Vec<By>,
    /// The lengths of IPv4 and IPv6 prefixes.
    pub prefixes: (u8, u8),
    /// Why filters cannot compare owners, `None` if they can.
    pub lacks_owners: Option<&'static str>,
}

impl Source {
    /// Returns the labels of a source.
    pub fn labels(is_linux: bool, has_owners: bool, has_netns: bool) -> Vec<By> {
        let has = |by: &By| match by {
            By::Port | By::Lport | By::Prefix | By::Cc => true,
            By::Stack => !is_linux,
            By::Jail => !is_linux && has_owners,
            By::Process => has_owners,
            By::Container => is_linux && has_owners,
            By::Netns => has_netns,
        };
        By::value_variants().iter().copied().filter(has).collect()
    }
}
