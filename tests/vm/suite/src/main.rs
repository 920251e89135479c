// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Tests of `/dev/tcpstats` on a running FreeBSD, as TAP.
//!
//! ```text
//! vmsuite                    run every test that only needs the module
//! vmsuite hold               open one connection of each kind, print them and wait for the end of the input
//! vmsuite values SECONDS     compare records with TCP_INFO while data flows, then the byte counters of each TCP stack
//!                            with the application and the packets
//! vmsuite past-32-bits BYTES           send BYTES bytes over the loopback interface and compare the counters
//! vmsuite changes SECONDS    compare changes with complete snapshots while connections change, with each TCP stack
//! vmsuite churn SECONDS      read the device while connections are opened and closed
//! vmsuite ledger COUNT [STACK]         end COUNT connections in each way, and compare their final records with the application
//! vmsuite ledger-churn SECONDS         do that while readers open and close the device
//! vmsuite ends SECONDS       open and end connections
//! vmsuite visible PORT...    print how many records of each local port this user can read
//! vmsuite visible-everywhere PORT...   print the same for all network stacks, with the jail
//! vmsuite identities PORT    print the network stack and number of each connection of a local port
//! vmsuite churn-everywhere SECONDS     read all network stacks
//! vmsuite cost COUNT         print the cost per connection of snapshots of COUNT connections
//! vmsuite owners SECONDS     compare the owners of connections with sockstat(1), then also while processes exchange them
//! vmsuite owners-cost COUNT  print the cost per connection of finding the owners of COUNT connections
//! vmsuite speed COUNT [DEVICE...]      print the time per record of the device, net.inet.tcp.pcblist and other devices
//! ```

#[cfg(target_os = "freebsd")]
mod bytes;
#[cfg(target_os = "freebsd")]
mod changes;
#[cfg(target_os = "freebsd")]
mod churn;
#[cfg(target_os = "freebsd")]
mod connections;
#[cfg(target_os = "freebsd")]
mod cost;
#[cfg(target_os = "freebsd")]
mod device;
#[cfg(target_os = "freebsd")]
mod ledger;
#[cfg(target_os = "freebsd")]
mod mirror;
#[cfg(target_os = "freebsd")]
mod owners;
#[cfg(target_os = "freebsd")]
mod presence;
#[cfg(target_os = "freebsd")]
mod speed;
#[cfg(target_os = "freebsd")]
mod suite;
#[cfg(target_os = "freebsd")]
mod system;
#[cfg(target_os = "freebsd")]
mod tap;
#[cfg(target_os = "freebsd")]
mod tcp_info;
#[cfg(target_os = "freebsd")]
mod truth;

#[cfg(not(target_os = "freebsd"))]
fn main() {
    eprintln!("vmsuite: available on FreeBSD only");
    std::process::exit(1);
}

#[cfg(target_os = "freebsd")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let passed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => suite::all(),
        ["hold"] => suite::hold(),
        ["values", _] => suite::values(number(&arguments[1])),
        ["past-32-bits", _] => bytes::past_32_bits(number(&arguments[1])),
        ["identities", _] => suite::identities(&arguments[1]),
        ["changes", _] => changes::run(number(&arguments[1])),
        ["churn", _] => churn::run(number(&arguments[1])),
        ["ledger", _] => ledger::all(number(&arguments[1]), None),
        ["ledger", _, stack] => ledger::all(number(&arguments[1]), Some(stack)),
        ["ledger-churn", _] => ledger::churn(number(&arguments[1])),
        ["ends", _] => ledger::ends_for(number(&arguments[1])),
        ["visible", ..] => suite::visible(&arguments[1..], false),
        ["visible-everywhere", ..] => suite::visible(&arguments[1..], true),
        ["churn-everywhere", _] => churn::everywhere(number(&arguments[1])),
        ["cost", _] => cost::run(number(&arguments[1])),
        ["owners", _] => owners::run(number(&arguments[1])),
        ["owners-cost", _] => owners::cost(number(&arguments[1])),
        ["speed", _, ..] => speed::run(number(&arguments[1]), &arguments[2..]),
        _ => panic!("unknown arguments; see the top of main.rs"),
    };
    if passed { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
