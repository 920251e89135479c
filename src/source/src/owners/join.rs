// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! A source whose records name the owners of their sockets.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use foldhash::HashMap;
use tcpstats::frame::flag;
use tcpstats::stream::{SnapshotBuffer, clear};
use tcpstats::{Field, Filter, Header, RecordBytes, RecordBytesMut, State, key};

use super::{Finder, Owner, Owners, Socket, User, is_needed};
use crate::{AnchoredPath, Error, FileId, Numbered, Sample, Source, Watcher, report};

/// Something that finds the owners of sockets, in this process or in another one.
pub trait FindOwners {
    /// Returns the owner of each of these sockets, in their order.
    ///
    /// # Errors
    /// Returns an error after which no owners can be found any more.
    fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error>;
}

impl FindOwners for Finder {
    fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
        Finder::find(self, sockets)
    }
}

/// The source.
///
/// A final record has the owner that its connection had in the last snapshot: its socket is no
/// longer open.  If there was none, it has the process that opened or closed the connection, if
/// the source knows.
pub struct WithOwners {
    source: Box<dyn Source + Send>,
    /// `None` after it has failed.
    finder: Option<Box<dyn FindOwners + Send>>,
    /// The filter, if the source cannot apply all of it.
    filter: Option<Filter>,
    /// The sockets of the last snapshot.
    sockets: Vec<Socket>,
    /// The owners that connections had last, and the last snapshot with the connection.
    last: HashMap<Numbered, (Arc<Owner>, u64)>,
    snapshots: u64,
    /// Connections that the filter no longer matches.
    gone: Vec<Numbered>,
    /// Connections that the source has reported as gone, and the last snapshot then.
    closed: Vec<(Numbered, u64)>,
    warning: Option<String>,
}

impl WithOwners {
    /// Finds owners for the records of a source, which was opened with
    /// [the part](Self::filter_of_source) of the filter that it can apply.
    #[must_use]
    pub fn new(source: Box<dyn Source + Send>, finder: Box<dyn FindOwners + Send>, filter: Option<&Filter>) -> Self {
        Self {
            source,
            finder: Some(finder),
            filter: filter.filter(|filter| filter.needs_owners()).cloned(),
            sockets: Vec::new(),
            last: HashMap::default(),
            snapshots: 0,
            gone: Vec::new(),
            closed: Vec::new(),
            warning: None,
        }
    }

    /// Returns the part of a filter that can be applied before the owners are known.
    #[must_use]
    pub fn filter_of_source(filter: &Filter) -> Option<Filter> {
        filter.without(Field::is_of_owner)
    }

    /// Finds the owners of the sockets of connections that exist.
    fn find(&mut self) -> Owners {
        let Some(finder) = &mut self.finder else {
            return Owners::default();
        };
        match finder.find(&self.sockets) {
            Ok(owners) => owners,
            Err(error) => {
                self.finder = None;
                self.warning = Some(format!("{}; continuing without owners", report(&error)));
                Owners::default()
            }
        }
    }

    /// Sets the owners in the records of a snapshot.
    fn join(&mut self, snapshot: &mut SnapshotBuffer) {
        let owners = self.find();
        let mut owners = owners.iter();
        for mut record in snapshot.records_mut() {
            let Some(id) = id_of(record.read()) else { continue };
            if is_final(record.read()) {
                if let Some((owner, _)) = self.last.remove(&id) {
                    set_owner(&mut record, &owner);
                } else if let Some(User { pid, command }) = self.source.user(id) {
                    record.set(key::pid, pid);
                    record.set(key::command, command);
                }
                continue;
            }
            match owners.next().filter(|owner| ***owner != Owner::default()) {
                Some(owner) => {
                    set_owner(&mut record, owner);
                    self.last.insert(id, (Arc::clone(owner), self.snapshots));
                }
                None => {
                    if let Some((_, snapshot)) = self.last.get_mut(&id) {
                        *snapshot = self.snapshots;
                    }
                }
            }
        }
    }

    /// Removes the records that the filter excludes, and returns the header for the others.
    fn exclude(&mut self, snapshot: &mut SnapshotBuffer) -> Header {
        let mut header = *snapshot.header();
        let Some(filter) = &self.filter else {
            return header;
        };
        let is_of_changes = header.flags & flag::CHANGED_ONLY != 0;
        let gone = &mut self.gone;
        snapshot.retain(|record| {
            if filter.matches(record) {
                return true;
            }
            if record.is_final() {
                header.ended = header.ended.saturating_sub(1);
                return false;
            }
            header.matched = header.matched.saturating_sub(1);
            let id = record.get(key::gencnt).map(|gencnt| Numbered { gencnt, vnet: record.get(key::vnet) });
            gone.extend(id.filter(|_| is_of_changes));
            false
        });
        header
    }
}

/// Returns the socket of a connection that exists, if it has a number.
fn socket_of(record: RecordBytes<'_>) -> Option<Socket> {
    let id = id_of(record).filter(|_| !is_final(record))?;
    Some(Socket { id, inode: record.get(key::inode), jid: record.get(key::jid) })
}

fn is_final(record: RecordBytes<'_>) -> bool {
    record.get(key::state) == Some(State::ENDED)
}

fn id_of(record: RecordBytes<'_>) -> Option<Numbered> {
    Some(Numbered { gencnt: record.get(key::gencnt)?, vnet: record.get(key::vnet) })
}

/// Sets the fields of the owner, which are absent in the records of the source.
fn set_owner(record: &mut RecordBytesMut<'_>, owner: &Owner) {
    if let Some(process) = &owner.process {
        record.set(key::pid, process.pid);
        record.set(key::processes, process.processes);
        record.set(key::command, process.command);
    }
    if let Some(container) = owner.container {
        record.set(key::container, container);
    }
    if let Some(jail) = owner.jail {
        record.set(key::jail, jail);
    }
}

impl Source for WithOwners {
    fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
        snapshot.make_room_to_join();
        let sampled = self.source.sample(snapshot)?;
        if sampled != Sample::Taken {
            return Ok(sampled);
        }
        self.snapshots += 1;
        clear(&mut self.sockets);
        self.sockets.extend(snapshot.record_bytes().filter_map(socket_of));
        self.join(snapshot);
        let header = self.exclude(snapshot);
        // The final record of a connection can be in the snapshot after the first that lacks it.
        if header.flags & flag::CHANGED_ONLY != 0 {
            for (id, at) in self.closed.extract_if(.., |(_, at)| *at + 1 < self.snapshots) {
                if self.last.get(&id).is_some_and(|(_, snapshot)| *snapshot <= at) {
                    self.last.remove(&id);
                }
            }
        } else {
            self.last.retain(|_, (_, snapshot)| *snapshot + 1 >= self.snapshots);
            self.gone.clear();
            self.closed.clear();
        }
        snapshot.finish(&header);
        Ok(Sample::Taken)
    }

    fn gone(&mut self) -> Vec<Numbered> {
        let mut gone = self.source.gone();
        self.closed.extend(gone.iter().map(|id| (*id, self.snapshots)));
        gone.append(&mut self.gone);
        gone
    }

    fn restart_changes(&mut self) {
        self.source.restart_changes();
    }

    fn want(&mut self, is_wanted: &dyn Fn(&Field) -> bool) {
        self.source.want(&|field| is_wanted(field) || is_needed(field));
    }

    fn start_ledger(&mut self) -> Result<bool, Error> {
        self.source.start_ledger()
    }

    fn comes_back(&self) -> bool {
        self.source.comes_back()
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.source.reopen()
    }

    fn reopen_path(&self) -> Option<&AnchoredPath> {
        self.source.reopen_path()
    }

    fn watcher(&mut self) -> Option<Watcher> {
        self.source.watcher()
    }

    fn connect(&mut self, watcher: OwnedFd) {
        self.source.connect(watcher);
    }

    fn warnings(&mut self) -> Vec<String> {
        let mut warnings = self.source.warnings();
        warnings.extend(self.warning.take());
        warnings
    }

    fn file(&self) -> Option<FileId> {
        self.source.file()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tcpstats::{Record, name};

    use super::super::Process;
    use super::*;

    /// A source of prepared snapshots: their flags and their records.  The first connection is gone
    /// after a snapshot of changes.
    struct Prepared(VecDeque<(u32, Vec<Record>)>, bool);

    impl Source for Prepared {
        fn sample(&mut self, snapshot: &mut SnapshotBuffer) -> Result<Sample, Error> {
            snapshot.clear();
            let Some((flags, records)) = self.0.pop_front() else {
                return Ok(Sample::End);
            };
            for record in &records {
                snapshot.push(record);
            }
            self.1 = flags & flag::CHANGED_ONLY != 0;
            let ended = records.iter().filter(|record| record.is_final()).count() as u64;
            let matched = snapshot.written() - ended;
            snapshot.finish(&Header { matched, ended, flags, ..Header::default() });
            Ok(Sample::Taken)
        }

        fn gone(&mut self) -> Vec<Numbered> {
            if self.1 { vec![Numbered { gencnt: 1, vnet: None }] } else { vec![] }
        }

        fn want(&mut self, _is_wanted: &dyn Fn(&Field) -> bool) {}

        fn user(&self, id: Numbered) -> Option<User> {
            (id.gencnt == 6).then_some(User { pid: 60, command: name(b"curl") })
        }

        fn start_ledger(&mut self) -> Result<bool, Error> {
            Ok(true)
        }

        fn comes_back(&self) -> bool {
            true
        }

        fn reopen(&mut self) -> Result<(), Error> {
            Ok(())
        }

        fn reopen_path(&self) -> Option<&AnchoredPath> {
            None
        }
    }

    /// Finds an owner for each socket: the process with the number of its inode.  Fails if
    /// there are none.
    struct ByInode;

    impl FindOwners for ByInode {
        fn find(&mut self, sockets: &[Socket]) -> Result<Owners, Error> {
            let process = |pid| Process { pid, command: name(b"nginx"), processes: 2 };
            let owner = |inode: Option<u32>| Owner { process: inode.map(process), ..Owner::default() };
            let inodes = sockets.iter().map(|socket| socket.inode);
            if sockets.is_empty() { Err(Error::OwnersGone) } else { Ok(Owners::collect(inodes, owner)) }
        }
    }

    fn record(gencnt: u64, inode: Option<u32>) -> Record {
        let mut record = Record::new();
        record.set(key::gencnt, gencnt);
        record.set_if(key::inode, inode);
        record
    }

    fn ended(gencnt: u64) -> Record {
        let mut record = record(gencnt, None);
        record.set(key::state, State::ENDED);
        record
    }

    /// The number and the pid of a record, and whether it is final.
    type Found = (u64, Option<u32>, bool);

    /// Returns the records of the next snapshot, and the numbers of matching and of ended
    /// connections.
    fn next(source: &mut WithOwners) -> (Vec<Found>, u64, u64) {
        let mut snapshot = SnapshotBuffer::new();
        assert_eq!(source.sample(&mut snapshot).unwrap(), Sample::Taken);
        let found = snapshot
            .records()
            .map(|record| (record.get(key::gencnt).unwrap(), record.get(key::pid), record.is_final()))
            .collect();
        (found, snapshot.header().matched, snapshot.header().ended)
    }

    fn source(filter: Option<&str>, snapshots: Vec<(u32, Vec<Record>)>) -> WithOwners {
        let filter = filter.map(|text| Filter::parse(text).unwrap());
        WithOwners::new(Box::new(Prepared(snapshots.into(), false)), Box::new(ByInode), filter.as_ref())
    }

    #[test]
    fn records_have_the_owners_of_their_sockets_and_final_records_the_last_ones() {
        let mut source = source(
            None,
            vec![
                (0, vec![record(1, Some(10)), record(2, Some(20)), record(3, None)]),
                // The process has closed the first, and the second has ended.
                (0, vec![record(1, None), ended(2), ended(3)]),
                // The final record of the first is late, nobody has seen the fourth, and the source
                // has noted a user of the sixth.
                (0, vec![record(5, Some(50))]),
                (0, vec![record(5, Some(50)), ended(1), ended(4), ended(6)]),
                (0, vec![ended(5)]),
            ],
        );
        assert_eq!(next(&mut source).0, [(1, Some(10), false), (2, Some(20), false), (3, None, false)]);
        assert_eq!(next(&mut source).0, [(1, None, false), (2, Some(20), true), (3, None, true)]);
        assert_eq!(next(&mut source).0, [(5, Some(50), false)]);
        let late = [(5, Some(50), false), (1, Some(10), true), (4, None, true), (6, Some(60), true)];
        assert_eq!(next(&mut source).0, late);
        // The finder has nothing to find here, and fails.
        assert_eq!(next(&mut source).0, [(5, Some(50), true)]);
    }

    #[test]
    fn the_owner_of_a_connection_that_is_gone_without_a_final_record_is_forgotten() {
        let changes = |records| (flag::CHANGED_ONLY, records);
        let mut source = source(
            None,
            vec![
                (0, vec![record(1, Some(10)), record(2, Some(20))]),
                changes(vec![record(2, Some(20))]),
                // Its final record may be late.
                changes(vec![record(2, Some(20))]),
                changes(vec![record(2, Some(20))]),
                changes(vec![ended(1), ended(2)]),
            ],
        );
        let remembered: Vec<_> = (0..4)
            .map(|_| {
                next(&mut source);
                assert!(source.gone().len() <= 1);
                source.last.len()
            })
            .collect();
        assert_eq!(remembered, [2, 2, 2, 1]);
        assert_eq!(next(&mut source).0, [(1, None, true), (2, Some(20), true)]);
    }

    #[test]
    fn a_filter_is_applied_with_owners() {
        let all = || vec![record(1, Some(10)), record(2, Some(20)), ended(3)];
        let mut complete = source(Some("pid 10"), vec![(0, all())]);
        assert_eq!(next(&mut complete), (vec![(1, Some(10), false)], 1, 0));
        assert!(complete.gone().is_empty());
        let mut source = source(Some("command nginx and not pid 10"), vec![(0, all()), (flag::CHANGED_ONLY, all())]);
        assert_eq!(next(&mut source), (vec![(2, Some(20), false)], 1, 0));
        assert_eq!(next(&mut source), (vec![(2, Some(20), false)], 1, 0));
        assert_eq!(source.gone(), [Numbered { gencnt: 1, vnet: None }; 2], "of the source, and of the filter");
    }

    #[test]
    fn without_the_finder_the_source_continues_without_owners() {
        let mut source =
            source(None, vec![(0, vec![record(1, Some(10))]), (0, vec![]), (0, vec![record(1, Some(10))])]);
        assert_eq!(next(&mut source).0, [(1, Some(10), false)]);
        assert_eq!(next(&mut source).0, []);
        assert_eq!(next(&mut source).0, [(1, None, false)]);
        let warning = "the process that finds the owners of connections has exited; continuing without owners";
        assert_eq!((source.warnings(), source.warnings()), (vec![warning.to_owned()], vec![]));
    }
}
