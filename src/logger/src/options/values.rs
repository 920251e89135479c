// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The values of options.  Every error names the option, its argument, and what
//! was expected.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use getopts::Matches;
use nix::sys::stat::Mode;
use tcpstats::Columns;
use tcpstats_log::{FORMATS, Format, by_name, names};

use super::{Layout, bytes};

/// Maximum of an interval, a count or a duration: a year in microseconds, so
/// that sums of times do not overflow.
const NUMBER_MAX: u64 = 366 * 24 * 3600 * 1_000_000;

/// Maximum number of queued snapshots.
const QUEUE_MAX: u64 = 65536;

/// Options whose argument is a path; all others require text.
const PATHS: [&str; 3] = ["o", "d", "p"];

/// Returns the path that the option gives, which may be any bytes.
pub fn path(matches: &Matches, flag: &str) -> Option<PathBuf> {
    matches.opt_str(flag).map(|text| bytes::decode(&text).into())
}

/// Checks that the arguments of all options except paths are text.
pub fn text_only(matches: &Matches) -> Result<()> {
    for flag in super::WITH_VALUE.into_iter().filter(|flag| !PATHS.contains(flag)) {
        if let Some(text) = matches.opt_str(flag).filter(|text| !bytes::is_text(text)) {
            let dash = if flag.len() > 1 { "--" } else { "-" };
            bail!("{dash}{flag} \"{}\": expected text in UTF-8", bytes::display(&text));
        }
    }
    Ok(())
}

/// Returns the number that the option gives, which is at least 1.
pub fn number(matches: &Matches, flag: &str, expected: &str) -> Result<Option<u64>> {
    number_up_to(matches, flag, expected, NUMBER_MAX)
}

fn number_up_to(matches: &Matches, flag: &str, expected: &str, max: u64) -> Result<Option<u64>> {
    let Some(text) = matches.opt_str(flag) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
        _ => bail!("-{flag} \"{text}\": expected {expected}, from 1 to {max}"),
    }
}

/// Returns the time that the option gives in seconds, which may be a fraction.
pub fn seconds(matches: &Matches, flag: &str) -> Result<Option<Duration>> {
    let Some(text) = matches.opt_str(flag) else {
        return Ok(None);
    };
    let limit = Duration::from_micros(NUMBER_MAX);
    match text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) if !time.is_zero() && time <= limit => Ok(Some(time)),
        _ => bail!("-{flag} \"{text}\": expected a number of seconds above 0 and at most {}", limit.as_secs()),
    }
}

/// Returns the maximum number of queued snapshots.
pub fn queue(matches: &Matches) -> Result<Option<usize>> {
    let number = number_up_to(matches, "q", "a number of snapshots", QUEUE_MAX)?;
    Ok(number.and_then(|number| usize::try_from(number).ok()))
}

/// Returns the permissions of the log file, which the option gives in octal.
pub fn mode(matches: &Matches) -> Result<Option<Mode>> {
    let Some(text) = matches.opt_str("m") else {
        return Ok(None);
    };
    let needed = Mode::S_IRUSR | Mode::S_IWUSR;
    let most = Mode::S_IRWXU | Mode::S_IRWXG | Mode::S_IRWXO;
    match libc::mode_t::from_str_radix(&text, 8).ok().and_then(Mode::from_bits) {
        Some(mode) if most.contains(mode) && mode.contains(needed) => Ok(Some(mode)),
        _ => bail!(
            "-m \"{text}\": expected an octal mode of at most 777 that lets the owner read and write, such as 0640"
        ),
    }
}

/// Returns the list of columns, by default those of `basic`, and with `-P` those of owners.
pub fn columns(matches: &Matches) -> String {
    const OF_OWNERS: &str =
        if cfg!(target_os = "linux") { "pid,processes,command,container" } else { "pid,processes,command,jail" };
    match matches.opt_str("O") {
        Some(list) => list,
        None if matches.opt_present("P") => format!("basic,{OF_OWNERS}"),
        None => "basic".into(),
    }
}

/// Returns the format and the columns of the log.
pub fn layout(matches: &Matches) -> Result<Layout> {
    let list = columns(matches);
    let columns = || Columns::parse(&list).map_err(|error| anyhow!("-O \"{list}\": {error}"));
    let name = matches.opt_str("F");
    if matches.opt_present("l") {
        return match name {
            Some(_) => bail!("-F cannot be combined with -l, which always sends key=value text to syslog"),
            None => Ok(Layout { format: None, columns: columns()? }),
        };
    }
    let format = match &name {
        None => FORMATS[0],
        Some(name) => by_name(name)
            .filter(|format| format.is_appendable())
            .ok_or_else(|| anyhow!("-F \"{name}\": expected {}", names(" or ", Format::is_appendable)))?,
    };
    if matches.opt_present("O") && !format.has_columns() {
        let suitable = names(" or ", |format| format.is_appendable() && format.has_columns());
        bail!("-O requires {suitable}; the columns of {} cannot be chosen", format.name());
    }
    Ok(Layout { format: Some(format), columns: columns()? })
}
