// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The helper that finds the processes that have sockets open.

use super::Needs;

/// Returns what the helper may do: read /proc, of which it has a descriptor.
#[cfg(target_os = "linux")]
pub fn needs() -> Needs {
    use caps::Capability;

    use super::confine::only_for_reading;
    Needs {
        // To see the descriptors of processes of other users.
        capabilities: &[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH],
        calls: vec![
            (libc::SYS_openat, only_for_reading()),
            (libc::SYS_getdents64, Vec::new()),
            (libc::SYS_kcmp, Vec::new()),
            (libc::SYS_newfstatat, Vec::new()),
            (libc::SYS_readlinkat, Vec::new()),
            (libc::SYS_statx, Vec::new()),
        ],
    }
}

/// Returns what the helper may do: call `sysctl`(3) and `jail_get`(2), which need no descriptors.
#[cfg(target_os = "freebsd")]
pub fn needs() -> Needs {
    use nix::sys::resource::Resource;

    Needs { limits: &[Resource::RLIMIT_NOFILE, Resource::RLIMIT_FSIZE, Resource::RLIMIT_NPROC] }
}
