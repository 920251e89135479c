// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Dropping privileges.
//!
//! The daemonize crate can drop those of root too, but keeps the supplementary groups of
//! root.

use std::ffi::CString;

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setuid};

/// The user to run as.
pub struct Identity {
    text: String,
    name: CString,
    /// The user's ID.
    pub uid: Uid,
    /// The ID of the user's group, or of the requested group.
    pub gid: Gid,
}

impl Identity {
    /// Looks up `user[:group]`, which are names or numbers.
    ///
    /// # Errors
    /// Returns an error if there is no such user or group, or if this process is
    /// not run by root.
    pub fn find(text: &str) -> Result<Self> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let about = || format!("-u \"{text}\"");
        let found = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        };
        let Some(user) = found.with_context(about)? else {
            bail!("-u \"{text}\": unknown user \"{user}\"; expected user or user:group");
        };
        let gid = match group {
            None => user.gid,
            Some(group) => {
                let found = match group.parse() {
                    Ok(number) => Group::from_gid(Gid::from_raw(number)),
                    Err(_) => Group::from_name(group),
                };
                match found.with_context(about)? {
                    Some(group) => group.gid,
                    None => bail!("-u \"{text}\": unknown group \"{group}\"; expected user or user:group"),
                }
            }
        };
        if !Uid::effective().is_root() {
            bail!("-u \"{text}\": only root can switch to another user");
        }
        let name = CString::new(user.name).with_context(about)?;
        Ok(Self { text: text.into(), name, uid: user.uid, gid })
    }

    /// Switches to the user permanently, with only the user's groups.
    ///
    /// # Errors
    /// Returns the error of the system; then the process must exit.
    pub fn assume(&self) -> Result<()> {
        let switch = || -> nix::Result<()> {
            initgroups(&self.name, self.gid)?;
            setgid(self.gid)?;
            setuid(self.uid)
        };
        switch().with_context(|| format!("-u \"{}\": cannot drop root privileges", self.text))?;
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            bail!("-u \"{}\": root privileges could be regained after they were dropped", self.text);
        }
        Ok(())
    }
}

/// Drops the capabilities that are needed only to open the source: for loading BPF programs
/// and, if helper processes enter network namespaces or find owners, those that they keep.
///
/// # Errors
/// Returns the error of the system; then the process must exit.
#[cfg(target_os = "linux")]
pub fn drop_capabilities(has_helper: bool) -> Result<()> {
    use caps::{CapSet, Capability, drop, has_cap};
    let mut needless = vec![Capability::CAP_BPF, Capability::CAP_PERFMON];
    if has_helper {
        needless.extend([Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
    }
    for capability in needless {
        for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
            let dropped =
                has_cap(None, set, capability).and_then(|has| if has { drop(None, set, capability) } else { Ok(()) });
            dropped.with_context(|| format!("cannot drop {capability}"))?;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "only Linux has capabilities")]
pub fn drop_capabilities(_has_helper: bool) -> Result<()> {
    Ok(())
}
