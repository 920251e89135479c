// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! System services: clocks, the identity of the system, and standard output.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::time::TimeSpec;
use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_gettime};

/// Returns the time of a clock in nanoseconds.
fn clock_ns(clock: ClockId) -> u64 {
    // Both clocks exist on every supported system.
    let time = clock_gettime(clock).unwrap_or(TimeSpec::new(0, 0));
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// Returns the time in nanoseconds since the Epoch.
#[must_use]
pub fn wall_ns() -> u64 {
    clock_ns(ClockId::CLOCK_REALTIME)
}

/// Returns the time of the monotonic clock in nanoseconds.
#[cfg(target_os = "linux")]
#[must_use]
pub fn mono_ns() -> u64 {
    clock_ns(ClockId::CLOCK_MONOTONIC)
}

/// Whether standard output was closed when the process was started.
static OUTPUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before main, because Rust's runtime replaces a closed standard stream
/// with /dev/null, where the output would be lost.
extern "C" fn inspect_standard_output() {
    // SAFETY: fcntl(2) with F_GETFD takes no pointer.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    OUTPUT_CLOSED.store(flags == -1, Ordering::Relaxed);
}

// SAFETY: the loader calls the functions in this section before main, with
// arguments that this function ignores; the function does not use Rust's
// runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static INSPECT: extern "C" fn() = inspect_standard_output;

/// Returns whether standard output was closed when the process was started, so
/// that everything written to it is lost.
#[must_use]
pub fn standard_output_was_closed() -> bool {
    // Keeps the section's entry in every program that calls this function.
    std::hint::black_box(INSPECT);
    OUTPUT_CLOSED.load(Ordering::Relaxed)
}

/// The system on which this process runs, from uname(3).
pub struct System {
    /// Name of the operating system.
    pub name: String,
    /// Name of the host.
    pub host: String,
    /// The version as one number: `__FreeBSD_version`, or Linux's
    /// `LINUX_VERSION_CODE`.
    pub version: u64,
    /// An identifier that is unique to this boot of this host, `None` if unknown.
    pub boot: Option<String>,
}

impl System {
    /// Returns this system.
    #[must_use]
    pub fn this() -> Self {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        match uname() {
            Ok(uts) => {
                let release = text(uts.release());
                Self { name: text(uts.sysname()), host: text(uts.nodename()), version: version(&release), boot: boot() }
            }
            Err(_) => Self { name: String::new(), host: String::new(), version: 0, boot: boot() },
        }
    }
}

/// Returns random bytes that the kernel chose at boot.
#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim_ascii().to_owned()).filter(|id| !id.is_empty())
}

/// Returns random bytes that the kernel chose at boot.  `kern.boottime` is not
/// usable: it changes when the clock is set.
#[cfg(target_os = "freebsd")]
fn boot() -> Option<String> {
    let mut id = [0u8; 16];
    let mut len = id.len();
    // SAFETY: the name is terminated, `id` has `len` bytes, and no new value is passed.
    let failed = unsafe {
        libc::sysctlbyname(c"kern.boot_id".as_ptr(), id.as_mut_ptr().cast(), &raw mut len, std::ptr::null(), 0)
    };
    let is_known = failed == 0 && len == id.len() && id != [0; 16];
    is_known.then(|| id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// Returns the number of a release such as `6.18.44-x` or `14.2-RELEASE`.
fn version(release: &str) -> u64 {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let (major, minor, patch) = (next(), next(), next());
    if cfg!(target_os = "freebsd") {
        major * 100_000 + minor * 1000
    } else {
        (major << 16) + (minor << 8) + patch.min(255)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_boot_has_one_id() {
        let ids = [super::boot(), super::boot()];
        assert_eq!(ids[0], ids[1]);
        assert!(ids[0].as_ref().is_some_and(|id| id.len() == 36 && !id.contains(char::is_whitespace)), "{ids:?}");
    }

    #[test]
    fn a_release_is_converted_to_linux_version_code() {
        assert_eq!(super::version("6.18.44-amd64"), 0x06_12_2c);
        assert_eq!(super::version("5.10"), 0x05_0a_00);
    }
}
