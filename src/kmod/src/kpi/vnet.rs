// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Network stacks, vnet(9).

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;

use super::{Sleepable, Syncache, raw};

/// The current network stack of the running thread.
///
/// # Invariants
/// `curvnet` is set as long as a reference to the value exists, which is on one
/// thread, since it is not [`Sync`].
pub struct Vnet(PhantomData<*mut ()>);

/// The identity of a network stack.
pub use raw::siftr_cdev_vnet as VnetIdentity;

/// Calls `visit` in the network stack of the running thread or, if `all`, in each
/// network stack, with the sx(9) lock on the list of them held.
pub fn each_vnet<F: FnMut(&Vnet, &mut Sleepable)>(all: bool, sleepable: &mut Sleepable, visit: F) {
    struct Call<'a, F> {
        sleepable: &'a mut Sleepable,
        visit: F,
    }

    unsafe extern "C" fn call<F: FnMut(&Vnet, &mut Sleepable)>(argument: *mut c_void) {
        // SAFETY: the argument is the `call` below, which nothing else uses meanwhile.
        let Call { sleepable, visit } = unsafe { &mut *argument.cast::<Call<'_, F>>() };
        // INVARIANT: C has set curvnet until this returns.
        visit(&Vnet(PhantomData), sleepable);
    }

    let mut argument = Call { sleepable, visit };
    // SAFETY: the thread may sleep, by the invariant of the token, so it can lock the list.  `call::<F>` is called only
    // during the call, on this thread, and no lock but the sx lock is held then.
    unsafe { raw::siftr_cdev_each_vnet(all.into(), Some(call::<F>), (&raw mut argument).cast()) }
}

#[allow(clippy::unused_self, reason = "the value proves that there is a current network stack")]
impl Vnet {
    /// Wraps the current network stack.
    ///
    /// # Safety
    /// `curvnet` is set as long as the value exists.
    pub(super) const unsafe fn new() -> Self {
        // INVARIANT: the caller promises it.
        Self(PhantomData)
    }

    /// Returns the identity of the network stack, or `None` if it is not known yet.
    /// Ticks wrap after `wrap_ns`.
    pub fn identity(&self, wrap_ns: u64) -> Option<VnetIdentity> {
        let mut identity = VnetIdentity { id: 0, recent_gencnt: 0 };
        // SAFETY: curvnet is set, by the type invariant.
        let is_known = unsafe { raw::siftr_cdev_this_vnet(wrap_ns, &raw mut identity) } != 0;
        is_known.then_some(identity)
    }

    /// Returns the approximate number of connections.
    pub fn connections(&self) -> usize {
        // SAFETY: curvnet is set, by the type invariant.
        unsafe { raw::siftr_cdev_tcb_count() as usize }
    }

    /// Calls `visit` with each entry of the SYN cache that the running thread may see.
    /// The lock of the entry's bucket is held: the token is borrowed, so `visit` cannot
    /// sleep.
    pub fn each_half_open<F: FnMut(&Syncache<'_>)>(&self, _sleepable: &mut Sleepable, mut visit: F) {
        unsafe extern "C" fn put<F: FnMut(&Syncache<'_>)>(
            request: *mut raw::sysctl_req,
            entry: *const c_void,
            len: usize,
        ) -> c_int {
            if len < size_of::<raw::xtcpcb>() || entry.is_null() {
                return raw::EINVAL.cast_signed();
            }
            // SAFETY: the argument is the `visit` below, which nothing else uses meanwhile; the entry is a complete
            // xtcpcb that lives until this returns.
            unsafe {
                let visit = &mut *raw::siftr_cdev_syncache_arg(request).cast::<F>();
                visit(&Syncache(&*entry.cast()));
            }
            0
        }
        // SAFETY: curvnet is set, by the type invariant; `put::<F>` is called only during the call, on this thread.
        unsafe { raw::siftr_cdev_syncache(Some(put::<F>), (&raw mut visit).cast()) }
    }
}

/// Returns the name of an interface, or `None` if there is no such interface or
/// `stack_id` is not the identity of the running thread's network stack.
pub fn interface_name(stack_id: u64, index: u32) -> Option<[u8; raw::IFNAMSIZ as usize]> {
    let mut name = [0; raw::IFNAMSIZ as usize];
    // SAFETY: the function writes at most IFNAMSIZ bytes.
    let is_known = unsafe { raw::siftr_cdev_interface_name(stack_id, index, name.as_mut_ptr().cast()) } != 0;
    is_known.then_some(name)
}
