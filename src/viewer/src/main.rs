// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `tcpstats`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tcpstats_viewer::main()
}
