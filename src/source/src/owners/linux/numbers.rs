// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Maps whose keys are numbers that the kernel allocates.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by the number of a process or a socket.  Nobody can choose these numbers to make many
/// of them collide, so the standard library's hash function, which prevents that, is not needed.
pub type NumberMap<V> = HashMap<u32, V, BuildHasherDefault<NumberHasher>>;

/// Hashes one number.
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte) ^ (self.0 >> 32) as u32);
        }
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio distributes consecutive numbers evenly.
        self.0 = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The map uses the lowest and the highest bits.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
