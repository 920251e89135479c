// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Functions of the host for the fake kernel.

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::io::Write;
use std::ptr::null_mut;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum time that a thread waits for a change.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A recursive lock that its owner can release while waiting.
struct Monitor {
    owner: Mutex<Owner>,
    free: Condvar,
    change: Condvar,
}

struct Owner {
    /// Thread ID, 0 if there is no owner.
    thread: c_int,
    depth: u32,
    /// Number of threads that wait for the lock.  Waking none would cost a system call.
    blocked: u32,
    /// Number of threads that wait for a change.
    waiting: u32,
}

static MONITOR: Monitor = Monitor {
    owner: Mutex::new(Owner { thread: 0, depth: 0, blocked: 0, waiting: 0 }),
    free: Condvar::new(),
    change: Condvar::new(),
};

fn this_thread() -> c_int {
    thread_local!(static ID: c_int = {
        // SAFETY: gettid(2) has no arguments.
        unsafe { libc::gettid() }
    });
    ID.with(|id| *id)
}

fn owner() -> MutexGuard<'static, Owner> {
    MONITOR.owner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn acquire(mut owner: MutexGuard<'_, Owner>, depth: u32) {
    let me = this_thread();
    while owner.thread != 0 && owner.thread != me {
        owner.blocked += 1;
        owner = MONITOR.free.wait(owner).unwrap_or_else(PoisonError::into_inner);
        owner.blocked -= 1;
    }
    owner.thread = me;
    owner.depth += depth;
}

fn release(owner: &mut Owner) {
    (owner.thread, owner.depth) = (0, 0);
    if owner.blocked > 0 {
        MONITOR.free.notify_one();
    }
}

#[unsafe(no_mangle)]
extern "C" fn host_enter() {
    acquire(owner(), 1);
}

#[unsafe(no_mangle)]
extern "C" fn host_leave() {
    let mut owner = owner();
    assert_eq!(owner.thread, this_thread(), "only the owner can leave the monitor");
    owner.depth -= 1;
    if owner.depth == 0 {
        release(&mut owner);
    }
}

#[unsafe(no_mangle)]
extern "C" fn host_wait() -> c_int {
    let mut owner = owner();
    assert_eq!(owner.thread, this_thread(), "only the owner of the monitor can wait");
    let depth = owner.depth;
    release(&mut owner);
    owner.waiting += 1;
    let (mut owner, timeout) = MONITOR.change.wait_timeout(owner, WAIT_MAX).unwrap_or_else(PoisonError::into_inner);
    owner.waiting -= 1;
    acquire(owner, depth);
    c_int::from(!timeout.timed_out())
}

#[unsafe(no_mangle)]
extern "C" fn host_wake() {
    if owner().waiting > 0 {
        MONITOR.change.notify_all();
    }
}

fn print(prefix: &str, text: *const c_char) {
    // SAFETY: the fake kernel passes text that ends with a zero.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // A failure to write to standard error cannot be reported.
    let _ = writeln!(std::io::stderr(), "{prefix}: {}", text.trim_end());
}

#[unsafe(no_mangle)]
extern "C" fn host_fail(text: *const c_char) -> ! {
    print("fake kernel", text);
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn host_console(text: *const c_char) {
    print("console", text);
}

fn checked(result: c_int, what: &str) {
    assert_eq!(result, 0, "{what}: {}", std::io::Error::last_os_error());
}

#[unsafe(no_mangle)]
extern "C" fn host_map(len: c_ulong) -> *mut c_void {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let len = usize::try_from(len).expect("64 bits");
    // SAFETY: the kernel of the host chooses the address.
    let start = unsafe { libc::mmap(null_mut(), len, access, kind, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "mmap of {len} bytes: {}", std::io::Error::last_os_error());
    start
}

#[unsafe(no_mangle)]
extern "C" fn host_unmap(start: *mut c_void, len: c_ulong) {
    // SAFETY: `host_map` returned this memory, and the fake kernel no longer uses it.
    checked(unsafe { libc::munmap(start, usize::try_from(len).expect("64 bits")) }, "munmap");
}

#[unsafe(no_mangle)]
extern "C" fn host_forbid(start: *mut c_void, len: c_ulong) {
    // SAFETY: `host_map` returned these pages.
    checked(unsafe { libc::mprotect(start, usize::try_from(len).expect("64 bits"), libc::PROT_NONE) }, "mprotect");
}

/// Makes code writable, so that a probe can be enabled.
#[unsafe(no_mangle)]
extern "C" fn host_make_writable(start: *mut c_void, len: c_ulong) {
    let page = 4096;
    let first = start as usize / page * page;
    let end = (start as usize + usize::try_from(len).expect("64 bits")).next_multiple_of(page);
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: the pages contain code of this program.
    checked(unsafe { libc::mprotect(first as *mut c_void, end - first, access) }, "mprotect of code");
}

/// FreeBSD's amd64 kernel finds the running thread at the start of %gs, which
/// programs on Linux do not use.
#[unsafe(no_mangle)]
extern "C" fn host_set_gs(pcpu: *mut c_void) {
    const ARCH_SET_GS: c_int = 0x1001;
    // SAFETY: nothing else in this program uses %gs.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, pcpu) };
    assert_eq!(result, 0, "arch_prctl: {}", std::io::Error::last_os_error());
}

/// Prints the address of a fault and aborts the program, for example after an
/// access to freed memory or past the end of a block.
extern "C" fn fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel of the host passes the address with this signal.
    let address = unsafe { (*info).si_addr() };
    let _ = writeln!(std::io::stderr(), "fake kernel: page fault at {address:p}");
    std::process::abort()
}

/// From now on a fault aborts the program with a message.
pub fn report_faults() {
    // SAFETY: the handler only writes to standard error, and does not return.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            checked(libc::sigaction(signal, &raw const action, null_mut()), "sigaction");
        }
    }
}
