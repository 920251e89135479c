// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Memory limits, and failing allocations.

use tcpstats::{Filter, MODULE_RECORD_LEN, frame::flag, ioctl};

use crate::help::{connection, connections, ends, loaded, open, open_binary, ports, read_to_end, snapshot, walk_order};
use crate::kernel::{self, Cred, Vnet};

/// Bytes that the module allocates at once.
const BLOCK: u64 = 65536;

/// Number of records in a block.
const IN_BLOCK: u64 = BLOCK / MODULE_RECORD_LEN as u64;

/// Takes a snapshot during which `count` connections appear after the module has
/// allocated memory.
fn surprised_by(count: u16, file: &kernel::File) -> (tcpstats::Header, Vec<tcpstats::Record>) {
    let mut ports = 1..=count;
    let fired = |name: &str, _: &[u64]| {
        if name == "snapshot__start" {
            for port in ports.by_ref() {
                connection(port);
            }
        }
    };
    kernel::with_probes(fired, || snapshot(file))
}

scenarios! {
    fn records_without_memory_are_counted_and_flagged() {
        let count = 2000;
        loaded(|| {
            let file = open_binary();
            kernel::fail_allocations_after(1);
            let (header, records) = surprised_by(count, &file);
            kernel::fail_no_allocations();
            assert_eq!((header.seen, header.matched), (count.into(), count.into()));
            assert!((IN_BLOCK..4 * IN_BLOCK).contains(&header.written), "{header:?}");
            assert_eq!(header.flags & flag::TRUNCATED, flag::TRUNCATED);
            assert_eq!(ports(&records), walk_order(count)[..records.len()]);
            assert_eq!(kernel::sysctl("missed"), header.missed);
            assert_eq!(snapshot(&file).1.len(), count.into(), "the next snapshot has enough memory");
        });
    }

    fn every_connection_of_a_syn_flood_is_counted() {
        loaded(|| {
            let file = open_binary();
            let mut flood = 1..=2000;
            let fired = |name: &str, _: &[u64]| {
                if name == "snapshot__start" {
                    flood.by_ref().for_each(|port| kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(port)));
                }
            };
            let (header, _) = kernel::with_probes(fired, || snapshot(&file));
            assert_eq!((header.seen, header.written + header.missed), (2000, 2000));
            assert!(header.missed > 0, "there is memory only for some");
            assert_eq!(snapshot(&file).0.missed, 0);
        });
    }

    fn every_allocation_can_fail() {
        loaded(|| {
            let file = open_binary();
            for after in 0..8 {
                kernel::fail_allocations_after(after);
                let (header, _) = surprised_by(500, &file);
                assert_eq!(header.written + header.missed, header.seen);
                kernel::fail_no_allocations();
            }
        });
    }

    fn text_reports_the_number_of_missed_records() {
        connections(500);
        loaded(|| {
            kernel::set_sysctl("snapshot_bytes_max", BLOCK);
            let text = String::from_utf8(read_to_end(&open(), 4096)).unwrap();
            let missed = 500 - IN_BLOCK;
            let note = text.lines().last().unwrap();
            assert!(note.contains(&format!(" seen=500 matched=500 records={IN_BLOCK} missed={missed} ")), "{note}");
            assert!(note.contains(" flags=1 "), "{note}");
        });
    }

    fn a_snapshot_does_not_exceed_its_limit() {
        connections(2000);
        loaded(|| {
            for blocks in [0, 1, 2, 7] {
                // An incomplete block does not count.
                kernel::set_sysctl("snapshot_bytes_max", blocks * BLOCK + BLOCK - 1);
                let (header, _) = snapshot(&open_binary());
                assert_eq!(header.written, blocks * IN_BLOCK);
                assert_eq!(header.missed, 2000 - header.written);
            }
            kernel::set_sysctl("snapshot_bytes_max", u64::MAX);
            assert_eq!(snapshot(&open_binary()).0.missed, 0);
        });
    }

    fn a_lower_limit_applies_to_open_descriptors() {
        connections(2000);
        loaded(|| {
            let file = open_binary();
            assert_eq!(snapshot(&file).0.missed, 0);
            for blocks in [7, 2, 1, 0] {
                kernel::set_sysctl("snapshot_bytes_max", blocks * BLOCK);
                assert_eq!(snapshot(&file).0.written, blocks * IN_BLOCK);
                assert!(kernel::sysctl("memory_bytes") <= blocks * BLOCK);
            }
        });
    }

    fn all_snapshots_together_do_not_exceed_their_limit() {
        connections(500);
        loaded(|| {
            kernel::set_sysctl("total_bytes_max", 6 * BLOCK);
            let (one, other) = (open_binary(), open_binary());
            one.read(&mut [0; 100]).unwrap();
            let (header, _) = snapshot(&other);
            assert!(header.missed > 0, "{header:?}");
            assert!(kernel::sysctl("memory_bytes") <= 6 * BLOCK);
            read_to_end(&one, 65536);
            assert_eq!(snapshot(&other).0.missed, 0, "the first descriptor has freed its memory");
        });
    }

    fn without_any_memory_a_snapshot_has_no_records() {
        connections(50);
        loaded(|| {
            kernel::set_sysctl("total_bytes_max", 0);
            let (header, records) = snapshot(&open_binary());
            assert_eq!((header.seen, header.missed, records.len()), (50, 50, 0));
            assert_eq!(kernel::sysctl("missed"), 50);
        });
    }

    fn memory_is_freed_when_there_are_fewer_connections() {
        let pcbs = connections(5000);
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            let most = kernel::memory();
            assert!(most >= 5000 * MODULE_RECORD_LEN as u64);
            for pcb in &pcbs {
                assert!(pcb.free());
            }
            snapshot(&file);
            assert!(kernel::memory() < most / 8, "{} of {most} bytes are kept", kernel::memory());
        });
    }

    fn a_filter_that_matches_little_uses_little_memory() {
        connections(5000);
        loaded(|| {
            let file = open_binary();
            crate::help::set_filter(&file, "lport = 17");
            assert_eq!(ports(&snapshot(&file).1), [17]);
            assert!(kernel::memory_peak() < 5000 * MODULE_RECORD_LEN as u64 / 8);
            crate::help::set_filter(&file, "lport != 17");
            assert_eq!(snapshot(&file).1.len(), 4999, "memory for more records is allocated during the walk");
        });
    }

    fn a_descriptor_that_is_never_read_uses_no_memory_for_records() {
        connections(5000);
        loaded(|| {
            let _file = open();
            assert_eq!(kernel::sysctl("memory_bytes"), 0);
            assert!(kernel::memory() < 16384, "{}", kernel::memory());
        });
    }

    fn no_call_uses_much_of_the_kernel_stack() {
        connections(300);
        loaded(|| {
            let mut buffer = vec![0; 1 << 20];
            let mut filter = Filter::parse("net 10.0.0.0/8 or srtt > 1ms and not cc cubic").unwrap().to_bytes();
            let mut columns = [0; ioctl::COLUMNS_LEN];
            columns[..3].copy_from_slice(b"all");
            let file = open();
            let of = |name: &str, run: &mut dyn FnMut()| {
                // This excludes the stack of the kernel before it calls the module.
                let used = kernel::stack_of(run);
                println!("{name}: {used} bytes of stack");
                assert!((256..8192).contains(&used), "{name}: {used} bytes of 16384");
            };
            of("open", &mut || drop(open()));
            of("text", &mut || assert!(file.read(&mut buffer).unwrap() > 0));
            of("columns", &mut || file.ioctl(ioctl::SET_COLUMNS, &mut columns).unwrap());
            of("text of all columns", &mut || assert!(file.read(&mut buffer).unwrap() > 0));
            of("filter", &mut || file.ioctl(ioctl::SET_FILTER, &mut filter).unwrap());
            of("filtered text", &mut || assert!(file.read(&mut buffer).unwrap() > 0));
            of("frame", &mut || assert!(open_binary().read(&mut buffer).unwrap() > 0));
            of("sysctl", &mut || kernel::set_sysctl_bytes("text", b"lport,srtt").unwrap());
        });
    }

    fn closing_in_the_middle_of_a_snapshot_frees_all_memory() {
        connections(2000);
        loaded(|| {
            // The data of the network stack.
            let before = kernel::memory();
            for size in [1, 120, 4096, 100_000] {
                let file = open_binary();
                file.read(&mut vec![0; size]).unwrap();
                drop(file);
                assert_eq!((kernel::sysctl("memory_bytes"), kernel::memory()), (0, before));
            }
        });
    }
}
