// SPDX-License-Identifier: BSD-2-Clause

//! `siftr_cdev.ko`: the statistics of every TCP connection in `/dev/tcpstats`.
//!
//! | module | what |
//! |---|---|
//! | `kpi` | safe wrappers around the kernel; all unsafe code is there |
//! | `device` | open, read, ioctl, close, load, unload |
//! | `snapshot` | one pass over all connections, into memory |
//! | `idle` | memory kept between two snapshots |
//! | `fill` | a record from a connection |
//! | [`output`] | what read(2) gives of a snapshot |
//! | [`limits`] | what a user may do |
//! | [`pace`] | how long a read holds the CPU |
//! | [`units`] | the kernel's numbers in the units of the record |
//!
//! The last four know nothing of the kernel and are tested on the host; the
//! whole is tested as the built module, in `tests/kmod`.

#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod fill;
#[cfg(target_os = "none")]
mod idle;
#[cfg(target_os = "none")]
mod kpi;
pub mod limits;
pub mod output;
pub mod pace;
#[cfg(target_os = "none")]
mod snapshot;
pub mod units;
