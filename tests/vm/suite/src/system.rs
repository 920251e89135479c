// SPDX-License-Identifier: BSD-2-Clause

//! Commands and sysctls of the machine.

use std::process::Command;

/// Runs a command of sh(1), which is to succeed, and gives what it printed.
pub fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The value of a sysctl, none where the kernel has no such.
pub fn sysctl(name: &str) -> Option<String> {
    let output = Command::new("sysctl").args(["-n", name]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
}

/// A sysctl with another value, until this is dropped.
pub struct Setting {
    name: String,
    before: String,
}

impl Setting {
    pub fn new(name: &str, value: &str) -> Self {
        let before = sysctl(name).unwrap_or_else(|| panic!("there is no sysctl {name}"));
        run(&format!("sysctl {name}={value}"));
        Self { name: name.into(), before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        run(&format!("sysctl {}={}", self.name, self.before));
    }
}

/// The TCP stacks that this machine has or can load.
pub fn stacks() -> Vec<&'static str> {
    ["freebsd", "rack", "bbr"]
        .into_iter()
        .filter(|stack| {
            let module = format!("kldload -n tcp_{stack}");
            *stack == "freebsd" || Command::new("sh").args(["-c", &module]).output().unwrap().status.success()
        })
        .collect()
}

/// New sockets are of that stack until the result is dropped.  The host cache
/// forgets what it has: RACK keeps round-trip times there in microseconds, which
/// the base stack takes for ticks.
pub fn with_stack(stack: &str) -> Setting {
    run("sysctl net.inet.tcp.hostcache.purgenow=1");
    Setting::new("net.inet.tcp.functions_default", stack)
}
