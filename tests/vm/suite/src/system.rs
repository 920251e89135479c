// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Commands and sysctls of the machine.

use std::process::Command;

/// Runs a command with sh(1), which must succeed, and returns its output.
pub fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Returns the value of a sysctl, or `None` if the kernel does not have it.
pub fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("sysctl").args(["-n", name]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
}

/// A changed sysctl, which is restored on drop.
pub struct Setting {
    name: String,
    before: String,
}

impl Setting {
    pub fn new(name: &str, value: &str) -> Self {
        let before = sysctl(name).unwrap_or_else(|| panic!("no sysctl {name}"));
        run(&format!("sysctl {name}={value}"));
        Self { name: name.into(), before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        run(&format!("sysctl {}={}", self.name, self.before));
    }
}

/// Returns the TCP stacks that this machine has or can load.
pub fn stacks() -> Vec<&'static str> {
    ["freebsd", "rack", "bbr"]
        .into_iter()
        .filter(|stack| {
            let module = format!("kldload -n tcp_{stack}");
            *stack == "freebsd" || Command::new("sh").args(["-c", &module]).output().unwrap().status.success()
        })
        .collect()
}

/// Selects the stack of new sockets until the result is dropped.
///
/// Purges the host cache, because RACK stores round-trip times there in
/// microseconds, which the base stack would interpret as ticks.
pub fn with_stack(stack: &str) -> Setting {
    run("sysctl net.inet.tcp.hostcache.purgenow=1");
    Setting::new("net.inet.tcp.functions_default", stack)
}
