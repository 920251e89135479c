// SPDX-License-Identifier: BSD-2-Clause

//! Landlock: rules for files, TCP and signals that no thread of the process can
//! loosen.  Netlink and local sockets are not among what it knows.

use landlock::{
    ABI, Access, AccessFs, AccessNet, NetPort, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use tcpstats_source::Place;

use super::{Confinement, Needs};

/// The version whose rules are known here to be right for this program.
const KNOWN: ABI = ABI::V7;

/// Confines this thread and those that it starts.
pub fn confine(needs: &Needs<'_>) -> Result<Confinement, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    for directory in needs.log.into_iter().flat_map(Place::directories) {
        let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::Truncate;
        rules = rules.add_rule(PathBeneath::new(directory, rights))?;
    }
    for directory in needs.source.into_iter().flat_map(Place::directories) {
        let rights = AccessFs::ReadFile | AccessFs::IoctlDev;
        rules = rules.add_rule(PathBeneath::new(directory, rights))?;
    }
    if let Some(port) = needs.syslog.and_then(crate::syslog::Target::tcp_port) {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::by("landlock"),
        RulesetStatus::PartiallyEnforced => Confinement::by("landlock, as far as this kernel has it"),
        RulesetStatus::NotEnforced => {
            log::warn!("this kernel has no Landlock: the logger runs without a sandbox");
            Confinement::none("none: this kernel has no Landlock")
        }
    })
}
