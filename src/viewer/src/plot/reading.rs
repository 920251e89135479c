// SPDX-License-Identifier: BSD-2-Clause

//! Logs as they are read for a picture: more than once, and past what is
//! damaged.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tcpstats::Columns;
use tcpstats_log::{LogColumns, Monotone};
use tcpstats_source::{Sentence, report};
use tempfile::NamedTempFile;

use crate::log::{self, Item, Log, said};

/// What connections are told apart by, and their bytes.
const COMMON: &str =
    "vnet,zone,gencnt,jid,laddr,lport,faddr,fport,state,acked_bytes,snd_una,sent_bytes,received_bytes,rcv_nxt";

/// What else connections are chosen by.
const CHOSEN: &str = "snd_cwnd,inflight,srtt";

/// What else pictures are made of.
const DRAWN: &str = "cc,stack,snd_cwnd,snd_ssthresh,snd_wnd,inflight,srtt,rttvar,rexmit_packs";

/// What of logs cannot be read.
#[derive(Debug, Default)]
pub struct Damage {
    first: Option<Sentence>,
    more: u64,
}

impl Damage {
    fn add(&mut self, what: Sentence) {
        if self.first.is_none() {
            self.first = Some(what);
        } else {
            self.more += 1;
        }
    }

    /// Tells it, if there is any.
    pub fn told(self) -> Option<Sentence> {
        let more = match self.more {
            0 => String::new(),
            1 => "; and 1 more place cannot be read".to_owned(),
            more => format!("; and {more} more places cannot be read"),
        };
        self.first.map(|first| first + &more)
    }
}

/// What the logs are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Which connections to draw, by a filter that may need any field.
    Filter,
    /// Which connections to draw.
    Choose,
    /// What to draw of them, which reports nothing again.
    Draw,
}

impl Reading {
    /// The fields that it needs; `None` for all.
    fn fields(self) -> Option<String> {
        match self {
            Self::Filter => None,
            Self::Choose => Some(format!("{COMMON},{CHOSEN},{}", Monotone::FIELDS)),
            Self::Draw => Some(format!("{COMMON},{DRAWN}")),
        }
    }
}

/// Logs that can be read more than once: what cannot, such as standard input, is
/// put into a file, which goes when this goes.
pub struct Again {
    logs: Vec<PathBuf>,
    /// What was put into files, by the name that it was given.
    files: Vec<(String, NamedTempFile)>,
}

impl Again {
    /// Puts aside what cannot be read twice.
    ///
    /// # Errors
    /// A sentence: it cannot be read, or put aside.
    pub fn of(logs: &[PathBuf]) -> Result<Self, Sentence> {
        let mut again = Self { logs: logs.to_vec(), files: Vec::new() };
        for path in again.logs.iter_mut().filter(|path| is_read_once(path)) {
            let name = log::name(path);
            let failed = |error: io::Error| format!("{name} cannot be put into a file: {}", said(&error));
            let mut file = NamedTempFile::new().map_err(failed)?;
            let copied = if path.as_os_str() == "-" {
                io::copy(&mut io::stdin().lock(), &mut file)
            } else {
                File::open(&path).and_then(|mut pipe| io::copy(&mut pipe, &mut file))
            };
            copied.and_then(|_| file.flush()).map_err(failed)?;
            *path = file.path().to_path_buf();
            again.files.push((name, file));
        }
        Ok(again)
    }

    /// A sentence about the logs, with their names as they were given.
    pub fn named(&self, sentence: &str) -> Sentence {
        let replace = |sentence: String, (name, file): &(String, NamedTempFile)| {
            sentence.replace(&file.path().display().to_string(), name)
        };
        self.files.iter().fold(sentence.to_owned(), replace)
    }

    /// A sentence for that there is nothing to draw.
    pub fn nothing(&self, why: &str) -> Sentence {
        let names: Vec<_> = self.logs.iter().map(|path| path.display().to_string()).collect();
        format!("{}: nothing to draw: {why}", names.join(", "))
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// Reads the logs, the oldest first, past what is damaged; lends every item
    /// with the columns that the log has there, and the number of the file in
    /// which the item before it is.
    ///
    /// # Errors
    /// A sentence: a log cannot be opened.
    pub fn each(
        &self,
        reading: Reading,
        damage: &mut Damage,
        mut lend: impl FnMut(usize, &Item<'_>, &LogColumns),
    ) -> Result<(), Sentence> {
        let names: Vec<_> = self.files.iter().map(|(name, file)| (file.path().to_path_buf(), name.clone())).collect();
        let name_of = move |path: &Path| {
            let given = names.iter().find(|(file, _)| file == path);
            given.map_or_else(|| log::name(path), |(_, name)| name.clone())
        };
        let mut log = Log::open_all_named(&self.logs, Box::new(name_of)).map_err(|error| report(&error))?;
        log = if reading == Reading::Draw { log.without_warnings() } else { log.warning() };
        if let Some(fields) = reading.fields() {
            log = log.only(&Columns::named(&fields).map_err(|unknown| unknown.to_string())?);
        }
        let mut file = log.file_number();
        loop {
            match log.next_with_columns() {
                Ok(Some((item, columns))) => lend(file, &item, columns),
                Ok(None) => return Ok(()),
                Err(error) => damage.add(report(&error)),
            }
            file = log.file_number();
        }
    }
}

/// Whether it is a pipe, or another thing that is gone when it was read.
fn is_read_once(path: &Path) -> bool {
    path.as_os_str() == "-" || path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pictures_are_made_of_are_fields() {
        for reading in [Reading::Choose, Reading::Draw] {
            assert!(Columns::named(&reading.fields().unwrap()).is_ok());
        }
    }

    #[test]
    fn the_first_damage_is_told_and_the_rest_counted() {
        let mut damage = Damage::default();
        damage.add("x.csv: line 7 is torn".to_owned());
        damage.add("x.csv: line 9 is torn".to_owned());
        assert_eq!(damage.told().unwrap(), "x.csv: line 7 is torn; and 1 more place cannot be read");
        assert_eq!(Damage::default().told(), None);
    }
}
