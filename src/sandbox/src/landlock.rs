// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Landlock: rules for files, TCP and signals that no thread of the process can
//! loosen.  Landlock does not restrict netlink and local sockets.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use tcpstats_source::AnchoredPath;

use super::{Confinement, Daemon, Needs};

/// The latest version whose rules are known to suit the programs.
const SUPPORTED: ABI = ABI::V7;

/// Confines this thread and the threads that it starts.
pub fn confine(needs: &Needs<'_>) -> anyhow::Result<Confinement> {
    restrict(needs).map_err(cause)
}

fn restrict(needs: &Needs<'_>) -> Result<Confinement, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(SUPPORTED))?
        .handle_access(AccessNet::from_all(SUPPORTED))?
        .scope(Scope::from_all(SUPPORTED))?
        .create()?;
    for directory in needs.log.into_iter().flat_map(AnchoredPath::directories) {
        let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate;
        rules = rules.add_rule(PathBeneath::new(directory, rights))?;
    }
    for directory in needs.source.into_iter().flat_map(AnchoredPath::directories) {
        let rights = AccessFs::ReadFile | AccessFs::IoctlDev;
        rules = rules.add_rule(PathBeneath::new(directory, rights))?;
    }
    if let Some(Daemon::Tcp(port)) = needs.daemon {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::by("landlock"),
        RulesetStatus::PartiallyEnforced => Confinement::by("landlock, partially: this kernel lacks some rules"),
        RulesetStatus::NotEnforced => Confinement::lacking("Landlock"),
    })
}

/// Returns the error of the system, which the texts of the crate's errors repeat
/// with its number.
fn cause(error: RulesetError) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    let system = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(io::Error::raw_os_error);
    system.map_or(error, |number| io::Error::from_raw_os_error(number).into())
}
