// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! poll(2) and select(2): a descriptor is readable if a read does not block.

use crate::help::{connections, loaded, open_binary, snapshot};
use crate::kernel::{self, Cred, File, fails_with};

/// Runs with a user's descriptor that has just read a snapshot and can read the next
/// in 50 ms.
fn paced(body: impl FnOnce(File)) {
    connections(3);
    kernel::clock_step(0);
    loaded(|| {
        kernel::set_sysctl("interval_min_us", 50_000);
        Cred::user(1001).assume();
        let file = open_binary();
        assert_eq!(file.poll(&["POLLIN"]), kernel::constant("POLLIN"), "the first snapshot");
        snapshot(&file);
        body(file);
    });
}

scenarios! {
    fn a_descriptor_of_root_is_always_readable_and_never_writable() {
        connections(3);
        loaded(|| {
            kernel::set_sysctl("interval_min_us", 1_000_000);
            let file = open_binary();
            let both = kernel::constant("POLLIN") | kernel::constant("POLLRDNORM");
            for _ in 0..3 {
                assert_eq!(file.poll(&["POLLIN", "POLLRDNORM", "POLLOUT"]), both);
                assert_eq!(file.poll(&["POLLOUT"]), 0);
                snapshot(&file);
            }
            assert_eq!(kernel::pollers(), 0);
        });
    }

    fn a_user_is_woken_when_the_next_snapshot_is_allowed() {
        paced(|file| {
            assert_eq!(file.poll(&["POLLIN"]), 0);
            assert_eq!(kernel::pollers(), 1);
            kernel::advance(49_000_000);
            assert_eq!(kernel::pollers(), 1, "not yet");
            kernel::advance(1_100_000);
            assert_eq!(kernel::pollers(), 0, "the time has come");
            assert_eq!(file.poll(&["POLLIN"]), kernel::constant("POLLIN"));
            file.nonblocking(true);
            assert_eq!(snapshot(&file).1.len(), 3, "the read does not block");
            fails_with(file.read(&mut [0; 100]), "EAGAIN");
            assert_eq!(file.poll(&["POLLIN"]), 0);
        });
    }

    fn a_descriptor_is_readable_until_the_end_of_the_snapshot() {
        paced(|file| {
            kernel::advance(50_000_000);
            file.read(&mut [0; 100]).unwrap();
            assert_eq!(file.poll(&["POLLIN"]), kernel::constant("POLLIN"));
            let mut buffer = vec![0; 65536];
            while file.read(&mut buffer).unwrap() > 0 {
                assert_eq!(file.poll(&["POLLIN"]), kernel::constant("POLLIN"), "the end of file can be read as well");
            }
            assert_eq!(file.poll(&["POLLIN"]), 0);
        });
    }

    fn users_are_woken_in_the_order_of_their_turns() {
        paced(|file| {
            assert_eq!(file.poll(&["POLLIN"]), 0);
            kernel::advance(20_000_000);
            Cred::user(1002).assume();
            let other = open_binary();
            snapshot(&other);
            assert_eq!(other.poll(&["POLLIN"]), 0);
            assert_eq!(kernel::pollers(), 2);
            kernel::advance(30_100_000);
            assert_eq!(kernel::pollers(), 0, "all threads are woken to check");
            assert_eq!(file.poll(&["POLLIN"]), kernel::constant("POLLIN"));
            assert_eq!(other.poll(&["POLLIN"]), 0);
            kernel::advance(20_000_000);
            assert_eq!(kernel::pollers(), 0, "the other is woken at its turn");
        });
    }

    fn the_module_unloads_while_a_thread_polls_a_closed_descriptor() {
        paced(|file| {
            assert_eq!(file.poll(&["POLLIN"]), 0);
            assert_eq!(kernel::pollers(), 1);
        });
    }
}
