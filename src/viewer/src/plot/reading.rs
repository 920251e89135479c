// SPDX-License-Identifier: BSD-2-Clause

//! Logs as they are read for a picture: more than once, and past what is
//! damaged.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tcpstats::Columns;
use tcpstats_source::Sentence;
use tempfile::NamedTempFile;

use crate::log::{Item, Log, said};

/// What pictures are made of.
const DRAWN: &str = "vnet,gencnt,jid,laddr,lport,faddr,fport,state,cc,stack,snd_cwnd,snd_ssthresh,snd_wnd,inflight,\
    srtt,rttvar,acked_bytes,snd_una,sent_bytes,received_bytes,rcv_nxt,rexmit_packs";

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

/// The fields that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Every one.
    All,
    /// What pictures are made of.
    Drawn,
}

/// Lends every item of a log, past what is damaged.
///
/// # Errors
/// A sentence: the log cannot be opened.
pub fn each(path: &Path, fields: Fields, damage: &mut Damage, mut lend: impl FnMut(&Item<'_>)) -> Result<(), Sentence> {
    let mut log = Log::open(path)?;
    if fields == Fields::Drawn {
        log = log.only(&Columns::named(DRAWN).map_err(|unknown| unknown.to_string())?);
    }
    loop {
        match log.next() {
            Ok(Some(item)) => lend(&item),
            Ok(None) => return Ok(()),
            Err(what) => damage.add(what),
        }
    }
}

/// Logs that can be read more than once: standard input is put into a file,
/// which goes when this goes.
pub struct Again {
    /// Where they are.
    pub logs: Vec<PathBuf>,
    file: Option<NamedTempFile>,
}

impl Again {
    /// Puts standard input aside, where it is among the logs.
    ///
    /// # Errors
    /// A sentence: it cannot be read, or put aside.
    pub fn of(logs: &[PathBuf]) -> Result<Self, Sentence> {
        let mut again = Self { logs: logs.to_vec(), file: None };
        for path in again.logs.iter_mut().filter(|path| path.as_os_str() == "-") {
            let failed = |error: io::Error| format!("standard input cannot be put into a file: {}", said(&error));
            let mut file = NamedTempFile::new().map_err(failed)?;
            io::copy(&mut io::stdin().lock(), &mut file).and_then(|_| file.flush()).map_err(failed)?;
            *path = file.path().to_path_buf();
            again.file = Some(file);
        }
        Ok(again)
    }

    /// A sentence about the logs, with their names as they were given.
    pub fn named(&self, sentence: &str) -> Sentence {
        match &self.file {
            Some(file) => sentence.replace(&file.path().display().to_string(), "standard input"),
            None => sentence.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pictures_are_made_of_are_fields() {
        assert!(Columns::named(DRAWN).is_ok());
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
