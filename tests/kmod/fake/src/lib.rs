// SPDX-License-Identifier: BSD-2-Clause

//! Runs the built kernel module in a fake kernel, one scenario a process.
//!
//! ```text
//! fake list
//! fake SCENARIO
//! fake fuzz SECONDS SEED
//! fake list-misdeeds
//! fake misbehave DEED
//! fake measure CONNECTIONS [binary | text | reject]
//! ```
//!
//! Exits with 0 where all is as it should be; any failure, be it of an
//! assertion here or in the fake kernel, ends the program with a message.
//!
//! Empty where the module's amd64 code cannot run under Linux.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod fuzz;
mod help;
mod host;
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "numbers of C")]
mod kernel;
mod measure;
mod scenarios;

const USAGE: &str =
    "usage: fake list | SCENARIO | fuzz SECONDS SEED | list-misdeeds | misbehave DEED | measure CONNECTIONS [WAY]";

fn run(arguments: &[&str]) -> Option<()> {
    match *arguments {
        ["list"] => scenarios::all().for_each(|(name, _)| println!("{name}")),
        ["list-misdeeds"] => kernel::misdeeds().for_each(|name| println!("{name}")),
        ["misbehave", deed] => {
            kernel::attach();
            kernel::misbehave(deed);
            println!("nobody minded");
        }
        ["fuzz", seconds, seed] => {
            kernel::attach();
            fuzz::run(seconds.parse().ok()?, seed.parse().ok()?);
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

// The fake kernel's code wants low addresses, so the linking is not cargo's and
// the start not Rust's.
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
