// SPDX-License-Identifier: BSD-2-Clause

//! Giving up root.
//!
//! The daemonize crate would do it without setting the supplementary groups,
//! so that root's would stay.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setuid};
use tcpstats_source::Sentence;

/// Who to run as.
pub struct Identity {
    text: String,
    name: CString,
    /// The user.
    pub uid: Uid,
    /// The user's group, or the one that was asked for.
    pub gid: Gid,
}

impl Identity {
    /// Looks up `user[:group]`, by names or numbers.
    ///
    /// # Errors
    /// A sentence: no such user or group, or this process is not root.
    pub fn find(text: &str) -> Result<Self, Sentence> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let said = |error: nix::Error| format!("-u \"{text}\": {}", error.desc());
        let found = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        };
        let Some(user) = found.map_err(said)? else {
            return Err(format!("-u \"{text}\": there is no user \"{user}\"; expected user or user:group"));
        };
        let gid = match group {
            None => user.gid,
            Some(group) => {
                let found = match group.parse() {
                    Ok(number) => Group::from_gid(Gid::from_raw(number)),
                    Err(_) => Group::from_name(group),
                };
                let nobody = || format!("-u \"{text}\": there is no group \"{group}\"; expected user or user:group");
                found.map_err(said)?.ok_or_else(nobody)?.gid
            }
        };
        if !Uid::effective().is_root() {
            return Err(format!("-u \"{text}\": only root can become another user"));
        }
        let name = CString::new(user.name).map_err(|error| format!("-u \"{text}\": {error}"))?;
        Ok(Self { text: text.into(), name, uid: user.uid, gid })
    }

    /// Becomes that user for good, with that user's groups only.
    ///
    /// # Errors
    /// A sentence with what the system said; the process must not go on.
    pub fn assume(&self) -> Result<(), Sentence> {
        let become_it = || -> nix::Result<()> {
            initgroups(&self.name, self.gid)?;
            setgid(self.gid)?;
            setuid(self.uid)
        };
        become_it().map_err(|error| format!("-u \"{}\": root cannot be given up: {}", self.text, error.desc()))?;
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(format!("-u \"{}\": root could be taken back after it was given up", self.text));
        }
        Ok(())
    }
}
