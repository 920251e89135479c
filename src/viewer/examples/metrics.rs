// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Prints every metric of `tcpstats serve`, for `siftr_cdev_gen dashboard`.

fn main() {
    print!("{}", tcpstats_viewer::metrics());
}
