// SPDX-License-Identifier: BSD-2-Clause

//! `siftr_cdev_logger`: samples the statistics of every TCP connection at
//! fixed times and logs them.

mod log;
mod options;
mod run;
mod source;
mod system;

use std::io::Write;
use std::process::ExitCode;

/// What went wrong, as one sentence for the user.
pub type Sentence = String;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = options::parse(&arguments).and_then(|request| match request {
        options::Request::Tell(text) => {
            std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
        }
        options::Request::Run(options) => run::run(&options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("siftr_cdev_logger: {}", without_number(&sentence));
            ExitCode::FAILURE
        }
    }
}

/// A sentence without the number that [`std::io::Error`] puts behind what the
/// system said.
fn without_number(sentence: &str) -> &str {
    match sentence.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (os error ")) {
        Some((said, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => said,
        _ => sentence,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_system_said_has_no_number() {
        let error = std::io::Error::from_raw_os_error(2);
        let sentence = format!("log x: {error}");
        assert!(sentence.ends_with(" (os error 2)"));
        assert_eq!(super::without_number(&sentence), "log x: No such file or directory");
        assert_eq!(super::without_number("log (os error x)"), "log (os error x)");
    }
}
