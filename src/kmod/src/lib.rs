// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `siftr_cdev.ko`: the statistics of every TCP connection in `/dev/tcpstats`.
//!
//! | module | contents |
//! |---|---|
//! | `kpi` | safe wrappers around the kernel; all unsafe blocks are there |
//! | `module` | load, unload |
//! | `device` | open, read, ioctl, poll, close |
//! | `registry` | the state that descriptors share |
//! | `snapshot` | one pass over all connections, into memory |
//! | `storage` | the memory of a snapshot |
//! | `idle` | memory kept between two snapshots |
//! | `yielding` | yields the CPU during a read |
//! | `ledger` | final records of connections that have ended |
//! | `changes` | which connections may have changed |
//! | `prefilter` | excludes connections before they are locked |
//! | `fill` | makes a record from a connection |
//! | `record` | the type of the record |
//! | [`output`] | the bytes of a snapshot that read(2) returns |
//! | [`limits`] | limits per user and per jail |
//! | [`seats`] | the readers of the ledger and their positions |
//! | [`ending`] | how a connection ended |
//! | [`pace`] | how long a read holds the CPU |
//! | [`units`] | converts the kernel's numbers to the units of the record |
//! | [`address`] | converts the kernel's addresses |
//!
//! The last seven do not depend on the kernel and have unit tests on the host.  The
//! tests in `tests/kmod` run the built module in a fake kernel.

#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", deny(unsafe_code))]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

pub mod address;
#[cfg(target_os = "none")]
mod changes;
#[cfg(target_os = "none")]
mod device;
pub mod ending;
#[cfg(target_os = "none")]
mod fill;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod kpi;
#[cfg(target_os = "none")]
mod ledger;
pub mod limits;
#[cfg(target_os = "none")]
mod module;
pub mod output;
pub mod pace;
#[cfg(target_os = "none")]
mod prefilter;
#[cfg(target_os = "none")]
mod record;
#[cfg(target_os = "none")]
mod registry;
pub mod seats;
#[cfg(target_os = "none")]
mod snapshot;
#[cfg(target_os = "none")]
mod storage;
pub mod units;
#[cfg(target_os = "none")]
mod yielding;

/// The driver: implements the traits of `kpi`.
#[cfg(target_os = "none")]
struct Driver;

#[cfg(target_os = "none")]
kpi::entry_points!(Driver);
