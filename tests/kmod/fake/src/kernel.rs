// SPDX-License-Identifier: BSD-2-Clause

//! The fake kernel as the scenarios see it: `kernel/fake.h`.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::ptr::{null, null_mut};

/// A function and what it is called with.
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
    fn fake_pcb_free(pcb: *mut c_void) -> c_int;
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
    fn fake_deed(at: c_uint) -> *const c_char;
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
    /// By its name in errno(2).
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

/// Asserts that a call failed with that error, by name.
#[track_caller]
pub fn fails_with<T: std::fmt::Debug>(result: Result<T, Errno>, name: &str) {
    match result {
        Err(error) => assert_eq!(error, Errno::named(name)),
        Ok(value) => panic!("{name} was expected, and it gave {value:?}"),
    }
}

/// A number that FreeBSD's headers name.
pub fn constant(name: &str) -> u64 {
    // SAFETY: text that ends with a zero.
    unsafe { fake_constant(c(name).as_ptr()) }
}

/// The release of FreeBSD whose headers the fake kernel has.
pub fn release() -> u32 {
    fake_release()
}

/// Whether the kernel has identifiers for `BBLog`.
pub fn has_log_ids() -> bool {
    fake_log_ids() != 0
}

/// How often the module called a function.
pub fn calls(function: &str) -> u64 {
    // SAFETY: text that ends with a zero.
    unsafe { fake_calls(c(function).as_ptr()) }
}

/// Where a scenario can come in while the module runs.
#[derive(Clone, Copy)]
pub enum At {
    Walk = 0,
    Copy = 1,
    Sleep = 2,
    Yield = 3,
}

/// Runs `body`; wherever the module passes that place meanwhile, `hook` runs.
pub fn with_hook<T>(at: At, mut hook: impl FnMut(), body: impl FnOnce() -> T) -> T {
    extern "C" fn call<F: FnMut()>(hook: *mut c_void) {
        // SAFETY: it is the `hook` below, which lives until the hook is taken away.
        unsafe { (*hook.cast::<F>())() }
    }
    fn set<F: FnMut()>(at: At, hook: &mut F) {
        // SAFETY: `with_hook` takes it away before `hook` goes.
        unsafe { fake_hook(at as c_uint, Some(call::<F>), std::ptr::from_mut(hook).cast()) }
    }
    set(at, &mut hook);
    let result = body();
    // SAFETY: nothing is called any more.
    unsafe { fake_hook(at as c_uint, None, null_mut()) };
    result
}

/// Runs `body` with the module's probes on; `fired` gets the name and the
/// arguments of each.
pub fn with_probes<T>(mut fired: impl FnMut(&str, &[u64]), body: impl FnOnce() -> T) -> T {
    extern "C" fn call<F: FnMut(&str, &[u64])>(fired: *mut c_void, name: *const c_char, arguments: *const c_ulong) {
        // SAFETY: it is the `fired` below; the fake kernel gives a name and five arguments.
        unsafe {
            let name = CStr::from_ptr(name).to_str().expect("ASCII");
            (*fired.cast::<F>())(name, std::slice::from_raw_parts(arguments, 5));
        }
    }
    fn set<F: FnMut(&str, &[u64])>(fired: &mut F) {
        // SAFETY: `with_probes` takes it away before `fired` goes.
        unsafe { fake_probes(Some(call::<F>), std::ptr::from_mut(fired).cast()) }
    }
    set(&mut fired);
    let result = body();
    // SAFETY: nothing is called any more.
    unsafe { fake_probes(None, null_mut()) };
    result
}

/// Sets the kernel's hz and ticks.
pub fn clock(hz: i32, ticks: u32) {
    fake_clock(hz, ticks);
}

/// By how much the clock goes on whenever it is looked at.
pub fn clock_step(ns: u64) {
    fake_clock_step(ns);
}

/// Lets time pass.
pub fn advance(ns: u64) {
    fake_clock_advance(ns);
}

/// Nanoseconds of uptime.
pub fn now() -> u64 {
    fake_clock_now()
}

/// Nanoseconds that the module has slept.
pub fn slept_ns() -> u64 {
    fake_slept_ns()
}

/// kldload(8) into the kernel that the module was built for.
pub fn load() -> Result<(), Errno> {
    load_into(constant("__FreeBSD_version") as i32)
}

/// kldload(8) into a kernel of that version.
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

/// An event for the module alone.
pub fn modevent(event: i32) -> Result<(), Errno> {
    check(fake_modevent(event))
}

/// A line of loader.conf(5).
pub fn tunable(name: &'static CStr, value: &'static CStr) {
    // SAFETY: both stay.
    unsafe { fake_tunable(name.as_ptr(), value.as_ptr()) }
}

fn oid(name: &str) -> CString {
    c(&format!("net.inet.siftr_cdev.{name}"))
}

/// The bytes of a sysctl of the module.
pub fn sysctl_bytes(name: &str) -> Result<Vec<u8>, Errno> {
    let name = oid(name);
    let mut size = 0;
    // SAFETY: it asks for the length.
    check(unsafe { fake_sysctl(name.as_ptr(), null_mut(), &raw mut size, null(), 0) })?;
    let mut bytes = vec![0; usize::try_from(size).expect("64 bits")];
    // SAFETY: there is room for as much as it says.
    check(unsafe { fake_sysctl(name.as_ptr(), bytes.as_mut_ptr().cast(), &raw mut size, null(), 0) })?;
    bytes.truncate(usize::try_from(size).expect("64 bits"));
    Ok(bytes)
}

/// A sysctl of the module that is a number.
pub fn sysctl(name: &str) -> u64 {
    let mut number = [0; 8];
    let bytes = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}"));
    number[..bytes.len()].copy_from_slice(&bytes);
    u64::from_le_bytes(number)
}

/// A sysctl of the module that is text.
pub fn sysctl_text(name: &str) -> String {
    let bytes = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}"));
    CStr::from_bytes_with_nul(&bytes).expect("one zero, at the end").to_str().expect("ASCII").to_owned()
}

/// Sets a sysctl of the module.
pub fn set_sysctl_bytes(name: &str, bytes: &[u8]) -> Result<(), Errno> {
    let name = oid(name);
    // SAFETY: the bytes are as many as it says.
    check(unsafe { fake_sysctl(name.as_ptr(), null_mut(), null_mut(), bytes.as_ptr().cast(), len(bytes.len())) })
}

/// Sets a sysctl of the module that is a number, in as many bytes as it has.
pub fn set_sysctl(name: &str, number: u64) {
    let size = sysctl_bytes(name).unwrap_or_else(|error| panic!("sysctl {name}: {error:?}")).len();
    set_sysctl_bytes(name, &number.to_le_bytes()[..size]).expect("it can be set");
}

/// Bytes of stack that `body` uses.
pub fn stack_of(mut body: impl FnMut()) -> u64 {
    extern "C" fn call<F: FnMut()>(body: *mut c_void) {
        // SAFETY: it is the `body` below, which lives until this returns.
        unsafe { (*body.cast::<F>())() }
    }
    fn used<F: FnMut()>(body: &mut F) -> c_ulong {
        // SAFETY: `body` is called during the call only.
        unsafe { fake_stack_used(call::<F>, std::ptr::from_mut(body).cast()) }
    }
    used(&mut body)
}

/// Bytes of malloc(9) that the module has now.
pub fn memory() -> u64 {
    fake_memory_bytes()
}

/// The most that it had since this was last asked.
pub fn memory_peak() -> u64 {
    fake_memory_peak()
}

/// From now on, after so many, allocations that cannot wait fail.
pub fn fail_allocations_after(count: u64) {
    fake_memory_fail(count);
}

/// Allocations succeed again.
pub fn fail_no_allocations() {
    fake_memory_fail(c_ulong::MAX);
}

/// The system runs low on memory.
pub fn low_memory() {
    fake_lowmem();
}

/// The calling thread becomes a thread of the kernel, root's.
pub fn attach() {
    fake_attach();
}

/// A network stack.
#[derive(Clone, Copy)]
pub struct Vnet(*mut c_void);

impl Vnet {
    /// The host's.
    pub const HOST: Self = Self(null_mut());

    pub fn new() -> Self {
        Self(fake_vnet())
    }

    /// Its jail is gone.  It must have no connections; the next one is where it was.
    pub fn free(self) {
        // SAFETY: the scenario does not use it again.
        unsafe { fake_vnet_free(self.0) }
    }
}

/// A jail.
#[derive(Clone, Copy)]
pub struct Jail(*mut c_void);

impl Jail {
    /// None.
    pub const HOST: Self = Self(null_mut());

    pub fn new(id: u32, vnet: Vnet) -> Self {
        // SAFETY: a network stack stays.
        Self(unsafe { fake_jail(id, vnet.0) })
    }
}

impl Jail {
    /// Creates a nested jail.
    pub fn inside(self, id: u32) -> Self {
        // SAFETY: a jail stays.
        Self(unsafe { fake_jail_inside(id, self.0) })
    }
}

/// A credential.
#[derive(Clone, Copy)]
pub struct Cred(*mut c_void);

// SAFETY: a credential is not changed once it is made.
unsafe impl Send for Cred {}
// SAFETY: as above.
unsafe impl Sync for Cred {}

impl Cred {
    pub fn new(uid: u32, jail: Jail) -> Self {
        // SAFETY: a jail stays.
        Self(unsafe { fake_cred(uid, jail.0) })
    }

    /// A user of the host.
    pub fn user(uid: u32) -> Self {
        Self::new(uid, Jail::HOST)
    }

    /// The calling thread becomes this user.
    pub fn become_it(self) {
        // SAFETY: a credential stays.
        unsafe { fake_become(self.0) }
    }
}

/// The calling thread becomes root of the host again.
pub fn become_root() {
    // SAFETY: no credential means root's.
    unsafe { fake_become(null_mut()) }
}

/// A signal comes that ends the call with that error.
pub fn signal(error: &str) {
    fake_signal(constant(error) as c_int);
}

/// A signal comes that ends no call, and stays.
pub fn signal_without_effect() {
    fake_signal(0);
}

/// The signal was taken.
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

/// Another thread always wants the CPU.
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
#[derive(Clone, Copy)]
pub struct Pcb(*mut c_void);

// SAFETY: the fake kernel changes the list of connections inside its monitor.
unsafe impl Send for Pcb {}

impl Pcb {
    /// One of root's, at the head of the host's list.
    pub fn new() -> Self {
        Self::of(Vnet::HOST, Cred::user(0))
    }

    pub fn of(vnet: Vnet, cred: Cred) -> Self {
        // SAFETY: both stay.
        Self(unsafe { fake_pcb(vnet.0, cred.0) })
    }

    /// Sets a member of its tcpcb, its inpcb or its socket, by name.
    pub fn set(self, member: &str, value: u64) -> Self {
        // SAFETY: the connection is there as long as the scenario did not free it.
        unsafe { fake_pcb_set(self.0, c(member).as_ptr(), value) }
        self
    }

    /// Sets its addresses and ports; `vflag` as `inp_vflag`.
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

    /// The application sets its identifier for `BBLog`, where the kernel has that.
    pub fn log_id(self, id: &str) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_log_id(self.0, c(id).as_ptr()) }
        self
    }

    /// The stack lets go of it: `INP_DROPPED`.
    pub fn dropped(self) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_drop(self.0) }
        self
    }

    /// The application closes its socket.
    pub fn detached(self) -> Self {
        // SAFETY: as in `set`.
        unsafe { fake_pcb_detach(self.0) }
        self
    }

    /// Frees it, unless it is locked; whether it did.
    pub fn free(self) -> bool {
        // SAFETY: the scenario does not use it again.
        unsafe { fake_pcb_free(self.0) != 0 }
    }
}

/// Goes past every connection as the module does and makes nothing of them, with
/// or without what the module calls for a record; gives how many there were.
pub fn walk(statistics: bool) -> u64 {
    fake_walk(statistics.into())
}

/// So many connections of root's at once.
pub fn many_connections(count: u64) {
    // SAFETY: no network stack means the host's.
    unsafe { fake_pcbs(null_mut(), Cred::user(0).0, count) }
}

/// Many connections of a user at once.
pub fn many_connections_of(vnet: Vnet, cred: Cred, count: u64) {
    // SAFETY: a network stack and a credential are never freed.
    unsafe { fake_pcbs(vnet.0, cred.0, count) }
}

/// An entry of the SYN cache.
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

/// Another driver makes a device.
pub fn other_device(name: &str) -> Result<(), Errno> {
    // SAFETY: text that ends with a zero.
    check(unsafe { fake_other_device(c(name).as_ptr()) })
}

/// The other driver destroys it.
pub fn other_device_gone() {
    fake_other_device_gone();
}

/// Owner, group and permissions of a device, if it is there.
pub fn device(name: &str) -> Option<(u32, u32, u32)> {
    let (mut uid, mut gid, mut mode) = (0, 0, 0);
    // SAFETY: text that ends with a zero, and room for three numbers.
    let error = unsafe { fake_device(c(name).as_ptr(), &raw mut uid, &raw mut gid, &raw mut mode) };
    (error == 0).then_some((uid, gid, mode))
}

/// An open descriptor of `/dev/tcpstats`; closed on drop.
#[derive(Debug)]
pub struct File(*mut c_void);

// SAFETY: a descriptor can be used by several threads: the driver has to see to it.
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
        // SAFETY: it writes the pointer where it succeeds.
        check(unsafe { fake_open(constant(access) as c_int, &raw mut file) })?;
        Ok(Self(file))
    }

    /// read(2)
    pub fn read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        self.read_with(to, usize::MAX, 0).0
    }

    /// readv(2) into memory that ends at `fault_at`, in pieces of `piece` bytes,
    /// or one where that is 0; and how many bytes were counted before an error.
    pub fn read_with(&self, to: &mut [u8], fault_at: usize, piece: usize) -> (Result<usize, Errno>, usize) {
        let mut got = 0;
        // SAFETY: the slice has as many bytes as it says.
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

    /// ioctl(2); `user` is given as many bytes as the command says, if it has fewer.
    pub fn ioctl(&self, command: u64, user: &mut [u8]) -> Result<(), Errno> {
        let size = (command >> 16 & 0x1fff) as usize;
        let mut memory = vec![0; size.max(user.len())];
        memory[..user.len()].copy_from_slice(user);
        // SAFETY: there are as many bytes as the command says.
        let result = check(unsafe { fake_ioctl(self.0, command, memory.as_mut_ptr().cast()) });
        user.copy_from_slice(&memory[..user.len()]);
        result
    }

    /// poll(2) without the wait: returns the events that are ready.
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
        // SAFETY: it is closed once.
        unsafe { fake_close(self.0) }
    }
}

/// Runs callouts that are due, and returns how many threads wait in poll(2).
pub fn pollers() -> u32 {
    fake_callouts();
    fake_pollers()
}

/// What the fake kernel can do wrong to see that it is caught.
pub fn misdeeds() -> impl Iterator<Item = &'static str> {
    // SAFETY: names that stay, and none after the last.
    (0..).map(|at| unsafe { fake_deed(at) }).take_while(|name| !name.is_null()).map(|name| {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(name) }.to_str().expect("ASCII")
    })
}

/// Does it: the program ends.
pub fn misbehave(deed: &str) {
    // SAFETY: text that ends with a zero.
    unsafe { fake_misbehave(c(deed).as_ptr()) }
}
