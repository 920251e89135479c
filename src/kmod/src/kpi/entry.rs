// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The traits that a driver implements, and the functions through which the kernel
//! calls them.

use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr::{NonNull, null_mut};

use super::{Endings, Errno, Own, Pcb, Sleepable, Uio, Vnet, check, raw, return_value};

/// A module(9).
pub trait Module {
    /// Loads the module: `MOD_LOAD`.
    ///
    /// # Errors
    /// After an error, the module is not loaded.
    fn load(sleepable: &mut Sleepable) -> Result<(), Errno>;

    /// Decides whether the module can be unloaded, before other subsystems are notified.
    /// If so, the device accepts no new descriptors.
    ///
    /// # Errors
    /// After an error, the module is not unloaded.
    fn prepare_unload(sleepable: &mut Sleepable) -> Result<(), Errno>;

    /// Undoes [`Module::prepare_unload`] if the module is not unloaded.
    fn cancel_unload();

    /// Unloads the module: `MOD_UNLOAD`.
    ///
    /// # Errors
    /// After an error, the module is not unloaded.
    fn unload(sleepable: &mut Sleepable) -> Result<(), Errno>;

    /// Frees memory when the system runs low on memory.
    fn low_memory();
}

/// Whether a read would block.
pub enum Readiness {
    /// It would not.
    Ready,
    /// It would, for this number of nanoseconds.
    After(u64),
}

/// A character device.
pub trait CharDevice {
    /// The state of an open descriptor, `devfs_set_cdevpriv`(9).  It is released after
    /// the last use of the descriptor.
    type File: Send + Sync;

    /// open(2)
    ///
    /// # Errors
    /// Those of open(2).
    fn open(for_writing: bool, sleepable: &mut Sleepable) -> Result<Own<Self::File>, Errno>;

    /// close(2), after which the file is released.  A descriptor can be destroyed in
    /// other ways, for example by revoke(2): then the file is only released.
    fn close(file: &Self::File);

    /// Drops the file of a descriptor.
    fn release(file: Own<Self::File>, sleepable: &mut Sleepable);

    /// read(2)
    ///
    /// # Errors
    /// Those of read(2).
    fn read(file: &Self::File, uio: &mut Uio<'_>, is_nonblocking: bool, sleepable: &mut Sleepable)
    -> Result<(), Errno>;

    /// ioctl(2), with the data of the command.
    ///
    /// # Errors
    /// Those of ioctl(2).
    fn ioctl(file: &Self::File, command: u64, data: &mut [u8], sleepable: &mut Sleepable) -> Result<(), Errno>;

    /// poll(2) for reading.
    ///
    /// # Errors
    /// EINTR or ERESTART if a signal arrives, which interrupts poll(2), too.
    fn poll(file: &Self::File, sleepable: &mut Sleepable) -> Result<Readiness, Errno>;
}

/// A sysctl(9) whose value is a string.
pub trait StringSysctl {
    /// The maximum length, with the NUL.
    const LEN: usize;

    /// Writes the value and a NUL.
    fn get(value: &mut [u8]);

    /// Sets the value, which may end with a NUL before the end.
    ///
    /// # Errors
    /// Those of sysctl(3).
    fn set(value: &[u8]) -> Result<(), Errno>;
}

/// The functions of a driver that C calls.
///
/// # Invariants
/// The functions may be called as `siftr_cdev.h` describes.
#[repr(transparent)]
pub struct EntryPoints(raw::siftr_cdev_entry);

// SAFETY: constant pointers to functions, which any thread can call.
unsafe impl Sync for EntryPoints {}

impl EntryPoints {
    /// Creates the functions that call the driver `D`.
    pub const fn of<D: Module + CharDevice + StringSysctl + Endings>() -> Self {
        Self(raw::siftr_cdev_entry {
            load: Some(load::<D>),
            prepare_unload: Some(prepare_unload::<D>),
            cancel_unload: Some(cancel_unload::<D>),
            unload: Some(unload::<D>),
            low_memory: Some(low_memory::<D>),
            open: Some(open::<D>),
            close: Some(close::<D>),
            read: Some(read::<D>),
            ioctl: Some(ioctl::<D>),
            poll: Some(poll::<D>),
            text_len: D::LEN,
            get_text: Some(get_text::<D>),
            set_text: Some(set_text::<D>),
            ended: Some(ended::<D>),
            continued: Some(continued::<D>),
        })
    }
}

/// Exports the functions that call a driver: `entry_points!(Driver)`, once in a module.
macro_rules! entry_points {
    ($driver:ty) => {
        #[allow(unsafe_code, reason = "the only static of that name, which has the type that C declares")]
        #[unsafe(export_name = "siftr_cdev_entry")]
        static ENTRY_POINTS: $crate::kpi::EntryPoints = $crate::kpi::EntryPoints::of::<$driver>();
    };
}
pub(crate) use entry_points;

/// Calls `enter` with permission to sleep, and returns its result to C.
///
/// # Safety
/// The kernel has called an entry point on this thread that may sleep, and nothing
/// else in that call has permission to sleep.
unsafe fn enter(enter: impl FnOnce(&mut Sleepable) -> Result<(), Errno>) -> c_int {
    // SAFETY: the caller promises it; the kernel calls such functions without locks other than sx(9) locks.
    return_value(enter(&mut unsafe { Sleepable::new() }))
}

/// Calls `access` with the file of the descriptor that the running thread is using.
///
/// # Safety
/// The running thread is in an entry point of the device of `D`.
unsafe fn with_file<D: CharDevice, R>(access: impl FnOnce(&D::File) -> Result<R, Errno>) -> Result<R, Errno> {
    let mut private = null_mut();
    // SAFETY: the kernel stores the pointer that `open` passed to it.
    check(unsafe { raw::devfs_get_cdevpriv(&raw mut private) })?;
    // SAFETY: the device is that of `D`, so `open::<D>` passed the pointer.  The thread uses the descriptor until it returns
    // from the entry point, so the file is not dropped before `access` returns.
    access(unsafe { private.cast::<D::File>().as_ref() }.ok_or(Errno::NXIO)?)
}

unsafe extern "C" fn load<D: Module>() -> c_int {
    // SAFETY: module(9) handlers may sleep.
    unsafe { enter(D::load) }
}

unsafe extern "C" fn prepare_unload<D: Module>() -> c_int {
    // SAFETY: module(9) handlers and event handlers of kld_unload_try may sleep.
    unsafe { enter(D::prepare_unload) }
}

unsafe extern "C" fn cancel_unload<D: Module>() {
    D::cancel_unload();
}

unsafe extern "C" fn unload<D: Module>() -> c_int {
    // SAFETY: module(9) handlers may sleep.
    unsafe { enter(D::unload) }
}

unsafe extern "C" fn low_memory<D: Module>() {
    D::low_memory();
}

/// Releases the file of a descriptor.
unsafe extern "C" fn release_file<D: CharDevice>(private: *mut c_void) {
    if let Some(file) = NonNull::new(private.cast::<D::File>()) {
        // SAFETY: it is the pointer that `open::<D>` passed to the kernel, which returns it once.
        let file = unsafe { Own::from_raw(file) };
        let release = |sleepable: &mut Sleepable| {
            D::release(file, sleepable);
            Ok(())
        };
        // SAFETY: the kernel calls this without locks other than sx(9) locks.  `close::<D>` and `open::<D>` use no token
        // meanwhile.
        _ = unsafe { enter(release) };
    }
}

unsafe extern "C" fn open<D: CharDevice>(_: *mut raw::cdev, flags: c_int, _: c_int, _: *mut raw::thread) -> c_int {
    let for_writing = flags.cast_unsigned() & raw::FWRITE != 0;
    let open = |sleepable: &mut Sleepable| {
        let file = D::open(for_writing, sleepable)?.into_raw();
        // SAFETY: the thread may sleep.  `release_file` takes the pointer back.
        let result = check(unsafe { raw::devfs_set_cdevpriv(file.as_ptr().cast(), Some(release_file::<D>)) });
        if result.is_err() {
            // SAFETY: the kernel has not stored the pointer.
            drop(unsafe { Own::from_raw(file) });
        }
        result
    };
    // SAFETY: d_open may sleep.
    unsafe { enter(open) }
}

unsafe extern "C" fn close<D: CharDevice>(_: *mut raw::cdev, _: c_int, _: c_int, _: *mut raw::thread) -> c_int {
    // SAFETY: this is d_close of the device.
    _ = unsafe {
        with_file::<D, _>(|file| {
            D::close(file);
            Ok(())
        })
    };
    // SAFETY: drops the file of the descriptor that the running thread is closing; no reference to it exists.
    unsafe { raw::devfs_clear_cdevpriv() }
    0
}

unsafe extern "C" fn read<D: CharDevice>(_: *mut raw::cdev, uio: *mut raw::uio, flags: c_int) -> c_int {
    // SAFETY: the argument of d_read; dropped when this function returns.
    let mut uio = unsafe { Uio::new(uio) };
    let is_nonblocking = flags.cast_unsigned() & raw::O_NONBLOCK != 0;
    // SAFETY: d_read of the device, which may sleep.
    unsafe { enter(|sleepable| with_file::<D, _>(|file| D::read(file, &mut uio, is_nonblocking, sleepable))) }
}

unsafe extern "C" fn ioctl<D: CharDevice>(
    _: *mut raw::cdev,
    command: c_ulong,
    data: *mut c_char,
    _: c_int,
    _: *mut raw::thread,
) -> c_int {
    // ioctl(2) uses 32 bits of the command; the caller may have sign-extended them.
    let command = command & 0xffff_ffff;
    if command == raw::SIFTR_CDEV_FIONBIO || command == raw::SIFTR_CDEV_FIOASYNC {
        return 0;
    }
    let len = (command >> 16 & c_ulong::from(raw::IOCPARM_MASK)) as usize;
    let data = if len == 0 || data.is_null() {
        &mut [][..]
    } else {
        // SAFETY: the kernel passes a buffer of the length in the command, either zeroed or copied in.
        unsafe { core::slice::from_raw_parts_mut(data.cast::<u8>(), len) }
    };
    // SAFETY: d_ioctl of the device, which may sleep.
    unsafe { enter(|sleepable| with_file::<D, _>(|file| D::ioctl(file, command, data, sleepable))) }
}

unsafe extern "C" fn poll<D: CharDevice>(_: *mut raw::cdev, events: c_int, thread: *mut raw::thread) -> c_int {
    // SAFETY: computes a number.
    let readable = unsafe { raw::siftr_cdev_poll_readable(events) };
    if readable == 0 {
        return 0;
    }
    let mut answer = readable;
    let poll = |sleepable: &mut Sleepable| {
        // SAFETY: this is d_poll of the device.  A descriptor without a file is readable: a read fails at once.
        _ = unsafe {
            with_file::<D, _>(|file| {
                answer = match D::poll(file, sleepable) {
                    Ok(Readiness::Ready) => readable,
                    Ok(Readiness::After(ns)) => {
                        // SAFETY: `thread` is the running thread.
                        raw::siftr_cdev_poll_later(thread, ns);
                        0
                    }
                    Err(_) => 0,
                };
                Ok(())
            })
        };
        Ok(())
    };
    // SAFETY: d_poll may sleep.
    _ = unsafe { enter(poll) };
    answer
}

unsafe extern "C" fn get_text<D: StringSysctl>(text: *mut c_char, len: usize) {
    // SAFETY: the handler of the sysctl passes its own zeroed buffer and the length.
    D::get(unsafe { core::slice::from_raw_parts_mut(text.cast::<u8>(), len) });
}

unsafe extern "C" fn set_text<D: StringSysctl>(text: *const c_char, len: usize) -> c_int {
    // SAFETY: the handler of the sysctl passes its own initialized buffer and the length.
    return_value(D::set(unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) }))
}

/// Calls `visit` with a connection that C passes.
///
/// # Safety
/// The running thread has locked the connection, and has set the current network stack
/// to that of the connection.
unsafe fn with_pcb(inp: *mut raw::inpcb, visit: impl FnOnce(&Pcb<'_>, &Vnet)) {
    if let Some(inp) = NonNull::new(inp) {
        // SAFETY: the caller promises it, and both values are gone when this returns.
        unsafe { visit(&Pcb::new(inp), &Vnet::new()) }
    }
}

unsafe extern "C" fn ended<D: Endings>(inp: *mut raw::inpcb) {
    // SAFETY: stacks.c calls this from the TCP stack's function, for which both are true.
    unsafe { with_pcb(inp, D::ended) }
}

unsafe extern "C" fn continued<D: Endings>(inp: *mut raw::inpcb) {
    // SAFETY: as in `ended`.
    unsafe { with_pcb(inp, D::continued) }
}
