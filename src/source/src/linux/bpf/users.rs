// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The BPF program of `users.bpf.c`, and what it notes.

use std::os::linux::fs::MetadataExt;

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::BtfTracePoint;

use super::object::{load, load_failed, missing};
use crate::Error;
use crate::linux::layout::{Bytes, c_struct};
use crate::owners::User;

/// The compiled program.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/users.bpf.o"));

/// The inode number of the initial PID namespace, `PROC_PID_INIT_INO`.
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

c_struct! {
    /// `struct user` in `users.bpf.c`.
    Noted {
        pid: u32,
        command: [u8; 16],
    }
}

/// The loaded program.
pub struct Users {
    by_cookie: HashMap<MapData, u64, [u8; Noted::LEN]>,
    /// The program is detached when this is dropped.
    #[allow(dead_code, reason = "it owns what the kernel runs")]
    attached: Ebpf,
}

impl Users {
    /// Loads the program, which notes the connections of this network namespace.
    ///
    /// # Errors
    /// Returns the reason why it cannot be loaded.
    pub fn load() -> Result<Self, Error> {
        // The program sees the PIDs of this namespace.
        let namespace = std::fs::metadata("/proc/self/ns/pid").map_err(Error::Proc)?;
        if namespace.st_ino() != INITIAL_PID_NAMESPACE {
            return Err(missing("the initial PID namespace"));
        }
        let (mut loaded, btf) = load(OBJECT, |_| ())?;
        let used = loaded.program_mut("used").ok_or_else(|| missing("program used"))?;
        let used: &mut BtfTracePoint = used.try_into().map_err(load_failed)?;
        used.load("inet_sock_set_state", &btf).map_err(load_failed)?;
        used.attach().map_err(load_failed)?;
        let users = loaded.take_map("users").ok_or_else(|| missing("map users"))?;
        Ok(Self { by_cookie: users.try_into().map_err(load_failed)?, attached: loaded })
    }

    /// Returns the process that has opened or closed the connection with this cookie.
    pub fn get(&self, cookie: u64) -> Option<User> {
        let noted = self.by_cookie.get(&cookie, 0).ok()?;
        let noted = Bytes(&noted);
        Some(User { pid: noted.get(Noted::pid)?, command: noted.get(Noted::command)? })
    }
}
