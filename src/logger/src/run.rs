// SPDX-License-Identifier: BSD-2-Clause

//! The logger from its start to its end.
//!
//! Snapshots go one way: source, sampler thread, queue, writer thread, log.
//! The main thread answers signals.

use std::os::raw::c_int;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, unbounded};
use nix::sys::stat::umask;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use tcpstats::{FIELDS, Field, FieldSet};
use tcpstats_source::{FileId, Sentence, report};

use crate::daemon::Start;
use crate::log::{InUse, Log};
use crate::options::{Options, Output};
use crate::pidfile::Pidfile;
use crate::sampler::{Item, Sampler};
use crate::sandbox::Confinement;
use crate::status::Counters;
use crate::terminal::Terminal;
use crate::ticks::Ticks;
use crate::writer::{Reopen, Writer};
use crate::{diagnostics, sandbox};

/// How long the log may take for what is queued when the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// A second signal that comes sooner asks for nothing more: timeout(1) and
/// others send one to the process and one to its group.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Asks for a status line, where the system has it.
#[cfg(target_os = "freebsd")]
const SIGINFO: c_int = signal_hook::consts::SIGINFO;
#[cfg(target_os = "linux")]
const SIGINFO: c_int = SIGUSR1;

/// Samples and logs as the options say.
///
/// # Errors
/// A sentence; what was logged before is complete.
pub fn run(options: &Options) -> Result<(), Sentence> {
    // In the order in which rights are given up.  Whatever can fail does so
    // before the fork, or after it while the caller listens.
    let mut pidfile = options.pidfile.as_deref().map(Pidfile::lock).transpose()?;
    let counters = Arc::new(Counters::new());
    let mut source = tcpstats_source::open(&options.source, options.filter.clone()).map_err(|error| report(&error))?;
    let in_use = in_use(options, pidfile.as_ref(), source.file())?;
    umask(!options.mode);
    let mut log = Log::open(options, source.comes_back(), in_use, Arc::clone(&counters))?;
    // A log that is continued may have columns of its own.
    let wants = |field: &Field| options.wants(field) || log.shows(field);
    source.want(&wants);
    let mut sampled = FieldSet::EMPTY;
    FIELDS.iter().filter(|field| wants(field)).for_each(|field| sampled.insert(field));
    log.sampled(sampled);
    let terminal = if options.background { Terminal::none() } else { Terminal::find() };
    let start = if options.background { Start::background()? } else { Start::Foreground };
    // The fork set another one.
    umask(!options.mode);
    let signals = signals()?;
    if let Some(pidfile) = &mut pidfile {
        pidfile.write()?;
    }
    if let Some(identity) = &options.identity {
        log.give_to(identity)?;
        identity.assume()?;
    }
    let confined = if options.sandbox {
        sandbox::confine(&sandbox::Needs {
            log: log.place(),
            source: source.place(),
            syslog: match &options.output {
                Output::Syslog(target) => Some(target),
                Output::File(_) => None,
            },
        })?
    } else {
        Confinement::none("off")
    };
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
        count: options.count,
        queue,
        done_with: free,
        stop: stopped,
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
        signals: answer_in_channel(signals)?,
        written,
        stop,
        reopen,
        terminal,
        status: || counters.line(queued.len(), options.queue, &name),
    };
    main.until_written(&queued)?;
    // The writer has ended because the sampler has, or because nobody reads what it writes.
    let _ = main.stop.try_send(());
    sampled.recv().unwrap_or(Ok(()))
}

/// The files that the log must not be.
fn in_use(options: &Options, pidfile: Option<&Pidfile>, source: Option<FileId>) -> Result<Vec<InUse>, Sentence> {
    let mut files = Vec::new();
    if let Some(id) = source {
        files.push(InUse { id, what: format!("the source {}", Path::new(&options.source).display()) });
    }
    if let (Some(pidfile), Some(path)) = (pidfile, &options.pidfile) {
        let id = pidfile.id()?;
        if let Some(source) = files.first().filter(|source| source.id == id) {
            return Err(format!(
                "pidfile {}: it is the same file as {}; name another file",
                path.display(),
                source.what
            ));
        }
        files.push(InUse { id, what: format!("the pidfile {}", path.display()) });
    }
    Ok(files)
}

/// Runs in a thread of that name; what it gives comes in the channel.
fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<Receiver<T>, Sentence> {
    let (sender, receiver) = bounded(1);
    let thread = thread::Builder::new().name(name.into()).spawn(move || sender.send(work()).is_ok());
    thread.map_err(|error| format!("the {name} thread cannot be started: {error}"))?;
    Ok(receiver)
}

/// Catches the signals that have a meaning here.
fn signals() -> Result<Signals, Sentence> {
    // A limit on the size of files (RLIMIT_FSIZE) is an error of the write then.
    let ignored = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let signals = ignored.and_then(|_| Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGINFO]));
    signals.map_err(|error| format!("signals cannot be caught: {error}"))
}

/// The signals, in a channel.
fn answer_in_channel(mut signals: Signals) -> Result<Receiver<c_int>, Sentence> {
    let (sender, receiver) = unbounded();
    spawn("signals", move || signals.forever().try_for_each(|signal| sender.send(signal)))?;
    Ok(receiver)
}

/// What the main thread deals with.
struct Main<S: Fn() -> String> {
    signals: Receiver<c_int>,
    written: Receiver<Result<(), Sentence>>,
    stop: Sender<()>,
    reopen: Sender<Reopen>,
    terminal: Terminal,
    status: S,
}

impl<S: Fn() -> String> Main<S> {
    /// Answers signals until all is written.
    fn until_written(&self, queued: &Receiver<Item>) -> Result<(), Sentence> {
        let mut patience = never();
        let mut stopping: Option<Instant> = None;
        loop {
            let signal = select! {
                recv(self.written) -> written => return written.unwrap_or(Ok(())),
                recv(patience) -> _ => return Err(too_slow(queued.len())),
                recv(self.signals) -> signal => signal,
            };
            match signal {
                // Nobody takes either of these where the threads have ended already.
                Ok(SIGHUP) if !self.terminal.is_gone() => _ = self.reopen.send(Reopen),
                Ok(SIGINT | SIGTERM | SIGHUP) => match stopping {
                    None => {
                        stopping = Some(Instant::now());
                        patience = after(GRACE);
                        let _ = self.stop.send(());
                    }
                    Some(since) if since.elapsed() < ONE_REQUEST => (),
                    Some(_) => return Err(too_slow(queued.len())),
                },
                Ok(_) => diagnostics::answer(&(self.status)()),
                Err(_) => return Err("signals are not caught any more".into()),
            }
        }
    }
}

fn too_slow(snapshots: usize) -> Sentence {
    format!("the end was asked for, and the log does not take what is left; {snapshots} snapshots or more are lost")
}
