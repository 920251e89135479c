// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Runs the built kernel module in a fake kernel, with one scenario per process.
//!
//! ```text
//! fake list
//! fake SCENARIO
//! fake fuzz SECONDS SEED
//! fake list-misuses
//! fake misbehave MISUSE
//! fake measure CONNECTIONS [binary | quiet | text | reject | ended | ended-without-reader]
//! ```
//!
//! Exits with 0 if the scenario succeeds.  If an assertion fails, here or in the
//! fake kernel, the program aborts with a message.
//!
//! The crate is empty on machines that cannot run the module's amd64 code.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod fuzz;
mod help;
mod host;
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "numbers of C")]
mod kernel;
mod measure;
mod scenarios;

const USAGE: &str =
    "usage: fake list | SCENARIO | fuzz SECONDS SEED | list-misuses | misbehave MISUSE | measure CONNECTIONS [WAY]";

fn run(arguments: &[&str]) -> Option<()> {
    match *arguments {
        ["list"] => scenarios::all().for_each(|(name, _)| println!("{name}")),
        ["list-misuses"] => kernel::misuses().for_each(|name| println!("{name}")),
        ["misbehave", misuse] => {
            kernel::attach();
            kernel::misbehave(misuse);
            println!("not detected");
        }
        ["fuzz", seconds, seed] => {
            kernel::attach();
            fuzz::run(seconds.parse().ok()?, seed.parse().ok()?);
        }
        ["measure", count, "ended" | "ended-without-reader"] => {
            kernel::attach();
            measure::ends(count.parse().ok()?, arguments.last() == Some(&"ended"));
        }
        ["measure", count, ref way @ ..] => {
            kernel::attach();
            measure::run(count.parse().ok()?, way.first().copied());
        }
        [name] => {
            let (_, scenario) = scenarios::all().find(|(known, _)| *known == name)?;
            kernel::attach();
            scenario();
        }
        _ => return None,
    }
    Some(())
}

// The code of the module needs low addresses, so build.sh links the program, and
// the C library starts it.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    host::report_faults();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).is_none() {
        eprintln!("{USAGE}");
        return 2;
    }
    0
}
