// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! read(2): complete for every size, and the end of snapshots.

use tcpstats::frame::HEADER_LEN;
use tcpstats::text::Text;
use tcpstats::{Columns, MODULE_RECORD_LEN, PREAMBLE_LEN, Record, csv, frame, key, note};

use crate::help::{
    connections, ends, frame, loaded, open, open_binary, ports, read_to_end, set_binary, snapshot, walk_order,
};
use crate::kernel::{self, At, Cred, Errno, Vnet, fails_with};

const SIZES: [usize; 9] = [1, 2, 7, 100, 4096, 65536, 65537, 1 << 20, 64 << 20];

/// More connections than fit into two blocks of memory.
const COUNT: u16 = 400;

const TIMERS: [&str; 5] =
    ["t_timers[TT_REXMT]", "t_timers[TT_PERSIST]", "t_timers[TT_KEEP]", "t_timers[TT_2MSL]", "t_timers[TT_DELACK]"];

/// Returns the text of a header and records.
fn text_of(columns: &Columns, header: &frame::Header, records: &[Record]) -> String {
    let mut all = String::new();
    let mut add = |write: &dyn Fn(&mut Text<'_>)| {
        let mut buffer = [0; 8192];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        all.push_str(text.finish().expect("the text fits"));
    };
    add(&|text| csv::header(text, columns));
    for record in records {
        add(&|text| csv::row(text, columns, header.wall_ns, header.sequence, record));
    }
    add(&|text| note::snapshot(header, |note| csv::note(text, note)));
    all
}

scenarios! {
    fn a_frame_contains_its_lengths_and_the_version_of_the_kernel() {
        connections(3);
        let osreldate = kernel::constant("__FreeBSD_version");
        loaded(|| {
            let bytes = read_to_end(&open_binary(), 4096);
            let number = |at: usize| u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
            assert_eq!(bytes[..8], [b'T', b'C', b'P', b'S', 2, 0, 1, 0], "magic, version, a snapshot");
            assert_eq!([8, 12, 16, 100].map(number), [HEADER_LEN, MODULE_RECORD_LEN, 3 * MODULE_RECORD_LEN, 1000]);
            assert_eq!([108, 112, 116].map(number), [MODULE_RECORD_LEN - PREAMBLE_LEN, usize::try_from(osreldate).unwrap(), 0]);
            assert_eq!(bytes.len(), HEADER_LEN + 3 * MODULE_RECORD_LEN);
            assert_eq!(u64::from(frame(&bytes).0.osversion), osreldate);
        });
    }

    fn a_binary_snapshot_is_the_same_for_reads_of_any_size() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let complete = read_to_end(&open_binary(), 1 << 20);
            assert_eq!(ports(&frame(&complete).1), walk_order(COUNT));
            for size in SIZES {
                assert!(read_to_end(&open_binary(), size) == complete, "reads of {size} bytes");
            }
        });
    }

    fn a_text_snapshot_is_the_same_for_reads_of_any_size() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let (header, records) = snapshot(&open_binary());
            let complete = text_of(&Columns::basic(), &header, &records);
            assert_eq!(complete.lines().count(), usize::from(COUNT) + 2);
            for size in SIZES {
                assert!(read_to_end(&open(), size) == complete.as_bytes(), "reads of {size} bytes");
            }
        });
    }

    fn text_of_all_columns_has_the_values_of_the_frame() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let (header, records) = snapshot(&open_binary());
            kernel::set_sysctl_bytes("text", b"all").unwrap();
            let text = String::from_utf8(read_to_end(&open(), 4096)).unwrap();
            assert_eq!(text, text_of(&Columns::all(), &header, &records));
        });
    }

    fn text_has_the_documented_format() {
        connections(1)[0].set("snd_cwnd", 14480).set("t_maxseg", 1448);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl_bytes("text", b"laddr,lport,faddr,fport,state,snd_cwnd,maxseg,cc").unwrap();
            let text = String::from_utf8(read_to_end(&open(), 7)).unwrap();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("time,snapshot,laddr,lport,faddr,fport,state,snd_cwnd,maxseg,cc"));
            assert_eq!(
                lines.next(),
                Some("1700001000.000000000,1,192.0.2.1,1,192.0.2.2,443,ESTABLISHED,14480,1448,cubic")
            );
            assert_eq!(
                lines.next(),
                Some(
                    "# snapshot snapshot=1 time=1700001000.000000000 walk_us=0 seen=1 matched=1 records=1 missed=0 \
                     missed_ticks=0 flags=0 mono=1000.000000000"
                )
            );
            assert_eq!(lines.next(), None);
            assert!(text.ends_with('\n'));
        });
    }

    fn a_snapshot_without_connections_is_complete() {
        loaded(|| {
            for size in SIZES {
                let (header, records) = frame(&read_to_end(&open_binary(), size));
                assert_eq!((header.seen, records.len()), (0, 0));
                assert_eq!(read_to_end(&open(), size).split(|byte| *byte == b'\n').count(), 3);
            }
        });
    }

    fn the_next_snapshot_follows_the_end_of_file() {
        connections(5);
        loaded(|| {
            for file in [open_binary(), open()] {
                for sequence in 1..=4_u64 {
                    let bytes = read_to_end(&file, 300);
                    let found = if let Ok(frame) = frame::Frame::parse(&bytes) {
                        frame.header.sequence
                    } else {
                        let text = String::from_utf8(bytes).unwrap();
                        let (_, note) = text.split_once("# snapshot snapshot=").unwrap();
                        note.split(' ').next().unwrap().parse().unwrap()
                    };
                    assert_eq!(found, sequence);
                }
            }
        });
    }

    fn the_end_of_file_is_returned_once_for_reads_of_any_size() {
        connections(5);
        loaded(|| {
            let file = open_binary();
            let len = read_to_end(&file, 65536).len();
            let mut exact = vec![0; len];
            assert_eq!(file.read(&mut exact), Ok(len), "the complete frame fits");
            assert_eq!(file.read(&mut exact), Ok(0));
            assert_eq!(file.read(&mut exact), Ok(len));
            assert_eq!(frame(&exact).0.sequence, 3);
        });
    }

    fn a_read_of_zero_bytes_does_not_take_a_snapshot() {
        connections(5);
        loaded(|| {
            let file = open_binary();
            assert_eq!(file.read(&mut []), Ok(0));
            assert_eq!(kernel::sysctl("snapshots"), 0);
            let len = snapshot(&file).1.len();
            assert_eq!(len, 5);
        });
    }

    fn seeking_to_the_start_takes_a_new_snapshot() {
        connections(COUNT);
        loaded(|| {
            let file = open_binary();
            file.read(&mut [0; 1000]).unwrap();
            file.seek(0);
            let (header, records) = snapshot(&file);
            assert_eq!((header.sequence, records.len()), (2, COUNT.into()));
        });
    }

    fn seeking_elsewhere_skips_and_repeats_nothing() {
        connections(COUNT);
        loaded(|| {
            let file = open_binary();
            let mut all = vec![0; 1000];
            assert_eq!(file.read(&mut all), Ok(1000));
            file.seek(12_345_678_901);
            all.extend(read_to_end(&file, 777));
            assert_eq!(frame(&all).1.len(), COUNT.into());
        });
    }

    fn two_descriptors_are_independent() {
        connections(COUNT);
        loaded(|| {
            let (one, other) = (open_binary(), open_binary());
            let (mut left, mut right) = (Vec::new(), Vec::new());
            let mut buffer = [0; 1009];
            loop {
                let got = one.read(&mut buffer).unwrap();
                left.extend_from_slice(&buffer[..got]);
                let more = other.read(&mut buffer[..500]).unwrap();
                right.extend_from_slice(&buffer[..more]);
                if got == 0 {
                    break;
                }
            }
            right.extend(read_to_end(&other, 500));
            assert_eq!(ports(&frame(&left).1), walk_order(COUNT));
            assert_eq!(ports(&frame(&right).1), walk_order(COUNT));
        });
    }

    fn reads_into_many_small_buffers_are_complete() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let complete = read_to_end(&open_binary(), 1 << 20);
            let file = open_binary();
            let mut bytes = vec![0; complete.len()];
            let (result, got) = file.read_with(&mut bytes, usize::MAX, 333);
            assert_eq!((result, got), (Ok(complete.len()), complete.len()));
            assert!(bytes == complete);
        });
    }

    fn a_fault_returns_efault_and_the_next_read_from_the_start_is_complete() {
        connections(COUNT);
        loaded(|| {
            for fault_at in [0, 1, 111, 112, 113, 5000, 70_000, 150_000] {
                for piece in [0, 4096] {
                    let file = open_binary();
                    let (result, got) = file.read_with(&mut vec![0; 1 << 20], fault_at, piece);
                    fails_with(result, "EFAULT");
                    assert!(got <= fault_at);
                    file.seek(0);
                    assert_eq!(ports(&snapshot(&file).1), walk_order(COUNT));
                }
            }
        });
    }

    fn reading_continues_where_a_fault_interrupted_it() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let complete = read_to_end(&open_binary(), 1 << 20);
            let file = open_binary();
            // The header is copied, and the copy of the first block faults.
            let mut start = vec![0; 1000];
            let (result, got) = file.read_with(&mut start, 500, 0);
            fails_with(result, "EFAULT");
            assert_eq!(got, frame::HEADER_LEN);
            start.truncate(got);
            start.extend(read_to_end(&file, 4096));
            assert!(start == complete);
        });
    }

    fn bytes_and_records_are_counted() {
        connections(30);
        loaded(|| {
            let file = open_binary();
            let bytes = read_to_end(&file, 1000).len() + read_to_end(&file, 1).len();
            assert_eq!(kernel::sysctl("bytes"), bytes as u64);
            assert_eq!(kernel::sysctl("snapshots"), 2);
            assert_eq!(kernel::sysctl("records"), 60);
            assert_eq!(kernel::sysctl("missed"), 0);
            assert_eq!(kernel::sysctl("open"), 1);
            assert!(kernel::sysctl("memory_bytes") > 0);
            drop(file);
            assert_eq!(kernel::sysctl("open"), 0);
            assert_eq!(kernel::sysctl("memory_bytes"), 0);
        });
    }

    fn the_duration_of_the_walk_and_the_times_of_records_are_measured() {
        connections(30);
        kernel::clock_step(1000);
        loaded(|| {
            let before = kernel::now();
            let (header, records) = snapshot(&open_binary());
            assert!((before..kernel::now()).contains(&header.mono_ns));
            assert_eq!(header.wall_ns / 1_000_000_000, header.mono_ns / 1_000_000_000 + 1_700_000_000);
            assert_eq!(header.walk_ns, kernel::sysctl("walk_last_ns"));
            assert_eq!(header.walk_ns, kernel::sysctl("walk_max_ns"));
            let times: Vec<_> = records.iter().map(|record| record.at_ns).collect();
            assert!(times.windows(2).all(|two| two[0] <= two[1]), "{times:?}");
            assert!(times.windows(17).all(|some| some[0] < some[16]), "the clock is read once for several records");
        });
    }

    fn the_format_can_be_changed_between_snapshots_and_during_one() {
        connections(COUNT);
        loaded(|| {
            let file = open();
            file.read(&mut [0; 100]).unwrap();
            set_binary(&file, true);
            assert_eq!(snapshot(&file).1.len(), COUNT.into());
            file.read(&mut [0; 100]).unwrap();
            set_binary(&file, false);
            assert!(read_to_end(&file, 4096).starts_with(b"time,"));
        });
    }

    fn a_snapshot_is_complete_before_its_first_byte_is_copied() {
        let pcbs = connections(COUNT);
        loaded(|| {
            let file = open_binary();
            let mut changed = false;
            let bytes = kernel::with_hook(
                At::Copy,
                || {
                    if !std::mem::replace(&mut changed, true) {
                        for pcb in &pcbs {
                            assert!(pcb.free(), "a connection is locked during a copy");
                        }
                    }
                },
                || read_to_end(&file, 100),
            );
            assert!(changed);
            assert_eq!(ports(&frame(&bytes).1), walk_order(COUNT));
            assert_eq!(snapshot(&file).1.len(), 0);
        });
    }

    fn records_contain_no_bytes_of_earlier_records() {
        let pcbs = connections(4);
        for pcb in &pcbs {
            for timer in TIMERS {
                pcb.set(timer, u64::MAX / 4);
            }
            pcb.set("t_starttime", 1).set("t_rcvtime", 2).set("t_sndtime", 3).set("t_rttlow", 7).set("so_snd.sb_ccc", 9);
        }
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            for pcb in &pcbs[1..] {
                for timer in TIMERS {
                    pcb.set(timer, i64::MAX as u64);
                }
                pcb.set("t_starttime", 0).set("t_rcvtime", 0).set("t_sndtime", 0).set("t_rttlow", 0).dropped().detached();
            }
            // They are in memory where records of connections were before.
            kernel::half_open(Vnet::HOST, Cred::user(0), false, ends(9));
            let bytes = read_to_end(&file, 4096);
            let parsed = frame::Frame::parse(&bytes).unwrap();
            assert_eq!(ports(&frame(&bytes).1), [9, 4, 3, 2, 1]);
            for (record, wire) in parsed.records().zip(parsed.payload().chunks(parsed.record_len)) {
                assert_eq!(record.to_bytes()[..parsed.record_len], *wire, "no bits of fields that are not sent");
                for field in tcpstats::FIELDS.iter().filter(|field| !record.has(field)) {
                    let span = tcpstats::PREAMBLE_LEN + field.offset..tcpstats::PREAMBLE_LEN + field.end();
                    let left = wire.get(span).unwrap_or_default();
                    assert!(left.iter().all(|byte| *byte == 0), "{} is absent but not zero", field.name);
                }
            }
            let has: Vec<_> = parsed.records().map(|record| record.get(key::tt_rexmt).is_some()).collect();
            assert_eq!(has, [false, false, false, false, true]);
        });
    }

    fn errors_have_the_numbers_of_freebsd() {
        // Checks the comparison that other scenarios use.
        assert_ne!(Errno::named("EFAULT"), Errno::named("EINTR"));
        loaded(|| fails_with(open().ioctl(0x2000_54ff, &mut []), "ENOTTY"));
    }
}
