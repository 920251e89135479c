// SPDX-License-Identifier: BSD-2-Clause

//! What the logger has to say of itself: on standard error, or in syslog once
//! it runs in the background.

use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::Severity;
use tcpstats_source::without_numbers;

use crate::syslog::Diagnostics as Syslog;

/// Where it is said.
enum Place {
    StandardError,
    Syslog(Syslog),
}

static PLACE: Mutex<Place> = Mutex::new(Place::StandardError);

struct Diagnostics;

impl Log for Diagnostics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let severity = match record.level() {
                Level::Error => Severity::LOG_ERR,
                Level::Warn => Severity::LOG_WARNING,
                Level::Info | Level::Debug | Level::Trace => Severity::LOG_INFO,
            };
            say(severity, &without_numbers(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Begins on standard error, with messages of that level and above.
pub fn begin(level: LevelFilter) {
    log::set_max_level(level);
    // It can be set only once, and is.
    let _ = log::set_logger(&Diagnostics);
}

/// Goes on in syslog.
pub fn to_syslog(syslog: Syslog) {
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Place::Syslog(syslog);
}

/// Says what was asked for, however little is to be told otherwise.
pub fn answer(text: &str) {
    say(Severity::LOG_INFO, text);
}

fn say(severity: Severity, text: &str) {
    match &mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner) {
        // Where standard error takes nothing there is nobody to tell; eprintln would panic.
        Place::StandardError => _ = stderr().write_all(format!("siftr_cdev_logger: {text}\n").as_bytes()),
        Place::Syslog(syslog) => syslog.say(severity, text),
    }
}
