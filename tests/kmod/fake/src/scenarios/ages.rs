// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Ages and idle times if the kernel runs for longer than a wrap of ticks.

use tcpstats::{Record, key};

use crate::help::{connection, loaded, open_binary, snapshot};
use crate::kernel::{self, File};

/// Returns the nanoseconds after which ticks wrap.
fn wrap(hz: u64) -> u64 {
    (1_000_000_000 << 32) / hz
}

/// Advances the clock to this uptime, rounded up to a tick.
fn at(hz: u64, uptime_ns: u64) {
    kernel::clock_step(0);
    kernel::advance(uptime_ns.next_multiple_of(10_000_000) - kernel::now());
    kernel::clock(i32::try_from(hz).unwrap(), ticks(hz));
}

/// Returns the current ticks of the kernel.
fn ticks(hz: u64) -> u32 {
    u32::try_from((kernel::now() / (1_000_000_000 / hz)) & 0xffff_ffff).unwrap()
}

/// Creates a connection that starts now.
fn start(hz: u64, port: u16) -> kernel::Pcb {
    let now = ticks(hz).into();
    connection(port).set("t_starttime", now).set("t_rcvtime", now).set("t_sndtime", now).set("t_sndbytes", 1)
}

fn of_port(file: &File, port: u16) -> Record {
    let records = snapshot(file).1;
    records.into_iter().find(|record| record.get(key::lport) == Some(port)).unwrap()
}

/// Returns the age, and the times since data was sent and received, in microseconds.
fn ages(file: &File, port: u16) -> [Option<u64>; 3] {
    let record = of_port(file, port);
    [record.get(key::age), record.get(key::idle_snd), record.get(key::idle_rcv)]
}

const HOUR: u64 = 3_600_000_000_000;

scenarios! {
    fn every_age_is_known_before_ticks_wrap_for_the_first_time() {
        for hz in [1000, 100] {
            at(hz, kernel::now() + HOUR);
            let (pcb, began) = (start(hz, 1), kernel::now());
            at(hz, wrap(hz) - HOUR);
            loaded(|| {
                let age = (kernel::now() - began) / 1000;
                for _ in 0..3 {
                    assert_eq!(ages(&open_binary(), 1), [Some(age); 3], "{hz} Hz");
                }
            });
            assert!(pcb.free());
        }
    }

    fn a_connection_that_may_be_older_than_a_wrap_of_ticks_has_no_age() {
        for hz in [1000, 100] {
            let pcb = start(hz, 1);
            at(hz, kernel::now() + wrap(hz) + HOUR);
            loaded(|| {
                let file = open_binary();
                for _ in 0..3 {
                    assert_eq!(ages(&file, 1), [None; 3], "{hz} Hz");
                    at(hz, kernel::now() + wrap(hz) / 3);
                }
                // With keepalives it cannot have been idle for a wrap of ticks.
                pcb.set("t_rcvtime", ticks(hz).into()).set("t_timers[TT_KEEP]", 1 << 60);
                at(hz, kernel::now() + HOUR);
                assert_eq!(ages(&file, 1), [None, None, Some(HOUR / 1000)]);
            });
            assert!(pcb.free());
        }
    }

    fn a_connection_that_is_younger_than_a_snapshot_has_an_age_for_half_a_wrap_of_ticks() {
        for hz in [1000, 100] {
            let old = start(hz, 1);
            at(hz, kernel::now() + 3 * wrap(hz));
            let mut young = Vec::new();
            loaded(|| {
                let file = open_binary();
                assert_eq!(snapshot(&file).1.len(), 1, "the module sees the old connection");
                for round in 0..12_u64 {
                    let port = u16::try_from(round + 2).unwrap();
                    young.push((start(hz, port), kernel::now()));
                    at(hz, kernel::now() + wrap(hz) / 10);
                    for (port, (_, began)) in (2..).zip(&young) {
                        let age = (kernel::now() - began) / 1000;
                        let known = ages(&file, port);
                        assert!(known == [Some(age); 3] || known == [None; 3], "a wrong age at {hz} Hz: {known:?}");
                        if age < wrap(hz) / 2000 {
                            assert_eq!(known, [Some(age); 3], "{hz} Hz, round {round}");
                        }
                    }
                    assert_eq!(ages(&file, 1), [None; 3]);
                }
                let file = open_binary();
                assert_eq!(ages(&file, 2), [None; 3], "the connection is older than a wrap of ticks by now");
            });
            old.free();
            for (pcb, _) in young {
                assert!(pcb.free());
            }
        }
    }

    fn infrequent_snapshots_cause_no_wrong_age() {
        let hz = 1000;
        at(hz, 3 * wrap(hz));
        loaded(|| {
            let file = open_binary();
            snapshot(&file);
            let began = kernel::now();
            start(hz, 1);
            at(hz, began + wrap(hz) / 10 * 9);
            assert_eq!(ages(&file, 1)[0], Some((kernel::now() - began) / 1000));
            start(hz, 3);
            // No snapshots are taken for a wrap of ticks.
            at(hz, began + 2 * wrap(hz) + HOUR);
            assert_eq!(ages(&file, 1), [None; 3]);
            assert_eq!(ages(&file, 3), [None; 3], "the mark before it is too old");
            start(hz, 2);
            at(hz, kernel::now() + HOUR);
            assert_eq!(ages(&file, 2), [Some(HOUR / 1000); 3]);
        });
    }
}
