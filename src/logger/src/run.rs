// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Runs the logger.
//!
//! The sampler thread takes snapshots from the source and queues them, and the
//! writer thread writes them to the log.  The main thread handles signals.

use std::os::raw::c_int;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, unbounded};
use nix::sys::stat::umask;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use tcpstats::{FIELDS, Field, FieldSet, Filter};
use tcpstats_sandbox::{Confinement, Daemon, Needs};
#[cfg(target_os = "linux")]
use tcpstats_source::Watcher;
use tcpstats_source::owners::{Finder, Remote, WithOwners, answer, is_needed};
use tcpstats_source::{FileId, InUse, Opened, Source, open_for_changes, refuse_in_use, report};

use crate::daemon::Start;
use crate::diagnostics;
use crate::helper::{self, Helper};
use crate::log::Log;
use crate::options::{Options, Output};
use crate::pidfile::Pidfile;
use crate::privileges::drop_capabilities;
use crate::sampler::{Item, Sampler};
use crate::status::Counters;
use crate::terminal::Terminal;
use crate::ticks::Ticks;
use crate::writer::{Reopen, Writer};

/// Maximum time to write the queued snapshots after a request to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A second signal within this time is ignored: timeout(1) and others send one
/// signal to the process and one to its group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// The signal that requests a status line, if the system has it.
#[cfg(target_os = "freebsd")]
const SIGINFO: c_int = signal_hook::consts::SIGINFO;
#[cfg(target_os = "linux")]
const SIGINFO: c_int = SIGUSR1;

/// Samples and logs as requested.
///
/// # Errors
/// Returns the first error.  Everything logged before it is complete.
pub fn run(options: &Options) -> Result<()> {
    // Privileges are dropped step by step.  Everything that can fail is done
    // before the fork, or after it while the caller still waits.
    let mut pidfile = options.pidfile.as_deref().map(Pidfile::lock).transpose()?;
    let counters = Arc::new(Counters::new());
    let open = if options.keyframe_every.is_some() { open_for_changes } else { tcpstats_source::open };
    let filter = match &options.filter {
        Some(filter) if options.owners => WithOwners::filter_of_source(filter),
        filter => filter.clone(),
    };
    let Opened { mut source, name, passed_over } = open(&options.source, filter, &options.stacks)?;
    check_owners(options, source.file().is_some())?;
    if let Some(why) = passed_over {
        log::info!("{}; using {}", report(&why), name.display());
    }
    let has_ledger = options.ledger && source.start_ledger()?;
    if options.ledger && !has_ledger {
        log::info!("the source has no final records of connections that have ended");
    }
    let in_use = in_use(options, pidfile.as_ref(), source.file())?;
    umask(!options.mode);
    let mut log = Log::open(options, &name, source.comes_back(), in_use, Arc::clone(&counters))?;
    // A log that is continued may have other columns.
    let wants = |field: &Field| options.wants(field) || log.shows(field);
    source.want(&|field| wants(field) || (options.owners && is_needed(field)));
    let mut sampled = FieldSet::EMPTY;
    FIELDS.iter().filter(|field| wants(field)).for_each(|field| sampled.insert(field));
    log.sampled(sampled);
    let terminal = if options.background { Terminal::none() } else { Terminal::find() };
    let start = if options.background { Start::background()? } else { Start::Foreground };
    // The fork has changed the mask.
    umask(!options.mode);
    let (source, has_helper) = start_helpers(options, source)?;
    let signals = signals()?;
    if let Some(pidfile) = &mut pidfile {
        pidfile.write()?;
    }
    if let Some(identity) = &options.identity {
        log.give_to(identity)?;
        identity.assume()?;
    }
    drop_capabilities(has_helper)?;
    let confined = enter_sandbox(options, &log, source.as_ref())?;
    if confined.is_entered {
        log.confined();
    }
    match log.begin(&confined.text) {
        Err(_) if log.reader_left() => return Ok(()),
        begun => begun?,
    }

    let (queue, queued) = bounded(options.queue);
    let (done_with, free) = unbounded();
    let (stop, stopped) = bounded(1);
    let (reopen, reopened) = unbounded();
    let sampler = Sampler {
        source,
        has_ledger,
        count: options.count,
        queue,
        done_with: free,
        stop: stopped,
        restart: log.restart(),
        counters: Arc::clone(&counters),
        start: Some(start),
    };
    let (interval, duration) = (options.interval, options.duration);
    let sampled = spawn("sampler", move || sampler.run(Ticks::new(interval, duration)))?;
    let writer = Writer { log, queue: queued.clone(), done_with, reopen: reopened };
    let written = spawn("writer", move || writer.run())?;
    let name = match &options.output {
        Output::File(path) => path.display().to_string(),
        Output::Syslog(target) => format!("syslog {}", target.text),
    };
    let main = Main {
        signals: forward(signals)?,
        written,
        stop,
        reopen,
        terminal,
        status: || counters.line(queued.len(), options.queue, &name),
    };
    main.handle_signals(&queued)?;
    // The writer has exited because the sampler has, or because the reader of standard output has gone.
    let _ = main.stop.try_send(());
    sampled.recv().unwrap_or(Ok(()))
}

/// Enters the sandbox, unless it is disabled.
fn enter_sandbox(options: &Options, log: &Log, source: &dyn Source) -> Result<Confinement> {
    if !options.sandbox {
        return Ok(Confinement::none("off"));
    }
    let confined = tcpstats_sandbox::confine(&Needs {
        log: log.place(),
        source: source.reopen_path(),
        daemon: match &options.output {
            Output::Syslog(target) => Some(target.tcp_port().map_or(Daemon::Other, Daemon::Tcp)),
            Output::File(_) => None,
        },
    })?;
    if let Some(sandbox) = confined.lacks {
        log::warn!("this kernel has no {sandbox}: the logger runs without a sandbox");
    }
    Ok(confined)
}

/// Checks that owners are found for a kernel, and that the filter can compare them.
fn check_owners(options: &Options, is_file: bool) -> Result<()> {
    let compares = options.filter.as_ref().is_some_and(Filter::needs_owners);
    if compares && !options.owners && !is_file {
        bail!("-e \"{}\": the owners of connections are known only with -P", options.filter_text);
    }
    if options.owners && is_file {
        let name = options.source.display();
        bail!("-P: {name}: a file has the owners that were logged; -P is for live statistics");
    }
    Ok(())
}

/// Starts the processes that keep the privileges that the source needs, if it needs any, and
/// those for finding owners.  Returns the source that uses them, and whether there are any.
fn start_helpers(options: &Options, mut source: Box<dyn Source + Send>) -> Result<(Box<dyn Source + Send>, bool)> {
    let (identity, sandbox) = (options.identity.as_ref(), options.sandbox);
    let mut has_helper = false;
    #[cfg(target_os = "linux")]
    if let Some(watcher) = source.watcher() {
        let needs = helper::namespaces::needs();
        let helper = Helper { name: c"siftr-netns", needs, identity, has_packets: true, sandbox };
        source.connect(helper.start(|| Ok(watcher), Watcher::run)?);
        has_helper = true;
    }
    if options.owners {
        let needs = helper::owners::needs();
        let helper = Helper { name: c"siftr-owners", needs, identity, has_packets: false, sandbox };
        let finder = Remote::new(helper.start(|| Finder::open().context("-P"), answer)?).context("-P")?;
        if let Err(why) = source.note_users() {
            log::info!("{}; connections that are in no snapshot have no owner", report(&why));
        }
        source = Box::new(WithOwners::new(source, Box::new(finder), options.filter.as_ref()));
        has_helper = true;
    }
    Ok((source, has_helper))
}

/// Returns the files to which the log must not be written.
fn in_use(options: &Options, pidfile: Option<&Pidfile>, source: Option<FileId>) -> Result<Vec<InUse>> {
    let mut files = Vec::new();
    if let Some(id) = source {
        files.push(InUse { id, what: format!("the source {}", Path::new(&options.source).display()) });
    }
    if let (Some(pidfile), Some(path)) = (pidfile, &options.pidfile) {
        let id = pidfile.id()?;
        refuse_in_use(id, &files).with_context(|| format!("pidfile {}", path.display()))?;
        files.push(InUse { id, what: format!("the pidfile {}", path.display()) });
    }
    Ok(files)
}

/// Runs a function in a thread of that name, and sends its result to the channel.
fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<Receiver<T>> {
    let (sender, receiver) = bounded(1);
    let thread = thread::Builder::new().name(name.into()).spawn(move || sender.send(work()).is_ok());
    thread.with_context(|| format!("cannot start the {name} thread"))?;
    Ok(receiver)
}

/// Catches the signals that the logger handles.
fn signals() -> Result<Signals> {
    // With this signal caught, write(2) fails if a file reaches its maximum size (RLIMIT_FSIZE).
    let ignored = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let signals = ignored.and_then(|_| Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGINFO]));
    signals.context("cannot catch signals")
}

/// Forwards the signals to a channel.
fn forward(mut signals: Signals) -> Result<Receiver<c_int>> {
    let (sender, receiver) = unbounded();
    spawn("signals", move || signals.forever().try_for_each(|signal| sender.send(signal)))?;
    Ok(receiver)
}

/// The state of the main thread.
struct Main<S: Fn() -> String> {
    signals: Receiver<c_int>,
    written: Receiver<Result<()>>,
    stop: Sender<()>,
    reopen: Sender<Reopen>,
    terminal: Terminal,
    status: S,
}

impl<S: Fn() -> String> Main<S> {
    /// Handles signals until the writer has exited.
    fn handle_signals(&self, queued: &Receiver<Item>) -> Result<()> {
        let mut patience = never();
        let mut stopping: Option<Instant> = None;
        loop {
            let signal = select! {
                recv(self.written) -> written => return written.unwrap_or(Ok(())),
                recv(patience) -> _ => return too_slow(queued.len()),
                recv(self.signals) -> signal => signal,
            };
            match signal {
                // Sending fails if the threads have exited already.
                Ok(SIGHUP) if !self.terminal.is_gone() => _ = self.reopen.send(Reopen),
                Ok(SIGINT | SIGTERM | SIGHUP) => match stopping {
                    None => {
                        stopping = Some(Instant::now());
                        patience = after(GRACE);
                        let _ = self.stop.send(());
                    }
                    Some(since) if since.elapsed() < ONE_REQUEST => (),
                    Some(_) => return too_slow(queued.len()),
                },
                Ok(_) => diagnostics::status(&(self.status)()),
                Err(_) => bail!("signals are no longer caught"),
            }
        }
    }
}

fn too_slow(snapshots: usize) -> Result<()> {
    bail!("stopped before the log was complete; lost at least {snapshots} queued snapshots")
}
