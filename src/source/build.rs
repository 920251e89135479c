// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Compiles the BPF programs if the feature `bpf` is on, the target is Linux, and clang is
//! installed.  `CLANG` names another compiler.  Without one, the source `bpf` is missing.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/linux/bpf/marks.bpf.c";

/// The compilers that are tried: any since clang 13 will do.
const COMPILERS: [&str; 10] = [
    "clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14", "clang-13",
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_bpf)");
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=CLANG");
    let setting = |name: &str| env::var(name).unwrap_or_default();
    if env::var_os("CARGO_FEATURE_BPF").is_none() || setting("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let target = if setting("CARGO_CFG_TARGET_ENDIAN") == "big" { "bpfeb" } else { "bpfel" };
    let object = PathBuf::from(setting("OUT_DIR")).join("marks.bpf.o");
    let compilers = match env::var("CLANG") {
        Ok(named) => vec![named],
        Err(_) => COMPILERS.map(String::from).into(),
    };
    for compiler in compilers {
        // The object does not contain the directory of the build.
        let compiled = Command::new(&compiler)
            .args(["-target", target, "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
            .args(["-fdebug-compilation-dir=.", "-c", SOURCE, "-o"])
            .arg(&object)
            .status();
        match compiled {
            Ok(status) if status.success() => {
                println!("cargo::rustc-cfg=has_bpf");
                return;
            }
            Ok(_) => println!("cargo::warning={compiler} cannot compile {SOURCE}"),
            Err(_) => (),
        }
    }
}
