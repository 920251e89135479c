// SPDX-License-Identifier: BSD-2-Clause

//! `siftr_cdev_logger`: samples the statistics of every TCP connection at
//! fixed times and logs them.

mod log;
mod options;
mod run;
mod source;
mod system;

use std::process::ExitCode;

/// What went wrong, as one sentence for the user.
pub type Sentence = String;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = options::parse(&arguments).and_then(|request| match request {
        options::Request::Tell(text) => {
            print!("{text}");
            Ok(())
        }
        options::Request::Run(options) => run::run(&options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("siftr_cdev_logger: {sentence}");
            ExitCode::FAILURE
        }
    }
}
