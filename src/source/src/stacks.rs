// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The network stacks whose connections are in a snapshot.

use crate::Error;

/// The value of `--netns` that selects all network namespaces.
const ALL: &str = "all";

/// The network stacks whose connections are in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stacks {
    /// That of this process, on FreeBSD subject to its jail.
    #[default]
    Own,
    /// Linux: those of all network namespaces.
    AllNetns,
    /// Linux: those of these network namespaces, by names in `/run/netns` or inode numbers.
    Netns(Vec<String>),
    /// FreeBSD: all virtual network stacks.
    AllVnets,
}

impl Stacks {
    /// Returns the stacks that the options `--netns` and `--all-vnets` select.
    ///
    /// # Errors
    /// Returns an error if the system does not have the stacks, or if the list has an empty
    /// name.
    pub fn of_options(netns: Option<&str>, all_vnets: bool) -> Result<Self, Error> {
        if all_vnets && cfg!(target_os = "linux") {
            return Err(Error::AllVnetsFreebsdOnly);
        }
        match netns {
            Some(_) if !cfg!(target_os = "linux") => Err(Error::NetnsLinuxOnly),
            Some(ALL) => Ok(Self::AllNetns),
            Some(list) if list.split(',').any(str::is_empty) => Err(Error::NetnsList { given: list.into() }),
            Some(list) => Ok(Self::Netns(list.split(',').map(Into::into).collect())),
            None if all_vnets => Ok(Self::AllVnets),
            None => Ok(Self::Own),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_options_select_stacks_or_are_refused() {
        let of = |netns, all_vnets| Stacks::of_options(netns, all_vnets).map_err(|error| error.to_string());
        assert_eq!(of(None, false), Ok(Stacks::Own));
        assert_eq!(of(Some("all"), false), Ok(Stacks::AllNetns));
        assert_eq!(of(Some("blue,4026531840"), false), Ok(Stacks::Netns(vec!["blue".into(), "4026531840".into()])));
        let list = "--netns \"blue,\": expected all, or a comma-separated list of network namespaces";
        assert_eq!(of(Some("blue,"), false), Err(list.into()));
        assert!(of(Some(""), false).is_err());
        assert_eq!(of(None, true), Err("--all-vnets: available on FreeBSD only; use --netns all".into()));
    }
}
