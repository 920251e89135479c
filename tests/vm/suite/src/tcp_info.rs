// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `getsockopt(TCP_INFO)`, and the fields of a record with the same contents.

use std::os::fd::AsRawFd;

use tcpstats::{Field, Record};

/// Fields of a record, and the offset of the same value in `struct tcp_info` of
/// `netinet/tcp.h`.
///
/// Counters of CE marks are not included: `tcp_info` has them as the kernel
/// counts them, starting at 5.
const SAME: [(&str, usize); 19] = [
    ("rto", 8),
    ("maxseg", 16),
    ("srtt", 68),
    ("rttvar", 72),
    ("snd_ssthresh", 76),
    ("snd_cwnd", 80),
    ("rcv_wnd", 96),
    ("snd_wnd", 100),
    ("snd_nxt", 108),
    ("rcv_nxt", 112),
    ("rexmit_packs", 120),
    ("ooo_packs", 124),
    ("zerowin", 128),
    ("tlp_packs", 164),
    ("snd_una", 176),
    ("snd_max", 180),
    ("sack_blocks", 184),
    ("rcv_adv", 188),
    ("dupacks", 192),
];

/// Fields that never decrease.
const GROWS: [&str; 7] = ["rcv_nxt", "rexmit_packs", "ooo_packs", "zerowin", "snd_una", "snd_max", "rcv_adv"];

/// Returns whether a stack fills the field in tcp_info.  Otherwise it is zero
/// there.
fn is_filled(name: &str, stack: &str) -> bool {
    match stack {
        "rack" => !["snd_una", "snd_max", "sack_blocks", "rcv_adv", "dupacks"].contains(&name),
        "bbr" => name != "tlp_packs",
        _ => true,
    }
}

/// The `tcp_info` that the kernel returns to the owner of a socket.
#[derive(Clone, PartialEq, Eq)]
pub struct TcpInfo([u8; 256]);

impl TcpInfo {
    pub fn of(socket: &(impl AsRawFd + ?Sized)) -> Self {
        let mut bytes = [0_u8; 256];
        let mut len = 256;
        // SAFETY: the kernel writes at most `len` bytes.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                bytes.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        assert_eq!(result, 0, "TCP_INFO: {}", std::io::Error::last_os_error());
        assert!(len >= 196, "tcp_info has {len} bytes");
        Self(bytes)
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.0[offset..offset + 4].try_into().unwrap())
    }

    /// Returns the lowest three bits of `tcpi_options`.
    fn options(&self) -> u8 {
        self.0[5] & 7
    }

    pub fn state(&self) -> u8 {
        self.0[0]
    }

    /// Returns every field in which a record contradicts what the kernel
    /// returned before and after it was taken.  Fields that the record does not
    /// have are tested elsewhere.
    pub fn differences(before: &Self, after: &Self, record: &Record, stack: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, offset) in SAME {
            if !is_filled(name, stack) {
                continue;
            }
            let value = record.number(Field::by_name(name).unwrap());
            let (first, last) = (u64::from(before.u32(offset)), u64::from(after.u32(offset)));
            let fits = match value {
                None => true,
                Some(value) if before == after => value == first,
                // Sequence numbers and totals only increase; other values can
                // change in both directions in between.
                Some(value) if GROWS.contains(&name) => {
                    (value as u32).wrapping_sub(first as u32) <= (last as u32).wrapping_sub(first as u32)
                }
                Some(_) => true,
            };
            if !fits {
                wrong.push(format!("{name} is {value:?}, TCP_INFO has {first} and {last}"));
            }
        }
        let Some(options) = record.number(Field::by_name("options").unwrap()) else { return wrong };
        let options = options & 7;
        // TCPI_OPT_TIMESTAMPS, _SACK and _WSCALE are bits 0, 1 and 2, like ours.
        if u64::from(before.options()) != options {
            wrong.push(format!("options are {options:x}, TCP_INFO has {:x}", before.options()));
        }
        if options & 4 != 0 {
            let scales = u64::from(before.0[6]);
            let reported = ["snd_scale", "rcv_scale"].map(|name| record.number(Field::by_name(name).unwrap()).unwrap());
            if reported != [scales & 15, scales >> 4] {
                wrong.push(format!("window scales are {reported:?}, TCP_INFO has {scales:x}"));
            }
        }
        wrong
    }
}
