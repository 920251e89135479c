// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Signals during a read.

use crate::help::{connections, ends, frame, loaded, open_binary, ports, read_to_end, snapshot, walk_order};
use crate::kernel::{self, At, Cred, Pcb, Vnet, fails_with};

const COUNT: u16 = 400;

/// Reads, and calls `signal` when the walk is at connection `at`, counted from 1.
fn read_with_signal(at: u64, signal: impl Fn()) -> Result<usize, kernel::Errno> {
    let file = open_binary();
    let mut step = 0;
    let hook = || {
        step += 1;
        if step == at {
            signal();
        }
    };
    kernel::with_hook(At::Walk, hook, || file.read(&mut vec![0; 1 << 20]))
}

scenarios! {
    fn a_signal_interrupts_a_walk_at_any_connection() {
        let pcbs = connections(COUNT);
        loaded(|| {
            for error in ["EINTR", "ERESTART"] {
                for at in [1, 2, 64, 65, 200, 300] {
                    fails_with(read_with_signal(at, || kernel::signal(error)), error);
                    kernel::signal_gone();
                }
            }
            assert_eq!(kernel::sysctl("snapshots"), 0, "no snapshot was completed");
            assert!(pcbs.iter().all(|pcb| pcb.free()), "no connection is left locked");
        });
    }

    fn a_signal_is_noticed_within_64_connections() {
        connections(COUNT);
        loaded(|| {
            let mut step = 0;
            let file = open_binary();
            let hook = || {
                step += 1;
                if step == 100 {
                    kernel::signal("EINTR");
                }
            };
            fails_with(kernel::with_hook(At::Walk, hook, || file.read(&mut [0; 1000])), "EINTR");
            assert!(step <= 164, "the walk continued to connection {step}");
        });
    }

    fn a_signal_is_noticed_among_connections_that_the_reader_cannot_see() {
        let (ann, bob) = (Cred::user(1001), Cred::user(1002));
        // A walk visits the last first.
        for port in 1..=COUNT {
            Pcb::of(Vnet::HOST, bob).ends(&["INP_IPV4"], ends(port));
        }
        Pcb::of(Vnet::HOST, ann).ends(&["INP_IPV4"], ends(9999));
        kernel::see_other_uids(false);
        loaded(|| {
            ann.assume();
            fails_with(read_with_signal(100, || kernel::signal("EINTR")), "EINTR");
            kernel::signal_gone();
        });
    }

    fn the_snapshot_after_an_interrupted_one_is_complete() {
        connections(COUNT);
        loaded(|| {
            let file = open_binary();
            let mut once = false;
            let hook = || {
                if !std::mem::replace(&mut once, true) {
                    kernel::signal("EINTR");
                }
            };
            fails_with(kernel::with_hook(At::Walk, hook, || file.read(&mut [0; 1000])), "EINTR");
            kernel::signal_gone();
            let (header, records) = snapshot(&file);
            assert_eq!(header.sequence, 1, "the interrupted snapshot is not counted");
            assert_eq!(ports(&records), walk_order(COUNT));
        });
    }

    fn a_reader_makes_progress_if_a_signal_arrives_during_every_walk() {
        connections(COUNT);
        loaded(|| {
            for error in ["ERESTART", "EINTR"] {
                let file = open_binary();
                for sequence in 1..=3 {
                    let mut bytes = vec![0; 1 << 20];
                    let mut restarts = 0;
                    // With SA_RESTART, the kernel restarts read(2) whenever it returns ERESTART.
                    let got = loop {
                        let read = || file.read(&mut bytes);
                        match kernel::with_hook(At::Walk, || kernel::signal(error), read) {
                            Ok(got) => break got,
                            Err(answer) => fails_with::<()>(Err(answer), error),
                        }
                        kernel::signal_gone();
                        restarts += 1;
                        assert!(restarts < 10, "the reader makes no progress");
                    };
                    kernel::signal_gone();
                    assert_eq!(restarts, 1, "the second walk is not interrupted");
                    bytes.truncate(got);
                    bytes.extend(read_to_end(&file, 1 << 20));
                    let (header, records) = frame(&bytes);
                    assert_eq!((header.sequence, ports(&records)), (sequence, walk_order(COUNT)));
                }
            }
        });
    }

    fn sigkill_interrupts_every_walk() {
        let pcbs = connections(COUNT);
        loaded(|| {
            let file = open_binary();
            fails_with(kernel::with_hook(At::Walk, || kernel::signal("EINTR"), || file.read(&mut [0; 100])), "EINTR");
            let mut step = 0;
            let hook = || {
                step += 1;
                if step == 100 {
                    kernel::kill();
                }
            };
            let result = kernel::with_hook(At::Walk, hook, || file.read(&mut [0; 100]));
            assert!(result.is_err());
            assert!(step <= 164, "the walk continued to connection {step}");
            assert!(pcbs.iter().all(|pcb| pcb.free()), "no connection is left locked");
        });
    }

    fn a_restarted_wait_is_not_extended() {
        connections(3);
        kernel::clock_step(0);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 1_000_000);
            Cred::user(1001).assume();
            let file = open_binary();
            snapshot(&file);
            let start = kernel::now();
            for _ in 0..9 {
                let hook = || {
                    kernel::advance(100_000_000);
                    kernel::signal("ERESTART");
                };
                fails_with(kernel::with_hook(At::Sleep, hook, || file.read(&mut [0; 100])), "ERESTART");
                kernel::signal_gone();
            }
            snapshot(&file);
            assert!(kernel::now() - start < 1_000_100_000, "{}", kernel::now() - start);
        });
    }

    fn a_signal_that_does_not_interrupt_the_call_causes_a_second_walk_and_loses_no_record() {
        connections(COUNT);
        loaded(|| {
            let file = open_binary();
            let mut step = 0;
            let hook = || {
                step += 1;
                if step == 100 {
                    kernel::signal_without_effect();
                }
            };
            let mut bytes = vec![0; 1 << 20];
            let got = kernel::with_hook(At::Walk, hook, || file.read(&mut bytes)).unwrap();
            bytes.truncate(got);
            assert_eq!(kernel::calls("sig_intr"), 1, "the signal stays pending and is not checked again");
            kernel::signal_gone();
            bytes.extend(read_to_end(&file, 4096));
            assert_eq!(ports(&frame(&bytes).1), walk_order(COUNT));
        });
    }

    fn a_signal_that_stays_pending_does_not_stop_later_reads() {
        connections(COUNT);
        loaded(|| {
            kernel::signal_without_effect();
            let file = open_binary();
            for sequence in 1..=3 {
                let (header, records) = frame(&read_to_end(&file, 65536));
                assert_eq!(header.sequence, sequence);
                assert_eq!(ports(&records), walk_order(COUNT));
            }
            kernel::signal_gone();
        });
    }

    fn a_signal_during_the_copy_shortens_the_read_and_loses_nothing() {
        connections(COUNT);
        kernel::clock_step(0);
        loaded(|| {
            let complete = read_to_end(&open_binary(), 1 << 20);
            let file = open_binary();
            let mut bytes = vec![0; 1 << 20];
            let got = kernel::with_hook(At::Copy, || kernel::signal("EINTR"), || file.read(&mut bytes)).unwrap();
            assert!(got > 0 && got < complete.len(), "{got}");
            kernel::signal_gone();
            bytes.truncate(got);
            bytes.extend(read_to_end(&file, 1 << 20));
            assert!(bytes == complete);
        });
    }

    fn a_signal_interrupts_the_wait_for_the_next_snapshot() {
        connections(3);
        loaded(|| {
            let ann = Cred::user(1001);
            kernel::set_sysctl("interval_min_us", 1_000_000);
            ann.assume();
            let file = open_binary();
            snapshot(&file);
            for error in ["EINTR", "ERESTART"] {
                let result =
                    kernel::with_hook(At::Sleep, || kernel::signal(error), || file.read(&mut [0; 1000]));
                fails_with(result, error);
                kernel::signal_gone();
            }
            assert_eq!(kernel::sysctl("snapshots"), 1);
            snapshot(&file);
            assert_eq!(kernel::sysctl("snapshots"), 2);
        });
    }
}
