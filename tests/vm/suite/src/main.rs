// SPDX-License-Identifier: BSD-2-Clause

//! Tests of `/dev/tcpstats` on a running FreeBSD, as TAP.
//!
//! ```text
//! vmsuite                    every test that needs nothing but the module
//! vmsuite hold               opens one connection of each kind, prints a line, waits for the end of its input
//! vmsuite values SECONDS     compares with TCP_INFO while data flows through what the caller has set up, then the
//!                            counters of bytes, of each TCP stack, with what the application and the packets say
//! vmsuite past-32-bits BYTES     sends so many bytes over the loopback interface and compares
//! vmsuite churn SECONDS      readers against connections that come and go
//! vmsuite visible PORT...    how often the device shows each local port to this user
//! vmsuite visible-everywhere PORT...   the same over all network stacks, with the jail
//! vmsuite identities PORT    network stack and number of each connection of that local port
//! vmsuite churn-everywhere SECONDS     a reader of all network stacks
//! vmsuite speed COUNT [DEVICE...]      time per record of the device, of net.inet.tcp.pcblist and of other devices
//! ```

#[cfg(target_os = "freebsd")]
mod bytes;
#[cfg(target_os = "freebsd")]
mod churn;
#[cfg(target_os = "freebsd")]
mod connections;
#[cfg(target_os = "freebsd")]
mod device;
#[cfg(target_os = "freebsd")]
mod mirror;
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
    eprintln!("vmsuite: this is for FreeBSD");
    std::process::exit(1);
}

#[cfg(target_os = "freebsd")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let good = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => suite::all(),
        ["hold"] => suite::hold(),
        ["values", _] => suite::values(number(&arguments[1])),
        ["past-32-bits", _] => bytes::past_32_bits(number(&arguments[1])),
        ["identities", _] => suite::identities(&arguments[1]),
        ["churn", _] => churn::run(number(&arguments[1])),
        ["visible", ..] => suite::visible(&arguments[1..], false),
        ["visible-everywhere", ..] => suite::visible(&arguments[1..], true),
        ["churn-everywhere", _] => churn::everywhere(number(&arguments[1])),
        ["speed", _, ..] => speed::run(number(&arguments[1]), &arguments[2..]),
        _ => panic!("see the head of main.rs"),
    };
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
