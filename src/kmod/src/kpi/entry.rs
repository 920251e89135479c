// SPDX-License-Identifier: BSD-2-Clause

//! Where the kernel comes in.

use core::ffi::{c_char, c_int, c_ulong, c_void};
use core::ptr::null_mut;

use super::{Errno, Own, Uio, answer, check, raw};
use crate::device::{self, Event, OpenFile};

/// The kernel is done with a descriptor.
unsafe extern "C" fn destroy(private: *mut c_void) {
    // SAFETY: it is what `set_private` gave, and comes back once.
    drop(unsafe { Own::<OpenFile>::take_back(private.cast()) });
}

/// Ties the value to the descriptor that the running thread is opening; it is
/// dropped with the descriptor.
///
/// # Errors
/// Those of `devfs_set_cdevpriv`(9); the value is dropped.
pub fn set_private(file: Own<OpenFile>) -> Result<(), Errno> {
    let given = file.give();
    // SAFETY: `destroy` takes back what was given.
    let result = check(unsafe { raw::devfs_set_cdevpriv(given.cast(), Some(destroy)) });
    if result.is_err() {
        // SAFETY: the kernel did not take it.
        drop(unsafe { Own::take_back(given) });
    }
    result
}

/// Drops the value of the descriptor that the running thread is closing.
fn clear_private() {
    // SAFETY: it looks at the running thread's descriptor only.
    unsafe { raw::devfs_clear_cdevpriv() }
}

/// The value of the descriptor that the running thread is using.
fn private<'a>() -> Result<&'a OpenFile, Errno> {
    let mut private = null_mut();
    // SAFETY: the kernel writes the pointer that `set_private` gave.
    check(unsafe { raw::devfs_get_cdevpriv(&raw mut private) })?;
    // SAFETY: the descriptor is in use by this thread until the entry returns, so the value is not dropped.
    unsafe { private.cast::<OpenFile>().as_ref() }.ok_or(Errno::NXIO)
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_open(_: *mut raw::cdev, flags: c_int, _: c_int, _: *mut raw::thread) -> c_int {
    answer(device::open(flags.cast_unsigned() & raw::FWRITE != 0))
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_close(_: *mut raw::cdev, _: c_int, _: c_int, _: *mut raw::thread) -> c_int {
    if let Ok(file) = private() {
        file.mark_closing();
    }
    clear_private();
    0
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_poll(_: *mut raw::cdev, events: c_int, thread: *mut raw::thread) -> c_int {
    // SAFETY: it computes a number.
    let readable = unsafe { raw::siftr_cdev_poll_readable(events) };
    if readable == 0 {
        return 0;
    }
    // SAFETY: this is the running thread, and `is_readable` calls it with the registry locked.
    let later = |ns| unsafe { raw::siftr_cdev_poll_later(thread, ns) };
    // A read that fails does not block.
    if private().is_ok_and(|file| !device::is_readable(file, later)) { 0 } else { readable }
}

/// Asks whether the module can be unloaded: 0 if so, and then the device cannot be
/// opened any more, or an error.
#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_prepare_unload() -> c_int {
    answer(device::prepare_unload())
}

/// Frees idle memory when the system runs low on memory.
#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_release_memory() {
    crate::snapshot::release_idle_memory();
}

/// Undoes `siftr_cdev_prepare_unload`, if the module is not unloaded after all.
#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_cancel_unload() {
    device::cancel_unload();
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_read(_: *mut raw::cdev, uio: *mut raw::uio, flags: c_int) -> c_int {
    // SAFETY: the kernel's request, until this function returns.
    let mut uio = unsafe { Uio::new(uio) };
    let nonblocking = flags.cast_unsigned() & raw::O_NONBLOCK != 0;
    answer(private().and_then(|file| device::read(file, &mut uio, nonblocking)))
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_ioctl(
    _: *mut raw::cdev,
    command: c_ulong,
    data: *mut c_char,
    _: c_int,
    _: *mut raw::thread,
) -> c_int {
    // FreeBSD's ioctl(2) takes 32 bits, and its caller may have extended their sign.
    let command = command & 0xffff_ffff;
    if command == raw::SIFTR_CDEV_FIONBIO || command == raw::SIFTR_CDEV_FIOASYNC {
        return 0;
    }
    let len = (command >> 16 & 0x1fff) as usize;
    let data = if len == 0 || data.is_null() {
        &mut [][..]
    } else {
        // SAFETY: for a command with that length the kernel holds a buffer of it, zeroed or copied in.
        unsafe { core::slice::from_raw_parts_mut(data.cast::<u8>(), len) }
    };
    answer(private().and_then(|file| device::ioctl(file, command, data)))
}

/// The columns of text to the sysctl `text`.
#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_get_text(text: *mut c_char, len: usize) {
    // SAFETY: the handler of the sysctl gives its own buffer and its length.
    device::default_columns(unsafe { core::slice::from_raw_parts_mut(text.cast::<u8>(), len) });
}

/// The columns of text from the sysctl `text`.
#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_set_text(text: *const c_char, len: usize) -> c_int {
    // SAFETY: the handler of the sysctl gives its own buffer and its length.
    answer(device::set_default_columns(unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) }))
}

#[unsafe(no_mangle)]
extern "C" fn siftr_cdev_modevent(_: *mut raw::module, event: c_int, _: *mut c_void) -> c_int {
    answer(device::module_event(&match event.cast_unsigned() {
        raw::MOD_LOAD => Event::Load,
        raw::MOD_QUIESCE => Event::Quiesce,
        raw::MOD_UNLOAD => Event::Unload,
        raw::MOD_SHUTDOWN => Event::Shutdown,
        _ => Event::Unknown,
    }))
}
