// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Bindings to the target's own kernel headers.

use bindgen::{Builder, EnumVariation};

/// Types whose members the module reads.
const TYPES: [&str; 14] = [
    "cc_algo",
    "in_conninfo",
    "inpcb",
    "inpcb_iterator",
    "mtx",
    "prison",
    "siftr_cdev_.*",
    "sx",
    "tcp_function_block",
    "tcpcb",
    "tt_which",
    "ucred",
    "uio",
    "xtcpcb",
];

/// Functions of the kernel that the module calls, and those of `siftr_cdev.h`.
const FUNCTIONS: [&str; 9] = [
    "devfs_clear_cdevpriv",
    "devfs_get_cdevpriv",
    "devfs_set_cdevpriv",
    "inp_next",
    "sig_intr",
    "siftr_cdev_.*",
    "tcp_compute_pipe",
    "tcp_get_srtt",
    "uiomove",
];

/// Variables and constants.
const VARIABLES: [&str; 16] = [
    "E(PERM|NXIO|INTR|NOMEM|FAULT|BUSY|INVAL|NFILE|MFILE|NOTTY|AGAIN|OPNOTSUPP)",
    "E(CONNABORTED|CONNREFUSED|CONNRESET|TIMEDOUT)",
    "ERESTART",
    "FWRITE",
    "hz",
    "(IFNAMSIZ|IOCPARM_MASK)",
    "INP_(IPV[46]|DROPPED)",
    "O_NONBLOCK",
    "M_(NOWAIT|WAITOK|ZERO)",
    "osreldate",
    "siftr_cdev_.*",
    "SIFTR_CDEV_.*",
    "TCP_(LOG_ID_LEN|MAXWIN|MAX_WINSHIFT|RTTVAR_SHIFT)",
    "TCP_TMR_GRANULARITY_USEC",
    "TF2?_.*",
    "ticks",
];

/// Types of `siftr_cdev.h` that are atomic integers in Rust.
const ATOMICS: [(&str, &str); 3] =
    [("siftr_cdev_u64_t", "AtomicU64"), ("siftr_cdev_ulong_t", "AtomicU64"), ("siftr_cdev_uint_t", "AtomicU32")];

/// Returns the bindings to the headers that `input` includes.
///
/// # Errors
/// Returns the error that libclang reports about the headers.
pub fn generate(input: &str, clang: &[String]) -> Result<String, String> {
    let mut builder = Builder::default()
        .header(input)
        .clang_args(clang)
        .use_core()
        .ctypes_prefix("core::ffi")
        .default_enum_style(EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_copy(false)
        .derive_debug(false)
        .generate_comments(false)
        .layout_tests(true)
        .formatter(bindgen::Formatter::None);
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in VARIABLES {
        builder = builder.allowlist_var(name);
    }
    for (name, atomic) in ATOMICS {
        builder = builder.blocklist_type(name).raw_line(format!("use core::sync::atomic::{atomic} as {name};"));
    }
    builder.generate().map(|bindings| bindings.to_string()).map_err(|error| error.to_string())
}
