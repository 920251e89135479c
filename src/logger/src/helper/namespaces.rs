// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The helper that enters network namespaces.

use caps::Capability;

use super::confine::only_for_reading;
use super::{Needs, Rule};

/// Returns what the helper may do: list directories, enter network namespaces, and open
/// netlink sockets of `sock_diag`(7).
pub fn needs() -> Needs {
    let is = |argument, value: libc::c_int| Rule { argument, mask: u64::from(u32::MAX), value: bits(value) };
    Needs {
        capabilities: &[
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_SYS_PTRACE,
            // For the buffers of sockets, and the field mark: the new namespaces must not have
            // less than those that were opened at the start.
            Capability::CAP_NET_ADMIN,
        ],
        calls: vec![
            (libc::SYS_openat, only_for_reading()),
            (libc::SYS_getdents64, Vec::new()),
            (libc::SYS_newfstatat, Vec::new()),
            (libc::SYS_statx, Vec::new()),
            (libc::SYS_setns, vec![is(1, libc::CLONE_NEWNET)]),
            (libc::SYS_socket, vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_SOCK_DIAG)]),
            (libc::SYS_bind, Vec::new()),
            (libc::SYS_setsockopt, Vec::new()),
            (libc::SYS_getsockopt, Vec::new()),
            (libc::SYS_recvfrom, Vec::new()),
            (libc::SYS_sendmsg, Vec::new()),
        ],
    }
}

/// Returns the bits of an argument.
fn bits(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}
