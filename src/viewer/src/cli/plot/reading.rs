// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Reads logs for a plot, twice and past damage.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use tcpstats::Columns;
use tcpstats_log::{LogColumns, Monotone};
use tempfile::NamedTempFile;

use crate::log::{self, Item, Log};

/// The fields that identify connections and count their bytes.
const COMMON: &str =
    "vnet,zone,gencnt,jid,laddr,lport,faddr,fport,state,acked_bytes,snd_una,sent_bytes,received_bytes,rcv_nxt";

/// The other fields by which connections are selected.
const SELECTED_BY: &str = "snd_cwnd,inflight,srtt,duration";

/// The other fields that are plotted.
const PLOTTED: &str = "duration,cc,stack,snd_cwnd,snd_ssthresh,snd_wnd,inflight,srtt,rttvar,rexmit_packs";

/// The damage that was found while logs were read.
#[derive(Debug, Default)]
pub struct Damage {
    first: Option<Error>,
    /// The number of further errors.
    others: u64,
}

impl Damage {
    fn add(&mut self, error: Error) {
        if self.first.is_none() {
            self.first = Some(error);
        } else {
            self.others += 1;
        }
    }

    /// Returns the first error with the number of the others, or `None` if there is
    /// no damage.
    pub fn into_error(self) -> Option<Error> {
        let others = match self.others {
            0 => return self.first,
            1 => "1 more error".to_owned(),
            others => format!("{others} more errors"),
        };
        self.first.map(|first| anyhow!("{}; and {others}", tcpstats_source::report(first.as_ref())))
    }
}

/// The purpose for which logs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To select connections with a filter, which may need any field.
    Filter,
    /// To select connections.
    Select,
    /// To collect the values to plot, without repeating warnings.
    Plot,
}

impl Purpose {
    /// Returns the fields that are needed, or `None` for all.
    fn fields(self) -> Option<String> {
        match self {
            Self::Filter => None,
            Self::Select => Some(format!("{COMMON},{SELECTED_BY},{}", Monotone::FIELDS)),
            Self::Plot => Some(format!("{COMMON},{PLOTTED}")),
        }
    }
}

/// Logs that can be read twice.  Pipes and standard input are copied to temporary
/// files, which are removed when this value is dropped.
pub struct RereadableLogs {
    logs: Vec<PathBuf>,
    /// The temporary files, with the names by which messages refer to them.
    copies: Vec<(String, NamedTempFile)>,
}

impl RereadableLogs {
    /// Copies the logs that cannot be read twice.
    ///
    /// # Errors
    /// Returns an error if a log cannot be copied, or if a copy is not a log.
    pub fn new(logs: &[PathBuf]) -> Result<Self> {
        let mut rereadable = Self { logs: logs.to_vec(), copies: Vec::new() };
        for path in rereadable.logs.iter_mut().filter(|path| is_read_once(path)) {
            let name = log::name(path);
            let failed = || format!("{name}: cannot copy it to a temporary file");
            let mut file = NamedTempFile::new().with_context(failed)?;
            let copied = if path.as_os_str() == "-" {
                io::copy(&mut io::stdin().lock(), &mut file)
            } else {
                File::open(&path).and_then(|mut pipe| io::copy(&mut pipe, &mut file))
            };
            copied.and_then(|_| file.flush()).with_context(failed)?;
            *path = file.path().to_path_buf();
            rereadable.copies.push((name, file));
        }
        // Ordering several logs opens them by path, so errors are found first, and reported with the right name.
        for (_, file) in &rereadable.copies {
            rereadable.open(&[file.path().to_path_buf()])?;
        }
        Ok(rereadable)
    }

    /// Opens logs under the names by which messages refer to them.
    fn open(&self, logs: &[PathBuf]) -> Result<Log> {
        let names: HashMap<_, _> = logs.iter().map(|path| (path.clone(), self.name_of(path))).collect();
        let name_of = move |path: &Path| names.get(path).cloned().unwrap_or_else(|| log::name(path));
        Ok(Log::open_all_named(logs, Box::new(name_of))?)
    }

    /// Returns the name of a log in messages.
    fn name_of(&self, path: &Path) -> String {
        let copy = self.copies.iter().find(|(_, file)| file.path() == path);
        copy.map_or_else(|| log::name(path), |(name, _)| name.clone())
    }

    /// Returns the error for logs of which nothing can be drawn.
    pub fn nothing_to_draw(&self, why: &str) -> Error {
        let names: Vec<_> = self.logs.iter().map(|path| self.name_of(path)).collect();
        anyhow!("{}: nothing to draw: {why}", names.join(", "))
    }

    /// Returns the number of files.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// Reads the logs, the oldest first, past damage.  Calls `use_item` with the
    /// number of the file of the previous item, the item, and the current columns of
    /// the log.
    ///
    /// # Errors
    /// Returns an error if a log cannot be opened.
    pub fn each(
        &self,
        purpose: Purpose,
        damage: &mut Damage,
        mut use_item: impl FnMut(usize, &Item<'_>, &LogColumns),
    ) -> Result<()> {
        let mut log = self.open(&self.logs)?;
        log = if purpose == Purpose::Plot { log.without_warnings() } else { log.warning() };
        if let Some(fields) = purpose.fields() {
            log = log.only(&Columns::named(&fields).map_err(|unknown| anyhow!("{unknown}"))?);
        }
        let mut file = log.file_number();
        loop {
            match log.next_with_columns() {
                Ok(Some((item, columns))) => use_item(file, &item, columns),
                Ok(None) => return Ok(()),
                Err(error) => damage.add(error.into()),
            }
            file = log.file_number();
        }
    }
}

/// Returns whether a log cannot be read twice, such as a pipe.
fn is_read_once(path: &Path) -> bool {
    path.as_os_str() == "-" || path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_needed_fields_are_known() {
        for purpose in [Purpose::Select, Purpose::Plot] {
            assert!(Columns::named(&purpose.fields().unwrap()).is_ok());
        }
    }

    #[test]
    fn the_first_error_is_reported_and_the_others_are_counted() {
        let mut damage = Damage::default();
        damage.add(anyhow!("x.csv: line 7: truncated"));
        damage.add(anyhow!("x.csv: line 9: truncated"));
        assert_eq!(damage.into_error().unwrap().to_string(), "x.csv: line 7: truncated; and 1 more error");
        assert!(Damage::default().into_error().is_none());
    }
}
