// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Errors of a source, and how errors become text.

use std::error::Error as StdError;
use std::ffi::CStr;
use std::io;

use nix::errno::Errno;
use tcpstats::frame::FrameError;
use tcpstats::stream::StreamError;
use thiserror::Error;

/// Why a source cannot be opened or sampled.
///
/// Like every error here it is displayed without its cause; [`report`] prints
/// both in one line.
#[derive(Debug, Error)]
pub enum Error {
    /// A system call failed.
    #[error("source {name}")]
    System {
        /// The source.
        name: String,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The path is a directory.
    #[error("source {name}: expected a device or a file of frames, not a directory")]
    Directory {
        /// The source.
        name: String,
    },
    /// The file contains something else.
    #[error("source {name}: expected a file of frames, as written by -F bin")]
    NotFrames {
        /// The source.
        name: String,
        /// The error at the start of the file.
        #[source]
        cause: FrameError,
    },
    /// A frame cannot be read.
    #[error("source {name}")]
    Frame {
        /// The source.
        name: String,
        /// What is wrong with the frame.
        #[source]
        cause: StreamError,
    },
    /// The process that finds the owners of sockets has exited.
    #[error("the process that finds the owners of connections has exited")]
    OwnersGone,
    /// The process that finds the owners of sockets does not reply.
    #[error("the process that finds the owners of connections has not replied for {seconds} s")]
    OwnersSlow {
        /// The time in seconds.
        seconds: u64,
    },
    /// The process that finds the owners of sockets cannot be reached.
    #[error("cannot communicate with the process that finds the owners of connections")]
    OwnersLost(#[source] io::Error),
    /// A device returned the end of a snapshot twice.
    #[error("source {name}: the device returned no snapshot")]
    NoSnapshot {
        /// The source.
        name: String,
    },
    /// A source that only Linux has was requested on another system.
    #[error("source {name}: available on Linux only; use /dev/tcpstats")]
    LinuxOnly {
        /// The source.
        name: String,
    },
    /// The option selects network namespaces, which only Linux has.
    #[error("--netns: available on Linux only; use --all-vnets")]
    NetnsLinuxOnly,
    /// The option selects virtual network stacks, which only FreeBSD has.
    #[error("--all-vnets: available on FreeBSD only; use --netns all")]
    AllVnetsFreebsdOnly,
    /// The source has no virtual network stacks.
    #[error("--all-vnets: requires a device as the source, not {name}")]
    AllVnetsSource {
        /// The source.
        name: String,
    },
    /// The device does not allow this process to read all virtual network stacks.
    #[error("source {name}: only root on the host can read all network stacks (--all-vnets)")]
    AllVnetsNotAllowed {
        /// The source.
        name: String,
    },
    /// The list of network namespaces is empty or has an empty name.
    #[error("--netns \"{given}\": expected all, or a comma-separated list of network namespaces")]
    NetnsList {
        /// The argument.
        given: String,
    },
    /// A network namespace does not exist.
    #[error("--netns: unknown network namespace \"{name}\"; expected all, an inode number, or one of: {expected}")]
    NetnsUnknown {
        /// The name or number.
        name: String,
        /// The names that exist.
        expected: String,
    },
    /// The source has only the network namespace of the process.
    #[error("--netns: requires the source sock_diag, not {name}")]
    NetnsSource {
        /// The source.
        name: String,
    },
    /// The BPF programs mark the sockets of one network namespace.
    #[error("source bpf: for one network namespace only; use sock_diag with --netns")]
    BpfOneNetns,
    /// This process cannot enter network namespaces.
    #[error("--netns: entering network namespaces requires CAP_SYS_ADMIN")]
    NetnsNotAllowed,
    /// The numbers of sockets are not unique in this kernel.
    #[error("--netns: requires Linux 5.4 or later, where socket cookies are unique in all network namespaces")]
    NetnsKernel,
    /// The network namespaces cannot be listed or watched.
    #[error("network namespaces cannot be found")]
    NetnsFind(#[source] io::Error),
    /// The process or thread that opens network namespaces has ended.
    #[error("source sock_diag: the process that opens network namespaces has exited")]
    NetnsUnwatched,
    /// The program was built without the source.
    #[error("source bpf: this program was built without it; building it requires clang")]
    BpfNotBuilt,
    /// The reader needs complete snapshots.
    #[error("source bpf: for a log of changes only (siftr_cdev_logger -x); use sock_diag")]
    BpfOfChanges,
    /// The kernel does not allow this process to load BPF programs.
    #[error("source bpf: loading programs requires CAP_BPF and CAP_PERFMON")]
    BpfNotAllowed,
    /// The kernel lacks something that the programs need.
    #[error("source bpf: the kernel has no {what}")]
    BpfNotSupported {
        /// What it lacks.
        what: String,
    },
    /// The programs cannot be loaded.
    #[error("source bpf: the programs cannot be loaded")]
    BpfLoad(#[source] Box<dyn StdError + Send + Sync>),
    /// The results of the programs cannot be read.
    #[error("source bpf: the results of the programs cannot be read")]
    BpfRead(#[source] Box<dyn StdError + Send + Sync>),
    /// The kernel was built without socket diagnostics.
    #[error("source sock_diag: the kernel has no socket diagnostics (CONFIG_INET_DIAG; try modprobe tcp_diag)")]
    NoDiagnostics(#[source] io::Error),
    /// A sandbox or container forbids netlink sockets.
    #[error(
        "source sock_diag: netlink sockets are not allowed (allow AF_NETLINK, in systemd with RestrictAddressFamilies=)"
    )]
    NotAllowed(#[source] io::Error),
    /// The kernel module for dumps of TCP sockets is not loaded.
    #[error("source sock_diag: the kernel cannot dump TCP sockets (load its module with modprobe tcp_diag)")]
    NoModule(#[source] io::Error),
    /// The dump failed.
    #[error("source sock_diag: the kernel's dump failed")]
    Dump(#[source] io::Error),
    /// The messages about destroyed sockets cannot be received.
    #[error("source sock_diag: the kernel's messages about closed connections cannot be received")]
    Ledger(#[source] io::Error),
    /// The processes cannot be read.
    #[error("owners of connections: /proc cannot be read")]
    Proc(#[source] io::Error),
    /// A table from which the owners of connections are derived cannot be read.
    #[error("owners of connections: {table}")]
    Owners {
        /// The table.
        table: &'static str,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// Such a table has another layout than in the kernels that are supported.
    #[error("owners of connections: {table}: the layout is not that of FreeBSD 14 or 15")]
    OwnersLayout {
        /// The table.
        table: &'static str,
    },
    /// The reply violates the protocol.
    #[error("source sock_diag: the kernel's reply is malformed: {0}")]
    Malformed(&'static str),
}

/// Returns an error and its causes as one line, separated by colons.
///
/// An error of the system is described as strerror(3) does, without the number
/// that [`io::Error`] appends.
#[must_use]
pub fn report(error: &(dyn StdError + 'static)) -> String {
    let mut text = described(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &described(error)]);
        cause = error.source();
    }
    text
}

fn described(error: &(dyn StdError + 'static)) -> String {
    if let Some(errno) = error.downcast_ref::<Errno>() {
        return strerror(*errno as i32);
    }
    error.downcast_ref::<io::Error>().map_or_else(|| error.to_string(), system_error)
}

/// Returns the description of an error of the system, as strerror(3) does,
/// without the number that [`io::Error`] appends.
#[must_use]
pub fn system_error(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), strerror)
}

/// Returns the description of an error number.
fn strerror(number: i32) -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: the function writes at most the given number of bytes to the
    // buffer, including the terminating zero.
    unsafe { libc::strerror_r(number, buffer.as_mut_ptr().cast(), buffer.len()) };
    CStr::from_bytes_until_nul(&buffer).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_error_number_has_a_description() {
        assert!(strerror(9999).contains("9999"));
    }

    #[test]
    fn a_report_is_one_line_without_error_numbers() {
        let cause = io::Error::from_raw_os_error(2);
        assert!(cause.to_string().ends_with(" (os error 2)"));
        let error = Error::System { name: "/dev/tcpstats".into(), cause };
        assert_eq!(report(&error), "source /dev/tcpstats: No such file or directory");
        let cause = StreamError::Bad { offset: 7, error: FrameError::NoMagic };
        let error = Error::Frame { name: "x.bin".into(), cause };
        assert_eq!(report(&error), "source x.bin: at byte 7: no frame starts here (bad magic)");
        let error = Error::Dump(Errno::EIO.into());
        assert_eq!(report(&error), "source sock_diag: the kernel's dump failed: Input/output error");
        let error = io::Error::from(Errno::ELOOP);
        assert_eq!(report(&error), "Too many levels of symbolic links", "as strerror(3)");
        let error = Error::Dump(io::Error::other("out of replies"));
        assert_eq!(report(&error), "source sock_diag: the kernel's dump failed: out of replies");
    }
}
