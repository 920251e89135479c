// SPDX-License-Identifier: BSD-2-Clause

//! What the values of options may be.  Every error is a sentence that says
//! which option, what was given and what was expected.

use std::path::PathBuf;
use std::time::Duration;

use getopts::Matches;
use nix::sys::stat::Mode;
use tcpstats::Columns;
use tcpstats_log::{FORMATS, Format, by_name, names};
use tcpstats_source::Sentence;

use super::{Layout, bytes};

/// The most that an interval, a count or a duration may be: a year in
/// microseconds, so that no sum of times overflows.
const NUMBER_MAX: u64 = 366 * 24 * 3600 * 1_000_000;

/// The most snapshots that may wait for the log.
const QUEUE_MAX: u64 = 65536;

/// Options that name files; all others take text.
const PATHS: [&str; 3] = ["o", "d", "p"];

/// The path that the option may give, of any bytes.
pub fn path(matches: &Matches, flag: &str) -> Option<PathBuf> {
    matches.opt_str(flag).map(|text| bytes::decode(&text).into())
}

/// Checks that the options other than paths are text.
pub fn text_only(matches: &Matches) -> Result<(), Sentence> {
    for flag in super::WITH_VALUE.into_iter().filter(|flag| !PATHS.contains(flag)) {
        if let Some(text) = matches.opt_str(flag).filter(|text| !bytes::is_text(text)) {
            return Err(format!("-{flag} \"{}\": expected text in UTF-8", bytes::display(&text)));
        }
    }
    Ok(())
}

/// A number from 1 that the option may give.
pub fn number(matches: &Matches, flag: &str, expected: &str) -> Result<Option<u64>, Sentence> {
    number_up_to(matches, flag, expected, NUMBER_MAX)
}

fn number_up_to(matches: &Matches, flag: &str, expected: &str, max: u64) -> Result<Option<u64>, Sentence> {
    let Some(text) = matches.opt_str(flag) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
        _ => Err(format!("-{flag} \"{text}\": expected {expected}, from 1 to {max}")),
    }
}

/// A time in seconds, with decimals, that the option may give.
pub fn seconds(matches: &Matches, flag: &str) -> Result<Option<Duration>, Sentence> {
    let Some(text) = matches.opt_str(flag) else {
        return Ok(None);
    };
    let limit = Duration::from_micros(NUMBER_MAX);
    match text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) if !time.is_zero() && time <= limit => Ok(Some(time)),
        _ => Err(format!("-{flag} \"{text}\": expected a number of seconds above 0 and at most {}", limit.as_secs())),
    }
}

/// Snapshots that may wait for the log.
pub fn queue(matches: &Matches) -> Result<Option<usize>, Sentence> {
    let number = number_up_to(matches, "q", "a number of snapshots", QUEUE_MAX)?;
    Ok(number.and_then(|number| usize::try_from(number).ok()))
}

/// The permissions of a log's file, in octal.
pub fn mode(matches: &Matches) -> Result<Option<Mode>, Sentence> {
    let Some(text) = matches.opt_str("m") else {
        return Ok(None);
    };
    let needed = Mode::S_IRUSR | Mode::S_IWUSR;
    let most = Mode::S_IRWXU | Mode::S_IRWXG | Mode::S_IRWXO;
    match libc::mode_t::from_str_radix(&text, 8).ok().and_then(Mode::from_bits) {
        Some(mode) if most.contains(mode) && mode.contains(needed) => Ok(Some(mode)),
        _ => Err(format!(
            "-m \"{text}\": expected an octal mode of at most 777 with which the owner can read and write, such as 0640"
        )),
    }
}

/// Returns the format and the columns of the log.
pub fn layout(matches: &Matches) -> Result<Layout, Sentence> {
    let list = matches.opt_str("O");
    let columns = || {
        let list = list.as_deref().unwrap_or("basic");
        Columns::parse(list).map_err(|error| format!("-O \"{list}\": {error}"))
    };
    let name = matches.opt_str("F");
    if matches.opt_present("l") {
        return match name {
            Some(_) => Err("-F goes with a log in a file; what -l sends to syslog is key=value text".into()),
            None => Ok(Layout { format: None, columns: columns()? }),
        };
    }
    let format = match &name {
        None => FORMATS[0],
        Some(name) => by_name(name)
            .filter(|format| format.is_appendable())
            .ok_or_else(|| format!("-F \"{name}\": expected {}", names(" or ", Format::is_appendable)))?,
    };
    if list.is_some() && !format.has_columns() {
        let suitable = names(" and ", |format| format.is_appendable() && format.has_columns());
        return Err(format!("-O goes with {suitable}; the format {} has fields of its own", format.name()));
    }
    Ok(Layout { format: Some(format), columns: columns()? })
}
