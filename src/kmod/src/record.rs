// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The record in the memory of a snapshot.

use tcpstats::{MODULE_BODY_LEN, MODULE_RECORD_LEN, Record};

use crate::kpi::Plain;

/// A record as the module stores and sends it.
pub type KernelRecord = Record<MODULE_BODY_LEN>;

const _: () = assert!(size_of::<KernelRecord>() == MODULE_RECORD_LEN && MODULE_BODY_LEN.is_multiple_of(8));

#[allow(unsafe_code, reason = "a promise about the type")]
// SAFETY: a record is C's layout of 64-bit integers followed by bytes, whose number is a multiple of 8.
unsafe impl Plain for KernelRecord {}
