// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Loading and unloading.

use tcpstats::MODULE_RECORD_LEN;

use crate::Driver;
use crate::kpi::{Errno, Module, Sleepable, device};
use crate::registry::REGISTRY;
use crate::storage::release_idle_memory;

impl Module for Driver {
    /// # Errors
    /// EEXIST if another driver has a device `/dev/tcpstats`.
    fn load(sleepable: &mut Sleepable) -> Result<(), Errno> {
        device::make_device(sleepable).inspect_err(|error| device::log_no_device(*error))?;
        device::log_loaded(u32::try_from(MODULE_RECORD_LEN).unwrap_or(0));
        Ok(())
    }

    /// Refuses new descriptors if none is open, and waits for threads that are about to
    /// leave the module.
    ///
    /// # Errors
    /// EBUSY if a descriptor is open; EINTR or ERESTART if a signal arrives.
    fn prepare_unload(sleepable: &mut Sleepable) -> Result<(), Errno> {
        let may_leave = REGISTRY.with(|registry| registry.limits.leave().then_some(registry.has_lost_files));
        let Some(has_lost_files) = may_leave else {
            return Err(Errno::BUSY);
        };
        if has_lost_files {
            sleepable.quiesce().inspect_err(|_| Self::cancel_unload())?;
            REGISTRY.with(|registry| registry.has_lost_files = false);
        }
        Ok(())
    }

    fn cancel_unload() {
        REGISTRY.with(|registry| registry.limits.stay());
    }

    /// # Errors
    /// EBUSY if a descriptor is open.
    fn unload(sleepable: &mut Sleepable) -> Result<(), Errno> {
        if !REGISTRY.with(|registry| registry.limits.leave()) {
            return Err(Errno::BUSY);
        }
        device::destroy_device(sleepable);
        Ok(())
    }

    fn low_memory() {
        release_idle_memory();
    }
}
