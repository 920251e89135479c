// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Prints the parts of tcpstats(1) that the command line defines, for
//! `siftr_cdev_gen options`.

fn main() {
    print!("{}", tcpstats_viewer::manual());
}
