// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Columns of connections that the user chooses: fields, and the process, which several
//! fields describe.

use tcpstats::{Columns, Field, FieldSet, Record, UnknownColumn, key};

use crate::table::Align;
use crate::units;

/// A column that the user can choose.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// A field.
    Field(&'static Field),
    /// The process that has the socket open, as in `nginx/812`.
    Process,
}

/// The name of [`Shown::Process`].
pub const PROCESS: &str = "process";

/// The fields of [`Shown::Process`].
pub const PROCESS_FIELDS: &str = "pid,processes,command";

impl Shown {
    /// Parses `basic`, `all`, or comma-separated names of columns, of which the first can be
    /// `basic`.
    ///
    /// # Errors
    /// Returns the first name that is unknown or repeated.
    pub fn parse(list: &str) -> Result<Vec<Self>, UnknownColumn<'_>> {
        if let "basic" | "all" = list {
            return Ok(Columns::parse(list)?.fields().map(Self::Field).collect());
        }
        let (mut columns, names) = match list.strip_prefix("basic,") {
            Some(names) => (Self::parse("basic")?, names),
            None => (Vec::new(), list),
        };
        for name in names.split(',') {
            if columns.iter().any(|column| column.name() == name) {
                return Err(UnknownColumn { name, repeated: true });
            }
            columns.push(match Field::by_name(name) {
                Some(field) => Self::Field(field),
                None if name == PROCESS => Self::Process,
                None => return Err(UnknownColumn { name, repeated: false }),
            });
        }
        Ok(columns)
    }

    /// Returns the fields of these columns, each once.
    pub fn fields(columns: &[Self]) -> Columns {
        let mut seen = FieldSet::EMPTY;
        let mut names = Vec::new();
        let process = PROCESS_FIELDS.split(',').filter_map(Field::by_name);
        for column in columns {
            let field = if let Self::Field(field) = column { Some(*field) } else { None };
            let of_process = process.clone().filter(|_| field.is_none());
            for field in field.into_iter().chain(of_process) {
                if !seen.has(field) {
                    seen.insert(field);
                    names.push(field.name);
                }
            }
        }
        Columns::named(&names.join(",")).unwrap_or_else(|_| Columns::all())
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name,
            Self::Process => PROCESS,
        }
    }

    /// Returns the alignment.
    pub fn align(self) -> Align {
        match self {
            Self::Field(field) if !field.kind.is_text() => Align::Right,
            _ => Align::Left,
        }
    }

    /// Returns whether a record has a value.
    pub fn is_in(self, record: &Record) -> bool {
        match self {
            Self::Field(field) => record.has(field),
            Self::Process => has_process(record),
        }
    }

    /// Returns the value as in a log, or `None` if it is absent.
    pub fn exact(self, record: &Record) -> Option<String> {
        match self {
            Self::Field(field) => units::exact(record, field),
            Self::Process => process(record),
        }
    }

    /// Returns the value with its unit, or `None` if it is absent.
    pub fn readable(self, record: &Record) -> Option<String> {
        match self {
            Self::Field(field) => units::readable(record, field),
            Self::Process => process(record),
        }
    }
}

/// Returns whether a record has a process.
pub fn has_process(record: &Record) -> bool {
    record.has(key::pid.field()) || record.has(key::command.field())
}

/// Returns the process that has the socket of a record open, and how many others have it open:
/// `nginx/812` or `nginx/812+2`.
pub fn process(record: &Record) -> Option<String> {
    let name = process_name(units::exact(record, key::command.field()), record.get(key::pid))?;
    let others = record.get(key::processes).and_then(|processes| processes.checked_sub(1)).filter(|others| *others > 0);
    Some(name + &others.map(|others| format!("+{others}")).unwrap_or_default())
}

/// Returns the name of a process, of which only a part may be known.
pub fn process_name(command: Option<String>, pid: Option<u32>) -> Option<String> {
    match (command, pid) {
        (Some(command), Some(pid)) => Some(format!("{command}/{pid}")),
        (command, pid) => command.or_else(|| pid.map(|pid| pid.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use tcpstats::name;

    use super::*;

    #[test]
    fn a_process_is_shown_as_far_as_it_is_known() {
        let mut record = Record::new();
        assert!(process(&record).is_none() && !has_process(&record));
        record.set(key::pid, 812);
        assert_eq!(process(&record).as_deref(), Some("812"));
        record.set(key::command, name(b"nginx"));
        record.set(key::processes, 1);
        assert_eq!(process(&record).as_deref(), Some("nginx/812"));
        record.set(key::processes, 3);
        assert_eq!(process(&record).as_deref(), Some("nginx/812+2"));
        record.set_if::<u32>(key::pid, None);
        assert_eq!(process(&record).as_deref(), Some("nginx+2"));
    }

    #[test]
    fn a_list_of_columns_can_contain_the_process() {
        let columns = Shown::parse("lport,process,jail,pid").unwrap();
        assert_eq!(columns.iter().map(|column| column.name()).collect::<Vec<_>>(), ["lport", "process", "jail", "pid"]);
        let fields = Shown::fields(&columns);
        let names: Vec<_> = fields.fields().map(|field| field.name).collect();
        assert_eq!(names, ["lport", "pid", "processes", "command", "jail"]);
        assert_eq!(Shown::parse("all").unwrap().len(), Columns::all().len());
        for (list, name, repeated) in [("process,process", "process", true), ("lport,processs", "processs", false)] {
            assert_eq!(Shown::parse(list).unwrap_err(), UnknownColumn { name, repeated });
        }
    }
}
