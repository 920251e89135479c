// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats serve`: metrics of connections for Prometheus, and a page that shows what `top` shows.
//!
//! The sampler thread adds each snapshot to the [metrics](metrics::Metrics) and publishes a copy,
//! which the server formats when it is scraped.  It passes the snapshot on to the [page].

mod args;
mod http;
mod metrics;
mod page;
mod published;
mod sampler;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tcpstats::Filter;
use tcpstats_sandbox::{Needs, confine};
use tcpstats_source::system::{System, wall_ns};

use self::args::By;
pub use self::args::{Args, LONG_ABOUT};
use self::http::{Hosts, Page, Served};
pub use self::metrics::every_metric;
use self::metrics::{Buckets, Grouping, Metrics, Shape, series_of_group, series_of_health};
use self::page::{Feed, Source};
use self::published::Published;
use self::sampler::Sampler;
use crate::live::{Live, NO_OWNERS};
use crate::output;

/// Serves until a signal ends the program.
pub fn run(args: &Args) -> Result<ExitCode> {
    let filter = args.live.filter()?;
    let filter_needs_owners = filter.as_ref().is_some_and(Filter::needs_owners);
    let by_owner = args.by.iter().find(|by| by.needs_owners());
    if args.live.no_owners
        && let Some(by) = by_owner
    {
        bail!("--no-owners cannot be combined with --by {}", by.label());
    }
    if args.by.contains(&By::Netns) && args.live.netns.is_none() && args.live.source.is_none() {
        bail!("--by netns: select network namespaces with --netns");
    }
    let listener = TcpListener::bind(args.listen).with_context(|| format!("--listen {}", args.listen))?;
    let address = listener.local_addr().with_context(|| format!("--listen {}", args.listen))?;
    let is_partial = filter.as_ref().is_some_and(|filter| !filter.asks_only_for_ends());
    let mut live = args.live.open(filter, by_owner.is_some())?;
    // Linux does not have the reasons why connections end.
    let shape = Shape { buckets: Buckets::new(args.rtt_buckets), has_reasons: !live.is_linux() };
    let groups_max = groups_max(args.series_max as usize, &shape)?;
    let has_ledger = live.start_ledger()?;
    if !has_ledger {
        output::warn("the source has no final records: bytes of connections that end between snapshots are missing");
    }
    let grouping = Grouping::new(&args.by, args.prefix4, args.prefix6);
    let published = Arc::new(Published::default());
    let mut metrics = Metrics::new(grouping, shape, groups_max, wall_ns());
    metrics.health.has_ledger = has_ledger && matches!(live, Live::Kernel { .. });
    let is_log = matches!(live, Live::Log(_));
    let feed = (!args.no_page).then(|| Arc::new(Feed::new(is_log)));
    let mut sampler = Sampler { live, is_partial, metrics, published: Arc::clone(&published), feed: feed.clone() };
    if !sampler.sample()? {
        bail!("the source has no snapshot");
    }
    sampler.live.warnings().iter().for_each(|text| output::warn(text));
    sampler.publish();
    let inspects_processes = by_owner.is_some() || filter_needs_owners || args.live.netns.is_some();
    let source = source(args, &sampler.live);
    if !args.no_sandbox && (is_log || !inspects_processes) {
        let confined = confine(&Needs { source: sampler.live.reopen_path(), ..Needs::default() })?;
        if let Some(sandbox) = confined.lacks {
            output::warn(&format!("this kernel has no {sandbox}: the program runs without a sandbox"));
        }
    }
    let start = if args.no_page { "metrics" } else { "" };
    let interval = Duration::from_micros(args.interval);
    let run = move || sampler.run(interval);
    thread::Builder::new().name("sampler".into()).spawn(run).context("cannot create a thread")?;
    let page = feed.map(|feed| {
        let run = Arc::clone(&feed);
        thread::Builder::new().name("page".into()).spawn(move || run.run()).context("cannot create a thread")?;
        anyhow::Ok(Page { feed, source: Arc::new(source) })
    });
    output::inform(&format!("serving http://{address}/{start}"));
    let served = Served { published, page: page.transpose()? };
    match http::serve(listener, Hosts::new(address.ip(), &args.host_name), served)? {}
}

/// Returns what the page can show of a source.
fn source(args: &Args, live: &Live) -> Source {
    let is_log = matches!(live, Live::Log(_));
    let lacks_owners = match () {
        () if live.has_owners() => None,
        () if args.live.no_owners => Some(NO_OWNERS),
        () => Some("owners are not available; use --by process"),
    };
    let name = if is_log { args.live.source.clone() } else { None };
    Source {
        name: name.unwrap_or_else(|| System::this().host),
        filter: args.live.filter.clone(),
        interval: (!is_log).then(|| Duration::from_micros(args.interval)),
        by: args.by.clone(),
        labels: Source::labels(live.is_linux(), lacks_owners.is_none(), args.live.netns.is_some() || is_log),
        prefixes: (args.prefix4, args.prefix6),
        lacks_owners,
    }
}

/// Returns the number of groups that can have series of their own, besides `other`.
fn groups_max(series_max: usize, shape: &Shape) -> Result<usize> {
    let (group, health) = (series_of_group(shape), series_of_health());
    let minimum = health + 2 * group;
    if series_max < minimum {
        bail!("--series-max {series_max}: one group and 'other' have up to {minimum} series");
    }
    Ok((series_max - health) / group - 1)
}
