// SPDX-License-Identifier: BSD-2-Clause

//! What the fake kernel needs of the machine that it runs on.

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::io::Write;
use std::ptr::null_mut;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long nothing may happen to a thread that waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lock that its owner can take again, and can sleep with.
struct Monitor {
    owner: Mutex<Owner>,
    free: Condvar,
    change: Condvar,
}

struct Owner {
    /// Thread id; 0: nobody.
    thread: c_int,
    depth: u32,
    /// Threads that want to come in: to wake nobody would cost a system call.
    outside: u32,
    /// Threads that wait for a change.
    waiting: u32,
}

static MONITOR: Monitor = Monitor {
    owner: Mutex::new(Owner { thread: 0, depth: 0, outside: 0, waiting: 0 }),
    free: Condvar::new(),
    change: Condvar::new(),
};

fn this_thread() -> c_int {
    thread_local!(static ID: c_int = {
        // SAFETY: it asks for a number.
        unsafe { libc::gettid() }
    });
    ID.with(|id| *id)
}

fn owner() -> MutexGuard<'static, Owner> {
    MONITOR.owner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(mut owner: MutexGuard<'_, Owner>, depth: u32) {
    let me = this_thread();
    while owner.thread != 0 && owner.thread != me {
        owner.outside += 1;
        owner = MONITOR.free.wait(owner).unwrap_or_else(PoisonError::into_inner);
        owner.outside -= 1;
    }
    owner.thread = me;
    owner.depth += depth;
}

fn give_up(owner: &mut Owner) {
    (owner.thread, owner.depth) = (0, 0);
    if owner.outside > 0 {
        MONITOR.free.notify_one();
    }
}

#[unsafe(no_mangle)]
extern "C" fn host_enter() {
    take(owner(), 1);
}

#[unsafe(no_mangle)]
extern "C" fn host_leave() {
    let mut owner = owner();
    assert_eq!(owner.thread, this_thread(), "the monitor is left by a thread that is not inside");
    owner.depth -= 1;
    if owner.depth == 0 {
        give_up(&mut owner);
    }
}

#[unsafe(no_mangle)]
extern "C" fn host_wait() -> c_int {
    let mut owner = owner();
    assert_eq!(owner.thread, this_thread(), "only a thread that is inside can wait");
    let depth = owner.depth;
    give_up(&mut owner);
    owner.waiting += 1;
    let (mut owner, timeout) = MONITOR.change.wait_timeout(owner, PATIENCE).unwrap_or_else(PoisonError::into_inner);
    owner.waiting -= 1;
    take(owner, depth);
    c_int::from(!timeout.timed_out())
}

#[unsafe(no_mangle)]
extern "C" fn host_wake() {
    if owner().waiting > 0 {
        MONITOR.change.notify_all();
    }
}

fn say(before: &str, text: *const c_char) {
    // SAFETY: the fake kernel gives text that ends with a zero.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // Nothing is to be done where there is no standard error.
    let _ = writeln!(std::io::stderr(), "{before}: {}", text.trim_end());
}

#[unsafe(no_mangle)]
extern "C" fn host_fail(text: *const c_char) -> ! {
    say("fake kernel", text);
    std::process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn host_console(text: *const c_char) {
    say("console", text);
}

fn checked(result: c_int, what: &str) {
    assert_eq!(result, 0, "{what}: {}", std::io::Error::last_os_error());
}

#[unsafe(no_mangle)]
extern "C" fn host_map(len: c_ulong) -> *mut c_void {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let len = usize::try_from(len).expect("64 bits");
    // SAFETY: the kernel of the host chooses where.
    let start = unsafe { libc::mmap(null_mut(), len, access, kind, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "mmap of {len} bytes: {}", std::io::Error::last_os_error());
    start
}

#[unsafe(no_mangle)]
extern "C" fn host_unmap(start: *mut c_void, len: c_ulong) {
    // SAFETY: what `host_map` gave, and the fake kernel has forgotten.
    checked(unsafe { libc::munmap(start, usize::try_from(len).expect("64 bits")) }, "munmap");
}

#[unsafe(no_mangle)]
extern "C" fn host_forbid(start: *mut c_void, len: c_ulong) {
    // SAFETY: pages that `host_map` gave.
    checked(unsafe { libc::mprotect(start, usize::try_from(len).expect("64 bits"), libc::PROT_NONE) }, "mprotect");
}

/// Code, to switch a probe on.
#[unsafe(no_mangle)]
extern "C" fn host_make_writable(start: *mut c_void, len: c_ulong) {
    let page = 4096;
    let first = start as usize / page * page;
    let end = (start as usize + usize::try_from(len).expect("64 bits")).next_multiple_of(page);
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: pages of this program's code.
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

/// Says where a fault was, and ends the program: whoever looks at a block that
/// is freed, or behind one, or follows a pointer to what is gone.
extern "C" fn fault(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel of the host gives the address with this signal.
    let address = unsafe { (*info).si_addr() };
    let _ = writeln!(std::io::stderr(), "fake kernel: page fault at {address:p}");
    std::process::abort()
}

/// From now on a fault ends the program with a message.
pub fn report_faults() {
    // SAFETY: the handler touches nothing but standard error, and does not return.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            checked(libc::sigaction(signal, &raw const action, null_mut()), "sigaction");
        }
    }
}
