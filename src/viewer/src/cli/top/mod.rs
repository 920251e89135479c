// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats top`: an interactive list of connections.
//!
//! Samples, keys and signals each come from a separate thread.  The main thread
//! updates the [model](model::Model) and draws it.

mod action;
mod args;
mod backend;
mod filter_line;
#[cfg(test)]
mod fixtures;
mod input;
mod model;
mod sampler;
mod screen;
mod view;

use std::io::{self, IsTerminal, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, never, select, unbounded};
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tcpstats_source::report;
use tcpstats_source::system::System;

use self::action::Request;
pub use self::args::Args;
use self::filter_line::FilterLine;
use self::model::Model;
use self::sampler::Sample;
use self::screen::Screen;
use super::show;
use crate::units::has_cursor;

/// The time to wait for SIGHUP after an error of the terminal.
const HANGUP: Duration = Duration::from_millis(200);

/// Runs until the user quits.
pub fn run(args: &Args) -> Result<ExitCode> {
    if !has_screen() {
        let (live, columns) = (args.live.clone(), args.columns.clone());
        return show::run(&show::Args { live, columns, ended: false, numbers: false, json: false });
    }
    let text = args.live.filter.as_deref().unwrap_or_default();
    let filter = args.live.filter()?;
    let columns = args.columns.as_deref().map(show::columns).transpose()?;
    let interval = Duration::from_micros(args.interval);
    // The filter can be edited, so the source must return all connections.
    let mut live = args.live.open(None, true)?;
    live.quiet();
    // Without a ledger, connections that have ended are just not shown.
    live.start_ledger()?;
    let (first, samples) = sampler::start(live, interval)?;
    let mut model = Model::new(interval, columns.as_deref(), FilterLine::new(text, filter), first);
    model.host = System::this().host;
    let signals = signals().context("cannot handle signals")?;
    let mut screen = Screen::take().context(TERMINAL)?;
    let keys = keys().context("cannot create a thread")?;
    let end = event_loop(&mut model, &mut screen, &samples, &keys, &signals, args.count);
    drop(screen);
    // If the terminal has hung up, reading or drawing may fail before the signal arrives.
    let end = end.or_else(|error| hangup(&signals).map(Some).ok_or(error));
    if let Some(signal) = end.context(TERMINAL)? {
        emulate_default_handler(signal).with_context(|| format!("signal {signal}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the signal of a terminal that has hung up, which may follow SIGCONT.
fn hangup(signals: &Receiver<i32>) -> Option<i32> {
    let until = Instant::now() + HANGUP;
    loop {
        match signals.recv_deadline(until).ok()? {
            SIGCONT | SIGTSTP => (),
            signal => return Some(signal),
        }
    }
}

/// Returns whether standard output is a terminal with a screen.
fn has_screen() -> bool {
    stdout().is_terminal() && has_cursor()
}

/// The terminal in messages.
const TERMINAL: &str = "terminal";

/// Handles samples, keys and signals until the end.  Returns the signal that ended
/// the program, if one did.
fn event_loop(
    model: &mut Model,
    screen: &mut Screen,
    samples: &Receiver<Sample>,
    keys: &Receiver<io::Result<Event>>,
    signals: &Receiver<i32>,
    count: Option<u64>,
) -> io::Result<Option<i32>> {
    let (mut samples, no_more) = (samples, never());
    let mut remaining = count.map(|count| count - 1);
    while remaining != Some(0) {
        if keys.is_empty() {
            screen.draw(model)?;
        }
        let request = select! {
            recv(samples) -> sample => {
                match sample {
                    Ok(Sample::Taken(snapshot)) => {
                        remaining = remaining.map(|remaining| remaining - 1);
                        model.take(snapshot);
                    }
                    Ok(Sample::Warning(text)) => model.show_error(text),
                    Ok(Sample::Failed(error)) => model.show_error(report(error.as_ref())),
                    Ok(Sample::End) => {
                        model.show_error("the source has no more snapshots".into());
                        samples = &no_more;
                    }
                    Err(_) => samples = &no_more,
                }
                Request::Continue
            }
            recv(keys) -> event => match event {
                Ok(Ok(Event::Key(key))) => {
                    input::action(key, model.filter.is_editing()).map_or(Request::Continue, |action| model.act(action))
                }
                Ok(Ok(_)) => Request::Continue,
                Ok(Err(error)) => return Err(error),
                Err(_) => Request::Quit,
            },
            recv(signals) -> signal => match signal {
                Ok(SIGTSTP) => Request::Suspend,
                Ok(SIGCONT) => {
                    screen.resume()?;
                    Request::Continue
                }
                Ok(signal) => return Ok(Some(signal)),
                Err(_) => Request::Quit,
            },
        };
        match request {
            Request::Continue => (),
            Request::Redraw => screen.clear()?,
            Request::Suspend => screen.suspend()?,
            Request::Quit => break,
        }
    }
    Ok(None)
}

/// Starts the thread that receives signals.
fn signals() -> io::Result<Receiver<i32>> {
    let mut caught = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let (sender, signals) = unbounded();
    // Ends when the receiver is dropped.
    let run = move || caught.forever().try_for_each(|signal| sender.send(signal)).unwrap_or_default();
    thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(signals)
}

/// Starts the thread that reads keys and changes of the terminal's size.
fn keys() -> io::Result<Receiver<io::Result<Event>>> {
    let (sender, keys) = unbounded();
    let run = move || {
        loop {
            let event = event::read();
            let last = event.is_err();
            if sender.send(event).is_err() || last {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(run)?;
    Ok(keys)
}
