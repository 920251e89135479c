// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats top`: all connections on a screen, sampled again and again.
//!
//! Samples, keys and signals each come from a thread of their own; the main
//! thread has the [model](model::Model) answer them, and draws it.

mod backend;
mod column;
mod filter_line;
mod input;
mod model;
mod sampler;
mod screen;
mod tracker;
mod view;

use std::io::{self, IsTerminal, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, never, select, unbounded};
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tcpstats_source::Sentence;
use tcpstats_source::system::System;

use self::filter_line::FilterLine;
use self::model::{Asked, Model};
use self::sampler::Sample;
use self::screen::Screen;
use crate::live::Live;
use crate::units::has_cursor;
use crate::{cli, show};

/// How long to wait for the signal of a terminal that fails.
const HANGUP: Duration = Duration::from_millis(200);

/// Runs until it is asked to end.
pub fn run(asked: &cli::Top) -> Result<ExitCode, Sentence> {
    if !can_draw() {
        return show::run(&cli::Show::in_place_of(asked));
    }
    let text = asked.live.filter.as_deref().unwrap_or_default();
    let filter = asked.live.filter.as_deref().map(tcpstats_source::parse_filter).transpose();
    let filter = filter.map_err(|error| error.to_string())?;
    let columns = asked.columns.as_deref().map(show::columns).transpose()?;
    let interval = Duration::from_micros(asked.interval);
    // The filter is changed while top runs, so the source gives everything.
    let mut live = Live::open(asked.live.source.as_deref(), None)?;
    live.quiet();
    let (first, samples) = sampler::begin(live, interval)?;
    let mut model = Model::new(interval, columns.as_ref(), FilterLine::new(text, filter), first);
    model.host = System::this().host;
    let signals = signals().map_err(|error| format!("signals: {error}"))?;
    let mut screen = Screen::take().map_err(|error| terminal_said(&error))?;
    let keys = keys().map_err(|error| format!("a thread: {error}"))?;
    let end = answer(&mut model, &mut screen, &samples, &keys, &signals, asked.count);
    drop(screen);
    // A terminal that hangs up may refuse to be read or drawn before its signal is here.
    let end = end.or_else(|error| hangup(&signals).map(Some).ok_or(error));
    if let Some(signal) = end.map_err(|error| terminal_said(&error))? {
        emulate_default_handler(signal).map_err(|error| format!("signal {signal}: {error}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The signal of a terminal that hung up, which SIGCONT may come before.
fn hangup(signals: &Receiver<i32>) -> Option<i32> {
    let until = Instant::now() + HANGUP;
    loop {
        match signals.recv_deadline(until).ok()? {
            SIGCONT | SIGTSTP => (),
            signal => return Some(signal),
        }
    }
}

/// Whether there is a screen.
fn can_draw() -> bool {
    stdout().is_terminal() && has_cursor()
}

fn terminal_said(error: &io::Error) -> Sentence {
    format!("terminal: {}", crate::log::said(error))
}

/// Has the model answer whatever comes, until the end; gives the signal that
/// asked for it, if one did.
fn answer(
    model: &mut Model,
    screen: &mut Screen,
    samples: &Receiver<Sample>,
    keys: &Receiver<io::Result<Event>>,
    signals: &Receiver<i32>,
    count: Option<u64>,
) -> io::Result<Option<i32>> {
    let (mut samples, no_more) = (samples, never());
    let mut left = count.map(|count| count - 1);
    while left != Some(0) {
        if keys.is_empty() {
            screen.draw(model)?;
        }
        let asked = select! {
            recv(samples) -> sample => {
                match sample {
                    Ok(Sample::Taken(sampled)) => {
                        left = left.map(|left| left - 1);
                        model.take(sampled);
                    }
                    Ok(Sample::Failed(why)) => model.lack(tcpstats_source::without_numbers(&why)),
                    Ok(Sample::End) => {
                        model.lack("the source has no more snapshots".into());
                        samples = &no_more;
                    }
                    Err(_) => samples = &no_more,
                }
                Asked::Continue
            }
            recv(keys) -> event => match event {
                Ok(Ok(Event::Key(key))) => {
                    input::action(key, model.filter.is_changing()).map_or(Asked::Continue, |action| model.act(action))
                }
                Ok(Ok(_)) => Asked::Continue,
                Ok(Err(error)) => return Err(error),
                Err(_) => Asked::Quit,
            },
            recv(signals) -> signal => match signal {
                Ok(SIGTSTP) => Asked::Suspend,
                Ok(SIGCONT) => {
                    screen.resume()?;
                    Asked::Continue
                }
                Ok(signal) => return Ok(Some(signal)),
                Err(_) => Asked::Quit,
            },
        };
        match asked {
            Asked::Continue => (),
            Asked::Redraw => screen.clear()?,
            Asked::Suspend => screen.suspend()?,
            Asked::Quit => break,
        }
    }
    Ok(None)
}

/// The signals that come from now on.
fn signals() -> io::Result<Receiver<i32>> {
    let mut caught = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let (sender, signals) = unbounded();
    // Ends where nobody listens any more.
    let run = move || caught.forever().try_for_each(|signal| sender.send(signal)).unwrap_or_default();
    thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(signals)
}

/// What is typed from now on, and changes of the terminal's size.
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
