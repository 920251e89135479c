// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The owners of the sockets of a snapshot, most of which have the same ones.

use std::hash::Hash;
use std::sync::Arc;

use foldhash::HashMap;

use super::Owner;

/// The owners of sockets, in the order of the sockets.  An owner of several sockets is stored once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// The different owners.
    pub(super) different: Vec<Arc<Owner>>,
    /// The position of the owner of each socket among them.
    pub(super) places: Vec<u32>,
}

impl Owners {
    /// Returns the owner of each socket.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Owner>> {
        self.places.iter().filter_map(|place| self.different.get(*place as usize))
    }

    /// Collects the owners of sockets.  Owners with the same key are the same; `owner` is called
    /// once for each key.
    pub(super) fn collect<K: Copy + Eq + Hash>(keys: impl Iterator<Item = K>, owner: impl Fn(K) -> Owner) -> Self {
        let mut owners = Self { different: Vec::new(), places: Vec::with_capacity(keys.size_hint().0) };
        let mut place_of = HashMap::<K, u32>::default();
        // Successive sockets often have the same owner.
        let mut latest = None;
        for key in keys {
            let place = match latest {
                Some((known, place)) if known == key => place,
                _ => *place_of.entry(key).or_insert_with(|| {
                    owners.different.push(Arc::new(owner(key)));
                    u32::try_from(owners.different.len() - 1).unwrap_or(u32::MAX)
                }),
            };
            latest = Some((key, place));
            owners.places.push(place);
        }
        owners
    }
}
