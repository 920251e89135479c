// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `owners [ROOT]`: prints which processes have sockets open.
//!
//! Each line of standard input is a list of inode numbers of sockets.  The reply has one line for
//! each: the process, the number of processes, the container, `-` if unknown, and the command.
//! An empty line ends the reply.  The root directory is changed to ROOT after /proc was opened.

use std::error::Error;
use std::fmt::Write;
use std::io::stdin;

use tcpstats_source::Numbered;
use tcpstats_source::owners::{Finder, Process, Socket};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut finder = Finder::open()?;
    if let Some(root) = std::env::args().nth(1) {
        std::os::unix::fs::chroot(root)?;
        std::env::set_current_dir("/")?;
    }
    for line in stdin().lines() {
        let inodes: Vec<u32> = line?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let socket =
            |inode: u32| Socket { id: Numbered { gencnt: inode.into(), vnet: None }, inode: Some(inode), jid: None };
        let sockets: Vec<Socket> = inodes.into_iter().map(socket).collect();
        let mut reply = String::new();
        for owner in finder.find(&sockets)?.iter() {
            let container = owner.container.as_ref().map_or_else(|| "-".into(), |container| text(container));
            match &owner.process {
                Some(Process { pid, command, processes }) => {
                    writeln!(reply, "{pid} {processes} {container} {}", text(command))?;
                }
                None => reply.push_str("-\n"),
            }
        }
        println!("{reply}");
    }
    Ok(())
}
