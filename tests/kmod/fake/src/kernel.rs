// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The interface of the fake kernel for scenarios, see `kernel/fake.h`.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr::{null, null_mut};

use tcpstats::State;

/// A function that is called with the argument of its hook.
type Hook = extern "C" fn(*mut c_void);
type Fired = extern "C" fn(*mut c_void, *const c_char, *const c_ulong);

unsafe extern "C" {
    fn fake_hook(which: c_uint, run: Option<Hook>, arg: *mut c_void);
    fn fake_calls(function: *const c_char) -> c_ulong;
    fn fake_constant(name: *const c_char) -> c_ulong;
    safe fn fake_release() -> c_uint;
    safe fn fake_clock(hz: c_int, ticks: c_uint);
    safe fn fake_clock_step(ns: c_ulong);
    safe fn fake_clock_advance(ns: c_ulong);
    safe fn fake_clock_now() -> c_ulong;
    safe fn fake_slept_ns() -> c_ulong;
    safe fn fake_load(osreldate: c_int) -> c_int;
    safe fn fake_unload(force: c_int) -> c_int;
    safe fn fake_unload_of_another_file();
    safe fn fake_refuse_unload(refuse: c_int);
    safe fn fake_modevent(event: c_int) -> c_int;
    fn fake_tunable(name: *const c_char, value: *const c_char);
    fn fake_sysctl(
        name: *const c_char,
        old: *mut c_void,
        old_len: *mut c_ulong,
        new: *const c_void,
        new_len: c_ulong,
    ) -> c_int;
    fn fake_probes(fired: Option<Fired>, arg: *mut c_void);
    fn fake_stack_used(run: Hook, arg: *mut c_void) -> c_ulong;
    safe fn fake_memory_bytes() -> c_ulong;
    safe fn fake_memory_peak() -> c_ulong;
    safe fn fake_memory_fail(after: c_ulong);
    safe fn fake_lowmem();
    safe fn fake_attach();
    safe fn fake_vnet() -> *mut c_void;
    fn fake_vnet_free(vnet: *mut c_void);
    fn fake_jail(id: c_uint, vnet: *mut c_void) -> *mut c_void;
    fn fake_jail_inside(id: c_uint, outer: *mut c_void) -> *mut c_void;
    fn fake_cred(uid: c_uint, jail: *mut c_void) -> *mut c_void;
    fn fake_become(cred: *mut c_void);
    safe fn fake_signal(answer: c_int);
    safe fn fake_signal_gone();
    safe fn fake_kill();
    safe fn fake_wants_cpu(always: c_int);
    safe fn fake_preempt();
    safe fn fake_see_other_uids(see: c_int);
    fn fake_pcb(vnet: *mut c_void, cred: *mut c_void) -> *mut c_void;
    fn fake_pcbs(vnet: *mut c_void, cred: *mut c_void, count: c_ulong);
    safe fn fake_walk(statistics: c_int) -> c_ulong;
    fn fake_pcb_set(pcb: *mut c_void, name: *const c_char, value: c_ulong);
    fn fake_pcb_endpoints(
        pcb: *mut c_void,
        vflag: c_int,
        laddr: *const c_uchar,
        lport: c_uint,
        faddr: *const c_uchar,
        fport: c_uint,
    );
    fn fake_pcb_stack(pcb: *mut c_void, stack: *const c_char, cc: *const c_char);
    safe fn fake_log_ids() -> c_int;
    fn fake_pcb_log_id(pcb: *mut c_void, id: *const c_char);
    fn fake_pcb_drop(pcb: *mut c_void);
    fn fake_pcb_detach(pcb: *mut c_void);
    fn fake_pcb_timer(pcb: *mut c_void, in_ns: c_ulong, is_ordinary: c_int);
    fn fake_pcb_busy(pcb: *mut c_void, ends: c_int);
    fn fake_pcb_alternate(pcb: *mut c_void, times: c_ulong);
    safe fn fake_pcbs_rest();
    safe fn fake_loses_timers() -> c_int;
    safe fn fake_timers_lost() -> c_uint;
    safe fn fake_softclock(runs: c_int);
    fn fake_pcb_free(pcb: *mut c_void) -> c_int;
    fn fake_pcb_close(pcb: *mut c_void);
    fn fake_pcb_discard(pcb: *mut c_void);
    fn fake_pcb_switch(pcb: *mut c_void, stack: *const c_char, refuses: c_int);
    fn fake_stack(name: *const c_char, has_functions: c_int);
    fn fake_stack_load(name: *const c_char);
    safe fn fake_stacks_changed() -> c_uint;
    safe fn fake_stack_references() -> c_uint;
    safe fn fake_stack_calls() -> c_uint;
    safe fn fake_in_sysctl(is_in: c_int);
    safe fn fake_credentials() -> c_uint;
    fn fake_half_open(
        vnet: *mut c_void,
        cred: *mut c_void,
        v6: c_int,
        laddr: *const c_uchar,
        lport: c_uint,
        faddr: *const c_uchar,
        fport: c_uint,
    );
    fn fake_other_device(name: *const c_char) -> c_int;
    safe fn fake_other_device_gone();
    fn fake_device(name: *const c_char, uid: *mut c_uint, gid: *mut c_uint, mode: *mut c_uint) -> c_int;
    fn fake_open(flags: c_int, to: *mut *mut c_void) -> c_int;
    fn fake_read(
        file: *mut c_void,
        to: *mut c_void,
        len: c_ulong,
        fault_at: c_ulong,
        iov_len: c_ulong,
        got: *mut c_ulong,
    ) -> c_int;
    fn fake_seek(file: *mut c_void, offset: c_long);
    fn fake_ioctl(file: *mut c_void, command: c_ulong, user: *mut c_void) -> c_int;
    fn fake_nonblocking(file: *mut c_void, nonblocking: c_int);
    fn fake_close(file: *mut c_void);
    fn fake_revoke(file: *mut c_void);
    fn fake_poll(file: *mut c_void, events: c_int) -> c_int;
    safe fn fake_pollers() -> c_uint;
    safe fn fake_callouts();
    fn fake_misuse(at: c_uint) -> *const c_char;
    fn fake_misbehave(name: *const c_char);
}

fn c(text: &str) -> CString {
    CString::new(text).expect("text without a zero")
}

fn len(bytes: usize) -> c_ulong {
    bytes as c_ulong
}

/// An error of FreeBSD's kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(c_int);

impl Errno {
    /// Returns the error with this name in errno(2).
    pub fn named(name: &str) -> Self {
        Self(constant(name) as c_int)
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            "EPERM",
            "ENOENT",
            "EINTR",
            "ENXIO",
            "ENOEXEC",
            "EAGAIN",
            "EFAULT",
            "EBUSY",
            "EEXIST",
            "EINVAL",
            "ENFILE",
            "EMFILE",
            "ENOTTY",
            "ENOMEM",
            "EOPNOTSUPP",
            "ERESTART",
        ];
        match names.into_iter().find(|name| Self::named(name) == *self) {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

fn check(error: c_int) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(Errno(error)) }
}

/// Asserts that a call has failed with the error of this name.
#[track_caller]
pub fn fails_with<T: std::fmt::Debug>(result: Result<T, Errno>, name: &str) {
    match result {
        Err(error) => assert_eq!(error, Errno::named(name)),
        Ok(value) => panic!("expected {name}, but the call returned {value:?}"),
    }
}

/// Returns a constant of FreeBSD's headers.
pub fn constant(name: &str) -> u64 {
    // SAFETY: the text ends with a zero.
    unsafe { fake_constant(c(name).as_ptr()) }
}

/// Returns the release of FreeBSD whose headers the fake kernel uses.
pub fn release() -> u32 {
    fake_release()
}

/// Returns whether the kernel has identifiers for `BBLog`.
pub fn has_log_ids() -> bool {
    fake_log_ids() != 0
}

/// Returns how often the module has called a function.
pub fn calls(function: &str) -> u64 {
    // SAFETY: the text ends with a zero.
    unsafe { fake_calls(c(function).as_ptr()) }
}

/// Points at which a scenario can intervene while the module runs.
#[derive(Clone, Copy)]
pub enum At {
    Walk = 0,
    Copy = 1,
    Sleep = 2,
    Yield = 3,
    Close = 4,
    Switch = 5,
    Lock = 6,
}

/// Runs `body`, and `hook` whenever the module reaches this point meanwhile.
pub fn with_hook<T>(at: At, mut hook: impl FnMut(), body: impl FnOnce() -> T) -> T {
    extern "C" fn call<F: FnMut()>(hook: *mut c_void) {
        // SAFETY: this is the `hook` below, which lives until the hook is removed.
        unsafe { (*hook.cast::<F>())() }
    }
    fn set<F: FnMut()>(at: At, hook: &mut F) {
        // SAFETY: `with_hook` removes it before `hook` is dropped.
        unsafe { fake_hook(at as c_uint, Some(call::<F>), std::ptr::from_mut(hook).cast()) }
    }
    set(at, &mut hook);
    let result = body();
    // SAFETY: nothing is called from now on.
    unsafe { fake_hook(at as c_uint, None, null_mut()) };
    result
}

/// Runs `body` with the module's probes enabled.  `fired` is called with the name
/// and the arguments of each probe that fires.
pub fn with_probes<T>(mut fired: impl FnMut(&str, &[u64]), body: impl FnOnce() -> T) -> T {
    extern "C" fn call<F: FnMut(&str, &[u64])>(fired: *mut c_void, name: *const c_char, arguments: *const c_ulong) {
        // SAFETY: this is the `fired` below; the fake kernel passes a name and five arguments.
        unsafe {
            let name = CStr::from_ptr(name).to_str().expect("ASCII");
            (*fired.cast::<F>())(name, std::slice::from_raw_parts(arguments, 5));
        }
    }
    fn set<F: FnMut(&str, &[u64])>(fired: &mut F) {
        // SAFETY: `with_probes` removes it before `fired` is dropped.
        unsafe { fake_probes(Some(call::<F>), std::ptr::from_mut(fired).cast()) }
    }
    set(&mut fired);
    let result = body();
    // SAFETY: nothing is called from now on.
    unsafe { fake_probes(None, null_mut()) };
    result
}

/// Sets the kernel's hz and ticks.
pub fn clock(hz: i32, ticks: u32) {
    fake_clock(hz, ticks);
}

/// Sets by how much the clock advances whenever it is read.
pub fn clock_step(ns: u64) {
    fake_clock_step(ns);
}

/// Advances the clock.
pub fn advance(ns: u64) {
    fake_clock_advance(ns);
}

/// Returns the uptime in nanoseconds.
pub fn now() -> u64 {
    fake_clock_now()
}

/// Returns the nanoseconds that the module has slept.
pub fn slept_ns() -> u64 {
    fake_slept_ns()
}

/// kldload(8) into the kernel for which the module was built.
pub fn load() -> Result<(), Errno> {
    load_into(constant("__FreeBSD_version") as i32)
}

/// kldload(8) into a kernel of this version.
pub fn load_into(osreldate: i32) -> Result<(), Errno> {
    check(fake_load(osreldate))
}

/// kldunload(8)
pub fn unload() -> Result<(), Errno> {
    check(fake_unload(0))
}

/// kldunload(8) with -f
pub fn unload_by_force() -> Result<(), Errno> {
    check(fake_unload(1))
}

/// kldunload(8) of another module.
pub fn unload_another() {
    fake_unload_of_another_file();
}

/// Sets whether the handler of another subsystem refuses the unload, as that of
/// dtrace(4) does while a probe is enabled.
pub fn refuse_unload(refuse: bool) {
    fake_refuse_unload(refuse.into());
}

/// Sends an event to the module only.
pub fn modevent(event: i32) -> Result<(), Errno> {
    check(fake_modevent(event))
}

/// Sets a tunable, as a line of loader.conf(5) does.
pub fn tunable(name: &'static CStr, value: &'static CStr) {
    // SAFETY: both are static.
    unsafe { fake_tunable(name.as_ptr(), value.as_ptr()) }
}

fn oid(name: &str) -> CString {
    c(&format!("net.inet.siftr_cdev.{name}"))
}

/// Returns the bytes of a sysctl of the module.
pub fn sysctl_bytes(name: &str) -> Result<Vec<u8>, Errno> {
    let name = oid(name);
    let mut size = 0;
    // SAFETY: only the length is requested.
    check(unsafe { fake_sysctl(name.as_ptr(), null_mut(), &raw mut size, null(), 0) })?;
    let mut bytes = vec![0; usize::try_from(size).expect("64 bits")];
    // SAFETY: the buffer has the requested length.
    check(unsafe { fake_sysctl(name.as_ptr(), bytes.as_mut_ptr().cast(), &raw mut size, null(), 0) })?;
    bytes.truncate(usize::try_from(size).expect("64 bits"));
    Ok(bytes)
}

/// Returns a sysctl of the module that is a number.
pub fn sysctl(name: &str) -> u64 {
    let mut number = [0; 8];
    let bytes = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}"));
    number[..bytes.len()].copy_from_slice(&bytes);
    u64::from_le_bytes(number)
}

/// Returns a sysctl of the module that is text.
pub fn sysctl_text(name: &str) -> String {
    let bytes = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}"));
    CStr::from_bytes_with_nul(&bytes).expect("only the last byte is zero").to_str().expect("ASCII").to_owned()
}

/// Sets a sysctl of the module.
pub fn set_sysctl_bytes(name: &str, bytes: &[u8]) -> Result<(), Errno> {
    let name = oid(name);
    // SAFETY: the length is that of the bytes.
    check(unsafe { fake_sysctl(name.as_ptr(), null_mut(), null_mut(), bytes.as_ptr().cast(), len(bytes.len())) })
}

/// Sets a sysctl of the module that is a number of any size.
pub fn set_sysctl(name: &str, number: u64) {
    let size = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}")).len();
    set_sysctl_bytes(name, &number.to_le_bytes()[..size]).expect("the sysctl can be set");
}

/// Returns the number of bytes of stack that `body` uses.
pub fn stack_of(mut body: impl FnMut()) -> u64 {
    extern "C" fn call<F: FnMut()>(body: *mut c_void) {
        // SAFETY: this is the `body` below, which lives until this returns.
        unsafe { (*body.cast::<F>())() }
    }
    fn used<F: FnMut()>(body: &mut F) -> c_ulong {
        // SAFETY: `body` is called only during the call.
        unsafe { fake_stack_used(call::<F>, std::ptr::from_mut(body).cast()) }
    }
    used(&mut body)
}

/// Returns the number of bytes that the module has allocated with malloc(9).
pub fn memory() -> u64 {
    fake_memory_bytes()
}

/// Returns the maximum of [`memory`] since the last call.
pub fn memory_peak() -> u64 {
    fake_memory_peak()
}

/// Makes allocations that cannot wait fail after `count` more of them.
pub fn fail_allocations_after(count: u64) {
    fake_memory_fail(count);
}

/// Lets allocations succeed again.
pub fn fail_no_allocations() {
    fake_memory_fail(c_ulong::MAX);
}

/// Makes the system run low on memory.
pub fn low_memory() {
    fake_lowmem();
}

/// Makes the calling thread a kernel thread of root.
pub fn attach() {
    fake_attach();
}

/// A network stack.
#[derive(Clone, Copy)]
pub struct Vnet(*mut c_void);

impl Vnet {
    /// The network stack of the host.
    pub const HOST: Self = Self(null_mut());

    pub fn new() -> Self {
        Self(fake_vnet())
    }

    /// Removes its jail.  It must have no connections.  The next network stack has
    /// the same address.
    pub fn free(self) {
        // SAFETY: the scenario no longer uses it.
        unsafe { fake_vnet_free(self.0) }
    }
}

/// A jail.
#[derive(Clone, Copy)]
pub struct Jail(*mut c_void);

impl Jail {
    /// No jail.
    pub const HOST: Self = Self(null_mut());

    pub fn new(id: u32, vnet: Vnet) -> Self {
        // SAFETY: network stacks are never freed.
        Self(unsafe { fake_jail(id, vnet.0) })
    }
}

impl Jail {
    /// Creates a nested jail.
    pub fn inside(self, id: u32) -> Self {
        // SAFETY: jails are never freed.
        Self(unsafe { fake_jail_inside(id, self.0) })
    }
}

/// A credential.
#[derive(Clone, Copy)]
pub struct Cred(*mut c_void);

// SAFETY: credentials are immutable.
unsafe impl Send for Cred {}
// SAFETY: as above.
unsafe impl Sync for Cred {}

impl Cred {
    pub fn new(uid: u32, jail: Jail) -> Self {
        // SAFETY: jails are never freed.
        Self(unsafe { fake_cred(uid, jail.0) })
    }

    /// Returns the credential of a user of the host.
    pub fn user(uid: u32) -> Self {
        Self::new(uid, Jail::HOST)
    }

    /// Makes the calling thread run as this user.
    pub fn assume(self) {
        // SAFETY: credentials are never freed.
        unsafe { fake_become(self.0) }
    }
}

/// Makes the calling thread run as root on the host again.
pub fn become_root() {
    // SAFETY: without a credential root's is used.
    unsafe { fake_become(null_mut()) }
}

/// Delivers a signal that interrupts the call with this error.
pub fn signal(error: &str) {
    fake_signal(constant(error) as c_int);
}

/// Delivers a signal that does not interrupt the call and stays pending.
pub fn signal_without_effect() {
    fake_signal(0);
}

/// Clears the pending signal.
pub fn signal_gone() {
    fake_signal_gone();
}

/// Delivers SIGKILL.
pub fn kill() {
    fake_kill();
}

/// Preempts the calling thread.
pub fn preempt() {
    fake_preempt();
}

/// Makes another thread always want the CPU.
pub fn always_wants_cpu() {
    fake_wants_cpu(1);
}

/// Sets `security.bsd.see_other_uids`.
pub fn see_other_uids(see: bool) {
    fake_see_other_uids(see.into());
}

/// Both ends of a connection, IPv4 addresses as IPv4-mapped.
#[derive(Clone, Copy)]
pub struct Ends {
    pub laddr: [u8; 16],
    pub lport: u16,
    pub faddr: [u8; 16],
    pub fport: u16,
}

/// A connection of the fake kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pcb(*mut c_void);

// SAFETY: the fake kernel changes the list of connections inside its monitor.
unsafe impl Send for Pcb {}
// SAFETY: as above.
unsafe impl Sync for Pcb {}

impl Pcb {
    /// Creates a connection of root at the head of the host's list.
    pub fn new() -> Self {
        Self::of(Vnet::HOST, Cred::user(0))
    }

    pub fn of(vnet: Vnet, cred: Cred) -> Self {
        // SAFETY: neither is ever freed.
        Self(unsafe { fake_pcb(vnet.0, cred.0) })
    }

    /// Sets a member of its tcpcb, inpcb or socket by name.
    pub fn set(self, member: &str, value: u64) -> Self {
        // SAFETY: the connection exists until the scenario frees it.
        unsafe { fake_pcb_set(self.0, c(member).as_ptr(), value) }
        self
    }

    /// Sets its addresses and ports, and the flags of `inp_vflag`.
    pub fn ends(self, vflag: &[&str], ends: Ends) -> Self {
        let vflag = vflag.iter().fold(0, |bits, name| bits | constant(name)) as c_int;
        // SAFETY: as in `set`; addresses have sixteen bytes.
        unsafe {
            fake_pcb_endpoints(
                self.0,
                vflag,
                ends.laddr.as_ptr(),
                ends.lport.into(),
                ends.faddr.as_ptr(),
                ends.fport.into(),
            );
        }
        self
    }

    /// Sets the names of its TCP stack and its congestion control.
    pub fn stack(self, stack: &str, cc: &str) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_stack(self.0, c(stack).as_ptr(), c(cc).as_ptr()) }
        self
    }

    /// Sets its identifier for `BBLog`, which must be supported by the kernel.
    pub fn log_id(self, id: &str) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_log_id(self.0, c(id).as_ptr()) }
        self
    }

    /// Drops the connection in its stack: `INP_DROPPED`.
    pub fn dropped(self) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_drop(self.0) }
        self
    }

    /// Closes its socket.
    pub fn detached(self) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_detach(self.0) }
        self
    }

    /// Starts its timer.  Unless it has an ordinary precision, it is lost in 15.0 if it
    /// fires while the connection is locked.
    pub fn timer(self, in_ns: u64, is_ordinary: bool) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_timer(self.0, in_ns, is_ordinary.into()) }
        self
    }

    /// Makes the TCP stack lock it until somebody waits for it, and then free it if `ends`.
    pub fn busy(self, ends: bool) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_busy(self.0, ends.into()) }
        self
    }

    /// Alternates between `ESTABLISHED` with local port 1 and `CLOSE_WAIT` with local port 2.
    pub fn alternate(self, times: u64) {
        // SAFETY: as in `set`; other threads only read the connection meanwhile.
        unsafe { fake_pcb_alternate(self.0, times) }
    }

    /// Ends the connection: `tcp_close()`.
    pub fn close(self) {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_close(self.0) }
    }

    /// Ends the connection in a state with an error for the application.
    pub fn close_in(self, state: State, error: u64) {
        self.set("t_state", state.0.into()).set("so_error", error).close();
    }

    /// Lets the TCP stack release the connection: `tcp_discardcb()`.
    pub fn discard(self) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_discard(self.0) }
        self
    }

    /// Changes to another TCP stack, which may refuse the connection.
    pub fn switch(self, stack: &str, refuses: bool) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_switch(self.0, c(stack).as_ptr(), refuses.into()) }
        self
    }

    /// Frees it and returns true, unless it is locked.
    pub fn free(self) -> bool {
        // SAFETY: the scenario no longer uses it.
        unsafe { fake_pcb_free(self.0) != 0 }
    }
}

/// Walks over all connections as the module does, with or without the calls for a
/// record, and returns the number of connections.
pub fn walk(statistics: bool) -> u64 {
    fake_walk(statistics.into())
}

/// Returns whether timers can be lost in this release.
pub fn loses_timers() -> bool {
    fake_loses_timers() != 0
}

/// Returns the number of timers that were lost, or that could have been.
pub fn timers_lost() -> u32 {
    fake_timers_lost()
}

/// Sets whether timers fire when time passes; initially they do.
pub fn softclock(runs: bool) {
    fake_softclock(runs.into());
}

/// Creates many connections of root at once.
pub fn many_connections(count: u64) {
    // SAFETY: without a network stack that of the host is used.
    unsafe { fake_pcbs(null_mut(), Cred::user(0).0, count) }
}

/// Makes all connections of the host idle.
pub fn rest() {
    fake_pcbs_rest();
}

/// Creates many connections of a user at once.
pub fn many_connections_of(vnet: Vnet, cred: Cred, count: u64) {
    // SAFETY: a network stack and a credential are never freed.
    unsafe { fake_pcbs(vnet.0, cred.0, count) }
}

/// Registers a TCP stack, with or without optional functions.
pub fn tcp_stack(name: &str, has_functions: bool) {
    // SAFETY: the text ends with a zero.
    unsafe { fake_stack(c(name).as_ptr(), has_functions.into()) }
}

/// Loads the module of a TCP stack.
pub fn load_tcp_stack(name: &str) {
    // SAFETY: the text ends with a zero.
    unsafe { fake_stack_load(c(name).as_ptr()) }
}

/// Returns the number of TCP stacks whose functions are replaced.
pub fn tcp_stacks_changed() -> u32 {
    fake_stacks_changed()
}

/// Returns the number of references to TCP stacks that the module holds.
pub fn tcp_stack_references() -> u32 {
    fake_stack_references()
}

/// Returns how often the TCP stacks' own functions were called.
pub fn tcp_stack_calls() -> u32 {
    fake_stack_calls()
}

/// Sets whether the calling thread is in sysctl(3), as tcpdrop(8) is.
pub fn in_sysctl(is_in: bool) {
    fake_in_sysctl(is_in.into());
}

/// Returns the number of references to credentials that the module holds.
pub fn credentials() -> u32 {
    fake_credentials()
}

/// Creates an entry of the SYN cache.
pub fn half_open(vnet: Vnet, cred: Cred, v6: bool, ends: Ends) {
    // SAFETY: both stay; addresses have sixteen bytes.
    unsafe {
        fake_half_open(
            vnet.0,
            cred.0,
            v6.into(),
            ends.laddr.as_ptr(),
            ends.lport.into(),
            ends.faddr.as_ptr(),
            ends.fport.into(),
        );
    }
}

/// Creates a device of another driver.
pub fn other_device(name: &str) -> Result<(), Errno> {
    // SAFETY: the text ends with a zero.
    check(unsafe { fake_other_device(c(name).as_ptr()) })
}

/// Destroys the device of the other driver.
pub fn other_device_gone() {
    fake_other_device_gone();
}

/// Returns owner, group and permissions of a device, if it exists.
pub fn device(name: &str) -> Option<(u32, u32, u32)> {
    let (mut uid, mut gid, mut mode) = (0, 0, 0);
    // SAFETY: text that ends with a zero, and room for three numbers.
    let error = unsafe { fake_device(c(name).as_ptr(), &raw mut uid, &raw mut gid, &raw mut mode) };
    (error == 0).then_some((uid, gid, mode))
}

/// An open descriptor of `/dev/tcpstats`, which is closed on drop.
#[derive(Debug)]
pub struct File(*mut c_void);

// SAFETY: the driver must support several threads that use one descriptor.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

impl File {
    /// Opens it for reading.
    pub fn open() -> Result<Self, Errno> {
        Self::open_for("FREAD")
    }

    /// Opens it for `FREAD` or `FWRITE`.
    pub fn open_for(access: &str) -> Result<Self, Errno> {
        let mut file = null_mut();
        // SAFETY: it writes the pointer if it succeeds.
        check(unsafe { fake_open(constant(access) as c_int, &raw mut file) })?;
        Ok(Self(file))
    }

    /// read(2)
    pub fn read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        self.read_with(to, usize::MAX, 0).0
    }

    /// readv(2) into memory that ends at `fault_at`, in pieces of `piece` bytes, or
    /// in one piece if that is 0.  Also returns the number of bytes before an error.
    pub fn read_with(&self, to: &mut [u8], fault_at: usize, piece: usize) -> (Result<usize, Errno>, usize) {
        let mut got = 0;
        // SAFETY: the length is that of the slice.
        let error = unsafe {
            fake_read(self.0, to.as_mut_ptr().cast(), len(to.len()), len(fault_at), len(piece), &raw mut got)
        };
        let got = usize::try_from(got).expect("64 bits");
        (check(error).map(|()| got), got)
    }

    /// lseek(2)
    pub fn seek(&self, offset: i64) {
        // SAFETY: the descriptor is open.
        unsafe { fake_seek(self.0, offset) }
    }

    /// ioctl(2).  `user` is extended to the size that the command encodes.
    pub fn ioctl(&self, command: u64, user: &mut [u8]) -> Result<(), Errno> {
        let size = (command >> 16 & 0x1fff) as usize;
        let mut memory = vec![0; size.max(user.len())];
        memory[..user.len()].copy_from_slice(user);
        // SAFETY: the memory has the size that the command encodes.
        let result = check(unsafe { fake_ioctl(self.0, command, memory.as_mut_ptr().cast()) });
        user.copy_from_slice(&memory[..user.len()]);
        result
    }

    /// poll(2) without waiting.  Returns the events that are ready.
    #[allow(clippy::cast_sign_loss, reason = "numbers of C")]
    pub fn poll(&self, events: &[&str]) -> u64 {
        let events = events.iter().fold(0, |bits, name| bits | constant(name)) as c_int;
        // SAFETY: the descriptor is open.
        unsafe { fake_poll(self.0, events) as u64 }
    }

    /// revoke(2): it can only be closed, and the driver is not called.
    pub fn revoke(&self) {
        // SAFETY: the descriptor is open.
        unsafe { fake_revoke(self.0) }
    }

    /// Sets or clears `O_NONBLOCK`.
    pub fn nonblocking(&self, nonblocking: bool) {
        // SAFETY: the descriptor is open.
        unsafe { fake_nonblocking(self.0, nonblocking.into()) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: it is closed only once.
        unsafe { fake_close(self.0) }
    }
}

/// Runs callouts that are due, and returns how many threads wait in poll(2).
pub fn pollers() -> u32 {
    fake_callouts();
    fake_pollers()
}

/// Returns the names of the misuses that the fake kernel must detect.
pub fn misuses() -> impl Iterator<Item = &'static str> {
    // SAFETY: names are static, and null after the last.
    (0..).map(|at| unsafe { fake_misuse(at) }).take_while(|name| !name.is_null()).map(|name| {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(name) }.to_str().expect("ASCII")
    })
}

/// Commits a misuse, which aborts the program.
pub fn misbehave(misuse: &str) {
    // SAFETY: the text ends with a zero.
    unsafe { fake_misbehave(c(misuse).as_ptr()) }
}
