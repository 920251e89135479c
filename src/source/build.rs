// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Compiles the BPF programs if the feature `bpf` is on, the target is Linux, and clang is
//! installed.  `CLANG` names another compiler.  Without one, the source `bpf` is missing.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const DIRECTORY: &str = "src/linux/bpf";
const PROGRAMS: [&str; 2] = ["marks", "users"];

/// The compilers that are tried: any since clang 13 will do.
const COMPILERS: [&str; 10] = [
    "clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14", "clang-13",
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_bpf)");
    println!("cargo::rerun-if-changed={DIRECTORY}");
    println!("cargo::rerun-if-env-changed=CLANG");
    let setting = |name: &str| env::var(name).unwrap_or_default();
    if env::var_os("CARGO_FEATURE_BPF").is_none() || setting("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let target = if setting("CARGO_CFG_TARGET_ENDIAN") == "big" { "bpfeb" } else { "bpfel" };
    let compilers = match env::var("CLANG") {
        Ok(named) => vec![named],
        Err(_) => COMPILERS.map(String::from).into(),
    };
    for compiler in compilers {
        match PROGRAMS.iter().try_for_each(|program| compile(&compiler, target, program)) {
            Ok(()) => {
                println!("cargo::rustc-cfg=has_bpf");
                return;
            }
            Err(Some(source)) => println!("cargo::warning={compiler} cannot compile {source}"),
            Err(None) => (),
        }
    }
}

/// Compiles a program.  The error is its source, or `None` if there is no such compiler.
fn compile(compiler: &str, target: &str, program: &str) -> Result<(), Option<String>> {
    let source = format!("{DIRECTORY}/{program}.bpf.c");
    let object = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join(format!("{program}.bpf.o"));
    // The object does not contain the directory of the build.
    let compiled = Command::new(compiler)
        .args(["-target", target, "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(["-fdebug-compilation-dir=.", "-c", &source, "-o"])
        .arg(&object)
        .status();
    match compiled {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Some(source)),
        Err(_) => Err(None),
    }
}
