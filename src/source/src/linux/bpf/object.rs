// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Loading the compiled BPF programs.

use std::error::Error as StdError;
use std::io;

use aya::{Btf, Ebpf, EbpfLoader};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::{getsockopt_impl, sockopt_impl};

use crate::Error;

sockopt_impl!(
    /// `SO_NETNS_COOKIE`: the number of the network namespace.
    NetnsCookie, GetOnly, libc::SOL_SOCKET, SO_NETNS_COOKIE, u64
);
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Loads the maps of an object, whose programs concern the sockets of this network namespace.
/// Also returns the types of the kernel, with which its programs are loaded.
///
/// # Errors
/// Returns the reason why they cannot be loaded.
pub fn load(object: &[u8], configure: impl FnOnce(&mut EbpfLoader<'_>)) -> Result<(Ebpf, Btf), Error> {
    let btf = Btf::from_sys_fs().map_err(|_| missing("BTF (CONFIG_DEBUG_INFO_BTF)"))?;
    let netns_cookie = netns_cookie().map_err(|_| missing("cookies of network namespaces"))?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&btf)).override_global("netns_cookie", &netns_cookie, true);
    configure(&mut loader);
    let loaded = loader.load(object).map_err(load_failed)?;
    drop(loader);
    Ok((loaded, btf))
}

fn netns_cookie() -> nix::Result<u64> {
    let any = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    getsockopt(&any, NetnsCookie)
}

/// Returns the error for something that the kernel lacks.
pub fn missing(what: &str) -> Error {
    Error::BpfNotSupported { what: what.into() }
}

/// Returns the error for a program that cannot be loaded.
pub fn load_failed(error: impl StdError + Send + Sync + 'static) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) == Some(libc::EPERM) {
            return Error::BpfNotAllowed;
        }
        cause = error.source();
    }
    Error::BpfLoad(error.into())
}
