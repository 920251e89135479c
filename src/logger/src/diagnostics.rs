// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The logger's own messages, which go to standard error, or to syslog once the
//! logger runs in the background.

use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::Severity;

use crate::syslog::Diagnostics as Syslog;

/// The destination of the messages.
enum Destination {
    StandardError,
    Syslog(Syslog),
}

static DESTINATION: Mutex<Destination> = Mutex::new(Destination::StandardError);

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
            write(severity, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Starts on standard error, with messages of at least this level.
pub fn begin(level: LevelFilter) {
    log::set_max_level(level);
    // Fails only if a logger was set before.
    let _ = log::set_logger(&Diagnostics);
}

/// Sends further messages to syslog.
pub fn to_syslog(syslog: Syslog) {
    *DESTINATION.lock().unwrap_or_else(PoisonError::into_inner) = Destination::Syslog(syslog);
}

/// Writes a status line that was requested, whatever the level of messages is.
pub fn status(text: &str) {
    write(Severity::LOG_INFO, text);
}

fn write(severity: Severity, text: &str) {
    match &mut *DESTINATION.lock().unwrap_or_else(PoisonError::into_inner) {
        // An error of standard error cannot be reported; eprintln would panic.
        Destination::StandardError => _ = stderr().write_all(format!("siftr_cdev_logger: {text}\n").as_bytes()),
        Destination::Syslog(syslog) => syslog.send(severity, text),
    }
}
