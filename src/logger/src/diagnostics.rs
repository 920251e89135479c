// SPDX-License-Identifier: BSD-2-Clause

//! What the logger has to say of itself: on standard error, or in syslog once
//! it runs in the background.

use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use syslog::Severity;

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

/// A text without the numbers that [`std::io::Error`] puts behind what the
/// system said.
pub fn without_numbers(text: &str) -> String {
    const BEGIN: &str = " (os error ";
    let mut parts = text.split(BEGIN);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => said.push_str(rest),
            _ => said.extend([BEGIN, part]),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn what_the_system_said_has_no_number() {
        let error = std::io::Error::from_raw_os_error(2);
        assert!(error.to_string().ends_with(" (os error 2)"));
        assert_eq!(without_numbers(&format!("log x: {error}")), "log x: No such file or directory");
        let said = "No such file or directory; No such file or directory!";
        assert_eq!(without_numbers(&format!("{error}; {error}!")), said);
        for other in ["log (os error x)", "log (os error 2", "", "(os error 2)"] {
            assert_eq!(without_numbers(other), other);
        }
    }
}
