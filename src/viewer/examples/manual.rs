// SPDX-License-Identifier: BSD-2-Clause

//! Prints the parts of tcpstats(1) that the command line defines, for
//! `siftr_cdev_gen options`.

fn main() {
    print!("{}", tcpstats_viewer::manual());
}
