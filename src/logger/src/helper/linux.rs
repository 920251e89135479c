// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Confining a helper on Linux: it keeps some capabilities, and seccomp(2) allows it only the
//! system calls that it needs.
//!
//! Landlock cannot be used: a process with Landlock rules can access only processes that have
//! these rules too, even with `CAP_SYS_PTRACE`, see `hook_ptrace_access_check()` in the kernel.

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::{set_keepcaps, set_name, set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::Helper;

/// What a helper may do.
pub struct Needs {
    /// The capabilities that it keeps, if the logger has them.
    pub capabilities: &'static [Capability],
    /// The system calls that it may make, in addition to those that every program makes.
    pub calls: Vec<(libc::c_long, Vec<Rule>)>,
}

/// A condition for a system call: the bits of this mask in the argument with this number must
/// have this value.
pub struct Rule {
    /// The number of the argument, from 0.
    pub argument: u8,
    /// The bits that are compared.
    pub mask: u64,
    /// Their value.
    pub value: u64,
}

/// The bits of open(2)'s flags with which something could be written or created.
const WRITING: libc::c_int = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY;

/// Returns the condition for openat(2) that a file is opened only for reading.
pub fn only_for_reading() -> Vec<Rule> {
    vec![Rule {
        argument: 2,
        mask: u64::from(WRITING.cast_unsigned()),
        value: u64::from(libc::O_RDONLY.cast_unsigned()),
    }]
}

/// Calls of the runtime: memory, time, descriptors, and the end of the process.
const ALWAYS: [libc::c_long; 23] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_write,
];

/// Confines this process.
pub fn confine(helper: &Helper<'_>) -> Result<()> {
    set_name(helper.name)?;
    keep_capabilities(helper).context("cannot drop capabilities")?;
    // Cleared by a change of the user.  If the logger has exited already, the socket pair is
    // at its end.
    set_pdeathsig(Signal::SIGKILL)?;
    if helper.sandbox {
        set_no_new_privs()?;
        apply_filter(&filter(helper)?).context("cannot confine it with seccomp (--no-sandbox disables this)")?;
    }
    Ok(())
}

/// Changes the user, and drops all capabilities except those that are needed.
fn keep_capabilities(helper: &Helper<'_>) -> Result<()> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet =
        helper.needs.capabilities.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    if permitted.contains(&Capability::CAP_SETPCAP) {
        caps::clear(None, CapSet::Bounding)?;
    }
    if let Some(identity) = helper.identity {
        set_keepcaps(true)?;
        identity.assume()?;
    }
    // Kernels without ambient capabilities have none to clear.
    _ = caps::clear(None, CapSet::Ambient);
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)?;
    Ok(())
}

/// Returns the program that selects system calls.  All others fail with EPERM.
fn filter(helper: &Helper<'_>) -> Result<BpfProgram> {
    let not_executable = |argument| vec![Rule { argument, mask: libc::PROT_EXEC as u64, value: 0 }];
    let memory = [(libc::SYS_mmap, not_executable(2)), (libc::SYS_mprotect, not_executable(2))];
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.into_iter().map(|call| (call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_poll, Vec::new());
    for (call, conditions) in memory.iter().chain(&helper.needs.calls) {
        let conditions = conditions.iter().map(|rule| {
            let compare = SeccompCmpOp::MaskedEq(rule.mask);
            SeccompCondition::new(rule.argument, SeccompCmpArgLen::Qword, compare, rule.value)
        });
        let conditions: Vec<_> = conditions.collect::<Result<_, _>>()?;
        let all = if conditions.is_empty() { Vec::new() } else { vec![SeccompRule::new(conditions)?] };
        rules.insert(*call, all);
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    Ok(SeccompFilter::new(rules, denied, SeccompAction::Allow, architecture)?.try_into()?)
}
