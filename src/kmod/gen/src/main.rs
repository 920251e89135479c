// SPDX-License-Identifier: BSD-2-Clause

//! Generates the inputs of the kernel module's build, and the list of fields in
//! tcpstats(5).
//!
//! ```text
//! siftr_cdev_gen bindings BINDINGS_H OUT CLANG_ARGUMENT...
//! siftr_cdev_gen header OUT
//! siftr_cdev_gen layout OUT.rs OUT.c
//! siftr_cdev_gen fields PAGE
//! ```

mod bindings;
mod fields;
mod header;
mod layout;

use std::process::ExitCode;

const USAGE: &str = "usage: siftr_cdev_gen bindings BINDINGS_H OUT CLANG_ARGUMENT...
       siftr_cdev_gen header OUT
       siftr_cdev_gen layout OUT.rs OUT.c
       siftr_cdev_gen fields PAGE";

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [command, input, out, clang @ ..] if command == "bindings" => write(out, &bindings::generate(input, clang)?),
        [command, out] if command == "header" => write(out, &header::text()),
        [command, rust, c] if command == "layout" => {
            write(rust, &layout::rust())?;
            write(c, &layout::c())
        }
        [command, page] if command == "fields" => {
            let text = std::fs::read_to_string(page).map_err(|error| format!("{page}: {error}"))?;
            write(page, &fields::put_into(&text).map_err(|error| format!("{page}: {error}"))?)
        }
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("siftr_cdev_gen: {error}");
            ExitCode::FAILURE
        }
    }
}
