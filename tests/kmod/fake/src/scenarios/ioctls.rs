// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Every ioctl, with valid and invalid arguments, and the sysctls.

use tcpstats::filter::{FILTER_LEN, MAX_OPS};
use tcpstats::frame::HEADER_LEN;
use tcpstats::{Columns, FIELD_COUNT, FIELDS, Filter, MODULE_RECORD_LEN, PREAMBLE_LEN, Part, ioctl};

use crate::help::{
    COMMANDS, connections, frame, list, loaded, open, open_binary, read_to_end, set_binary, set_columns, snapshot,
};
use crate::kernel::{self, File, fails_with};

fn set_number(file: &File, command: u64, number: u32) -> Result<(), kernel::Errno> {
    file.ioctl(command, &mut number.to_ne_bytes())
}

/// Returns the header row of the next snapshot.
fn header_row(file: &File) -> String {
    let text = String::from_utf8(read_to_end(file, 4096)).unwrap();
    text.lines().next().unwrap().to_owned()
}

scenarios! {
    fn an_unknown_format_is_invalid() {
        loaded(|| {
            let file = open();
            for number in [2, 3, 256, u32::MAX] {
                fails_with(set_number(&file, ioctl::SET_FORMAT, number), "EINVAL");
            }
            assert!(read_to_end(&file, 4096).starts_with(b"time,"), "the format is still text");
        });
    }

    fn the_argument_for_all_network_stacks_is_0_or_1() {
        loaded(|| {
            let file = open();
            for number in [2, u32::MAX] {
                fails_with(set_number(&file, ioctl::SET_ALL_VNETS, number), "EINVAL");
            }
            set_number(&file, ioctl::SET_ALL_VNETS, 1).unwrap();
            set_number(&file, ioctl::SET_ALL_VNETS, 0).unwrap();
        });
    }

    fn columns_are_chosen_by_name() {
        connections(1);
        loaded(|| {
            let file = open();
            set_columns(&file, "srtt,lport");
            assert_eq!(header_row(&file), "time,snapshot,srtt,lport");
            set_columns(&file, "all");
            let filled = FIELDS.len();
            assert_eq!(header_row(&file).split(',').count(), Columns::all().fields().count() + 2);
            assert_eq!(filled, Columns::all().fields().count());
            set_columns(&file, "basic");
            assert_eq!(header_row(&file).split(',').count(), Columns::basic().fields().count() + 2);
        });
    }

    fn unknown_columns_are_invalid_and_change_nothing() {
        loaded(|| {
            let file = open();
            set_columns(&file, "lport");
            for text in [&b"nonsense"[..], b"lport,", b",lport", b"lport,,srtt", b"\xff\xfe", b" ", b"lport\nsrtt", b"LPORT"] {
                fails_with(file.ioctl(ioctl::SET_COLUMNS, &mut list(text)), "EINVAL");
            }
            fails_with(file.ioctl(ioctl::SET_COLUMNS, &mut [b','; ioctl::COLUMNS_LEN]), "EINVAL");
            fails_with(file.ioctl(ioctl::SET_COLUMNS, &mut [b'a'; ioctl::COLUMNS_LEN]), "EINVAL");
            assert_eq!(header_row(&file), "time,snapshot,lport");
        });
    }

    fn a_list_of_columns_that_fills_the_ioctl_is_read_to_its_last_byte() {
        loaded(|| {
            let mut bytes = [0; ioctl::COLUMNS_LEN];
            let text = "lport,".repeat(341) + "fi";
            assert_eq!(text.len(), bytes.len());
            bytes.copy_from_slice(text.as_bytes());
            fails_with(open().ioctl(ioctl::SET_COLUMNS, &mut bytes), "EINVAL");
        });
    }

    fn the_module_returns_its_sizes_and_its_version() {
        loaded(|| {
            let mut info = [0xff; ioctl::INFO_LEN];
            open().ioctl(ioctl::GET_INFO, &mut info).unwrap();
            let number = |at: usize| u32::from_ne_bytes(*info[4 * at..].first_chunk().unwrap()) as usize;
            let numbers: Vec<_> = (0..8).map(number).collect();
            assert_eq!(numbers, [2, HEADER_LEN, MODULE_RECORD_LEN, FILTER_LEN, FIELD_COUNT, MAX_OPS, 0, 0]);
            let version = std::ffi::CStr::from_bytes_until_nul(&info[32..]).unwrap();
            assert_eq!(version.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
        });
    }

    fn the_module_returns_every_row_of_the_table() {
        loaded(|| {
            let file = open();
            for field in &FIELDS {
                let mut bytes = [0; ioctl::FIELD_LEN];
                bytes[..4].copy_from_slice(&u32::try_from(field.index).unwrap().to_ne_bytes());
                file.ioctl(ioctl::GET_FIELD, &mut bytes).unwrap();
                let number = |at: usize| u32::from_ne_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
                assert_eq!(number(0), field.index);
                assert_eq!(number(4), field.bit);
                assert_eq!(number(8), PREAMBLE_LEN + field.offset);
                assert_eq!(number(12), field.kind.size());
                assert_eq!(bytes[18..20], [field.basic.into(), (field.part == Part::Module).into()]);
                let name = std::ffi::CStr::from_bytes_until_nul(&bytes[20..]).unwrap();
                assert_eq!(name.to_str().unwrap(), field.name);
            }
            for index in [u32::try_from(FIELD_COUNT).unwrap(), 1 << 31, u32::MAX] {
                let mut bytes = [0; ioctl::FIELD_LEN];
                bytes[..4].copy_from_slice(&index.to_ne_bytes());
                fails_with(file.ioctl(ioctl::GET_FIELD, &mut bytes), "EINVAL");
            }
        });
    }

    fn commands_with_another_length_or_direction_are_unknown() {
        loaded(|| {
            let file = open();
            let mut memory = [0; 8192];
            for command in COMMANDS {
                let right = command >> 16 & 0x1fff;
                for len in [0, 1, 2, 3, 4, 8, 63, 64, 65, 152, 2047, 2048, 2568, 4096, 8191].into_iter().filter(|len| *len != right) {
                    let other = command & !0x1fff_0000 | len << 16;
                    fails_with(file.ioctl(other, &mut memory), "ENOTTY");
                }
                for direction in [0x2000_0000, 0x4000_0000, 0x8000_0000, 0xc000_0000_u64] {
                    let other = command & 0x1fff_ffff | direction;
                    if other != command {
                        fails_with(file.ioctl(other, &mut memory), "ENOTTY");
                    }
                }
            }
        });
    }

    fn commands_of_other_devices_are_unknown() {
        loaded(|| {
            let file = open();
            for number in 0..=255_u64 {
                for group in [b't', b'f', b'T', 0, 255] {
                    let command = 0x2000_0000 | u64::from(group) << 8 | number;
                    if !COMMANDS.contains(&command) && command != kernel::constant("FIOCLEX") && command != kernel::constant("FIONCLEX") {
                        fails_with(file.ioctl(command, &mut []), "ENOTTY");
                    }
                }
            }
        });
    }

    fn the_commands_that_fcntl_uses_succeed() {
        loaded(|| {
            for command in ["FIONBIO", "FIOASYNC"] {
                open().ioctl(kernel::constant(command), &mut 1_i32.to_ne_bytes()).unwrap();
            }
        });
    }

    fn queries_do_not_affect_the_snapshot_that_is_being_read() {
        connections(300);
        loaded(|| {
            let file = open_binary();
            let mut bytes = vec![0; 5000];
            assert_eq!(file.read(&mut bytes), Ok(5000));
            file.ioctl(ioctl::GET_INFO, &mut [0; ioctl::INFO_LEN]).unwrap();
            file.ioctl(ioctl::GET_FIELD, &mut [0; ioctl::FIELD_LEN]).unwrap();
            fails_with(set_number(&file, ioctl::SET_FORMAT, 9), "EINVAL");
            fails_with(file.ioctl(ioctl::SET_FILTER, &mut [0xff; FILTER_LEN]), "EINVAL");
            fails_with(file.ioctl(0x2000_5499, &mut []), "ENOTTY");
            bytes.extend(read_to_end(&file, 5000));
            assert_eq!(frame(&bytes).1.len(), 300);
        });
    }

    fn a_filter_with_a_byte_that_no_parser_produces_is_refused() {
        connections(30);
        loaded(|| {
            let file = open_binary();
            crate::help::set_filter(&file, "lport <= 7 and not net 10.0.0.0/8");
            let good = Filter::parse("lport > 7 or cc cubic").unwrap().to_bytes();
            let mut refused = 0;
            for at in 0..good.len() {
                let mut bytes = good;
                bytes[at] ^= 0x80;
                let result = file.ioctl(ioctl::SET_FILTER, &mut bytes);
                assert_eq!(result.is_ok(), Filter::from_bytes(&bytes).is_ok(), "byte {at}");
                if result.is_err() {
                    refused += 1;
                    fails_with(result, "EINVAL");
                } else {
                    crate::help::set_filter(&file, "lport <= 7 and not net 10.0.0.0/8");
                }
            }
            assert!(refused > FILTER_LEN - 64, "{refused}");
            assert_eq!(snapshot(&file).1.len(), 7, "the filter is still the first");
        });
    }

    fn the_sysctl_sets_the_columns_of_descriptors_that_have_not_chosen_any() {
        connections(1);
        loaded(|| {
            let (chose, did_not) = (open(), open());
            set_columns(&chose, "fport");
            assert_eq!(kernel::sysctl_text("text"), "basic");
            kernel::set_sysctl_bytes("text", b"lport,cc").unwrap();
            assert_eq!(kernel::sysctl_text("text"), "lport,cc");
            assert_eq!(header_row(&did_not), "time,snapshot,lport,cc");
            assert_eq!(header_row(&chose), "time,snapshot,fport");
            for wrong in [&b"nonsense"[..], b"lport,", b"\xff", &[b'x'; 2048], &[b'x'; 4096]] {
                fails_with(kernel::set_sysctl_bytes("text", wrong), "EINVAL");
            }
            assert_eq!(kernel::sysctl_text("text"), "lport,cc", "an invalid list changes nothing");
            kernel::set_sysctl_bytes("text", b"all").unwrap();
            assert_eq!(kernel::sysctl_text("text"), "all");
            kernel::set_sysctl_bytes("text", b"basic").unwrap();
            assert_eq!(header_row(&did_not).split(',').count(), Columns::basic().fields().count() + 2);
        });
    }

    fn counters_cannot_be_set() {
        loaded(|| {
            for name in ["snapshots", "records", "bytes", "missed", "walk_last_ns", "open", "version", "mode", "gid"] {
                fails_with(kernel::set_sysctl_bytes(name, &[0; 8]), "EPERM");
            }
        });
    }

    fn columns_can_be_changed_while_text_is_read() {
        connections(300);
        loaded(|| {
            let file = open();
            set_binary(&file, false);
            let mut text = vec![0; 100];
            file.read(&mut text).unwrap();
            kernel::set_sysctl_bytes("text", b"lport").unwrap();
            text.extend(read_to_end(&file, 100));
            let text = String::from_utf8(text).unwrap();
            let columns = text.lines().next().unwrap().split(',').count();
            let rows = text.lines().filter(|line| !line.starts_with('#'));
            assert!(rows.into_iter().all(|row| row.split(',').count() == columns));
            assert_eq!(header_row(&file), "time,snapshot,lport");
        });
    }
}
