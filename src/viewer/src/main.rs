// SPDX-License-Identifier: BSD-2-Clause

//! `tcpstats`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tcpstats_viewer::main()
}
