// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The owners of connections, by which a summary can group them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use tcpstats::{Field, Record, key};

use super::args::By;
use crate::shown::process_name;
use crate::units;

/// What `--by` groups connections by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The name of the process, the container, the jail or the network namespace.
    pub name: Option<String>,
    /// The ID of the process.
    pub pid: Option<u32>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&process_name(self.name.clone(), self.pid).unwrap_or_default())
    }
}

/// The number of an owner in [`Owners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerId(u32);

/// The owners in a log.  Connections refer to them by their numbers, because most have few
/// owners in common.
#[derive(Default)]
pub struct Owners {
    /// The field of their names, or `None` if connections are not grouped by owner.
    field: Option<&'static Field>,
    numbers: HashMap<Owner, OwnerId>,
    by_number: Vec<Rc<Owner>>,
}

impl By {
    /// Returns the field of the names of owners.
    pub fn owner_field(self) -> Option<&'static Field> {
        match self {
            Self::Process => Some(key::command.field()),
            Self::Container => Some(key::container.field()),
            Self::Jail => Some(key::jail.field()),
            Self::Netns => Some(key::netns.field()),
            Self::Connection | Self::Prefix | Self::Port => None,
        }
    }
}

impl Owners {
    /// Returns an empty list of the owners that connections are grouped by.
    pub fn new(by: By) -> Self {
        Self { field: by.owner_field(), ..Self::default() }
    }

    /// Returns the owner in a record, or `None` if it is absent.
    pub fn of(&mut self, record: &Record) -> Option<OwnerId> {
        let field = self.field?;
        let is_process = field.index == key::command.field().index;
        let pid = record.get(key::pid).filter(|_| is_process);
        let name = units::exact(record, field);
        if name.is_none() && pid.is_none() {
            return None;
        }
        Some(match self.numbers.entry(Owner { name, pid }) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let id = OwnerId(u32::try_from(self.by_number.len()).ok()?);
                self.by_number.push(Rc::new(new.key().clone()));
                *new.insert(id)
            }
        })
    }

    /// Returns the owner with this number.
    pub fn get(&self, OwnerId(number): OwnerId) -> Option<Rc<Owner>> {
        self.by_number.get(usize::try_from(number).ok()?).cloned()
    }
}
