// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Time per record of the device and of the sysctl that netstat(1) reads,
//! measured in the same run with the same connections.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use tcpstats::ioctl;

use crate::device::Device;

const ROUNDS: usize = 21;

/// Returns the median time of a call in nanoseconds.
fn median_ns(mut call: impl FnMut()) -> u64 {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            call();
            u64::try_from(start.elapsed().as_nanos()).unwrap()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn pcblist(buffer: &mut [u8]) -> usize {
    let mut len = buffer.len();
    // SAFETY: the kernel writes at most `len` bytes.
    let result = unsafe {
        libc::sysctlbyname(
            c"net.inet.tcp.pcblist".as_ptr(),
            buffer.as_mut_ptr().cast(),
            &raw mut len,
            std::ptr::null(),
            0,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    len
}

/// Reads one snapshot of a file to its end.
fn drain(file: &mut File, buffer: &mut [u8]) -> usize {
    let mut all = 0;
    loop {
        match file.read(buffer).unwrap() {
            0 => return all,
            len => all += len,
        }
    }
}

/// Opens `count` sockets and reads them in every way.  `others` are devices of
/// other modules, which return their records once per open.
pub fn run(count: u64, others: &[String]) -> bool {
    // SAFETY: the call only sets a limit.
    unsafe {
        let limit = libc::rlimit { rlim_cur: 200_000, rlim_max: 200_000 };
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let _connections: Vec<_> = (0..count / 2)
        .map(|_| {
            let client = TcpStream::connect(address).unwrap();
            (client, listener.accept().unwrap())
        })
        .collect();
    let mut buffer = vec![0; 64 << 20];
    let mut device = Device::binary();
    let records = device.snapshot().records.len() as u64;
    let mut report = |what: &str, call: &mut dyn FnMut(&mut [u8])| {
        call(&mut buffer);
        let ns = median_ns(|| call(&mut buffer));
        println!("{what}\t{} ns per record\t{} us in total", ns / records, ns / 1000);
    };
    println!("# {records} connections, median of {ROUNDS}");
    report("sysctl net.inet.tcp.pcblist", &mut |buffer| assert!(pcblist(buffer) > 0));
    report("siftr_cdev binary", &mut |buffer| assert!(drain(&mut device.0, buffer) > 0));
    let mut text = File::open(crate::device::PATH).unwrap();
    report("siftr_cdev text, basic", &mut |buffer| assert!(drain(&mut text, buffer) > 0));
    let all = Device::open().unwrap();
    let mut columns = [0; ioctl::COLUMNS_LEN];
    columns[..3].copy_from_slice(b"all");
    all.ioctl(ioctl::SET_COLUMNS, &mut columns).unwrap();
    let mut all = all.0;
    report("siftr_cdev text, all", &mut |buffer| assert!(drain(&mut all, buffer) > 0));
    let mut none = Device::binary();
    none.set_filter("lport 1");
    report("siftr_cdev binary, filter that rejects all", &mut |buffer| assert!(drain(&mut none.0, buffer) > 0));
    report("sysctl net.inet.tcp.pcblist", &mut |buffer| assert!(pcblist(buffer) > 0));
    for path in others {
        report(&format!("{path}, opened each time"), &mut |buffer| {
            assert!(drain(&mut File::open(path).unwrap(), buffer) > 0);
        });
    }
    true
}
