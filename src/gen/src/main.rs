// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Generates everything in the tree and in the builds that derives from
//! something else.
//!
//! ```text
//! siftr_cdev_gen bindings BINDINGS_H OUT CLANG_ARGUMENT...
//! siftr_cdev_gen header OUT
//! siftr_cdev_gen layout OUT.rs OUT.c
//! siftr_cdev_gen fields PAGE
//! siftr_cdev_gen options PAGE
//! siftr_cdev_gen dashboard PATH
//! siftr_cdev_gen crates DIRECTORY
//! siftr_cdev_gen members PATH
//! siftr_cdev_gen check
//! siftr_cdev_gen sbom SYSTEM TIME OUT
//! ```
//!
//! The first three generate files of a build: the kernel module's bindings to
//! the kernel's headers, `tcpstats.h`, and the test of both compilers' layouts.
//! The others run at the top of the tree: they update the fields in
//! tcpstats(5), the options in tcpstats(1), the dashboard for Grafana, the port's list
//! of crates and the module's list of members, or check that all of these are up to
//! date.  The last writes the software bill of materials of a release.

mod bindings;
mod crates;
mod dashboard;
mod fields;
mod header;
mod layout;
mod page;
mod sbom;
mod viewer;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: siftr_cdev_gen bindings BINDINGS_H OUT CLANG_ARGUMENT...
       siftr_cdev_gen header OUT
       siftr_cdev_gen layout OUT.rs OUT.c
       siftr_cdev_gen fields|options PAGE
       siftr_cdev_gen dashboard PATH
       siftr_cdev_gen crates DIRECTORY
       siftr_cdev_gen members PATH
       siftr_cdev_gen check
       siftr_cdev_gen sbom SYSTEM TIME OUT";

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The members that the module reads.
const MEMBERS: &str = "src/kmod/members.h";

/// A file of the tree with its new text, and the make target that updates it.
struct Generated {
    path: &'static str,
    text: String,
    target: &'static str,
}

/// Returns the page at `path` with its generated parts replaced.
fn page(path: &Path, generated: &str) -> Result<String, String> {
    page::replace(&read(path)?, generated).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns every generated file of the tree with its new text.
fn tree() -> Result<Vec<Generated>, String> {
    let (tcpstats_1, tcpstats_5) = ("man/tcpstats.1", "man/tcpstats.5");
    let crates = crates::generate()?;
    Ok(vec![
        Generated { path: tcpstats_1, text: page(Path::new(tcpstats_1), &viewer::example("manual")?)?, target: "man" },
        Generated { path: tcpstats_5, text: page(Path::new(tcpstats_5), &fields::generate())?, target: "man" },
        Generated {
            path: dashboard::PATH,
            text: dashboard::generate(&viewer::example("metrics")?)?,
            target: "dashboard",
        },
        Generated { path: MEMBERS, text: layout::members(&read(Path::new(MEMBERS))?)?, target: "members" },
        Generated { path: crates::MAKEFILE, text: crates.makefile, target: "crates" },
        Generated { path: crates::DISTINFO, text: crates.distinfo, target: "crates" },
    ])
}

/// Checks that no generated file of the tree is out of date.
fn check() -> Result<(), String> {
    let mut stale = Vec::new();
    for Generated { path, text, target } in tree()? {
        if read(Path::new(path))? != text {
            stale.push(format!("{path}: out of date; run make {target}"));
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(stale.join("\nsiftr_cdev_gen: ")) }
}

fn run(arguments: &[String]) -> Result<(), String> {
    let [command, rest @ ..] = arguments else { return Err(USAGE.into()) };
    let paths: Vec<_> = rest.iter().map(Path::new).collect();
    match (command.as_str(), paths.as_slice()) {
        ("bindings", [_, out, ..]) => write(out, &bindings::generate(&rest[0], &rest[2..])?),
        ("header", [out]) => write(out, &header::text()),
        ("layout", [rust, c]) => write(rust, &layout::rust()).and_then(|()| write(c, &layout::c())),
        ("fields", [path]) => write(path, &page(path, &fields::generate())?),
        ("options", [path]) => write(path, &page(path, &viewer::example("manual")?)?),
        ("dashboard", [path]) => write(path, &dashboard::generate(&viewer::example("metrics")?)?),
        ("crates", [directory]) => {
            let crates = crates::generate()?;
            write(&directory.join(crates::MAKEFILE), &crates.makefile)?;
            write(&directory.join(crates::DISTINFO), &crates.distinfo)
        }
        ("members", [path]) => write(path, &layout::members(&read(path)?)?),
        ("check", []) => check(),
        ("sbom", [_, _, out]) => write(out, &sbom::generate(&rest[0], &rest[1])?),
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("siftr_cdev_gen: {sentence}");
            ExitCode::FAILURE
        }
    }
}
