// SPDX-License-Identifier: BSD-2-Clause

//! Safe wrappers around the kernel's programming interface.  All unsafe code of
//! the module is here.
//!
//! Each wrapper says which locks it needs, takes or must not meet.  *Sleepable*
//! means that the caller holds no mutex and no connection's lock.
//!
//! printf(9) is reached through C only: declared in Rust, LLVM would turn calls
//! of it into puts(3), which the kernel has not.

mod connection;
mod entry;
mod list;
mod lock;
mod memory;
pub mod probe;
pub mod system;
mod thread;
mod uio;
mod walk;

pub use connection::{
    Endpoints, NetworkStack, Pcb, Socket, Syncache, count, each_half_open, each_vnet, interface_name, network_stack,
};
pub use entry::set_private;
pub use list::List;
pub use lock::{Sleepable, registry};
pub use memory::{Block, KernelRecord, Own, Wait};
pub use thread::{
    check_signals, is_host_root, is_killed, pause_ns, signal_is_pending, switches, wants_to_yield, who, yield_cpu,
};
pub use uio::Uio;
pub use walk::{Step, Visitor, each_connection};

/// What bindgen makes of the kernel's headers and `siftr_cdev.h`.
#[allow(warnings, clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks, reason = "bindgen makes it")]
pub mod raw {
    include!(env!("BINDINGS"));
}

/// An error number of errno(2), never 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    pub const PERM: Self = Self(raw::EPERM.cast_signed());
    pub const NXIO: Self = Self(raw::ENXIO.cast_signed());
    pub const NOMEM: Self = Self(raw::ENOMEM.cast_signed());
    pub const BUSY: Self = Self(raw::EBUSY.cast_signed());
    pub const INVAL: Self = Self(raw::EINVAL.cast_signed());
    pub const NFILE: Self = Self(raw::ENFILE.cast_signed());
    pub const MFILE: Self = Self(raw::EMFILE.cast_signed());
    pub const NOTTY: Self = Self(raw::ENOTTY.cast_signed());
    pub const INTR: Self = Self(raw::EINTR.cast_signed());
    pub const AGAIN: Self = Self(raw::EAGAIN.cast_signed());
    pub const OPNOTSUPP: Self = Self(raw::EOPNOTSUPP.cast_signed());

    /// The number as the kernel wants it.
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// What a function of the kernel returned: 0, or an error number.
pub fn check(error: i32) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(Errno(error)) }
}

/// What a function of the module returns to the kernel.
fn answer(result: Result<(), Errno>) -> i32 {
    result.err().map_or(0, Errno::number)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: panic(9) can be called anywhere.
    unsafe { raw::siftr_cdev_panic() }
}
